//! One instance that answers: who is inside, who waits, and when it is empty.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use ark::Target;
use ark_model::Reason;
use http::HeaderValue;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{stats::Stats, upstream::Endpoint};

/// A target with its counts.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) target: Target<Endpoint>,
    pub(crate) stats: Arc<Stats>,
    /// What `X-Forwarded-Prefix` says where the context path is taken off; none where it stays.
    pub(crate) prefix: Option<HeaderValue>,
    inside: AtomicUsize,
    retired: AtomicBool,
    emptied: Notify,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Cancelled when those that are still inside have to go.
    pub(crate) cut: CancellationToken,
}

impl Instance {
    pub(crate) fn new(target: Target<Endpoint>, stats: Arc<Stats>) -> Self {
        let places = usize::try_from(target.limits.concurrency).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let prefix =
            HeaderValue::from_str(&target.context_path).ok().filter(|_| &*target.context_path != "/" && !target.endpoint.keeps_prefix());
        Self {
            target,
            stats,
            prefix,
            inside: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            emptied: Notify::new(),
            places: Arc::new(Semaphore::new(places)),
            waiting: AtomicUsize::new(0),
            cut: CancellationToken::new(),
        }
    }

    /// Steps in, unless it takes nobody any more. Counted first and looked at then: whoever drains sees each that got in.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Inside> {
        self.inside.fetch_add(1, Ordering::SeqCst);
        let inside = Inside(Arc::clone(self));
        if self.retired.load(Ordering::SeqCst) {
            return None;
        }
        self.stats.began();
        Some(inside)
    }

    /// Takes nobody in from now on.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    /// Waits until nobody is inside.
    pub(crate) async fn empty(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.inside.load(Ordering::SeqCst) == 0 {
                return;
            }
            emptied.await;
        }
    }

    pub(crate) fn inside(&self) -> u64 {
        self.inside.load(Ordering::SeqCst) as u64
    }

    /// A place to work at; waits in the queue for it where that has room.
    pub(crate) async fn place(&self) -> Result<OwnedSemaphorePermit, Reason> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = Waiting::begin(self).ok_or(Reason::QueueFull)?;
        let patience = std::time::Duration::from_millis(self.target.limits.queue_wait_ms);
        tokio::select! {
            place = Arc::clone(&self.places).acquire_owned() => place.map_err(|_| Reason::Draining),
            () = tokio::time::sleep(patience) => Err(Reason::QueueFull),
            () = self.cut.cancelled() => Err(Reason::Draining),
        }
    }
}

/// A request inside an instance, until its answer has ended.
#[derive(Debug)]
pub(crate) struct Inside(pub(crate) Arc<Instance>);

impl Drop for Inside {
    fn drop(&mut self) {
        let retired = self.0.retired.load(Ordering::SeqCst);
        if self.0.inside.fetch_sub(1, Ordering::SeqCst) == 1 && (retired || self.0.retired.load(Ordering::SeqCst)) {
            self.0.emptied.notify_waiters();
        }
    }
}

struct Waiting<'a> {
    instance: &'a Instance,
    _gauge: crate::stats::Queued<'a>,
}

impl<'a> Waiting<'a> {
    fn begin(instance: &'a Instance) -> Option<Self> {
        let waiting = Self { instance, _gauge: instance.stats.queue() };
        let before = instance.waiting.fetch_add(1, Ordering::AcqRel);
        (before < usize::try_from(instance.target.limits.queue).unwrap_or(usize::MAX)).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.instance.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
