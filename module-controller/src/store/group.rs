//! What is asked of a store, decided on what it has: a group of orders at a time, so that one write to the disk serves them all.
//! Each is done or refused for itself; those that come later see what the earlier ones did.

use std::{collections::HashMap, sync::Arc};

use fleet::resource::{Key, Kind, Time, Write};
use tokio::sync::oneshot;

use super::{
    Change, Event, MAX_WRITES, Reign, Revision, StoreError, Stored,
    lease::Lease,
    stamp::{self, Stamp},
    state::{Commit, State},
    text,
};

/// Answers an order.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What is asked.
pub(super) enum Order {
    /// See [`super::Store::commit`].
    Commit { writes: Vec<Write>, reign: Option<Reign>, reply: Reply<Vec<Change>> },
    /// See [`super::Store::tell`].
    Tell { said: Vec<Event>, reply: Reply<()> },
    /// See [`super::Store::lead`].
    Lead { holder: String, address: String, reply: Reply<Option<Reign>> },
    /// See [`super::Store::resign`].
    Resign { reign: Reign, reply: Reply<()> },
    /// See [`super::Store::leader`].
    Leader { reply: Reply<Option<String>> },
}

impl Order {
    /// About how much it is to write.
    pub(super) fn writes(&self) -> usize {
        match self {
            Self::Commit { writes, .. } => writes.len(),
            Self::Tell { said, .. } => said.len(),
            Self::Lead { .. } | Self::Resign { .. } | Self::Leader { .. } => 0,
        }
    }

    /// Answers that it could not be done.
    pub(super) fn fail(self, why: &str) {
        let error = || StoreError::Failed(why.to_owned());
        // Who does not wait for the answer any more does not get it.
        match self {
            Self::Commit { reply, .. } => drop(reply.send(Err(error()))),
            Self::Lead { reply, .. } => drop(reply.send(Err(error()))),
            Self::Tell { reply, .. } | Self::Resign { reply, .. } => drop(reply.send(Err(error()))),
            Self::Leader { reply } => drop(reply.send(Err(error()))),
        }
    }
}

/// When a group is decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// The time of day.
    pub(super) now: Time,
    /// What leases go by, in milliseconds.
    pub(super) lease: i64,
}

/// What a group of orders comes to. Nothing of it has happened yet.
#[derive(Debug)]
pub(super) struct Group {
    /// What is to be written, in order.
    pub(super) commits: Vec<Written>,
    /// What is told, in order.
    pub(super) told: Vec<Arc<Event>>,
    /// Who leads thereafter.
    pub(super) lease: Lease,
    /// An answer for each order.
    answers: Vec<Result<Answer, StoreError>>,
}

/// A commit, with the text of each document it leaves.
#[derive(Debug)]
pub(super) struct Written {
    /// What it changes.
    pub(super) commit: Commit,
    /// What becomes of each, as JSON.
    pub(super) texts: Vec<String>,
}

#[derive(Debug)]
enum Answer {
    Changes(Vec<Change>),
    Reign(Option<Reign>),
    /// It is done, and there is nothing to say of it.
    Done,
    Leader(Option<String>),
}

impl Group {
    /// Decides `orders` on `state`, whose lead is `lease`. `random` gives the bits of uids.
    pub(super) fn decide(orders: &[Order], state: &State, lease: Lease, clock: Clock, random: &mut dyn FnMut() -> u128) -> Self {
        let mut group = Self { commits: Vec::new(), told: Vec::new(), lease, answers: Vec::with_capacity(orders.len()) };
        let mut draft = Draft { state, done: HashMap::new(), revision: state.revision() };
        for order in orders {
            let answer = match order {
                Order::Commit { reign: Some(reign), .. } if !group.lease.lasts(*reign, clock.lease) => Err(StoreError::NotLeading),
                Order::Commit { writes, .. } => draft.commit(writes, clock.now, random).map(|written| {
                    let changes = written.as_ref().map(|written| written.commit.changes.to_vec());
                    group.commits.extend(written);
                    Answer::Changes(changes.unwrap_or_default())
                }),
                Order::Tell { .. } => Ok(Answer::Done),
                Order::Lead { holder, address, .. } => {
                    let taken = group.lease.taken(holder, address, clock.lease);
                    let reign = taken.as_ref().map(|lease| Reign { epoch: lease.epoch });
                    group.lease = taken.unwrap_or(group.lease);
                    Ok(Answer::Reign(reign))
                }
                Order::Resign { reign, .. } => {
                    group.lease = group.lease.resigned(*reign).unwrap_or(group.lease);
                    Ok(Answer::Done)
                }
                Order::Leader { .. } => Ok(Answer::Leader(group.lease.leader(clock.lease))),
            };
            group.answers.push(answer);
        }
        let said = orders.iter().flat_map(|order| match order {
            Order::Tell { said, .. } => said.as_slice(),
            Order::Commit { .. } | Order::Lead { .. } | Order::Resign { .. } | Order::Leader { .. } => &[],
        });
        group.told = state.events().decide(said);
        group
    }

    /// Whether there is nothing to be written but, where it changed, who leads.
    pub(super) fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.told.is_empty()
    }

    /// Answers the orders it was made of, now that it is kept.
    pub(super) fn answer(self, orders: Vec<Order>) {
        for (order, answer) in orders.into_iter().zip(self.answers) {
            match (order, answer) {
                (Order::Commit { reply, .. }, Ok(Answer::Changes(changes))) => drop(reply.send(Ok(changes))),
                (Order::Commit { reply, .. }, Err(error)) => drop(reply.send(Err(error))),
                (Order::Lead { reply, .. }, Ok(Answer::Reign(reign))) => drop(reply.send(Ok(reign))),
                (Order::Tell { reply, .. } | Order::Resign { reply, .. }, Ok(Answer::Done)) => drop(reply.send(Ok(()))),
                (Order::Leader { reply }, Ok(Answer::Leader(address))) => drop(reply.send(Ok(address))),
                (order, _) => order.fail("it was answered as something else"),
            }
        }
    }
}

/// What there is while a group is decided.
struct Draft<'a> {
    state: &'a State,
    done: HashMap<(Kind, Key), Option<Stored>>,
    revision: Revision,
}

impl Draft<'_> {
    /// Does all of `writes` or none; nothing where there are none.
    fn commit(&mut self, writes: &[Write], now: Time, random: &mut dyn FnMut() -> u128) -> Result<Option<Written>, StoreError> {
        if writes.len() > MAX_WRITES {
            return Err(StoreError::TooLarge(format!("{} writes in one commit; {MAX_WRITES} are the most", writes.len())));
        }
        let stamp = Stamp { revision: self.revision + 1, now };
        let mut mine: HashMap<(Kind, Key), Option<Stored>> = HashMap::new();
        let (mut changes, mut texts) = (Vec::with_capacity(writes.len()), Vec::with_capacity(writes.len()));
        for write in writes {
            let place = place(write);
            let known = mine.get(&place).or_else(|| self.done.get(&place));
            let before = known.map_or_else(|| self.state.get(place.0, &place.1).cloned(), Clone::clone);
            let change = stamp::apply(write.clone(), before, stamp, || stamp::uid(random()))?;
            texts.push(text::write(&change.after)?);
            mine.insert(place, (!change.removed).then(|| change.after.clone()));
            changes.push(change);
        }
        if changes.is_empty() {
            return Ok(None);
        }
        self.revision = stamp.revision;
        self.done.extend(mine);
        Ok(Some(Written { commit: Commit { at: now, changes: changes.into() }, texts }))
    }
}

fn place(write: &Write) -> (Kind, Key) {
    match write {
        Write::Create(document) | Write::Update(document) => (document.kind(), document.key()),
        Write::Delete { kind, key, .. } => (*kind, key.clone()),
    }
}
