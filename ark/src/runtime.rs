//! What the container asks of a kind of module: to read its packages, and to run them.

use std::{path::Path, sync::Arc, time::Duration};

use ark_model::{Failure, Grants, Limits, Manifest, ModuleId, Verdict};
use futures_util::future::BoxFuture;

/// A verified package in the base's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The sha-256 of its bytes, in hex.
    pub sha256: Arc<str>,
    /// Its size in bytes.
    pub size: u64,
    /// Where its bytes are. They never change there.
    pub path: Arc<Path>,
}

/// An admitted module: everything a runtime needs to start it.
#[derive(Debug, Clone)]
pub struct ModuleSpec {
    /// Its identity.
    pub id: Arc<ModuleId>,
    /// Its package.
    pub package: Package,
    /// Its bounds, resolved.
    pub limits: Limits,
    /// Its capabilities, those of manifest and order together.
    pub grants: Grants,
    /// Its arguments.
    pub args: Vec<String>,
    /// The path inside the module that has to answer before it gets traffic.
    pub probe_path: Option<String>,
    /// How many requests one instance may serve; 1 is a fresh instance for each.
    pub reuse: u32,
}

/// A kind of module.
pub trait Runtime<E>: Send + Sync + 'static {
    /// Its name: `wasm`, `jvm` or `node`.
    fn kind(&self) -> &'static str;

    /// Whether `package` is of this kind at all, by its first bytes. A package that no runtime recognises is refused.
    fn recognises(&self, package: &Package, head: &[u8]) -> bool;

    /// Reads what the package says of itself. A damaged package, or one that could never run here, is refused now.
    fn parse<'a>(&'a self, package: &'a Package) -> BoxFuture<'a, Result<Manifest, Failure>>;

    /// Does all the work that can be kept by content: compile, index, unpack. Runs nothing of the module.
    fn prepare<'a>(&'a self, spec: &'a ModuleSpec) -> BoxFuture<'a, Result<Box<dyn Prepared<E>>, Failure>>;
}

/// A module ready to be started.
pub trait Prepared<E>: Send {
    /// Starts it. Dropping the future gives up the start and everything it took.
    fn start(self: Box<Self>) -> BoxFuture<'static, Result<Started<E>, Failure>>;
}

/// A module that was started.
pub struct Started<E> {
    /// The module.
    pub running: Box<dyn Running<E>>,
    /// A better build of the same module, where one is being made: the container puts it in place of
    /// `running` by an ordinary switch. Dropping the future gives up that build.
    pub refined: Option<BoxFuture<'static, Result<Started<E>, Failure>>>,
}

/// A running module.
pub trait Running<E>: Send + Sync {
    /// What answers its requests.
    fn endpoint(&self) -> E;

    /// Asks the module whether it works. A module without a probe path works once it is started.
    fn probe(&self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Ends the module and gives back what it used. Requests that still run after `patience` are cut off.
    fn stop(self: Box<Self>, patience: Duration) -> BoxFuture<'static, Verdict>;
}
