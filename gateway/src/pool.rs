//! The connections to one server that rest between two requests: each thread keeps its own.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use crate::link::{Link, Place};

/// How many threads get connections of their own; beyond, two threads share theirs.
const LANES: usize = 64;
/// How many connections of one thread rest at most.
const RESTING: usize = 256;
/// How long a connection rests at most. Servers keep theirs for longer, so that none is closed under a request.
const IDLE: Duration = Duration::from_secs(10);
/// How often it is looked for those that have rested for too long.
const LOOK: Duration = Duration::from_secs(1);

/// All connections to a server that rest. They are closed with this.
pub(crate) struct Pool {
    place: Place,
    lanes: Box<[Mutex<Lane>]>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Lane {
    /// The last that came to rest is the first to be used again.
    resting: Vec<(Box<Link>, Instant)>,
    is_watched: bool,
}

impl Pool {
    pub(crate) fn new(place: Place) -> Arc<Self> {
        Arc::new(Self { place, lanes: (0..LANES).map(|_| Mutex::default()).collect(), closed: AtomicBool::new(false) })
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether connections are kept from now on; if not, those that rest are closed.
    pub(crate) fn keep(&self, on: bool) {
        self.closed.store(!on, Ordering::SeqCst);
        if !on {
            for number in 0..self.lanes.len() {
                let resting = self.lane(number).map(|mut lane| std::mem::take(&mut lane.resting));
                drop(resting);
            }
        }
    }

    /// A connection of this thread that rests.
    pub(crate) fn resting(self: &Arc<Self>) -> Option<Line> {
        let number = own_lane();
        let (link, _) = self.lane(number)?.resting.pop()?;
        Some(Line { link, pool: Arc::clone(self), number })
    }

    /// A new connection.
    pub(crate) async fn connect(self: &Arc<Self>) -> io::Result<Line> {
        let link = Link::connect(&self.place).await?;
        Ok(Line { link, pool: Arc::clone(self), number: own_lane() })
    }

    /// Only ever locked by another thread where there are more than lanes, or all is closed.
    fn lane(&self, number: usize) -> Option<MutexGuard<'_, Lane>> {
        self.lanes.get(number).map(|lane| lane.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn rest(self: &Arc<Self>, number: usize, link: Box<Link>) {
        let Some(mut lane) = self.lane(number) else { return };
        if lane.resting.len() >= RESTING || self.closed.load(Ordering::SeqCst) {
            return;
        }
        if !lane.is_watched {
            let Ok(runtime) = Handle::try_current() else { return };
            lane.is_watched = true;
            runtime.spawn(watch(Watch { pool: Arc::downgrade(self), number }));
        }
        lane.resting.push((link, Instant::now()));
    }

    /// Lets go of those that have rested for too long, and of those that the server has closed; ready once none is left.
    fn look(&self, number: usize, context: &mut Context<'_>) -> Poll<()> {
        let Some(mut lane) = self.lane(number) else { return Poll::Ready(()) };
        lane.resting.retain_mut(|(link, since)| since.elapsed() < IDLE && !link.drive(context));
        lane.is_watched = !lane.resting.is_empty();
        if lane.is_watched { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// Which connections are this thread's.
fn own_lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static LANE: Cell<Option<usize>> = const { Cell::new(None) });
    LANE.get().unwrap_or_else(|| {
        let lane = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
        LANE.set(Some(lane));
        lane
    })
}

struct Watch {
    pool: Weak<Pool>,
    number: usize,
}

impl Drop for Watch {
    /// Its runtime may end before the connections do.
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade()
            && let Some(mut lane) = pool.lane(self.number)
        {
            lane.is_watched = false;
        }
    }
}

/// Watches the connections of one thread that rest: nobody else would notice that the server has closed one.
async fn watch(watch: Watch) {
    let mut look = tokio::time::interval(LOOK);
    poll_fn(|context| {
        while look.poll_tick(context).is_ready() {}
        watch.pool.upgrade().map_or(Poll::Ready(()), |pool| pool.look(watch.number, context))
    })
    .await;
}

/// A connection in use. Closed when it is dropped.
pub(crate) struct Line {
    pub(crate) link: Box<Link>,
    pool: Arc<Pool>,
    number: usize,
}

impl Line {
    /// Back to the others, if it is at rest; closed else.
    pub(crate) fn rest(self) {
        if self.link.is_at_rest() {
            self.link.let_go();
            self.pool.rest(self.number, self.link);
        }
    }
}
