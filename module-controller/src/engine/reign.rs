//! One reign: everything is decided here, one thing after the other.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use fleet::{
    Controller, Note, Order, Outcome, Step,
    resource::{Document, Key, Kind, Write},
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Engine, Word, lead, now};
use crate::store::{Change, Event, MAX_WRITES, Reign, Severity, StoreError};

/// How often the time is looked at.
const TICK: Duration = Duration::from_millis(500);
/// Orders under way at a time, in all and on one base.
const ORDERS: usize = 512;
const ORDERS_ON_ONE: usize = 8;
/// What an order may take. A base gives up an install by itself after five minutes, and a drain before that.
const PATIENCE: Duration = Duration::from_secs(360);
/// What a base may take to say how it stands.
const REPORT: Duration = Duration::from_secs(10);

/// Why a reign ended.
pub(super) enum Ended {
    Asked,
    Lost,
    Store(StoreError),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("it ends"),
            Self::Lost => f.write_str("another one does"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

/// A controller while it leads.
pub(super) struct Reigning<'a> {
    engine: &'a Engine,
    reign: Reign,
    holder: &'a str,
    address: &'a str,
    controller: Controller,
    orders: Arc<Semaphore>,
    orders_on: HashMap<Key, Arc<Semaphore>>,
}

impl<'a> Reigning<'a> {
    pub(super) fn new(engine: &'a Engine, reign: Reign, holder: &'a str, address: &'a str) -> Self {
        let controller = Controller::new(engine.settings, now());
        Self { engine, reign, holder, address, controller, orders: Arc::new(Semaphore::new(ORDERS)), orders_on: HashMap::new() }
    }

    /// Reigns until it is over; says why.
    pub(super) async fn run(mut self, inbox: &mut mpsc::Receiver<Word>) -> Ended {
        match self.hold(inbox).await {
            Err(ended) => ended,
            Ok(never) => match never {},
        }
    }

    async fn hold(&mut self, inbox: &mut mpsc::Receiver<Word>) -> Result<std::convert::Infallible, Ended> {
        let mut changes = self.look().await?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewals = interval(lead::interval());
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.engine.end.cancelled() => return Err(Ended::Asked),
                _ = renewals.tick() => self.renew().await?,
                change = changes.recv() => match change {
                    Some(changed) => changed.iter().for_each(|change| self.learn(change)),
                    // It fell behind: everything is read again.
                    None => changes = self.look().await?,
                },
                Some(word) = inbox.recv() => self.hear(word).await?,
                _ = ticks.tick() => {
                    self.controller.tick(now());
                    let writes = self.controller.silent(now());
                    self.note(writes).await?;
                    self.give_up().await?;
                }
            }
            // What has changed meanwhile is known before anything is planned.
            while let Ok(changed) = changes.try_recv() {
                changed.iter().for_each(|change| self.learn(change));
            }
            self.act().await?;
        }
    }

    /// Reads everything, and what changes from there on.
    async fn look(&mut self) -> Result<crate::store::Watch, Ended> {
        let store = &self.engine.store;
        let listing = store.list(Kind::ALL.into(), None).await.map_err(Ended::Store)?;
        self.controller.forget_all_but(&listing.documents);
        for document in listing.documents {
            self.controller.stored(document);
        }
        store.watch(listing.revision).await.map_err(Ended::Store)
    }

    async fn renew(&mut self) -> Result<(), Ended> {
        match self.engine.store.lead(self.holder.to_owned(), self.address.to_owned()).await {
            Ok(Some(reign)) if reign == self.reign => Ok(()),
            Ok(_) => Err(Ended::Lost),
            // The lease may still hold: the store itself refuses what comes after its end.
            Err(error) => {
                tracing::warn!(%error, "the lead could not be renewed");
                Ok(())
            }
        }
    }

    /// Forgets bases that have been silent for long.
    async fn give_up(&mut self) -> Result<(), Ended> {
        for (write, note) in self.controller.overdue(now()) {
            let base = self.controller.world().document(note.kind, &note.key).cloned();
            if let Some(base) = base
                && self.note(vec![write]).await?
            {
                tracing::info!(base = %note.key, "{}", note.message);
                self.record(&base, &note);
            }
        }
        Ok(())
    }

    fn learn(&mut self, change: &Change) {
        if change.removed {
            let key = change.after.key();
            self.controller.removed(change.after.kind(), &key, change.revision);
            if change.after.kind() == Kind::Base {
                self.orders_on.remove(&key);
            }
        } else {
            self.controller.stored(Arc::clone(&change.after));
        }
    }

    async fn hear(&mut self, word: Word) -> Result<(), Ended> {
        match word {
            Word::Report { base, report, api } => {
                let writes = self.controller.reported(&base, report, &api, now());
                self.note(writes).await?;
            }
            Word::Ended { base, order, outcome, report } => {
                self.engine.counts.ordered(command(&order), word_of(&outcome));
                if let Outcome::Failed(failure) = &outcome {
                    tracing::info!(%base, module = order.name, reason = %failure.reason, "an order failed: {failure}");
                }
                let write = self.controller.ended(&base, &order, &outcome, now());
                self.note(write.into_iter().collect()).await?;
                if let Some(report) = report {
                    let api = self.engine.links.get(&base).map(|link| link.api()).unwrap_or_default();
                    let writes = self.controller.reported(&base, report, &api, now());
                    self.note(writes).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes what was observed; says whether all of it was. What somebody else has changed meanwhile is observed again.
    async fn note(&mut self, writes: Vec<Write>) -> Result<bool, Ended> {
        match self.commit(writes.clone()).await {
            Err(Refused::Overtaken) if writes.len() > 1 => {
                for write in writes {
                    if let Err(Refused::Over(ended)) = self.commit(vec![write]).await {
                        return Err(ended);
                    }
                }
                Ok(false)
            }
            Ok(()) => Ok(true),
            Err(Refused::Overtaken) => Ok(false),
            Err(Refused::Over(ended)) => Err(ended),
        }
    }

    async fn commit(&mut self, writes: Vec<Write>) -> Result<(), Refused> {
        let mut writes = writes;
        // What a deployment says of itself stands last in a plan, so that it is never ahead of its instances.
        while !writes.is_empty() {
            let rest = writes.split_off(writes.len().min(MAX_WRITES));
            match self.engine.store.commit(writes, Some(self.reign)).await {
                Ok(changes) => changes.iter().for_each(|change| self.learn(change)),
                Err(StoreError::Exists { .. } | StoreError::Conflict { .. }) => {
                    self.engine.counts.conflicts.inc();
                    return Err(Refused::Overtaken);
                }
                Err(StoreError::NotLeading) => return Err(Refused::Over(Ended::Lost)),
                Err(error) => return Err(Refused::Over(Ended::Store(error))),
            }
            writes = rest;
        }
        Ok(())
    }

    /// Plans and orders all there is to plan and order now.
    async fn act(&mut self) -> Result<(), Ended> {
        let mut overtaken = Vec::new();
        loop {
            let begun = Instant::now();
            let Some(step) = self.controller.next(now()) else { break };
            match step {
                Step::Plan(key, plan) => {
                    self.engine.counts.planned(begun.elapsed());
                    match self.commit(plan.writes).await {
                        Ok(()) => {}
                        // Once its cause is known.
                        Err(Refused::Overtaken) => overtaken.push(key),
                        Err(Refused::Over(ended)) => return Err(ended),
                    }
                    self.tell(plan.notes);
                }
                Step::Refused(key, faults) => {
                    self.engine.counts.planned(begun.elapsed());
                    self.engine.counts.refused_plans.inc();
                    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                    let message = format!("a plan was not carried out, since {}", faults.join("; "));
                    tracing::error!(deployment = %key, "{message}");
                    self.tell(vec![Note { kind: Kind::ModuleDeployment, key, warning: true, reason: "PlanRefused", message }]);
                }
                Step::Note(writes) => {
                    // What overtook it is read first: it would be said again and again.
                    if !self.note(writes).await? {
                        break;
                    }
                }
                Step::Order(orders) => {
                    let writes = orders.iter().filter_map(|(_, order)| self.controller.sent(order, now())).collect();
                    self.note(writes).await?;
                    for (base, order) in orders {
                        self.send(base, order);
                    }
                }
            }
        }
        for key in overtaken {
            self.controller.again(key);
        }
        Ok(())
    }

    /// Tells people.
    fn tell(&self, notes: Vec<Note>) {
        for note in notes {
            if let Some(document) = self.controller.world().document(note.kind, &note.key) {
                self.record(document, &note);
            }
        }
    }

    fn record(&self, about: &Document, note: &Note) {
        let severity = if note.warning { Severity::Warning } else { Severity::Normal };
        self.engine.events.say(Event::new(about, severity, note.reason, &note.message, now()));
    }

    /// Sends an order beside everything else.
    fn send(&mut self, base: Key, order: Order) {
        let fence = self.controller.fence(self.reign.epoch);
        let (all, words) = (Arc::clone(&self.orders), self.engine.words.clone());
        let on_one = Arc::clone(self.orders_on.entry(base.clone()).or_insert_with(|| Arc::new(Semaphore::new(ORDERS_ON_ONE))));
        let link = self.engine.links.get(&base);
        let sending = async move {
            let (outcome, report) = match link {
                None => (Outcome::Unknown, None),
                Some(link) => {
                    let (_one, _all) = (on_one.acquire_owned().await, all.acquire_owned().await);
                    let outcome = timeout(PATIENCE, link.order(&order.command, fence)).await.unwrap_or(Outcome::Unknown);
                    (outcome, timeout(REPORT, link.report()).await.ok().flatten())
                }
            };
            // Where nobody listens any more, another reign orders.
            let _ = words.send(Word::Ended { base, order, outcome, report }).await;
        };
        tokio::spawn(self.engine.end.clone().run_until_cancelled_owned(sending));
    }
}

enum Refused {
    /// Something else was written first.
    Overtaken,
    Over(Ended),
}

fn command(order: &Order) -> &'static str {
    match order.command {
        fleet::Command::Install(_) => "install",
        fleet::Command::Activate(_) => "activate",
        fleet::Command::Uninstall { .. } => "uninstall",
    }
}

fn word_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "Done",
        Outcome::Failed(failure) => failure.reason.as_str(),
        Outcome::Unknown => "Unknown",
    }
}
