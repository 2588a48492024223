//! A store that forgets: for simulations and tests alone.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use fleet::resource::{Key, Kind, Time, Write};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::{
    Change, Event, Listing, Reign, Revision, Store, StoreError, Stored, Telling, Watch,
    group::{Clock, Group, Order, Reply},
    lease::Lease,
    state::State,
};

/// A store in memory. A clone is the same store.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<Inner>>);

struct Inner {
    state: State,
    lease: Lease,
    random: fastrand::Rng,
    clock: Box<dyn Fn() -> Time + Send>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::simulated(fastrand::u64(..), now)
    }

    /// An empty store in a world of its own: its uids come of `seed` alone, and its time, leases included, of `clock`.
    pub fn simulated(seed: u64, clock: impl Fn() -> Time + Send + 'static) -> Self {
        let (random, clock) = (fastrand::Rng::with_seed(seed), Box::new(clock));
        Self(Arc::new(Mutex::new(Inner { state: State::default(), lease: Lease::default(), random, clock })))
    }

    fn with<T>(&self, with: impl FnOnce(&mut Inner) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn order<T: Send + 'static>(&self, order: impl FnOnce(Reply<T>) -> Order) -> BoxFuture<'_, Result<T, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let order = order(reply);
        Box::pin(async move {
            self.with(|inner| inner.carry_out(order));
            answer.await.unwrap_or_else(|_| Err(StoreError::Failed("no answer".to_owned())))
        })
    }
}

impl Inner {
    fn carry_out(&mut self, order: Order) {
        let now = (self.clock)();
        let clock = Clock { now, lease: i64::try_from(now.0).unwrap_or(i64::MAX) };
        let (random, orders) = (&mut self.random, vec![order]);
        let group = Group::decide(&orders, &self.state, self.lease.clone(), clock, &mut || random.u128(..));
        self.lease.clone_from(&group.lease);
        self.state.apply(group.commits.iter().map(|written| written.commit.clone()));
        self.state.tell(group.told.iter().cloned(), now);
        group.answer(orders);
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for Memory {
    fn commit(&self, writes: Vec<Write>, reign: Option<Reign>) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        self.order(|reply| Order::Commit { writes, reign, reply })
    }

    fn get(&self, kind: Kind, key: Key) -> BoxFuture<'_, Result<Option<Stored>, StoreError>> {
        Box::pin(async move { Ok(self.with(|inner| inner.state.get(kind, &key).cloned())) })
    }

    fn list(&self, kinds: BTreeSet<Kind>, namespace: Option<String>) -> BoxFuture<'_, Result<Listing, StoreError>> {
        Box::pin(async move { Ok(self.with(|inner| inner.state.list(&kinds, namespace.as_deref()))) })
    }

    fn watch(&self, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>> {
        Box::pin(async move { self.with(|inner| inner.state.watch(after)) })
    }

    fn tell(&self, said: Vec<Event>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.order(|reply| Order::Tell { said, reply })
    }

    fn telling(&self) -> BoxFuture<'_, Result<Telling, StoreError>> {
        Box::pin(async move { Ok(self.with(|inner| inner.state.events().telling((inner.clock)()))) })
    }

    fn lead(&self, holder: String, address: String) -> BoxFuture<'_, Result<Option<Reign>, StoreError>> {
        self.order(|reply| Order::Lead { holder, address, reply })
    }

    fn resign(&self, reign: Reign) -> BoxFuture<'_, Result<(), StoreError>> {
        self.order(|reply| Order::Resign { reign, reply })
    }

    fn leader(&self) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        self.order(|reply| Order::Leader { reply })
    }
}

/// The time of day.
pub(super) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
