//! The store of one controller: a file.
//!
//! One thread writes. What waits for it is written in one transaction and answered after its `fsync`, so that many writers cost as few
//! of these as one. Readers read memory.

mod disk;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use fleet::resource::{Key, Kind, Write};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use self::disk::Disk;
use super::{
    Change, Event, Listing, Reign, Revision, Store, StoreError, Stored, Telling, Watch,
    group::{Clock, Group, Order, Reply},
    lease::Lease,
    memory::now,
    state::State,
};

/// How many orders wait for the writer before those who give them do.
const QUEUE: usize = 1024;
/// About how many writes go into one transaction.
const GROUP: usize = 2000;

/// A store in a folder, which is this process's alone as long as this lives.
pub struct Sqlite {
    state: Arc<RwLock<State>>,
    orders: mpsc::Sender<Order>,
    writer: Option<JoinHandle<()>>,
}

impl Sqlite {
    /// Opens the store in the folder `data`, or makes one there. What was written by an earlier version is brought forward.
    ///
    /// # Errors
    /// Where another process has it, where the file is damaged or of a later version, or cannot be written. Each names the file.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        // Others cannot have led meanwhile, whatever the time of day: leases go by the time since the start.
        let started = Instant::now();
        Self::start(Disk::open(data)?, move || started.elapsed())
    }

    fn start(disk: Disk, age: impl Fn() -> Duration + Send + 'static) -> Result<Self, StoreError> {
        let (state, epoch) = disk.load()?;
        let state = Arc::new(RwLock::new(state));
        let (orders, receiver) = mpsc::channel(QUEUE);
        let lease = Lease { epoch, ..Lease::default() };
        let writer = Writer { disk, state: state.clone(), lease, age: Box::new(age) };
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || writer.run(receiver));
        let thread = thread.map_err(|error| StoreError::Failed(format!("cannot start the writer: {error}")))?;
        Ok(Self { state, orders, writer: Some(thread) })
    }

    async fn order<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, StoreError> {
        let ended = || StoreError::Failed("the writer has ended".to_owned());
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Drop for Sqlite {
    /// What was ordered is done, and the folder free, when this returns.
    fn drop(&mut self) {
        drop(std::mem::replace(&mut self.orders, mpsc::channel(1).0));
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

struct Writer {
    disk: Disk,
    state: Arc<RwLock<State>>,
    lease: Lease,
    /// The time since the start.
    age: Box<dyn Fn() -> Duration + Send>,
}

impl Writer {
    fn run(mut self, mut receiver: mpsc::Receiver<Order>) {
        while let Some(first) = receiver.blocking_recv() {
            let mut writes = first.writes();
            let mut orders = vec![first];
            while writes < GROUP
                && let Ok(order) = receiver.try_recv()
            {
                writes += order.writes();
                orders.push(order);
            }
            self.carry_out(orders);
        }
    }

    fn carry_out(&mut self, orders: Vec<Order>) {
        let clock = Clock { now: now(), lease: i64::try_from((self.age)().as_millis()).unwrap_or(i64::MAX) };
        let (group, oldest) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let group = Group::decide(&orders, &state, self.lease.clone(), clock, &mut || fastrand::u128(..));
            (group, state.oldest())
        };
        let kept = if group.is_empty() && group.lease.epoch == self.lease.epoch { Ok(()) } else { self.disk.keep(&group, oldest) };
        match kept {
            Ok(()) => {
                self.lease.clone_from(&group.lease);
                let commits = group.commits.iter().map(|written| written.commit.clone());
                let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                state.apply(commits);
                state.tell(group.told.iter().cloned(), clock.now);
                drop(state);
                group.answer(orders);
            }
            Err(error) => {
                tracing::error!(%error, orders = orders.len(), "the store refused what was to be written");
                let why = match error {
                    StoreError::Failed(why) => why,
                    error => error.to_string(),
                };
                orders.into_iter().for_each(|order| order.fail(&why));
            }
        }
    }
}

impl Store for Sqlite {
    fn commit(&self, writes: Vec<Write>, reign: Option<Reign>) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        Box::pin(self.order(move |reply| Order::Commit { writes, reign, reply }))
    }

    fn get(&self, kind: Kind, key: Key) -> BoxFuture<'_, Result<Option<Stored>, StoreError>> {
        Box::pin(async move { Ok(self.state.read().unwrap_or_else(PoisonError::into_inner).get(kind, &key).cloned()) })
    }

    fn list(&self, kinds: BTreeSet<Kind>, namespace: Option<String>) -> BoxFuture<'_, Result<Listing, StoreError>> {
        Box::pin(async move { Ok(self.state.read().unwrap_or_else(PoisonError::into_inner).list(&kinds, namespace.as_deref())) })
    }

    fn watch(&self, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>> {
        Box::pin(async move { self.state.write().unwrap_or_else(PoisonError::into_inner).watch(after) })
    }

    fn tell(&self, said: Vec<Event>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.order(|reply| Order::Tell { said, reply }))
    }

    fn telling(&self) -> BoxFuture<'_, Result<Telling, StoreError>> {
        Box::pin(async move { Ok(self.state.read().unwrap_or_else(PoisonError::into_inner).events().telling(now())) })
    }

    fn lead(&self, holder: String, address: String) -> BoxFuture<'_, Result<Option<Reign>, StoreError>> {
        Box::pin(self.order(move |reply| Order::Lead { holder, address, reply }))
    }

    fn resign(&self, reign: Reign) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.order(move |reply| Order::Resign { reign, reply }))
    }

    fn leader(&self) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        Box::pin(self.order(|reply| Order::Leader { reply }))
    }
}

#[cfg(test)]
pub(super) mod tests;
