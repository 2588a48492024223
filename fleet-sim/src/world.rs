//! Time, the network, the users, the faults; and what must never happen, and what must in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use ark_model::report::BaseReport;
use fleet::{
    Controller, Order, Outcome, Settings, Step,
    resource::{Document, Key, Kind, ModuleDeployment, ModuleInfo, Progress, RollbackTo, SchedulingPolicy, Time, UpgradePolicy, Write},
};

use crate::{
    base::Base,
    check::{self, Acted, Sent},
    store::Store,
};

/// How long faults and users go on, in milliseconds.
const TROUBLE: u64 = 300_000;
/// How long everything may take to come to rest afterwards. A deadline, a silence and the longest pause fit in it several times.
const REST: u64 = 1_200_000;
const NAMESPACE: &str = "default";
/// More steps than any run takes: one that takes more goes round in circles.
const STEPS: u32 = 200_000;

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Orders that bases carried out.
    pub orders: u64,
    /// Of which refused for being older than one before.
    pub stale: u64,
    /// Commits to the store.
    pub commits: u64,
    /// Of which refused, because of a later one.
    pub conflicts: u64,
    /// Faults that were injected.
    pub faults: u64,
    /// How long it took to come to rest after the last one, in milliseconds of the simulated time.
    pub rest_ms: u64,
    /// Changes with every event of the run: two runs of one seed have the same.
    pub trace: u64,
}

/// What must not have happened, with the seed that makes it happen again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// When, in milliseconds of the simulated time.
    pub at: u64,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} at {} ms: {}", self.seed, self.at, self.what)
    }
}

impl std::error::Error for Violation {}

/// Runs the world of `seed`.
///
/// # Errors
/// The first thing that happened and must not, or that everything did not come to rest.
pub fn run(seed: u64) -> Result<Summary, Violation> {
    Simulation::new(seed).run()
}

#[derive(Debug, Clone)]
enum Event {
    /// A report arrives.
    Report { base: usize, report: Arc<BaseReport> },
    /// A base is to report.
    Beat { base: usize },
    /// An order arrives at a base.
    Arrives { order: Sent },
    /// A base has done an order, in this life of it.
    Does { order: Sent, life: u64 },
    /// An answer, or the end of patience, arrives at a controller.
    Answer { order: Sent, outcome: Outcome },
    /// The controller looks at the time.
    Tick,
    /// Something goes wrong.
    Fault,
    /// Something is right again.
    Heal { base: usize },
    /// Somebody changes something.
    User,
}

struct Simulation {
    seed: u64,
    rng: fastrand::Rng,
    now: u64,
    number: u64,
    events: BTreeMap<(u64, u64), Event>,
    store: Store,
    bases: Vec<Base>,
    controller: Controller,
    epoch: u64,
    /// Orders that the controller waits for.
    waits: BTreeSet<u64>,
    acted: Acted,
    versions: u32,
    /// The last content of each module that starts.
    good: BTreeMap<String, ModuleInfo>,
    quiet: bool,
    summary: Summary,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let bases = (0..rng.usize(1..=6)).map(|index| Base::new(format!("base-{index}"), rng.u64(2..=6))).collect();
        Self {
            seed,
            rng,
            now: 1_000,
            number: 0,
            events: BTreeMap::new(),
            store: Store::default(),
            bases,
            controller: Controller::new(Settings::default(), Time(1_000)),
            epoch: 1,
            waits: BTreeSet::new(),
            acted: Acted::default(),
            versions: 0,
            good: BTreeMap::new(),
            quiet: false,
            summary: Summary::default(),
        }
    }

    fn wrong(&self, what: impl Into<String>) -> Violation {
        Violation { seed: self.seed, at: self.now, what: what.into() }
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.number += 1;
        self.events.insert((self.now + delay, self.number), event);
    }

    fn run(mut self) -> Result<Summary, Violation> {
        for base in 0..self.bases.len() {
            let delay = self.rng.u64(0..5_000);
            self.at(delay, Event::Beat { base });
        }
        self.at(0, Event::Tick);
        for _ in 0..self.rng.usize(1..=3) {
            self.create();
        }
        let (faults, users) = (self.rng.u64(0..20), self.rng.u64(0..15));
        for _ in 0..faults {
            let at = self.rng.u64(0..TROUBLE);
            self.at(at, Event::Fault);
        }
        for _ in 0..users {
            let at = self.rng.u64(0..TROUBLE);
            self.at(at, Event::User);
        }
        let mut steps = 0;
        let end = self.now + TROUBLE;
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at > end && !self.quiet {
                self.make_peace();
            }
            self.now = at;
            self.trace(&event);
            self.happens(event)?;
            self.work()?;
            steps += 1;
            if steps > STEPS {
                return Err(self.wrong("it goes round in circles"));
            }
            if self.quiet && check::unrest(&self.store, &self.bases, Progress::Completed).is_none() {
                self.summary.rest_ms = self.now.saturating_sub(end);
                return Ok(self.summary);
            }
            if self.now > end + REST {
                let unrest = check::unrest(&self.store, &self.bases, Progress::Completed).unwrap_or_default();
                return Err(self.wrong(format!("it did not come to rest: {unrest}")));
            }
        }
        Err(self.wrong("nothing happens any more"))
    }

    fn trace(&mut self, event: &Event) {
        for byte in format!("{} {event:?}", self.now).bytes() {
            self.summary.trace = (self.summary.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn happens(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Beat { base } => {
                self.report(base);
                self.at(10_000, Event::Beat { base });
            }
            Event::Report { base, report } => {
                let key = self.key_of(base);
                let writes = self.controller.reported(&key, report, "", Time(self.now));
                self.commit(writes);
            }
            Event::Arrives { order } => self.arrives(order),
            Event::Does { order, life } => self.does(order, life)?,
            Event::Answer { order, outcome } => {
                if order.fence.epoch == self.epoch && self.waits.remove(&order.number) {
                    let key = self.key_of(order.base);
                    let write = self.controller.ended(&key, &order.order, &outcome, Time(self.now));
                    self.commit(write.into_iter().collect());
                    // The program asks for a report after each order.
                    self.report(order.base);
                }
            }
            Event::Tick => {
                self.controller.tick(Time(self.now));
                let writes = self.controller.silent(Time(self.now));
                self.commit(writes);
                self.at(500, Event::Tick);
            }
            Event::Fault => self.fault(),
            Event::Heal { base } => self.heal(base),
            Event::User => self.user(),
        }
        Ok(())
    }

    fn key_of(&self, base: usize) -> Key {
        Key::new(NAMESPACE, self.bases.get(base).map(|base| base.name.clone()).unwrap_or_default())
    }

    fn report(&mut self, base: usize) {
        let Some(there) = self.bases.get(base).filter(|base| !base.cut_off) else { return };
        let report = Arc::new(there.report());
        if self.quiet || self.rng.u32(0..20) > 0 {
            // Late ones overtake one another while there is trouble.
            let slow = if self.quiet { 20 } else { 400 };
            let delay = self.rng.u64(1..slow);
            self.at(delay, Event::Report { base, report: Arc::clone(&report) });
            if !self.quiet && self.rng.u32(0..20) == 0 {
                let delay = self.rng.u64(1..3_000);
                self.at(delay, Event::Report { base, report });
            }
        }
    }

    /// The controller does all it can.
    fn work(&mut self) -> Result<(), Violation> {
        for _ in 0..1_000 {
            match self.controller.next(Time(self.now)) {
                None => return Ok(()),
                Some(Step::Plan(key, plan)) => {
                    if !self.commit(plan.writes) {
                        self.controller.again(key);
                    }
                }
                Some(Step::Refused(key, faults)) => {
                    return Err(
                        self.wrong(format!("the plan for {key} must not be carried out: {faults:?} {}", check::instances(&self.store)))
                    );
                }
                Some(Step::Note(writes)) => {
                    self.commit(writes);
                }
                Some(Step::Order(orders)) => {
                    for (key, order) in orders {
                        let write = self.controller.sent(&order, Time(self.now));
                        self.commit(write.into_iter().collect());
                        self.send(&key, order);
                    }
                }
            }
        }
        Err(self.wrong("the controller never has enough"))
    }

    fn send(&mut self, key: &Key, order: Order) {
        let Some(base) = self.bases.iter().position(|base| base.name == key.name) else { return };
        self.number += 1;
        let sent = Sent { number: self.number, base, order, fence: self.controller.fence(self.epoch) };
        self.waits.insert(sent.number);
        let lost = !self.quiet && self.rng.u32(0..15) == 0;
        if !lost {
            let slow = if self.quiet { 20 } else { 2_000 };
            let delay = self.rng.u64(1..slow);
            self.at(delay, Event::Arrives { order: sent.clone() });
            if !self.quiet && self.rng.u32(0..20) == 0 {
                let delay = self.rng.u64(1..20_000);
                self.at(delay, Event::Arrives { order: sent.clone() });
            }
        }
        // Patience ends.
        self.at(30_000, Event::Answer { order: sent, outcome: Outcome::Unknown });
    }

    fn arrives(&mut self, order: Sent) {
        let Some(base) = self.bases.get_mut(order.base).filter(|base| !base.cut_off && base.ready) else { return };
        match base.admit(&order.order.name, order.fence) {
            Ok(()) => {
                let life = base.started_at;
                let delay = self.rng.u64(1..1_500);
                self.at(delay, Event::Does { order, life });
            }
            Err(failure) => {
                self.summary.stale += 1;
                self.answer(order, Outcome::Failed(failure));
            }
        }
    }

    fn answer(&mut self, order: Sent, outcome: Outcome) {
        if self.quiet || self.rng.u32(0..15) > 0 {
            let delay = self.rng.u64(1..300);
            self.at(delay, Event::Answer { order, outcome });
        }
    }

    fn does(&mut self, order: Sent, life: u64) -> Result<(), Violation> {
        let Some(base) = self.bases.get_mut(order.base).filter(|base| base.started_at == life && base.ready) else { return Ok(()) };
        // While it was under way a later one may have been let in: the base looks again before it acts.
        let admitted = base.admit(&order.order.name, order.fence);
        if let Err(failure) = admitted {
            self.summary.stale += 1;
            self.answer(order, Outcome::Failed(failure));
            return Ok(());
        }
        let checked = self.acted.check(&order, base, &self.store, self.epoch);
        checked.map_err(|what| self.wrong(what))?;
        self.summary.orders += 1;
        let Some(base) = self.bases.get_mut(order.base) else { return Ok(()) };
        let done = base.execute(&order.order.command);
        let looked = check::look(base);
        looked.map_err(|what| self.wrong(what))?;
        let outcome = done.map_or_else(Outcome::Failed, |()| Outcome::Done);
        self.report(order.base);
        self.answer(order, outcome);
        Ok(())
    }

    /// Writes, and lets the controller know. Says whether it was written.
    fn commit(&mut self, writes: Vec<Write>) -> bool {
        if writes.is_empty() {
            return true;
        }
        self.summary.commits += 1;
        let written = self.store.carry_out(writes, &mut self.controller, Time(self.now));
        self.summary.conflicts += u64::from(!written);
        written
    }

    fn fault(&mut self) {
        self.summary.faults += 1;
        let base = self.rng.usize(0..self.bases.len());
        let kind = self.rng.u32(0..7);
        let heals = self.rng.u64(100..150_000);
        let (now, number) = (self.now, self.number);
        let Some(there) = self.bases.get_mut(base) else { return };
        match kind {
            // It crashes, and comes back with what it had.
            0 | 1 => {
                there.ready = false;
                there.started_at = now + number;
            }
            // It comes back without.
            2 => {
                there.ready = false;
                there.started_at = now + number;
                there.lose_everything();
                self.acted.forget(base);
            }
            // Nothing gets through to it; it goes on.
            3 | 4 => there.cut_off = true,
            // Somebody removes a module by hand.
            5 => there.remove_any(&mut self.rng),
            // The controller is gone, and another one begins; what it sent is still on its way.
            _ => return self.replace_controller(),
        }
        self.at(heals, Event::Heal { base });
    }

    fn heal(&mut self, base: usize) {
        if let Some(base) = self.bases.get_mut(base) {
            base.ready = true;
            base.cut_off = false;
        }
        self.report(base);
    }

    fn replace_controller(&mut self) {
        self.epoch += 1;
        self.waits.clear();
        self.controller = Controller::new(Settings::default(), Time(self.now));
        for document in self.store.all() {
            self.controller.stored(Arc::clone(document));
        }
        for base in 0..self.bases.len() {
            self.report(base);
        }
    }

    fn create(&mut self) {
        let name = format!("shop-{}", self.rng.u32(0..4));
        let mut deployment = ModuleDeployment::default();
        deployment.metadata.name.clone_from(&name);
        deployment.metadata.namespace = NAMESPACE.to_owned();
        let bases = i32::try_from(self.bases.len()).unwrap_or(1);
        let spec = &mut deployment.spec;
        spec.base_deployment_name = "default".to_owned();
        spec.replicas = if self.rng.u32(0..3) == 0 { -1 } else { self.rng.i32(0..=bases) };
        spec.min_ready_seconds = self.rng.u32(0..5);
        spec.revision_history_limit = Some(self.rng.u32(0..4));
        spec.progress_deadline_seconds = Some(self.rng.u32(30..200));
        let strategy = &mut spec.operation_strategy;
        strategy.batch_count = self.rng.u32(1..4);
        strategy.use_beta = self.rng.bool();
        strategy.need_confirm = self.rng.u32(0..4) == 0;
        strategy.gray_time_between_batch_seconds = self.rng.u32(0..10);
        strategy.auto_revert = self.rng.bool();
        strategy.upgrade_policy = self.rng.choice([
            UpgradePolicy::InstallThenUninstall,
            UpgradePolicy::UninstallThenInstall,
            UpgradePolicy::ScaleupThenScaledown,
        ]);
        if strategy.upgrade_policy == Some(UpgradePolicy::InstallThenUninstall) && self.rng.u32(0..3) == 0 {
            strategy.canary = [10, 50].map(|weight| fleet::resource::CanaryStep { weight, seconds: 3 }).to_vec();
        }
        if self.rng.bool() {
            spec.scheduling_strategy.scheduling_policy = SchedulingPolicy::Stacking;
        }
        if self.rng.u32(0..4) == 0 {
            spec.scheduling_strategy.apart_from = vec![format!("shop-{}", self.rng.u32(0..4))];
        }
        spec.template.spec.module.name = name;
        self.new_version(&mut deployment, false);
        self.commit(vec![Write::Create(Document::ModuleDeployment(deployment))]);
    }

    fn new_version(&mut self, deployment: &mut ModuleDeployment, good: bool) {
        self.versions += 1;
        let module = &mut deployment.spec.template.spec.module;
        // Now and then other content under the same version.
        if module.version.is_empty() || self.rng.u32(0..4) > 0 {
            module.version = format!("{}.0.0", self.versions);
        }
        let kind = match self.rng.u32(0..8) {
            0 if !good => "bad",
            1 if !good => "wrong",
            _ => "good",
        };
        module.url = format!("http://packages/{}/{kind}", self.versions);
        if kind == "good" {
            self.good.insert(module.name.clone(), module.clone());
        }
    }

    fn user(&mut self) {
        let Some(mut deployment) = self.rng.choice(check::deployments(&self.store).cloned().collect::<Vec<_>>()) else {
            return self.create();
        };
        if deployment.metadata.is_going() {
            return;
        }
        match self.rng.u32(0..12) {
            0..=2 => self.new_version(&mut deployment, false),
            3 => deployment.spec.replicas = self.rng.i32(-1..=6),
            4 => deployment.spec.paused = !deployment.spec.paused,
            5 => deployment.spec.abort = true,
            6 => deployment.spec.rollback_to = Some(RollbackTo { revision: self.rng.u64(0..3) }),
            7 => deployment.spec.restarted_at = self.now.to_string(),
            8 => deployment.spec.confirm_batch_num = self.rng.u32(0..5),
            9 => deployment.metadata.deletion_timestamp = Some(Time(self.now)),
            10 => deployment.spec.rebalanced_at = self.now.to_string(),
            _ => return self.change_base(),
        }
        self.commit(vec![Write::Update(Document::ModuleDeployment(deployment))]);
    }

    fn change_base(&mut self) {
        let base = self.rng.usize(0..self.bases.len());
        let Some(document) = self.store.get(Kind::Base, &self.key_of(base)).cloned() else { return };
        if let Document::Base(mut base) = (*document).clone() {
            if self.rng.bool() {
                base.spec.unschedulable = !base.spec.unschedulable;
            } else {
                base.spec.drain = !base.spec.drain;
            }
            self.commit(vec![Write::Update(Document::Base(base))]);
        }
    }

    /// No more trouble: everything is whole, every held rollout may go on, and what was bad is replaced by something good.
    fn make_peace(&mut self) {
        self.quiet = true;
        self.events.retain(|_, event| !matches!(event, Event::Fault | Event::User));
        for base in 0..self.bases.len() {
            self.heal(base);
        }
        for mut deployment in check::deployments(&self.store).cloned().collect::<Vec<_>>() {
            if deployment.metadata.is_going() {
                continue;
            }
            deployment.spec.paused = false;
            deployment.spec.operation_strategy.need_confirm = false;
            deployment.spec.operation_strategy.use_beta = false;
            // One that finds no base would return.
            deployment.spec.operation_strategy.auto_revert = false;
            // Good again: what was good before, or something new.
            match self.good.get(&deployment.metadata.name).cloned() {
                Some(module) if module != deployment.spec.template.spec.module && self.rng.bool() => {
                    deployment.spec.template.spec.module = module;
                }
                Some(_) | None => self.new_version(&mut deployment, true),
            }
            self.commit(vec![Write::Update(Document::ModuleDeployment(deployment))]);
        }
    }
}
