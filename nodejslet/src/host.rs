//! The process in which modules run that are threads: one beside the supervisor, with a worker for each of them.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::Signal;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::{
    line::{CONTROL, Line, Waiting},
    process::{Process, Program},
};

/// What the process tells.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Told {
    /// A worker has ended.
    Ended { ended: u64, how: String },
}

enum Order {
    Say(serde_json::Value),
    Kill,
}

/// That process. It ends when this and all its workers are dropped.
pub(crate) struct Host {
    orders: mpsc::UnboundedSender<Order>,
    workers: Arc<Mutex<Workers>>,
}

#[derive(Default)]
struct Workers {
    last: u64,
    /// Who waits for the end of which; none once the process has ended.
    ends: Option<HashMap<u64, oneshot::Sender<String>>>,
}

impl Host {
    /// Starts it.
    ///
    /// # Errors
    /// Where there is no Node.js, or it does not come up.
    pub(crate) async fn start(program: &Program) -> io::Result<Self> {
        let folder = tempfile::tempdir_in(&program.folder)?;
        let waiting = Waiting::in_folder(folder.path())?;
        let mut process = Process::start(program, "host.cjs", &folder.path().join(CONTROL), None, None, true)?;
        let line: Line<Told> = tokio::select! {
            line = waiting.called() => line?,
            how = process.ended() => return Err(io::Error::other(format!("Node.js ended at once: {how}"))),
        };
        let (orders, to_do) = mpsc::unbounded_channel();
        let workers = Arc::new(Mutex::new(Workers { last: 0, ends: Some(HashMap::new()) }));
        tokio::spawn(keep(process, line, to_do, Arc::clone(&workers)));
        Ok(Self { orders, workers })
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        self.workers().ends.is_some()
    }

    /// Starts a worker with its sockets in `folder`.
    pub(crate) fn worker(self: &Arc<Self>, folder: &Path, heap_mib: u64) -> Worker {
        let (ender, ended) = oneshot::channel();
        let mut workers = self.workers();
        workers.last += 1;
        let key = workers.last;
        // Where the process has ended already, the worker has too.
        if let Some(ends) = &mut workers.ends {
            ends.insert(key, ender);
        }
        drop(workers);
        let _ = self.orders.send(Order::Say(json!({ "start": { "key": key, "folder": folder, "heapMib": heap_mib } })));
        Worker { host: Arc::clone(self), key, ended, how: None }
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the process until it ends, or nobody needs it any more.
async fn keep(mut process: Process, mut line: Line<Told>, mut orders: mpsc::UnboundedReceiver<Order>, workers: Arc<Mutex<Workers>>) {
    let lock = || workers.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Say(order)) => line.say(&order),
                Some(Order::Kill) => process.signal(Signal::KILL),
                None => return,
            },
            told = line.hear() => match told {
                Some(Told::Ended { ended, how }) => {
                    let ender = lock().ends.as_mut().and_then(|ends| ends.remove(&ended));
                    if let Some(ender) = ender {
                        let _ = ender.send(how);
                    }
                }
                None => break,
            },
        }
    }
    // A process that says nothing any more has ended, or is of no use.
    process.signal(Signal::KILL);
    let how = process.ended().await;
    tracing::warn!(%how, "the process of the workers has ended, and all of them with it");
    for (_, ender) in lock().ends.take().into_iter().flatten() {
        let _ = ender.send(format!("the process of all workers ended: {how}"));
    }
}

/// A thread of that process, with a JavaScript engine of its own. It is terminated when this is dropped.
pub(crate) struct Worker {
    host: Arc<Host>,
    key: u64,
    ended: oneshot::Receiver<String>,
    how: Option<String>,
}

impl Worker {
    /// Whether it has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        if self.how.is_none() {
            match self.ended.try_recv() {
                Ok(how) => self.how = Some(how),
                Err(oneshot::error::TryRecvError::Empty) => return true,
                Err(oneshot::error::TryRecvError::Closed) => {}
            }
        }
        false
    }

    /// Waits until it has ended, and says how.
    pub(crate) async fn ended(&mut self) -> String {
        if let Some(how) = &self.how {
            return how.clone();
        }
        let how = (&mut self.ended).await.unwrap_or_else(|_| "the process of all workers ended".to_owned());
        self.how.insert(how).clone()
    }

    /// Ends it, whatever it does, but for what is no JavaScript.
    pub(crate) fn terminate(&self) {
        let _ = self.host.orders.send(Order::Say(json!({ "terminate": self.key })));
    }

    /// Ends the process with all its workers: the last resort.
    pub(crate) fn kill_host(&self) {
        let _ = self.host.orders.send(Order::Kill);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.terminate();
    }
}
