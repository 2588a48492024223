//! A fleet that does at once what it is told, for one question at a time.
#![expect(clippy::panic, reason = "it stands in tests, which fail by it")]

mod course;

use std::{collections::BTreeMap, sync::Arc};

use ark_model::Failure;
use fleet::{
    Command, Controller, Outcome, Settings,
    resource::{Document, Key, Kind, Module, ModuleDeployment, Progress, Time, Write},
};

pub use course::Disturbance;
use course::{Course, Meanwhile};

use crate::{
    base::Base,
    check::{self, Acted},
    store::Store,
};

fn key(name: &str) -> Key {
    Key::new("default", name)
}

/// How the watched module stood after an order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moment {
    /// On how many bases some version of it served.
    pub serving: usize,
    /// How many instances of it served.
    pub there: usize,
    /// On how many bases each version served, and its share of all requests, where each base that serves gets the same number.
    pub versions: BTreeMap<String, (usize, f64)>,
}

/// Bases, a store and a controller. Packages whose URL ends with `bad` do not start; with `wrong`, they are no packages.
pub struct Scenario {
    bases: Vec<Base>,
    store: Store,
    controller: Controller,
    /// Which controller it is.
    epoch: u64,
    now: u64,
    acted: Acted,
    course: Course,
    watched: Option<String>,
    /// How the watched module stood at [`Scenario::watch`], and after each order since.
    pub moments: Vec<Moment>,
    /// Everything that was told to people: reason and sentence.
    pub told: Vec<(&'static str, String)>,
    /// The orders so far.
    pub orders: Vec<(String, Command)>,
}

impl Scenario {
    /// So many bases, called `base-0` and on, that take so many modules each.
    #[must_use]
    pub fn new(bases: usize, most: u64) -> Self {
        let mut scenario = Self {
            bases: (0..bases).map(|index| Base::new(format!("base-{index}"), most)).collect(),
            store: Store::default(),
            controller: Controller::new(Settings::default(), Time(1_000)),
            epoch: 1,
            now: 1_000,
            acted: Acted::default(),
            course: Course::new(bases),
            watched: None,
            moments: Vec::new(),
            told: Vec::new(),
            orders: Vec::new(),
        };
        scenario.settle();
        scenario
    }

    /// A deployment of the module `name`, as yet nowhere.
    #[must_use]
    pub fn deployment(name: &str, replicas: i32, url: &str) -> ModuleDeployment {
        let mut deployment = ModuleDeployment::default();
        deployment.metadata.namespace = "default".to_owned();
        deployment.metadata.name = name.to_owned();
        deployment.spec.base_deployment_name = "default".to_owned();
        deployment.spec.replicas = replicas;
        deployment.spec.operation_strategy.batch_count = 1;
        name.clone_into(&mut deployment.spec.template.spec.module.name);
        set_version(&mut deployment, "1.0.0", url);
        deployment
    }

    /// Makes a deployment, and lets everything come to rest.
    ///
    /// # Panics
    /// Where it is there already.
    pub fn create(&mut self, deployment: ModuleDeployment) {
        let made = self.change_store(Write::Create(Document::ModuleDeployment(deployment)));
        assert!(made, "it is there already");
        self.settle();
    }

    /// Changes a deployment, and lets everything come to rest.
    ///
    /// # Panics
    /// Where there is none.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut ModuleDeployment)) {
        self.edit(name, change);
        self.settle();
    }

    /// Changes a deployment, and nothing yet comes of it.
    ///
    /// # Panics
    /// Where there is none.
    pub fn edit(&mut self, name: &str, change: impl FnOnce(&mut ModuleDeployment)) {
        let mut deployment = self.get(name);
        change(&mut deployment);
        assert!(self.change_store(Write::Update(Document::ModuleDeployment(deployment))), "it was just read");
    }

    /// Rolls out other content under a new version.
    pub fn upgrade(&mut self, name: &str, version: &str, url: &str) {
        self.change(name, |deployment| set_version(deployment, version, url));
    }

    /// Changes what is wanted of a base, and lets everything come to rest.
    ///
    /// # Panics
    /// Where there is none.
    pub fn change_base(&mut self, name: &str, change: impl FnOnce(&mut fleet::resource::BaseSpec)) {
        self.edit_base(name, change);
        self.settle();
    }

    /// Changes what is wanted of a base, and nothing yet comes of it.
    ///
    /// # Panics
    /// Where there is none.
    pub fn edit_base(&mut self, name: &str, change: impl FnOnce(&mut fleet::resource::BaseSpec)) {
        let Some(Document::Base(base)) = self.store.get(Kind::Base, &key(name)).map(|document| &**document) else {
            panic!("there is no base {name}")
        };
        let mut base = base.clone();
        change(&mut base.spec);
        assert!(self.change_store(Write::Update(Document::Base(base))), "it was just read");
    }

    /// A deployment as it stands.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> ModuleDeployment {
        match self.store.get(Kind::ModuleDeployment, &key(name)).map(|document| &**document) {
            Some(Document::ModuleDeployment(deployment)) => deployment.clone(),
            _ => panic!("there is no deployment {name}"),
        }
    }

    /// All instances.
    #[must_use]
    pub fn modules(&self) -> Vec<Module> {
        let of = |document: &Arc<Document>| match &**document {
            Document::Module(module) => Some(module.clone()),
            Document::ModuleDeployment(_) | Document::ModuleReplicaSet(_) | Document::Base(_) => None,
        };
        self.store.all().filter_map(of).collect()
    }

    /// Which versions serve on a base, as `name:version`.
    #[must_use]
    pub fn serving(&self, base: usize) -> Vec<String> {
        self.bases.get(base).map(|base| base.serving().map(|(id, _)| id.to_string()).collect()).unwrap_or_default()
    }

    /// How many instances of `version` (`name:version`) serve, on all bases.
    #[must_use]
    pub fn count(&self, version: &str) -> usize {
        (0..self.bases.len()).filter(|base| self.serving(*base).iter().any(|serving| serving == version)).count()
    }

    /// Looks how `name` stands, now and from now on after each order.
    pub fn watch(&mut self, name: &str) {
        self.watched = Some(name.to_owned());
        self.moments.clear();
        self.look();
    }

    /// The fewest bases on which the watched name served, and the most instances of it that served, at any time since.
    #[must_use]
    pub fn seen(&self) -> (usize, usize) {
        let (serving, there) = (self.moments.iter().map(|moment| moment.serving), self.moments.iter().map(|moment| moment.there));
        (serving.min().unwrap_or(usize::MAX), there.max().unwrap_or(0))
    }

    fn look(&mut self) {
        let Some(name) = &self.watched else { return };
        let shares: Vec<_> = self.bases.iter().map(|base| base.shares(name)).filter(|shares| !shares.is_empty()).collect();
        let mut moment = Moment { serving: shares.len(), there: shares.iter().map(Vec::len).sum(), ..Moment::default() };
        for (id, share) in shares.iter().flatten() {
            let (bases, of_all) = moment.versions.entry(id.to_string()).or_default();
            *bases += 1;
            *of_all += share / shares.len() as f64;
        }
        self.moments.push(moment);
    }

    /// How often the controller has met its surroundings.
    #[must_use]
    pub fn boundaries(&self) -> u64 {
        self.course.boundaries
    }

    /// Lets something go wrong at a boundary to come, by its number.
    pub fn disturb(&mut self, at: u64, disturbance: Disturbance) {
        self.course.disturbance = Some((at, disturbance));
    }

    /// Lets somebody do something once so many boundaries have been met, in the middle of whatever is under way then.
    pub fn meanwhile(&mut self, at: u64, act: impl FnOnce(&mut Self) + 'static) {
        self.course.meanwhile = Some((at, Meanwhile(Box::new(act))));
    }

    /// From now on, orders stay on their way, and nothing is heard of them.
    pub fn hold_back(&mut self) {
        self.course.holds_back = true;
    }

    /// The controller does not wait any longer for the orders that were held back, and later ones arrive again; those stay on their way.
    pub fn lose_patience(&mut self) {
        self.course.holds_back = false;
        for sent in self.course.held.clone() {
            self.answer(&sent, Outcome::Unknown);
        }
        self.settle();
    }

    /// The orders that were held back arrive now. What their bases answer, nobody hears.
    pub fn let_through(&mut self) -> Vec<Result<(), Failure>> {
        self.course.holds_back = false;
        let held = std::mem::take(&mut self.course.held);
        held.iter().filter_map(|sent| outcome_of(self.arrive(sent))).collect()
    }

    /// What is not as it was asked for, if anything is. Every rollout is to have ended in `end`.
    #[must_use]
    pub fn unrest(&self, end: Progress) -> Option<String> {
        check::unrest(&self.store, &self.bases, end)
    }

    /// Cuts a base off from the controller, or lets it in again.
    pub fn cut_off(&mut self, base: usize, cut_off: bool) {
        if let Some(base) = self.bases.get_mut(base) {
            base.cut_off = cut_off;
        }
    }

    /// From now on packages start that did not, as where what they need is there again.
    pub fn mend(&mut self) {
        self.bases.iter_mut().for_each(|base| base.mended = true);
    }

    /// Lets a base lose everything, as one does that comes up on an empty disk. Its next report tells.
    pub fn wipe(&mut self, base: usize) {
        self.acted.forget(base);
        if let Some(base) = self.bases.get_mut(base) {
            base.lose_everything();
        }
    }

    /// Replaces the controller by one that knows only what is stored.
    pub fn restart(&mut self) {
        self.course.holds_back = false;
        self.replace();
        self.settle();
    }

    /// Lets time pass, second by second.
    pub fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1_000;
            self.controller.tick(Time(self.now));
            let writes = self.controller.silent(Time(self.now));
            self.note(writes);
            self.settle();
        }
    }
}

/// Has a deployment roll out other content under a version.
fn set_version(deployment: &mut ModuleDeployment, version: &str, url: &str) {
    let module = &mut deployment.spec.template.spec.module;
    version.clone_into(&mut module.version);
    module.url = format!("http://packages/{url}");
}

/// What a base said to an order that reached it.
fn outcome_of(outcome: Outcome) -> Option<Result<(), Failure>> {
    match outcome {
        Outcome::Done => Some(Ok(())),
        Outcome::Failed(failure) => Some(Err(failure)),
        Outcome::Unknown => None,
    }
}
