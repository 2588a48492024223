//! Starts units: one of each isolation, for a module of the usual size, is there before it is needed. Node.js itself takes as long to
//! start as many an application does.

use std::{io, sync::Arc, time::Duration};

use ark_node::{Isolation, MEMORY_BYTES};
use tokio::sync::Mutex;

use crate::{host::Host, process::Program, unit::Unit};

/// Of a module's memory, what is not for its heap: Node.js itself, and buffers.
const BESIDE_HEAP_MIB: u64 = 64;
const LEAST_HEAP_MIB: u64 = 32;
/// How long after a start the next unit is made: whoever starts now comes first.
const REFILL: Duration = Duration::from_millis(300);

/// Starts units.
#[derive(Clone)]
pub(crate) struct Starter(Arc<Inner>);

struct Inner {
    program: Program,
    /// The process of all workers, where there is any.
    host: Mutex<Option<Arc<Host>>>,
    spare_process: Mutex<Option<Unit>>,
    spare_worker: Mutex<Option<Unit>>,
}

impl Starter {
    pub(crate) fn new(program: Program) -> Self {
        Self(Arc::new(Inner { program, host: Mutex::default(), spare_process: Mutex::default(), spare_worker: Mutex::default() }))
    }

    /// A unit that waits for what it is to run.
    ///
    /// # Errors
    /// Where Node.js does not come up.
    pub(crate) async fn unit(&self, isolation: Isolation, memory_bytes: u64) -> io::Result<Unit> {
        if memory_bytes != MEMORY_BYTES {
            return self.0.start(isolation, memory_bytes).await;
        }
        let spare = self.0.spare(isolation).lock().await.take().and_then(|mut spare| spare.is_alive().then_some(spare));
        let unit = match spare {
            Some(spare) => spare,
            None => self.0.start(isolation, memory_bytes).await?,
        };
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(REFILL).await;
            let mut spare = inner.spare(isolation).lock().await;
            if spare.is_none() {
                match inner.start(isolation, memory_bytes).await {
                    Ok(unit) => *spare = Some(unit),
                    Err(error) => tracing::warn!(%error, ?isolation, "nothing to run a module in is there beforehand"),
                }
            }
        });
        Ok(unit)
    }

    /// A process whose output goes where the supervisor's goes.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn process_through(&self, memory_bytes: u64) -> io::Result<Unit> {
        Unit::process(&self.0.program, heap_mib(memory_bytes), memory_bytes, true).await
    }
}

impl Inner {
    fn spare(&self, isolation: Isolation) -> &Mutex<Option<Unit>> {
        match isolation {
            Isolation::Process => &self.spare_process,
            Isolation::Worker => &self.spare_worker,
        }
    }

    async fn start(&self, isolation: Isolation, memory_bytes: u64) -> io::Result<Unit> {
        let heap_mib = heap_mib(memory_bytes);
        match isolation {
            Isolation::Process => Unit::process(&self.program, heap_mib, memory_bytes, false).await,
            Isolation::Worker => Unit::worker(&self.program, &self.host().await?, heap_mib).await,
        }
    }

    /// The process of all workers, started where there is none.
    async fn host(&self) -> io::Result<Arc<Host>> {
        let mut host = self.host.lock().await;
        if let Some(host) = host.as_ref().filter(|host| host.is_alive()) {
            return Ok(Arc::clone(host));
        }
        let started = Arc::new(Host::start(&self.program).await?);
        *host = Some(Arc::clone(&started));
        Ok(started)
    }
}

fn heap_mib(memory_bytes: u64) -> u64 {
    (memory_bytes >> 20).saturating_sub(BESIDE_HEAP_MIB).max(LEAST_HEAP_MIB)
}
