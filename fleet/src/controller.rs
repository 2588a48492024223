//! The controller without its input and output: it is told what is stored, what bases say and what time it is, and says what to write
//! and what to order. The program around it carries that out; so does the simulation.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use ark_model::{Fence, report::BaseReport};

use crate::{
    absence,
    drive::{self, Command, Order},
    lint::{self, Fault},
    observe::{self, observe},
    plan::{self, Note, Plan},
    resource::{Base, Document, Key, Kind, Time, Write},
    settings::Settings,
    world::{World, deployment_of},
};

/// What came of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The base did it.
    Done,
    /// The base refused it, or failed at it.
    Failed(ark_model::Failure),
    /// Nobody knows: the base was not reached, or the answer was lost. Its next report tells.
    Unknown,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Carry out the plan for a deployment.
    Plan(Key, Plan),
    /// Nothing for this deployment: what was planned must not be carried out.
    Refused(Key, Vec<Fault>),
    /// Write what was observed.
    Note(Vec<Write>),
    /// Send these orders, each to its base. Until [`Controller::ended`] says so they count as under way.
    Order(Vec<(Key, Order)>),
}

/// What a base said last.
#[derive(Debug, Clone)]
struct Heard {
    report: Arc<BaseReport>,
    /// Where it is asked, empty for a tunnel.
    api: String,
    at: Time,
}

/// One controller. What it does is decided by what it was told, in the order it was told.
#[derive(Debug)]
pub struct Controller {
    world: World,
    settings: Settings,
    /// When it began to listen: no base has been silent for longer, as far as it knows.
    since: Time,
    /// The highest version of a document that it knows.
    revision: u64,
    /// That of the last order.
    generation: u64,
    heard: HashMap<Key, Heard>,
    /// Orders under way, by base and module name.
    busy: HashMap<Key, BTreeMap<String, Option<Key>>>,
    /// Bases that spoke before the last order for them ended: what they said may be older than that.
    stale: BTreeSet<Key>,
    dirty: BTreeSet<Key>,
    undriven: BTreeSet<Key>,
    /// Deployments that have an instance without a base.
    hungry: BTreeSet<Key>,
    wakes: BTreeSet<(Time, Wake)>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Plan(Key),
    Drive(Key),
}

impl Controller {
    /// One that knows nothing yet, at `now`.
    ///
    /// Before it is asked what to do it has to be told everything that is stored, read after it took the lead: what a base has by its order
    /// and it does not know, it takes for left over and has removed.
    #[must_use]
    pub fn new(settings: Settings, now: Time) -> Self {
        Self {
            world: World::default(),
            settings,
            since: now,
            revision: 0,
            generation: 0,
            heard: HashMap::new(),
            busy: HashMap::new(),
            stale: BTreeSet::new(),
            dirty: BTreeSet::new(),
            undriven: BTreeSet::new(),
            hungry: BTreeSet::new(),
            wakes: BTreeSet::new(),
        }
    }

    /// What it knows.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Takes in a document as it is stored now. One it knows a later version of is left out.
    pub fn stored(&mut self, document: Arc<Document>) {
        let (kind, key) = (document.kind(), document.key());
        let version = version(&document);
        let before = self.world.document(kind, &key).cloned();
        if before.as_ref().is_some_and(|before| self::version(before) >= version) {
            return;
        }
        self.revision = self.revision.max(version);
        self.touch(&document, before.as_deref());
        self.world.put(document);
    }

    /// Takes in that a document was removed by the commit `version`.
    pub fn removed(&mut self, kind: Kind, key: &Key, version: u64) {
        self.revision = self.revision.max(version);
        let Some(before) = self.world.document(kind, key).cloned() else { return };
        if self::version(&before) > version {
            return;
        }
        if kind == Kind::Base {
            self.dirty.extend(self.world.instances_on(key).filter_map(|module| deployment_of(&module.metadata)));
            // One that still reports is heard again soon.
            self.heard.remove(key);
        }
        self.world.remove(kind, key);
        self.touch(&before, None);
        if kind == Kind::Module {
            // There is room where it was.
            self.dirty.extend(self.hungry.iter().cloned());
        }
    }

    /// Forgets every document that is not among `documents`, which are all there are.
    pub fn forget_all_but(&mut self, documents: &[Arc<Document>]) {
        let there: BTreeSet<(Kind, Key)> = documents.iter().map(|document| (document.kind(), document.key())).collect();
        let gone = self.world.documents().filter(|document| !there.contains(&(document.kind(), document.key())));
        for (kind, key, version) in gone.map(|document| (document.kind(), document.key(), version(document))).collect::<Vec<_>>() {
            self.removed(kind, &key, version);
        }
    }

    /// Notes what may have to be done about a document that changed.
    fn touch(&mut self, document: &Document, before: Option<&Document>) {
        match document {
            Document::ModuleDeployment(deployment) => {
                self.dirty.insert(deployment.metadata.key());
            }
            Document::ModuleReplicaSet(set) => self.dirty.extend(deployment_of(&set.metadata)),
            Document::Module(module) => {
                self.dirty.extend(deployment_of(&module.metadata));
                if before.is_none() {
                    // It came or went: those that share no base with it have another choice of bases.
                    let name = &module.spec.template.module.name;
                    let apart = self.world.deployments().filter(|deployment| deployment.spec.scheduling_strategy.apart_from.contains(name));
                    self.dirty.extend(apart.map(|deployment| deployment.metadata.key()));
                }
                self.undriven.insert(Key::new(module.metadata.namespace.clone(), module.spec.base_name.clone()));
            }
            Document::Base(base) => {
                let key = base.metadata.key();
                let same = matches!(before, Some(Document::Base(before)) if is_the_same_place(before, base));
                if !same {
                    self.dirty.extend(self.world.instances_on(&key).filter_map(|module| deployment_of(&module.metadata)));
                    let peers = self
                        .world
                        .deployments()
                        .filter(|deployment| deployment.spec.replicas < 0 && deployment.metadata.namespace == key.namespace);
                    self.dirty.extend(peers.map(|deployment| deployment.metadata.key()));
                }
                self.dirty.extend(self.hungry.iter().cloned());
                self.undriven.insert(key);
            }
        }
    }

    /// Takes in what a base says; answers with what to write about it.
    pub fn reported(&mut self, base: &Key, report: Arc<BaseReport>, api: &str, now: Time) -> Vec<Write> {
        self.world.traffic.extend(observe::traffic(&report));
        self.stale.remove(base);
        let busy = self.busy.get(base);
        let is_busy = |instance: &Key| busy.is_some_and(|busy| busy.values().flatten().any(|key| key == instance));
        let writes = observe(&self.world, base, &report, api, is_busy, now);
        // Checks look at requests, which are not stored.
        let checked = self.world.instances_on(base).filter_map(|module| deployment_of(&module.metadata));
        let checked =
            checked.filter(|key| self.world.deployment(key).is_some_and(|deployment| deployment.spec.operation_strategy.checks.is_some()));
        self.dirty.extend(checked);
        self.heard.insert(base.clone(), Heard { report, api: api.to_owned(), at: now });
        self.undriven.insert(base.clone());
        writes
    }

    /// What to write about bases that have been silent for too long at `now`.
    #[must_use]
    pub fn silent(&self, now: Time) -> Vec<Write> {
        let bases = self.quiet(now).map(|base| {
            let key = base.metadata.key();
            observe::silent(&self.world, &key, self.heard.get(&key).map(|heard| heard.at), now)
        });
        bases.flatten().collect()
    }

    /// What to write about bases that have been silent for so long at `now` that they are given up, each with what to tell of it.
    #[must_use]
    pub fn overdue(&self, now: Time) -> Vec<(Write, Note)> {
        self.quiet(now).filter_map(|base| absence::given_up(&self.world, base, self.since, self.settings.absence, now)).collect()
    }

    /// The bases that this controller has not heard for too long.
    fn quiet(&self, now: Time) -> impl Iterator<Item = &Base> {
        self.world.bases().filter(move |base| {
            let heard = self.heard.get(&base.metadata.key()).map_or(self.since, |heard| heard.at);
            heard.elapsed(now) >= self.settings.silence
        })
    }

    /// Notes what has to be looked at again because of the time.
    pub fn tick(&mut self, now: Time) {
        while let Some((at, wake)) = self.wakes.pop_first() {
            if at > now {
                self.wakes.insert((at, wake));
                break;
            }
            match wake {
                Wake::Plan(key) => self.dirty.insert(key),
                Wake::Drive(key) => self.undriven.insert(key),
            };
        }
    }

    /// When to call [`Controller::tick`] next, if nothing else happens.
    #[must_use]
    pub fn next_tick(&self) -> Option<Time> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// The next plan to carry out, and its deployment. None once there is nothing to do. What it writes has to be told by
    /// [`Controller::stored`] before the next plan is asked for. Where the plan must not be carried out, what is wrong with it.
    pub fn plan(&mut self, now: Time) -> Option<(Key, Result<Plan, Vec<Fault>>)> {
        while let Some(key) = self.dirty.pop_first() {
            let plan = plan::plan(&self.world, &key, now, &self.settings);
            if let Some(at) = plan.wake {
                self.wakes.insert((at, Wake::Plan(key.clone())));
            }
            match plan.hungry {
                true => self.hungry.insert(key.clone()),
                false => self.hungry.remove(&key),
            };
            if plan.writes.is_empty() && plan.notes.is_empty() {
                continue;
            }
            let faults = lint::lint(&self.world, &key, &plan);
            return Some((key, if faults.is_empty() { Ok(plan) } else { Err(faults) }));
        }
        None
    }

    /// Looks at a deployment again: what was planned for it was not carried out.
    pub fn again(&mut self, deployment: Key) {
        self.dirty.insert(deployment);
    }

    /// What to do next, until there is nothing: what has been written has to be told by [`Controller::stored`] before it is asked again.
    pub fn next(&mut self, now: Time) -> Option<Step> {
        if let Some((key, planned)) = self.plan(now) {
            return Some(match planned {
                Ok(plan) => Step::Plan(key, plan),
                Err(faults) => Step::Refused(key, faults),
            });
        }
        let gone = self.gone(now);
        if !gone.is_empty() {
            return Some(Step::Note(gone));
        }
        let orders = self.orders(now);
        (!orders.is_empty()).then_some(Step::Order(orders))
    }

    /// What to write about instances that are to go and that their bases, by what they said last, do not have any more.
    fn gone(&self, now: Time) -> Vec<Write> {
        let bases = self.undriven.iter().filter(|base| !self.stale.contains(base));
        let heard = bases.filter_map(|base| Some((base, self.heard.get(base)?)));
        let writes = heard.flat_map(|(base, heard)| {
            let busy = self.busy.get(base);
            let is_busy = move |instance: &Key| busy.is_some_and(|busy| busy.values().flatten().any(|key| key == instance));
            let going = self.world.instances_on(base).filter(|module| module.metadata.is_going());
            let going = going.filter(move |module| !is_busy(&module.metadata.key()));
            going.filter_map(move |module| observe::gone(module, &heard.report, heard.api.is_empty(), now))
        });
        writes.collect()
    }

    /// The orders to send now, each with its base. Until [`Controller::ended`] says so they count as under way.
    fn orders(&mut self, now: Time) -> Vec<(Key, Order)> {
        let mut all = Vec::new();
        for base in std::mem::take(&mut self.undriven) {
            let Some(heard) = self.heard.get(&base) else { continue };
            if heard.at.elapsed(now) >= self.settings.silence || self.stale.contains(&base) {
                continue;
            }
            let busy = self.busy.entry(base.clone()).or_default();
            let names = busy.keys().cloned().collect();
            let (orders, again) = drive::drive(&self.world, &base, &heard.report, heard.api.is_empty(), &names, now);
            if let Some(at) = again {
                self.wakes.insert((at, Wake::Drive(base.clone())));
            }
            for order in orders {
                busy.insert(order.name.clone(), order.instance.clone());
                all.push((base.clone(), order));
            }
        }
        all
    }

    /// The fence of an order that is sent now, under the reign `epoch`: above that of every order before.
    pub fn fence(&mut self, epoch: u64) -> Fence {
        self.generation = self.revision.max(self.generation + 1);
        Fence { epoch, generation: self.generation }
    }

    /// What to write as `order` is sent.
    #[must_use]
    pub fn sent(&self, order: &Order, now: Time) -> Option<Write> {
        observe::ordered(self.world.module(order.instance.as_ref()?)?, now)
    }

    /// Takes in what came of an order; answers with what to write about it.
    pub fn ended(&mut self, base: &Key, order: &Order, outcome: &Outcome, now: Time) -> Option<Write> {
        if let Some(busy) = self.busy.get_mut(base) {
            busy.remove(&order.name);
        }
        // The last report may be from before the order's end. The next one decides.
        self.stale.insert(base.clone());
        let Outcome::Failed(failure) = outcome else { return None };
        if drive::is_overtaken(&order.command, failure) {
            return None;
        }
        let module = self.world.module(order.instance.as_ref()?)?;
        let is_its_own = match &order.command {
            Command::Uninstall { .. } => module.metadata.is_going(),
            Command::Install(_) | Command::Activate(_) => true,
        };
        observe::refused(module, failure, &self.settings, now).filter(|_| is_its_own)
    }
}

/// Whether nothing has changed that decides about where instances go.
fn is_the_same_place(a: &Base, b: &Base) -> bool {
    a.metadata.labels == b.metadata.labels
        && a.metadata.is_going() == b.metadata.is_going()
        && a.spec == b.spec
        && a.status.conditions == b.status.conditions
        && a.status.kinds == b.status.kinds
}

fn version(document: &Document) -> u64 {
    document.meta().resource_version.parse().unwrap_or(0)
}
