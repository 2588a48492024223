//! Counts what instances use, and holds each to its memory limit.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;
use wasmtime::ResourceLimiter;

/// What all instances of one module use.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    live: AtomicU64,
    peak_memory: AtomicU64,
    fewer: Notify,
}

impl Usage {
    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Acquire)
    }

    /// The most memory that one instance has used, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.peak_memory.load(Ordering::Relaxed)
    }

    /// Waits until no instance lives.
    pub(crate) async fn none_live(&self) {
        loop {
            let mut fewer = std::pin::pin!(self.fewer.notified());
            fewer.as_mut().enable();
            if self.live() == 0 {
                return;
            }
            fewer.await;
        }
    }
}

/// The meter of one instance: it lives as long as this does.
pub(crate) struct Meter {
    limit: usize,
    used: usize,
    pub(crate) denied: bool,
    usage: Arc<Usage>,
}

impl Meter {
    pub(crate) fn new(limit: u64, usage: &Arc<Usage>) -> Self {
        usage.live.fetch_add(1, Ordering::AcqRel);
        Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), used: 0, denied: false, usage: Arc::clone(usage) }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.usage.peak_memory.fetch_max(self.used as u64, Ordering::Relaxed);
        if self.usage.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.usage.fewer.notify_waiters();
        }
    }
}

impl ResourceLimiter for Meter {
    /// The limit is on all memories of an instance together.
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.used.saturating_add(desired.saturating_sub(current));
        if total > self.limit {
            self.denied = true;
            return Ok(false);
        }
        self.used = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 60_000)
    }
}
