//! A fleet that does at once what it is told, for one question at a time.
#![expect(clippy::panic, reason = "it stands in tests, which fail by it")]

use std::sync::Arc;

use ark_model::{Failure, Reason};
use fleet::{
    Command, Controller, Outcome, Settings, Step,
    resource::{Document, Key, Kind, Module, ModuleDeployment, Time, Write},
};

use crate::{base::Base, store::Store};

/// Plans after which a fleet that is left alone has to be at rest.
const ENOUGH: usize = 10_000;

/// Bases, a store and a controller. Packages whose URL ends with `bad` do not start; with `wrong`, they are no packages.
pub struct Scenario {
    bases: Vec<Base>,
    store: Store,
    controller: Controller,
    now: u64,
    /// The fewest instances that served at a time since [`Scenario::watch`], of the watched name.
    watched: Option<(String, usize)>,
    /// The most instances that were there at a time, of that name.
    most: usize,
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
            now: 1_000,
            watched: None,
            most: 0,
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
        let module = &mut deployment.spec.template.spec.module;
        module.name = name.to_owned();
        module.version = "1.0.0".to_owned();
        module.url = format!("http://packages/{url}");
        deployment
    }

    /// Makes a deployment, and lets everything come to rest.
    ///
    /// # Panics
    /// Where it is there already.
    pub fn create(&mut self, deployment: ModuleDeployment) {
        let made = self.commit(vec![Write::Create(Document::ModuleDeployment(deployment))]);
        assert!(made, "it is there already");
        self.settle();
    }

    /// Changes a deployment, and lets everything come to rest.
    ///
    /// # Panics
    /// Where there is none.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut ModuleDeployment)) {
        let mut deployment = self.get(name);
        change(&mut deployment);
        assert!(self.commit(vec![Write::Update(Document::ModuleDeployment(deployment))]), "nobody else writes");
        self.settle();
    }

    /// Rolls out other content under a new version.
    pub fn upgrade(&mut self, name: &str, version: &str, url: &str) {
        self.change(name, |deployment| {
            let module = &mut deployment.spec.template.spec.module;
            module.version = version.to_owned();
            module.url = format!("http://packages/{url}");
        });
    }

    /// Changes what is wanted of a base, and lets everything come to rest.
    ///
    /// # Panics
    /// Where there is none.
    pub fn change_base(&mut self, name: &str, change: impl FnOnce(&mut fleet::resource::BaseSpec)) {
        let Some(Document::Base(base)) = self.store.get(Kind::Base, &Key::new("default", name)).map(|document| &**document) else {
            panic!("there is no base {name}")
        };
        let mut base = base.clone();
        change(&mut base.spec);
        assert!(self.commit(vec![Write::Update(Document::Base(base))]), "nobody else writes");
        self.settle();
    }

    /// A deployment as it stands.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> ModuleDeployment {
        match self.store.get(Kind::ModuleDeployment, &Key::new("default", name)).map(|document| &**document) {
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

    /// From now on, counts how few instances of `name` serve at the same time, and how many are there.
    pub fn watch(&mut self, name: &str) {
        self.watched = Some((name.to_owned(), usize::MAX));
        self.most = 0;
    }

    /// The fewest bases on which the watched name served, and the most instances of it that there were, at any time since.
    #[must_use]
    pub fn seen(&self) -> (usize, usize) {
        (self.watched.as_ref().map_or(0, |(_, fewest)| *fewest), self.most)
    }

    /// Cuts a base off from the controller, or lets it in again.
    pub fn cut_off(&mut self, base: usize, cut_off: bool) {
        if let Some(base) = self.bases.get_mut(base) {
            base.cut_off = cut_off;
        }
    }

    /// Lets a base lose everything, as one does that comes up on an empty disk.
    pub fn wipe(&mut self, base: usize) {
        if let Some(base) = self.bases.get_mut(base) {
            base.lose_everything();
        }
        self.settle();
    }

    /// Replaces the controller by one that knows only what is stored.
    pub fn restart(&mut self) {
        self.controller = Controller::new(Settings::default(), Time(self.now));
        for document in self.store.all() {
            self.controller.stored(Arc::clone(document));
        }
        self.settle();
    }

    /// Lets time pass, second by second.
    pub fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1_000;
            self.controller.tick(Time(self.now));
            let writes = self.controller.silent(Time(self.now));
            self.commit(writes);
            self.settle();
        }
    }

    /// Does all there is to do now.
    ///
    /// # Panics
    /// Where it goes round in circles, or a plan must not be carried out.
    pub fn settle(&mut self) {
        self.report();
        for _ in 0..ENOUGH {
            match self.controller.next(Time(self.now)) {
                None => return,
                Some(Step::Plan(key, plan)) => {
                    self.told.extend(plan.notes.into_iter().map(|note| (note.reason, note.message)));
                    if !self.commit(plan.writes) {
                        self.controller.again(key);
                    }
                }
                Some(Step::Refused(key, faults)) => panic!("the plan for {key} must not be carried out: {faults:?}"),
                Some(Step::Note(writes)) => {
                    self.commit(writes);
                }
                Some(Step::Order(orders)) => {
                    for (base, order) in orders {
                        let write = self.controller.sent(&order, Time(self.now));
                        self.commit(write.into_iter().collect());
                        self.orders.push((base.name.clone(), order.command.clone()));
                        let outcome = self.carry_out(&base, &order.command);
                        let write = self.controller.ended(&base, &order, &outcome, Time(self.now));
                        self.commit(write.into_iter().collect());
                        self.count_watched();
                    }
                    self.report();
                }
            }
        }
        panic!("it goes round in circles");
    }

    fn carry_out(&mut self, base: &Key, command: &Command) -> Outcome {
        let fails = match command {
            Command::Install(order) if order.url.ends_with("bad") => Some(Failure::new(Reason::StartFailed, "it does not start")),
            Command::Install(order) if order.url.ends_with("wrong") => Some(Failure::new(Reason::PackageInvalid, "it is no package")),
            Command::Install(_) | Command::Activate(_) | Command::Uninstall { .. } => None,
        };
        let there = self.bases.iter_mut().find(|there| there.name == base.name && !there.cut_off);
        there.map_or(Outcome::Unknown, |base| base.execute(command, fails).map_or_else(Outcome::Failed, |()| Outcome::Done))
    }

    fn report(&mut self) {
        let reports: Vec<_> = self.bases.iter().filter(|base| !base.cut_off).map(|base| (base.name.clone(), base.report())).collect();
        for (name, report) in reports {
            let writes = self.controller.reported(&Key::new("default", name), Arc::new(report), "", Time(self.now));
            self.commit(writes);
        }
    }

    fn count_watched(&mut self) {
        let Some((name, _)) = &self.watched else { return };
        let of_it = |base: &Base| base.serving().filter(|(id, _)| id.name() == name).count();
        let serving = self.bases.iter().filter(|base| of_it(base) > 0).count();
        let there = self.bases.iter().map(of_it).sum();
        self.most = self.most.max(there);
        if let Some((_, fewest)) = &mut self.watched {
            *fewest = (*fewest).min(serving);
        }
    }

    fn commit(&mut self, writes: Vec<Write>) -> bool {
        writes.is_empty() || self.store.carry_out(writes, &mut self.controller, Time(self.now))
    }
}
