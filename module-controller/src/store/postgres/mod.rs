//! The store of several controllers: a database.
//!
//! All writers lock one row, so that commits have one order; with the lock, what this controller holds in memory is brought up to
//! date and is then exactly what there is, and is decided on. What waits meanwhile goes into the next transaction, together. Reads ask
//! the database for its revision alone, and memory for the rest.

mod session;
mod tls;

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use fleet::resource::{Key, Kind, Write};
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot};

use self::{
    session::{Session, Trouble},
    tls::Address,
};
use super::{
    Change, Event, Listing, Reign, Revision, Store, StoreError, Stored, Telling, Watch,
    group::{Group, Order, Reply},
    memory::now,
    state::State,
};

/// How many orders wait for the writer before those who give them do.
const QUEUE: usize = 1024;
/// About how many writes go into one transaction.
const GROUP: usize = 1000;
/// How long what was ordered is tried, while the database cannot be reached.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pauses between attempts to reach it.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// How often it is asked for changes of which it did not tell.
const POLL: Duration = Duration::from_secs(1);

/// A store in PostgreSQL, in its schema `fleet`.
pub struct Postgres {
    state: Arc<RwLock<State>>,
    orders: mpsc::Sender<Order>,
    reads: mpsc::Sender<Reply<()>>,
}

impl Postgres {
    /// Connects to the database at `url` (`postgres://user:password@host:port/database`), and makes or brings forward its schema.
    /// With `?sslmode=require` nobody reads along; with `verify-full` the certificate is looked at, by the authorities in `sslrootcert` or the public ones.
    /// To be called within a runtime; later losses of the connection are made good.
    ///
    /// # Errors
    /// Where it cannot be reached, or is of a later version.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let address = Address::read(url)?;
        let woken = Arc::new(Notify::new());
        let (session, state) = first(&address, &woken).await.map_err(Trouble::into_store)?;
        let state = Arc::new(RwLock::new(state));
        let (orders, given) = mpsc::channel(QUEUE);
        let (reads, asked) = mpsc::channel(QUEUE);
        let link = || Link { address: address.clone(), state: state.clone(), session: None, woken: woken.clone() };
        let mut follower = link();
        follower.session = Some(session);
        tokio::spawn(follow(follower, asked));
        tokio::spawn(write(link(), given));
        Ok(Self { state, orders, reads })
    }

    async fn order<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Waits until memory has all that was committed when this was called.
    async fn fresh(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.reads.send(reply).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> StoreError {
    StoreError::Failed("the runtime has ended".to_owned())
}

async fn first(address: &Address, woken: &Arc<Notify>) -> Result<(Session, State), Trouble> {
    let session = Session::connect(address, woken.clone()).await?;
    session.migrate().await?;
    session.say("LISTEN fleet; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let head = session.head(false).await?;
    let state = session.load(&head).await?;
    session.say("COMMIT").await?;
    Ok((session, state))
}

/// A way to the database that is made anew where it breaks.
struct Link {
    address: Address,
    state: Arc<RwLock<State>>,
    session: Option<Session>,
    woken: Arc<Notify>,
}

impl Link {
    /// Has all that was committed taken into memory.
    async fn catch_up(&mut self) -> Result<(), Trouble> {
        // Only one that ended well is used again.
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let session = Session::connect(&self.address, self.woken.clone()).await?;
                session.say("LISTEN fleet").await?;
                session
            }
        };
        let latest = session.latest().await?;
        let known = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (state.revision(), state.events().revision())
        };
        if latest.0 > known.0 || latest.1 > known.1 {
            session.say("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            let head = session.head(false).await?;
            session.catch_up(&self.state, &head).await?;
            session.say("COMMIT").await?;
        }
        self.session = Some(session);
        Ok(())
    }

    /// Decides orders and writes what they come to. `sent` is a group whose fate was not heard.
    async fn carry_out(&mut self, orders: &[Order], sent: &mut Option<Sent>) -> Result<Group, Trouble> {
        let session = match self.session.take() {
            Some(session) => session,
            None => Session::connect(&self.address, self.woken.clone()).await?,
        };
        session.say("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        let head = session.head(true).await?;
        session.catch_up(&self.state, &head).await?;
        // Whoever sent it is gone from the server, or we would not have the lock: it was made, or never will be.
        if let Some(earlier) = sent.as_ref() {
            let made = session.was_made(earlier.revision, earlier.token).await?;
            let earlier = sent.take();
            if let Some(earlier) = earlier.filter(|_| made) {
                session.say("ROLLBACK").await?;
                self.session = Some(session);
                return Ok(earlier.group);
            }
        }
        let (group, oldest) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.revision() != head.revision {
                let why = "the database is at an earlier revision than before; restart the controllers after it was restored";
                return Err(StoreError::Failed(why.to_owned()).into());
            }
            let group = Group::decide(orders, &state, head.lease.clone(), head.clock, &mut || fastrand::u128(..));
            (group, state.oldest())
        };
        if group.is_empty() && group.lease == head.lease {
            session.say("ROLLBACK").await?;
            self.session = Some(session);
            return Ok(group);
        }
        let token = fastrand::i64(..);
        session.write(&group, token, &head, oldest).await?;
        let commits: Vec<_> = group.commits.iter().map(|written| written.commit.clone()).collect();
        let outcome = session.say("COMMIT").await;
        if let Err(error) = outcome {
            *sent = group.commits.first().map(|first| first.commit.revision()).map(|revision| Sent { revision, token, group });
            return Err(error);
        }
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.apply(commits);
            state.tell(group.told.iter().cloned(), head.clock.now);
        }
        self.session = Some(session);
        Ok(group)
    }
}

/// A group that was sent and not answered.
struct Sent {
    revision: Revision,
    token: i64,
    group: Group,
}

async fn write(mut link: Link, mut given: mpsc::Receiver<Order>) {
    while let Some(first) = given.recv().await {
        let mut writes = first.writes();
        let mut orders = vec![first];
        while writes < GROUP
            && let Ok(order) = given.try_recv()
        {
            writes += order.writes();
            orders.push(order);
        }
        let (start, mut pause, mut sent) = (Instant::now(), FIRST_PAUSE, None);
        loop {
            match link.carry_out(&orders, &mut sent).await {
                Ok(group) => break group.answer(orders),
                Err(Trouble::Lost(why)) if start.elapsed() < PATIENCE => {
                    tracing::warn!(why, "the database is tried again");
                    tokio::time::sleep(pause).await;
                    pause = LAST_PAUSE.min(pause * 2);
                }
                Err(trouble) => {
                    let why = match trouble.into_store() {
                        StoreError::Failed(why) => why,
                        error => error.to_string(),
                    };
                    tracing::error!(why, orders = orders.len(), "the store refused what was to be written");
                    break orders.into_iter().for_each(|order| order.fail(&why));
                }
            }
        }
    }
}

/// Keeps memory up to date: when the database tells of a change, when somebody is about to read, and now and then.
async fn follow(mut link: Link, mut asked: mpsc::Receiver<Reply<()>>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut waiting = Vec::new();
        tokio::select! {
            reader = asked.recv() => match reader {
                Some(reader) => waiting.push(reader),
                None => return,
            },
            () = link.woken.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
        // Those who come while the database is asked wait for the next time: what it says may be older than they are.
        while let Ok(reader) = asked.try_recv() {
            waiting.push(reader);
        }
        let mut outcome = link.catch_up().await;
        if matches!(outcome, Err(Trouble::Lost(_))) {
            // The connection may have ended long ago.
            outcome = link.catch_up().await;
        }
        match outcome {
            Ok(()) => {
                pause = FIRST_PAUSE;
                waiting.into_iter().for_each(|reader| drop(reader.send(Ok(()))));
            }
            Err(trouble) => {
                let why = trouble.into_store().to_string();
                tracing::warn!(why, "the database cannot be read");
                waiting.into_iter().for_each(|reader| drop(reader.send(Err(StoreError::Failed(why.clone())))));
                tokio::time::sleep(pause).await;
                pause = LAST_PAUSE.min(pause * 2);
            }
        }
    }
}

impl Store for Postgres {
    fn commit(&self, writes: Vec<Write>, reign: Option<Reign>) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        Box::pin(self.order(move |reply| Order::Commit { writes, reign, reply }))
    }

    fn get(&self, kind: Kind, key: Key) -> BoxFuture<'_, Result<Option<Stored>, StoreError>> {
        Box::pin(async move {
            self.fresh().await?;
            Ok(self.state.read().unwrap_or_else(PoisonError::into_inner).get(kind, &key).cloned())
        })
    }

    fn list(&self, kinds: BTreeSet<Kind>, namespace: Option<String>) -> BoxFuture<'_, Result<Listing, StoreError>> {
        Box::pin(async move {
            self.fresh().await?;
            Ok(self.state.read().unwrap_or_else(PoisonError::into_inner).list(&kinds, namespace.as_deref()))
        })
    }

    fn watch(&self, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>> {
        Box::pin(async move {
            self.fresh().await?;
            self.state.write().unwrap_or_else(PoisonError::into_inner).watch(after)
        })
    }

    fn tell(&self, said: Vec<Event>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.order(|reply| Order::Tell { said, reply }))
    }

    fn telling(&self) -> BoxFuture<'_, Result<Telling, StoreError>> {
        Box::pin(async move {
            self.fresh().await?;
            Ok(self.state.read().unwrap_or_else(PoisonError::into_inner).events().telling(now()))
        })
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
