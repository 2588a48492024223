//! What the container tells the data path: which instances answer for a name, and when one has to drain.

use std::{sync::Arc, time::Duration};

use ark_model::{Limits, ModuleId};
use futures_util::future::BoxFuture;

/// Tells two instances of a module apart, also where they have the same identity. Never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub u64);

/// One running instance that answers requests. `E` is what the data path calls; the container only hands it on.
#[derive(Debug, Clone)]
pub struct Target<E> {
    /// Which instance.
    pub instance: InstanceId,
    /// Of which module.
    pub module: Arc<ModuleId>,
    /// Where it answers, normalised: `/` or `/a/b`.
    pub context_path: Arc<str>,
    /// The hosts it answers for, lower-case; any when empty.
    pub hosts: Arc<[String]>,
    /// Its share of the requests among the targets of its name.
    pub weight: u32,
    /// Its bounds.
    pub limits: Limits,
    /// What answers.
    pub endpoint: E,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were still running at the deadline.
    pub cut: u64,
}

/// The data path, as the container sees it.
pub trait Traffic<E>: Send + Sync + 'static {
    /// Makes `targets` the ones that answer for `name`, in place of those before; none removes the name.
    ///
    /// The change is atomic: each request sees either the old or the new targets, and once this returns
    /// no arriving request sees the old ones.
    fn route(&self, name: &str, targets: Vec<Target<E>>);

    /// Waits until `instance`, which is no longer routed to, has answered its last request, at most `deadline`.
    /// Requests still running then are cut off.
    fn drain(&self, instance: InstanceId, deadline: Duration) -> BoxFuture<'_, Drained>;
}
