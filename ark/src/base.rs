//! A base: what it is made of, and what can be asked of it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ark_model::{
    Activation, Failure, Fence, InstallOrder, Limits, ModuleId, Reason,
    api::{self, ModuleView, Retired},
    report::ModuleReport,
};
use futures_util::{FutureExt, future, future::BoxFuture};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    event::{Event, Listener, Listeners},
    install::{self, Origin},
    journal::{Entry, Forgetful, Journal},
    log::LogBook,
    operation::Install,
    packages::Packages,
    registry::{Command, Module, Registry, not_installed},
    runtime::{Runtime, Sign},
    traffic::{InstanceId, Traffic},
};

/// Done once something would survive the end of the process.
pub(crate) type Durable = BoxFuture<'static, Result<(), Failure>>;

/// An operation that was begun and goes on whether or not this is awaited.
pub type Pending<T> = BoxFuture<'static, Result<T, Failure>>;

/// The bounds and habits of a base.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What happens to traffic when an order does not say. Default: switch.
    pub activation: Activation,
    /// The bounds of a module that names none.
    pub limits: Limits,
    /// Modules of any state. Default 10,000.
    pub max_modules: usize,
    /// Versions of one name that serve or drain at a time. A further install waits for a drain. Default 2.
    pub versions_per_name: usize,
    /// Installs under way at a time. Default 64.
    pub max_installs: usize,
    /// From the begin of an install to its activation, where the order does not say. Default 5 min.
    pub install_deadline: Duration,
    /// How long a module that was drained may take to stop. Default 5 s.
    pub stop_patience: Duration,
    /// Whether a module that failed to start is removed at once instead of staying visible as broken. Default: it stays.
    pub remove_broken: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            activation: Activation::Switch,
            limits: Limits::default(),
            max_modules: 10_000,
            versions_per_name: 2,
            max_installs: 64,
            install_deadline: Duration::from_secs(300),
            stop_patience: Duration::from_secs(5),
            remove_broken: false,
        }
    }
}

/// What a base is made of.
pub struct Builder<E> {
    settings: Settings,
    runtimes: Vec<Arc<dyn Runtime<E>>>,
    listeners: Vec<Box<dyn Listener>>,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl<E: Clone + Send + Sync + 'static> Builder<E> {
    /// Changes bounds and habits.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Adds a kind of module. Where two recognise a package, the first added has it.
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<dyn Runtime<E>>) -> Self {
        self.runtimes.push(runtime);
        self
    }

    /// Adds a listener.
    #[must_use]
    pub fn listener(mut self, listener: impl Listener) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }

    /// Gives the base a memory that survives it. Without one it begins empty each time.
    #[must_use]
    pub fn journal(mut self, journal: Arc<dyn Journal>) -> Self {
        self.journal = journal;
        self
    }

    /// A base that gets its packages from `packages` and its requests through `traffic`.
    #[must_use]
    pub fn build(self, packages: Arc<dyn Packages>, traffic: Arc<dyn Traffic<E>>) -> Base<E> {
        Base(Arc::new(Shared {
            installs: Arc::new(Semaphore::new(self.settings.max_installs)),
            settings: self.settings,
            runtimes: self.runtimes,
            listeners: Listeners::new(self.listeners),
            journal: self.journal,
            clock: self.clock,
            packages,
            traffic,
            registry: Mutex::default(),
            next_instance: AtomicU64::new(0),
            next_seq: AtomicU64::new(0),
        }))
    }
}

/// A base. Cheap to clone; all clones are the same base. Its operations run on the tokio runtime of whoever calls them.
pub struct Base<E>(pub(crate) Arc<Shared<E>>);

impl<E> Clone for Base<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What all operations share.
pub(crate) struct Shared<E> {
    pub(crate) settings: Settings,
    pub(crate) runtimes: Vec<Arc<dyn Runtime<E>>>,
    pub(crate) listeners: Listeners,
    pub(crate) journal: Arc<dyn Journal>,
    /// Milliseconds since the Unix epoch.
    pub(crate) clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    pub(crate) packages: Arc<dyn Packages>,
    pub(crate) traffic: Arc<dyn Traffic<E>>,
    pub(crate) installs: Arc<Semaphore>,
    registry: Mutex<Registry<E>>,
    next_instance: AtomicU64,
    pub(crate) next_seq: AtomicU64,
}

impl<E> Shared<E> {
    /// Never held across an await, and never while a listener or a runtime works.
    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry<E>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
    }

    /// Refuses an order on `name` that comes too late, and takes one that does not: from then on, and once what is returned is done also after
    /// the end of the process, older ones are refused. What the order changes has to be decided while `registry` is held, and must not
    /// be told to anybody, nor get traffic, before that.
    pub(crate) fn admit(&self, registry: &mut Registry<E>, name: &str, fence: Option<Fence>) -> Result<Durable, Failure>
    where
        E: Clone,
    {
        let Some(fence) = fence else { return Ok(future::ready(Ok(())).boxed()) };
        registry.take_fence(name, fence)?;
        // In the order in which they were taken: the registry is held.
        Ok(self.journal.record(Entry::Fenced { name: name.to_owned(), fence }))
    }

    /// The right to do the work of an install, as long as this lives.
    pub(crate) fn permit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.installs).try_acquire_owned().map_err(|_| {
            let message = format!("{} installs are under way, as many as this base allows; try again later", self.settings.max_installs);
            Failure::new(Reason::BudgetExceeded, message)
        })
    }

    /// How long an order may take.
    pub(crate) fn time_for(&self, order: &InstallOrder) -> Duration {
        order.deadline_ms.map_or(self.settings.install_deadline, Duration::from_millis)
    }

    pub(crate) fn new_instance(&self) -> InstanceId {
        InstanceId(self.next_instance.fetch_add(1, Ordering::Relaxed))
    }
}

impl<E: Clone + Send + Sync + 'static> Base<E> {
    /// Begins a base that tells time by `clock`, in milliseconds since the Unix epoch.
    pub fn builder(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Builder<E> {
        Builder {
            settings: Settings::default(),
            runtimes: Vec::new(),
            listeners: Vec::new(),
            journal: Arc::new(Forgetful),
            clock: Arc::new(clock),
        }
    }

    /// Begins an install.
    ///
    /// With a fence, it is the same order again where the module runs already with the order's mark: then nothing is done, and the
    /// install ends at once with that module.
    ///
    /// # Errors
    /// At once, with nothing changed but that a fence which was not refused is remembered: [`Reason::OrderStale`] where a later order was taken before, [`Reason::Conflict`] where an
    /// operation on the order's name is under way, or where the order has a fence and the base is still coming up,
    /// [`Reason::InvalidRequest`] for a fence without a name or a mark that is too long, [`Reason::BudgetExceeded`] where too many installs
    /// are under way. Everything else is an event of the install.
    pub fn install(&self, order: InstallOrder, fence: Option<Fence>) -> Result<Install, Failure> {
        let seq = self.0.next_seq.fetch_add(1, Ordering::Relaxed);
        install::begin(&self.0, order, fence, Origin::Ordered { seq, recorded: false })
    }

    /// Does for `order` what an install does before it starts anything, so that the install of the same content, which comes later, has
    /// that behind it: the package is fetched, verified and read, compiled or unpacked, and its libraries are loaded. Nothing of the module
    /// runs, and the base knows no module more than before; whether there is room for it among the others is not asked. How long what was
    /// prepared is kept, each kind of module decides.
    ///
    /// # Errors
    /// Those that the install would have in these steps.
    pub async fn prepare(&self, order: InstallOrder) -> Result<api::Prepared, Failure> {
        crate::prepare::prepare(&self.0, &order).await
    }

    /// Begins to remove a module: it gets no new request, drains, stops, and gives its resources back.
    ///
    /// A module that a switch has removed, or is removing, counts as removed: the answer is the verdict on that.
    ///
    /// # Errors
    /// At once: [`Reason::NotInstalled`], [`Reason::Conflict`], [`Reason::OrderStale`]. Later: a listener's refusal, the journal's
    /// failure; and the first two where the order has a fence.
    pub fn uninstall(&self, id: &ModuleId, fence: Option<Fence>) -> Result<Pending<Retired>, Failure> {
        crate::retire::uninstall(&self.0, id, fence)
    }

    /// Begins to give the traffic of a name to the version `id`; the others keep running without.
    ///
    /// # Errors
    /// At once: [`Reason::NotInstalled`], [`Reason::Conflict`], [`Reason::OrderStale`], [`Reason::IllegalState`] for a version that does
    /// not run.
    pub fn activate(&self, id: &ModuleId, fence: Option<Fence>) -> Result<Pending<ModuleView>, Failure> {
        crate::switch::activate(&self.0, id, fence)
    }

    /// Gives up the install that is under way on `name`. Nothing happens once its new version serves.
    ///
    /// # Errors
    /// [`Reason::NotInstalled`] where none is under way.
    pub fn cancel(&self, name: &str) -> Result<(), Failure> {
        let registry = self.0.registry();
        let busy = registry.busy.get(name).filter(|busy| busy.command == Command::Install);
        let busy = busy.ok_or_else(|| Failure::new(Reason::NotInstalled, format!("no install of {name} is under way")))?;
        busy.cancel.cancel();
        Ok(())
    }

    /// What is under way on `name`.
    #[must_use]
    pub fn under_way(&self, name: &str) -> Option<Command> {
        self.0.registry().busy.get(name).map(|busy| busy.command)
    }

    /// All modules, by name, then version. Their traffic is for the data path to fill in.
    #[must_use]
    pub fn modules(&self) -> Vec<ModuleView> {
        self.0.registry().modules.values().map(|module| module.view()).collect()
    }

    /// How all modules stand, by name, then version. Their traffic is for the data path to fill in.
    #[must_use]
    pub fn reports(&self) -> Vec<ModuleReport> {
        self.0.registry().reports()
    }

    /// How many modules there are, in any state.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.registry().modules.len()
    }

    /// Tells of every change of a module's state, and of every fence that is taken; of many that come together at least of the last.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.registry().changes.subscribe()
    }

    /// The bounds and habits of the base.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// One module.
    ///
    /// # Errors
    /// [`Reason::NotInstalled`].
    pub fn module(&self, id: &ModuleId) -> Result<ModuleView, Failure> {
        self.0.registry().modules.get(id).map(|module| module.view()).ok_or_else(|| not_installed(id))
    }

    /// One module, looked at closely.
    ///
    /// # Errors
    /// [`Reason::NotInstalled`].
    pub async fn inspect(&self, id: &ModuleId) -> Result<ModuleView, Failure> {
        let look = self.0.registry().modules.get(id).map(Module::look).ok_or_else(|| not_installed(id))?;
        Ok(look.await)
    }

    /// All modules, looked at closely.
    pub async fn inspect_all(&self) -> Vec<ModuleView> {
        let looks: Vec<_> = self.0.registry().modules.values().map(Module::look).collect();
        let mut views = Vec::with_capacity(looks.len());
        for look in looks {
            views.push(look.await);
        }
        views
    }

    /// Where a running module gets the class `class` from.
    ///
    /// # Errors
    /// [`Reason::NotInstalled`], [`Reason::IllegalState`] for a module that does not run, [`Reason::InvalidRequest`] for one of a kind
    /// without classes.
    pub async fn why(&self, id: &ModuleId, class: String) -> Result<api::Origin, Failure> {
        let answer = {
            let registry = self.0.registry();
            let module = registry.modules.get(id).ok_or_else(|| not_installed(id))?;
            let live = module
                .live
                .as_ref()
                .ok_or_else(|| Failure::new(Reason::IllegalState, format!("{id} is {}; ask one that runs", module.history.state())))?;
            live.running.why(class)
        };
        answer.await
    }

    /// The log of one module.
    ///
    /// # Errors
    /// [`Reason::NotInstalled`].
    pub fn log(&self, id: &ModuleId) -> Result<Arc<LogBook>, Failure> {
        self.0.registry().modules.get(id).map(|module| Arc::clone(&module.spec.log)).ok_or_else(|| not_installed(id))
    }

    /// The latest removals, newest first.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Retired> {
        self.0.registry().verdicts.iter().rev().cloned().collect()
    }

    /// What it takes to look for what holds a removed module.
    ///
    /// # Errors
    /// [`Reason::NotInstalled`] where no such module is left.
    pub async fn cost_of_holders(&self, id: &ModuleId) -> Result<api::SearchCost, Failure> {
        let asked = self.0.runtimes.iter().find_map(|runtime| runtime.cost_of_holders(id));
        asked.ok_or_else(|| self.not_left(id))?.await
    }

    /// Looks for what holds a removed module. The process stands still meanwhile: ask for the cost before.
    ///
    /// # Errors
    /// [`Reason::NotInstalled`] where no such module is left, [`Reason::BudgetExceeded`] where there are more objects than
    /// `at_most_objects`.
    pub async fn holders(&self, id: &ModuleId, at_most_objects: u64) -> Result<api::Holders, Failure> {
        let asked = self.0.runtimes.iter().find_map(|runtime| runtime.holders(id, at_most_objects));
        asked.ok_or_else(|| self.not_left(id))?.await
    }

    fn not_left(&self, id: &ModuleId) -> Failure {
        let registry = self.0.registry();
        let message = if registry.modules.contains_key(id) {
            format!("{id} is installed; what holds it is a question once it is removed")
        } else if registry.verdicts.iter().any(|retired| retired.id == *id) {
            format!("nothing is left of {id}, which was removed")
        } else {
            format!("{id} was not removed here; list what was with `arkctl verdicts`")
        };
        Failure::new(Reason::NotInstalled, message)
    }

    /// The kinds of module it runs.
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static str> {
        self.0.runtimes.iter().map(|runtime| runtime.kind()).collect()
    }

    /// Has the runtimes remove what they keep of packages that the base no longer `has`. Blocks while they work.
    pub fn tidy(&self, has: &dyn Fn(&str) -> bool) {
        for runtime in &self.0.runtimes {
            runtime.tidy(has);
        }
    }

    /// What the runtimes say of the process.
    pub async fn signs(&self) -> Vec<(String, Sign)> {
        let mut signs = Vec::new();
        for runtime in &self.0.runtimes {
            signs.extend(runtime.signs().await);
        }
        signs
    }

    /// Takes all modules out of traffic, drains and stops them. They come back when the base does.
    pub async fn shut_down(&self) {
        crate::retire::all(&self.0).await;
    }

    pub(crate) fn is_up(&self) {
        {
            let mut registry = self.0.registry();
            registry.is_up = true;
            registry.changed();
        }
        self.0.listeners.tell(&Event::Ready);
    }
}

/// Holds a name; gives it back when dropped.
pub(crate) struct NameLock<E> {
    shared: Arc<Shared<E>>,
    name: String,
}

impl<E: Clone> NameLock<E> {
    /// Takes the name of `id` in `registry`, which is that of `shared`.
    pub(crate) fn take(
        shared: &Arc<Shared<E>>,
        registry: &mut Registry<E>,
        id: &ModuleId,
        command: Command,
        cancel: CancellationToken,
    ) -> Result<Self, Failure> {
        registry.take(id, command, cancel)?;
        Ok(Self { shared: Arc::clone(shared), name: id.name().to_owned() })
    }
}

impl<E> Drop for NameLock<E> {
    fn drop(&mut self) {
        self.shared.registry().busy.remove(&self.name);
    }
}
