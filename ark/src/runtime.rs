//! What the container asks of a kind of module: to read its packages, and to run them.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use ark_model::{
    Failure, Grants, Limits, Manifest, ModuleId, Reason, Verdict,
    api::{Holders, Inspection, Origin, SearchCost},
};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::log::LogBook;

/// How many of a package's first bytes a [`Package`] carries.
pub const HEAD_BYTES: usize = 16;

/// A verified package in the base's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The sha-256 of its bytes, in hex.
    pub sha256: Arc<str>,
    /// Its size in bytes.
    pub size: u64,
    /// Where its bytes are. They never change there.
    pub path: Arc<Path>,
    /// Its first bytes, at most [`HEAD_BYTES`], by which a runtime knows its kind.
    pub head: Arc<[u8]>,
}

/// An admitted module: everything a runtime needs to start it.
#[derive(Debug, Clone)]
pub struct ModuleSpec {
    /// Its identity.
    pub id: Arc<ModuleId>,
    /// Its package.
    pub package: Package,
    /// Where it answers, normalised: `/` or `/a/b`.
    pub context_path: Arc<str>,
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
    /// Settings of its kind, as the order gives them. A runtime refuses those it does not know.
    pub options: BTreeMap<String, String>,
    /// Where its lines go.
    pub log: Arc<LogBook>,
}

/// A kind of module.
pub trait Runtime<E>: Send + Sync + 'static {
    /// Its name: `wasm`, `jvm` or `node`.
    fn kind(&self) -> &'static str;

    /// Whether `package` is of this kind at all, by its first bytes. A package that no runtime recognises is refused.
    fn recognises(&self, package: &Package) -> bool;

    /// Reads what the package says of itself. A damaged package, or one that could never run here, is refused now.
    fn parse<'a>(&'a self, package: &'a Package) -> BoxFuture<'a, Result<Manifest, Failure>>;

    /// Whether the name and version in its packages are the module's. Where they are not, because they are a text of the build
    /// that nobody meant as an identity, they count only for what an order leaves open.
    fn packages_name_modules(&self) -> bool {
        true
    }

    /// What the process that runs its modules says of itself, under the names that controllers know.
    fn signs(&self) -> BoxFuture<'_, Vec<(String, Sign)>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// Does all the work that can be kept by content: compile, index, unpack. Runs nothing of the module.
    fn prepare<'a>(&'a self, spec: &'a ModuleSpec) -> BoxFuture<'a, Result<Box<dyn Prepared<E>>, Failure>>;

    /// Removes what it keeps of packages that the base no longer `has`, which says so of a digest. Blocks while it works.
    fn tidy(&self, has: &dyn Fn(&str) -> bool) {
        let _ = has;
    }

    /// What it takes to look for what holds the removed module `id`; none where no such module is left here.
    fn cost_of_holders(&self, id: &ModuleId) -> Option<BoxFuture<'static, Result<SearchCost, Failure>>> {
        let _ = id;
        None
    }

    /// Looks for what holds the removed module `id`; none where no such module is left here.
    ///
    /// # Errors
    /// [`Reason::BudgetExceeded`] where there are more objects than `at_most_objects`.
    fn holders(&self, id: &ModuleId, at_most_objects: u64) -> Option<BoxFuture<'static, Result<Holders, Failure>>> {
        let _ = (id, at_most_objects);
        None
    }
}

/// A value of [`Runtime::signs`].
#[derive(Debug, Clone, PartialEq)]
pub enum Sign {
    /// A text.
    Text(String),
    /// A whole number.
    Count(i64),
    /// Any number.
    Number(f64),
}

/// A module ready to be started.
pub trait Prepared<E>: Send {
    /// Starts it. Dropping the future gives up the start and everything it took.
    fn start(self: Box<Self>) -> BoxFuture<'static, Result<Started<E>, Failure>>;

    /// Leaves it for a start that comes later, from a new [`Runtime::prepare`] of the same content: does what that start would have done
    /// behind the scenes. Nothing of the module runs.
    fn keep(self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A better build in the making.
pub type Refined<E> = BoxFuture<'static, Result<Box<dyn Running<E>>, Failure>>;

/// A module that was started.
pub struct Started<E> {
    /// The module.
    pub running: Box<dyn Running<E>>,
    /// A better build of the same module, where one is being made: the container puts it in place of
    /// `running` by an ordinary switch. Dropping the future gives up that build.
    pub refined: Option<Refined<E>>,
}

/// What a runtime can say of a running module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// How it is compiled: `baseline`, `optimised`; empty where that means nothing.
    pub build: &'static str,
    /// The most memory that one instance of it has used, in bytes.
    pub peak_memory_bytes: u64,
}

/// A running module.
pub trait Running<E>: Send + Sync {
    /// What answers its requests.
    fn endpoint(&self) -> E;

    /// What is known of it now.
    fn facts(&self) -> Facts;

    /// Looks closer than [`facts`](Self::facts), which may take a while.
    fn inspect(&self) -> BoxFuture<'static, Inspection> {
        Box::pin(std::future::ready(Inspection::default()))
    }

    /// Where the module gets the class `class` from.
    ///
    /// # Errors
    /// [`Reason::InvalidRequest`] for kinds of module that have no classes.
    fn why(&self, class: String) -> BoxFuture<'static, Result<Origin, Failure>> {
        let message = format!("modules of this kind have no classes, and so no {class}");
        Box::pin(std::future::ready(Err(Failure::new(Reason::InvalidRequest, message))))
    }

    /// Asks the module whether it works. A module without a probe path works once it is started.
    fn probe(&self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Done once the module has ended and will not be back by itself, with why; never before. None where that cannot happen.
    ///
    /// It keeps its endpoint, which refuses requests from then on, until it is stopped.
    fn failed(&self) -> Option<BoxFuture<'static, Failure>> {
        None
    }

    /// Ends what still runs of it. Called after the drain; what runs on after `patience` is cut off.
    ///
    /// # Errors
    /// What could not be ended; [`reclaim`](Self::reclaim) follows all the same.
    fn stop(&self, patience: Duration) -> BoxFuture<'_, Result<(), Failure>>;

    /// Gives its resources back and says what was given back, and what was not.
    fn reclaim(self: Box<Self>) -> BoxFuture<'static, Reclaimed>;
}

/// What came of a module's resources.
pub struct Reclaimed {
    /// The verdict for now.
    pub verdict: Verdict,
    /// Those that take its place as more is known, the last one the final word. Dropping this loses nothing else.
    pub later: Option<mpsc::UnboundedReceiver<Verdict>>,
}

impl From<Verdict> for Reclaimed {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, later: None }
    }
}
