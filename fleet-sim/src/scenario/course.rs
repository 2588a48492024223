//! How a scenario runs: what the controller asks for is done at once, but where something is to go wrong.
//!
//! The controller meets its surroundings at *boundaries*, which are counted: it writes, it orders; an answer, a report or somebody's change
//! comes to it. That is where a [`Disturbance`] is put.

use std::{collections::VecDeque, mem, sync::Arc};

use ark_model::report::BaseReport;
use fleet::{
    Controller, Order, Outcome, Settings, Step,
    resource::{Key, Time, Write},
};

use super::Scenario;
use crate::{
    check::{self, Sent},
    store::Change,
};

/// Steps after which a fleet that is left alone has to be at rest.
const ENOUGH: usize = 10_000;
/// Reports of a base that are remembered, to be heard late.
const REMEMBERED: usize = 8;

/// What goes wrong at a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// The controller is gone: its own request has been carried out and it does not know, what came to it is not heard. Another one begins
    /// with what is stored.
    Crash,
    /// What goes over the boundary is lost. A controller whose write is lost ends, as the program does.
    Loss,
    /// What comes to the controller is so many versions old: a report is heard that the base gave before, and somebody's change is heard
    /// so many boundaries later.
    Lag(usize),
}

/// How far it is, and what is on its way.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) boundaries: u64,
    pub(super) disturbance: Option<(u64, Disturbance)>,
    /// What somebody does once so many boundaries have been met.
    pub(super) meanwhile: Option<(u64, Meanwhile)>,
    /// The controller is gone.
    crashed: bool,
    /// The last reports of each base, the newest last.
    said: Vec<VecDeque<Arc<BaseReport>>>,
    /// Changes that the controller has not heard of, and the boundary up to which it does not.
    unheard: Vec<(u64, Change)>,
    /// Whether orders stay on their way, and those that do.
    pub(super) holds_back: bool,
    pub(super) held: Vec<Sent>,
    /// The number of the last order.
    number: u64,
}

/// What somebody does in the middle of it.
pub(super) struct Meanwhile(pub(super) Box<dyn FnOnce(&mut Scenario)>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Course {
    pub(super) fn new(bases: usize) -> Self {
        Self {
            boundaries: 0,
            disturbance: None,
            meanwhile: None,
            crashed: false,
            said: vec![VecDeque::new(); bases],
            unheard: Vec::new(),
            holds_back: false,
            held: Vec::new(),
            number: 0,
        }
    }

    /// Meets one more boundary; says what goes wrong there.
    fn meet(&mut self) -> Option<Disturbance> {
        self.boundaries += 1;
        self.disturbance.filter(|(at, _)| *at == self.boundaries).map(|(_, disturbance)| disturbance)
    }
}

impl Scenario {
    /// Does all there is to do now.
    ///
    /// # Panics
    /// Where it goes round in circles, a plan must not be carried out, or an order does what none may.
    pub fn settle(&mut self) {
        self.report_all();
        let mut overtaken = Vec::new();
        for _ in 0..ENOUGH {
            if mem::take(&mut self.course.crashed) {
                overtaken.clear();
                self.replace();
                continue;
            }
            if self.course.meanwhile.as_ref().is_some_and(|(at, _)| self.course.boundaries >= *at)
                && let Some((_, Meanwhile(act))) = self.course.meanwhile.take()
            {
                act(self);
            }
            let due = self.course.boundaries;
            self.hear(|at| at <= due);
            match self.controller.next(Time(self.now)) {
                None if self.course.unheard.is_empty() && overtaken.is_empty() => return,
                None => {
                    self.hear(|_| true);
                    // What was overtaken is looked at again once its cause is known.
                    overtaken.drain(..).for_each(|key| self.controller.again(key));
                }
                Some(Step::Plan(key, plan)) => {
                    self.told.extend(plan.notes.into_iter().map(|note| (note.reason, note.message)));
                    if !self.write(plan.writes) {
                        overtaken.push(key);
                    }
                }
                Some(Step::Refused(key, faults)) => panic!("the plan for {key} must not be carried out: {faults:?}"),
                Some(Step::Note(writes)) => {
                    if !self.note(writes) {
                        self.hear(|_| true);
                    }
                }
                Some(Step::Order(orders)) => {
                    let writes = orders.iter().filter_map(|(_, order)| self.controller.sent(order, Time(self.now))).collect();
                    self.note(writes);
                    for (base, order) in orders {
                        self.send(&base, order);
                    }
                }
            }
        }
        panic!("it goes round in circles");
    }

    /// Another controller begins, with what is stored and what bases say.
    pub(super) fn replace(&mut self) {
        self.epoch += 1;
        self.controller = Controller::new(Settings::default(), Time(self.now));
        for document in self.store.all() {
            self.controller.stored(Arc::clone(document));
        }
        self.course.unheard.clear();
        self.report_all();
    }

    /// The controller writes, all or nothing; says whether it was written.
    fn write(&mut self, writes: Vec<Write>) -> bool {
        if writes.is_empty() || self.course.crashed {
            return writes.is_empty();
        }
        let disturbance = self.course.meet();
        match disturbance {
            Some(Disturbance::Loss) => self.course.crashed = true,
            Some(Disturbance::Crash) => {
                self.course.crashed = true;
                self.store.commit(writes, Time(self.now));
            }
            Some(Disturbance::Lag(_)) | None => return self.store.carry_out(writes, &mut self.controller, Time(self.now)),
        }
        false
    }

    /// The controller writes what it observed: each by itself where something has changed meanwhile. Says whether it was all written.
    pub(super) fn note(&mut self, writes: Vec<Write>) -> bool {
        if self.write(writes.clone()) {
            return true;
        }
        if writes.len() > 1 {
            for write in writes {
                self.write(vec![write]);
            }
        }
        false
    }

    /// Somebody else writes.
    pub(super) fn change_store(&mut self, write: Write) -> bool {
        let Some(changes) = self.store.commit(vec![write], Time(self.now)) else { return false };
        let until = match self.course.meet() {
            None => 0,
            Some(Disturbance::Crash) => {
                self.course.crashed = true;
                return true;
            }
            Some(Disturbance::Loss) => u64::MAX,
            Some(Disturbance::Lag(boundaries)) => self.course.boundaries.saturating_add(boundaries as u64),
        };
        self.course.unheard.extend(changes.into_iter().map(|change| (until, change)));
        true
    }

    /// The controller hears of the changes that it has not heard of until `until`. One that is lost is missed at the latest when there is
    /// nothing else to do: the program reads everything again where its watch has a gap.
    fn hear(&mut self, until: impl Fn(u64) -> bool) {
        let (now, later) = mem::take(&mut self.course.unheard).into_iter().partition(|(at, _)| until(*at));
        self.course.unheard = later;
        let now: Vec<(u64, Change)> = now;
        now.iter().for_each(|(_, change)| change.tell(&mut self.controller));
    }

    fn send(&mut self, base: &Key, order: Order) {
        let Some(index) = self.bases.iter().position(|there| there.name == base.name).filter(|_| !self.course.crashed) else { return };
        self.course.number += 1;
        let sent = Sent { number: self.course.number, base: index, fence: self.controller.fence(self.epoch), order };
        self.orders.push((base.name.clone(), sent.order.command.clone()));
        if self.course.holds_back {
            self.course.held.push(sent);
            return;
        }
        let disturbance = self.course.meet();
        let outcome = if disturbance == Some(Disturbance::Loss) { Outcome::Unknown } else { self.arrive(&sent) };
        if disturbance == Some(Disturbance::Crash) {
            self.course.crashed = true;
            return;
        }
        self.answer(&sent, outcome);
    }

    /// An order comes to its base.
    pub(super) fn arrive(&mut self, sent: &Sent) -> Outcome {
        let Some(base) = self.bases.get_mut(sent.base).filter(|base| !base.cut_off) else { return Outcome::Unknown };
        if let Err(failure) = base.admit(&sent.order.name, sent.fence) {
            return Outcome::Failed(failure);
        }
        if let Err(what) = self.acted.check(sent, base, &self.store, self.epoch) {
            panic!("{what}");
        }
        let done = base.execute(&sent.order.command);
        if let Err(what) = check::look(base) {
            panic!("{what}");
        }
        self.look();
        done.map_or_else(Outcome::Failed, |()| Outcome::Done)
    }

    /// What came of an order comes to the controller, and a report after it.
    pub(super) fn answer(&mut self, sent: &Sent, outcome: Outcome) {
        let outcome = match self.course.meet() {
            Some(Disturbance::Crash) => {
                self.course.crashed = true;
                return;
            }
            Some(Disturbance::Loss) => Outcome::Unknown,
            Some(Disturbance::Lag(_)) | None => outcome,
        };
        let Some(name) = self.bases.get(sent.base).map(|base| base.name.clone()) else { return };
        let write = self.controller.ended(&super::key(&name), &sent.order, &outcome, Time(self.now));
        self.note(write.into_iter().collect());
        self.report(sent.base);
    }

    fn report_all(&mut self) {
        for base in 0..self.bases.len() {
            self.report(base);
        }
    }

    /// A base says how it stands.
    fn report(&mut self, index: usize) {
        let (Some(base), Some(said)) = (self.bases.get(index).filter(|base| !base.cut_off), self.course.said.get_mut(index)) else {
            return;
        };
        if self.course.crashed {
            return;
        }
        said.push_back(Arc::new(base.report()));
        if said.len() > REMEMBERED {
            said.pop_front();
        }
        let key = super::key(&base.name);
        let age = match self.course.meet() {
            Some(Disturbance::Crash) => {
                self.course.crashed = true;
                return;
            }
            Some(Disturbance::Loss) => return,
            Some(Disturbance::Lag(age)) => age,
            None => 0,
        };
        let said = self.course.said.get(index);
        let heard = said.and_then(|said| said.get(said.len().saturating_sub(1 + age)).cloned());
        let Some(report) = heard else { return };
        let writes = self.controller.reported(&key, report, "", Time(self.now));
        self.note(writes);
    }
}
