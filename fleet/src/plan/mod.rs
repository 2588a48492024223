//! What to write next about one deployment: a function of the world and the time.
//!
//! A plan goes as far as what is known allows, and is made again when that changes; made twice of the same world, it is the same.
//! `instances` decides which instances come and go, `progress` how far the rollout is, `rebalance` which move; here is the frame: revisions, commands,
//! what is said of it all.

mod instances;
mod progress;
mod rebalance;
mod tell;

pub(crate) use progress::is_permanent;

use std::{collections::BTreeSet, time::Duration};

use crate::{
    placement,
    resource::{
        Document, FINALIZER, Key, Kind, Module, ModuleDeployment, ModuleReplicaSet, OwnerReference, Phase, Progress, Time, Write, label,
    },
    revision,
    settings::Settings,
    world::World,
};

/// What to do next about a deployment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// What to write, all or nothing.
    pub writes: Vec<Write>,
    /// When to plan again though nothing has changed.
    pub wake: Option<Time>,
    /// What to tell people.
    pub notes: Vec<Note>,
    /// Whether an instance is wanted that no base takes.
    pub hungry: bool,
}

/// Something worth telling about a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Of which kind it is.
    pub kind: Kind,
    /// Where it is found.
    pub key: Key,
    /// Whether somebody should look.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// Decides what to do next about the deployment `key`.
#[must_use]
pub fn plan(world: &World, key: &Key, now: Time, settings: &Settings) -> Plan {
    let Some(deployment) = world.deployment(key) else { return leftovers(world, key, now) };
    let mut planner = Planner::new(world, deployment, now, settings);
    if deployment.metadata.is_going() {
        planner.remove();
    } else {
        planner.roll();
    }
    planner.finish()
}

/// An instance as the planner sees it.
#[derive(Debug, Clone, Copy)]
struct Instance<'a> {
    module: &'a Module,
    /// Its revision.
    set: &'a str,
    /// It is being removed.
    going: bool,
    /// Its base is gone, or silent for too long.
    lost: bool,
    /// Its base gives its modules away, or it alone moves to another one.
    draining: bool,
    ready: bool,
    /// Ready for long enough.
    available: bool,
}

impl Instance<'_> {
    fn live(&self) -> bool {
        !self.going && !self.lost
    }
}

struct Planner<'a> {
    world: &'a World,
    now: Time,
    settings: &'a Settings,
    before: &'a ModuleDeployment,
    /// The deployment as it will be.
    next: ModuleDeployment,
    sets: Vec<&'a ModuleReplicaSet>,
    instances: Vec<Instance<'a>>,
    plan: Plan,
    /// Why an instance that is wanted has no base.
    unplaced: Option<String>,
}

impl<'a> Planner<'a> {
    fn new(world: &'a World, before: &'a ModuleDeployment, now: Time, settings: &'a Settings) -> Self {
        let key = before.metadata.key();
        let soak = Duration::from_secs(u64::from(before.spec.min_ready_seconds));
        let sets = world.sets_of(&key).collect();
        let instances = world
            .instances_of(&key)
            .map(|module| {
                let base = world.base(&Key::new(key.namespace.clone(), module.spec.base_name.clone()));
                let ready = module.status.status.is_ready();
                Instance {
                    module,
                    set: module.metadata.label(label::MODULE_REPLICASET).unwrap_or_default(),
                    going: module.metadata.is_going(),
                    lost: placement::is_lost(world, module, now, settings.patience),
                    draining: rebalance::moves(module) || base.is_some_and(|base| base.spec.drain),
                    ready,
                    available: ready && module.status.ready_since.is_some_and(|since| since.elapsed(now) >= soak),
                }
            })
            .collect();
        Self { world, now, settings, before, next: before.clone(), sets, instances, plan: Plan::default(), unplaced: None }
    }

    fn roll(&mut self) {
        if !self.next.metadata.finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            self.next.metadata.finalizers.push(FINALIZER.to_owned());
        }
        self.roll_back();
        let Some(update) = self.revision() else { return };
        let desired = self.desired();
        self.begin(update, desired);
        self.give_up();
        let aim = self.aim(update, desired);
        self.reconcile(&aim);
        self.advance(update, &aim);
        self.rebalance(update);
        self.tell(update, &aim);
        self.ripen();
    }

    /// Takes back the template of an earlier revision, where that was asked for.
    fn roll_back(&mut self) {
        let Some(to) = self.next.spec.rollback_to.take() else { return };
        let mut earlier: Vec<_> = self.sets.iter().map(|set| (number(set), *set)).collect();
        earlier.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        let chosen = match to.revision {
            0 => earlier.get(1),
            revision => earlier.iter().find(|(number, _)| *number == revision),
        };
        match chosen {
            Some((number, set)) => {
                self.next.spec.template = set.spec.template.clone();
                self.next.spec.restarted_at = set.metadata.annotations.get(RESTARTED_AT).cloned().unwrap_or_default();
                self.note(false, "RolledBack", format!("returned to revision {number} ({})", set.metadata.name));
            }
            None => {
                let known: Vec<_> = earlier.iter().map(|(number, _)| number.to_string()).collect();
                let wanted = if to.revision == 0 { "an earlier revision".to_owned() } else { format!("revision {}", to.revision) };
                self.note(true, "RollbackRevisionNotFound", format!("there is no {wanted}; there are {}", known.join(", ")));
            }
        }
    }

    /// The revision that the template is now. None where it has to be made first.
    fn revision(&mut self) -> Option<&'a ModuleReplicaSet> {
        let salt = self.next.status.collision_count.unwrap_or(0);
        let name = revision::name(&self.next.metadata.name, &self.next.spec, salt);
        let newest = self.sets.iter().map(|set| number(set)).max().unwrap_or(0);
        let Some(set) = self.sets.iter().find(|set| set.metadata.name == name).copied() else {
            let key = Key::new(self.next.metadata.namespace.clone(), name.clone());
            if self.world.document(Kind::ModuleReplicaSet, &key).is_some() {
                // The name belongs to another deployment.
                self.next.status.collision_count = Some(salt + 1);
                return None;
            }
            let set = self.new_set(name, newest + 1);
            self.plan.writes.push(Write::Create(Document::ModuleReplicaSet(set)));
            return None;
        };
        if !revision::is_of(set, &self.next.spec.template) {
            self.next.status.collision_count = Some(salt + 1);
            return None;
        }
        if number(set) < newest {
            let mut set = set.clone();
            set.metadata.labels.insert(label::REVISION.to_owned(), (newest + 1).to_string());
            self.plan.writes.push(Write::Update(Document::ModuleReplicaSet(set)));
            return None;
        }
        Some(set)
    }

    fn new_set(&self, name: String, number: u64) -> ModuleReplicaSet {
        let deployment = &self.next;
        let mut set = ModuleReplicaSet::default();
        set.metadata.name = name;
        set.metadata.namespace.clone_from(&deployment.metadata.namespace);
        set.metadata.labels.clone_from(&deployment.metadata.labels);
        set.metadata.labels.extend(self.common_labels());
        set.metadata.labels.insert(label::REVISION.to_owned(), number.to_string());
        if !deployment.spec.restarted_at.is_empty() {
            set.metadata.annotations.insert(RESTARTED_AT.to_owned(), deployment.spec.restarted_at.clone());
        }
        set.metadata.owner_references = vec![OwnerReference {
            api_version: crate::resource::API_VERSION.to_owned(),
            kind: Kind::ModuleDeployment.as_str().to_owned(),
            name: deployment.metadata.name.clone(),
            uid: deployment.metadata.uid.clone(),
            controller: true,
            block_owner_deletion: true,
        }];
        set.spec.selector.clone_from(&deployment.spec.base_selector);
        set.spec.template.clone_from(&deployment.spec.template);
        set.spec.operation_strategy.clone_from(&deployment.spec.operation_strategy);
        set.spec.scheduling_strategy.clone_from(&deployment.spec.scheduling_strategy);
        set.spec.min_ready_seconds = deployment.spec.min_ready_seconds;
        set
    }

    fn common_labels(&self) -> [(String, String); 4] {
        let module = &self.next.spec.template.spec.module;
        let of = |label: &str, value: &str| (label.to_owned(), value.to_owned());
        [
            of(label::MODULE_DEPLOYMENT, &self.next.metadata.name),
            of(label::DEPLOYMENT_NAME, &self.next.spec.base_deployment_name),
            of(label::MODULE_NAME, &module.name),
            of(label::MODULE_VERSION, &module.version),
        ]
    }

    fn new_instance(&self, set: &ModuleReplicaSet, base: &str, weight: Option<u32>) -> Module {
        let mut module = Module::default();
        module.metadata.name = revision::instance(&set.metadata.name, base);
        module.metadata.namespace.clone_from(&set.metadata.namespace);
        module.metadata.labels.clone_from(&set.metadata.labels);
        module.metadata.labels.extend(set.spec.template.metadata.labels.clone());
        module.metadata.annotations.clone_from(&set.spec.template.metadata.annotations);
        module.metadata.labels.insert(label::MODULE_REPLICASET.to_owned(), set.metadata.name.clone());
        module.metadata.labels.insert(label::BASE_NAME.to_owned(), base.to_owned());
        if self.is_rebalancing() {
            module.metadata.annotations.insert(rebalance::REBALANCED_AT.to_owned(), self.next.spec.rebalanced_at.clone());
        }
        module.metadata.finalizers = vec![FINALIZER.to_owned()];
        module.metadata.owner_references = vec![OwnerReference {
            api_version: crate::resource::API_VERSION.to_owned(),
            kind: Kind::ModuleReplicaSet.as_str().to_owned(),
            name: set.metadata.name.clone(),
            uid: set.metadata.uid.clone(),
            controller: true,
            block_owner_deletion: false,
        }];
        module.spec.template = set.spec.template.spec.clone();
        module.spec.template.upgrade_policy = Some(self.next.spec.upgrade_policy());
        module.spec.base_name = base.to_owned();
        module.spec.weight = weight;
        module.spec.ordinal = self.next_ordinal();
        module.status.status = Phase::Prepare;
        module.status.last_transition_time = Some(self.now);
        module
    }

    /// Above that of every instance so far.
    fn next_ordinal(&self) -> u64 {
        1 + self.instances.iter().map(|instance| instance.module.spec.ordinal).max().unwrap_or(0)
    }

    /// Marks as available what has been ready for long enough by now, and wakes for what will be.
    fn ripen(&mut self) {
        let soak = Duration::from_secs(u64::from(self.before.spec.min_ready_seconds));
        let touched: BTreeSet<Key> = self.plan.writes.iter().filter_map(written).collect();
        for instance in &self.instances {
            let status = &instance.module.status;
            if instance.going || status.status != Phase::Completing || touched.contains(&instance.module.metadata.key()) {
                continue;
            }
            if instance.available {
                let mut module = instance.module.clone();
                module.status.status = Phase::Available;
                module.status.last_transition_time = Some(self.now);
                self.plan.writes.push(Write::Update(Document::Module(module)));
            } else if let Some(since) = status.ready_since {
                wake(&mut self.plan.wake, since.after(soak));
            }
        }
    }

    /// How many instances are wanted: in peer mode, one on each base that is there.
    fn desired(&self) -> u32 {
        match u32::try_from(self.next.spec.replicas) {
            Ok(replicas) => replicas,
            Err(_) => {
                let template = &self.next.spec.template.spec;
                let bases = self.world.bases_in(&self.next.metadata.namespace).filter(|base| {
                    let has_it =
                        || self.instances.iter().any(|instance| instance.live() && instance.module.spec.base_name == base.metadata.name);
                    placement::belongs(&self.next, template, base).is_ok()
                        && !base.spec.drain
                        && (base.is_ready() && !base.spec.unschedulable && placement::kept_apart(self.world, &self.next, base).is_none()
                            || has_it())
                });
                u32::try_from(bases.count()).unwrap_or(u32::MAX)
            }
        }
    }

    /// Removes everything of a deployment that is to go.
    fn remove(&mut self) {
        self.next.status.release_status.progress = Progress::Terminating;
        for instance in self.instances.clone() {
            if instance.lost {
                self.forget(instance.module);
            } else if !instance.going {
                self.end(instance.module);
            }
        }
        if self.instances.is_empty() {
            for set in &self.sets {
                self.plan.writes.push(delete(Kind::ModuleReplicaSet, &set.metadata));
            }
            self.next.metadata.finalizers.retain(|finalizer| finalizer != FINALIZER);
            self.next.status.release_status.progress = Progress::Terminated;
        } else if let Some(until) = self.lost_next() {
            wake(&mut self.plan.wake, until);
        }
    }

    /// Asks for an instance to be removed from its base.
    fn end(&mut self, module: &Module) {
        let mut module = module.clone();
        module.metadata.deletion_timestamp = Some(self.now);
        self.plan.writes.push(Write::Update(Document::Module(module)));
    }

    /// Forgets an instance without its base, which is away.
    fn forget(&mut self, module: &Module) {
        self.plan.writes.push(forget(module, self.now));
    }

    /// When the next silent base counts as lost.
    fn lost_next(&self) -> Option<Time> {
        let bases = self.instances.iter().filter(|instance| !instance.lost);
        bases
            .filter_map(|instance| {
                let base = self.world.base(&Key::new(self.next.metadata.namespace.clone(), instance.module.spec.base_name.clone()))?;
                let ready = base.ready().filter(|_| !base.is_ready())?;
                Some(ready.last_transition_time?.after(self.settings.patience))
            })
            .min()
    }

    fn note(&mut self, warning: bool, reason: &'static str, message: String) {
        self.plan.notes.push(Note { kind: Kind::ModuleDeployment, key: self.before.metadata.key(), warning, reason, message });
    }

    fn finish(mut self) -> Plan {
        self.plan.hungry = self.unplaced.is_some();
        if self.next != *self.before {
            self.plan.writes.push(Write::Update(Document::ModuleDeployment(self.next)));
        }
        self.plan
    }
}

/// The annotation of a revision that says when it was asked to start anew.
const RESTARTED_AT: &str = "serverless.alipay.com/restarted-at";

/// A revision's number.
#[must_use]
pub fn number(set: &ModuleReplicaSet) -> u64 {
    set.metadata.label(label::REVISION).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn wake(wake: &mut Option<Time>, at: Time) {
    *wake = Some(wake.map_or(at, |before| before.min(at)));
}

/// The instance that a write is of.
fn written(write: &Write) -> Option<Key> {
    match write {
        Write::Create(Document::Module(module)) | Write::Update(Document::Module(module)) => Some(module.metadata.key()),
        Write::Create(_) | Write::Update(_) | Write::Delete { .. } => None,
    }
}

/// Ends an instance at once: its base, which would have to remove it, is away.
fn forget(module: &Module, now: Time) -> Write {
    let mut module = module.clone();
    module.metadata.finalizers.clear();
    module.metadata.deletion_timestamp.get_or_insert(now);
    Write::Update(Document::Module(module))
}

fn delete(kind: Kind, meta: &crate::resource::Meta) -> Write {
    Write::Delete { kind, key: meta.key(), resource_version: meta.resource_version.clone() }
}

/// What to do about what is left of a deployment that is gone.
fn leftovers(world: &World, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::default();
    for module in world.instances_of(key) {
        let on = Key::new(key.namespace.clone(), module.spec.base_name.clone());
        if world.base(&on).is_none() {
            plan.writes.push(forget(module, now));
        } else if !module.metadata.is_going() {
            let mut module = module.clone();
            module.metadata.deletion_timestamp = Some(now);
            plan.writes.push(Write::Update(Document::Module(module)));
        }
    }
    plan.writes.extend(world.sets_of(key).map(|set| delete(Kind::ModuleReplicaSet, &set.metadata)));
    plan
}
