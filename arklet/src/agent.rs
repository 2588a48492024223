//! The agent: the container, the data path and the packages of one base, put together. Nothing listens yet.

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ark::{Base, Desired, Event, Listener, NotUp, Runtime};
use ark_model::{
    Failure, InstallOrder, ModuleId, Reason,
    api::{BaseView, ModuleView},
};
use gateway::{
    Endpoint, Gateway,
    trace::{Observer, Parent},
};
use http::HeaderMap;
use rustix::fs::FlockOperation;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    commands::Operations,
    identity::Identity,
    journal::FileJournal,
    metrics::Metrics,
    otlp::{Exporter, Operation},
    packages::{Bounds, Fetcher, Keys, Pack, Store},
    system,
};

/// Sets up a kind of module, once the data directory is this agent's.
type MakeRuntime = Box<dyn FnOnce(&Path) -> Result<Arc<dyn Runtime<Endpoint>>, Failure>>;
/// How long tidying the packages waits at least, and at most.
const AT_THE_SOONEST: Duration = Duration::from_secs(1);
const AT_THE_LATEST: Duration = Duration::from_secs(3_600);

/// Tells when a module has gone, or did not come up: its package may have lost its last user.
struct Unused(Arc<Store>);

impl Listener for Unused {
    fn on(&self, event: &Event) -> Result<(), Failure> {
        if matches!(event, Event::AfterStop(_) | Event::StartFailed(..)) {
            self.0.untidy.notify_one();
        }
        Ok(())
    }
}

/// Counts what is said of modules that were removed.
struct Verdicts(Arc<Metrics>);

impl Listener for Verdicts {
    fn on(&self, event: &Event) -> Result<(), Failure> {
        if let Event::Verdict(_, state) = event {
            self.0.verdict(*state);
        }
        Ok(())
    }
}

/// What an agent is made of.
pub struct Builder {
    data_dir: PathBuf,
    identity: Identity,
    container: ark::Settings,
    gateway: gateway::Settings,
    runtimes: Vec<MakeRuntime>,
    bounds: Bounds,
    keys: Keys,
    otlp: Option<String>,
    own: Option<Endpoint>,
    pack: Option<Pack>,
}

impl Builder {
    /// Who the base is.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// The bounds and habits of the container.
    #[must_use]
    pub fn container(mut self, settings: ark::Settings) -> Self {
        self.container = settings;
        self
    }

    /// The settings of the data path.
    #[must_use]
    pub fn gateway(mut self, settings: gateway::Settings) -> Self {
        self.gateway = settings;
        self
    }

    /// Adds a kind of module. `make` is given the data directory, which belongs to this agent alone by then.
    #[must_use]
    pub fn runtime(mut self, make: impl FnOnce(&Path) -> Result<Arc<dyn Runtime<Endpoint>>, Failure> + 'static) -> Self {
        self.runtimes.push(Box::new(make));
        self
    }

    /// Adds WebAssembly modules, with what `add` gives them, e.g. the base's own capabilities.
    #[cfg(feature = "wasm")]
    #[must_use]
    pub fn wasm(self, add: impl FnOnce(ark_wasm::Builder) -> ark_wasm::Builder + 'static) -> Self {
        self.runtime(|data| {
            let wasm = add(ark_wasm::Wasm::builder(ark_wasm::Settings::new(data.join("cache")))).build()?;
            Ok(Arc::new(wasm))
        })
    }

    /// What answers the requests that are no module's; without it they are refused.
    #[must_use]
    pub fn own(mut self, endpoint: Endpoint) -> Self {
        self.own = Some(endpoint);
        self
    }

    /// Takes folders for packages, too, which `pack` makes of them.
    #[must_use]
    pub fn folders(mut self, pack: Pack) -> Self {
        self.pack = Some(pack);
        self
    }

    /// Bounds on packages that are fetched.
    #[must_use]
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The keys of which one has to have signed each package.
    #[must_use]
    pub fn keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// Sends a span for each sampled request and operation to the OpenTelemetry collector at `endpoint`, e.g. `http://127.0.0.1:4318`.
    #[must_use]
    pub fn otlp(mut self, endpoint: Option<String>) -> Self {
        self.otlp = endpoint;
        self
    }

    /// Opens the data directory, which belongs to this agent alone from then on.
    ///
    /// # Errors
    /// Where the directory cannot be used or another base uses it, or where the machine cannot run the engine.
    pub fn build(self) -> Result<Arc<Agent>, Failure> {
        let opened = |what: &str, path: &Path, error: &io::Error| {
            Failure::new(Reason::Internal, format!("could not {what} at {}: {error}", path.display()))
        };
        let data = &self.data_dir;
        fs::create_dir_all(data).map_err(|error| opened("make the data directory", data, &error))?;
        let lock_path = data.join("lock");
        let lock = File::create(&lock_path).map_err(|error| opened("make the lock", &lock_path, &error))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            let message = format!("another base uses {}; stop it, or start this one with another --data-dir", data.display());
            Failure::new(Reason::Conflict, message)
        })?;
        let journal_path = data.join("journal");
        let (journal, desired) = FileJournal::open(&journal_path).map_err(|error| opened("open the journal", &journal_path, &error))?;
        let packages = data.join("packages/sha256");
        let store = Store::open(packages.clone(), self.bounds.clone()).map_err(|error| opened("open the packages", &packages, &error))?;
        let store = Arc::new(store);
        let gateway = Gateway::new(self.gateway);
        if let Some(own) = self.own {
            gateway.answer_others_by(own);
        }
        let exporter = self.otlp.as_deref().map(|endpoint| Exporter::start(endpoint, &self.identity)).transpose()?;
        if let Some(exporter) = &exporter {
            gateway.observe(Arc::clone(exporter) as Arc<dyn Observer>);
        }
        let metrics = Arc::new(Metrics::new(&gateway, exporter.as_deref()));
        let mut base = Base::builder(now).settings(self.container).journal(Arc::new(journal)).listener(Unused(Arc::clone(&store)));
        base = base.listener(Verdicts(Arc::clone(&metrics)));
        for make in self.runtimes {
            base = base.runtime(make(data)?);
        }
        let base = base.build(
            Arc::new(Fetcher::new(Arc::clone(&store), self.bounds, self.keys, self.pack)),
            Arc::clone(&gateway) as Arc<dyn ark::Traffic<Endpoint>>,
        );
        Ok(Arc::new(Agent {
            base,
            gateway,
            store,
            tidying: CancellationToken::new().drop_guard(),
            metrics,
            exporter,
            identity: self.identity,
            operations: Operations::default(),
            remembered: std::sync::Mutex::new(Some(desired)),
            ready: watch::Sender::new(false),
            started: Instant::now(),
            started_at: now(),
            gateway_address: OnceLock::new(),
            _lock: lock,
        }))
    }
}

/// The agent of one base.
pub struct Agent {
    /// The container.
    pub base: Base<Endpoint>,
    /// The data path.
    pub gateway: Arc<Gateway>,
    /// The packages.
    pub store: Arc<Store>,
    /// Packages are tidied as long as the agent lives.
    tidying: DropGuard,
    pub(crate) metrics: Arc<Metrics>,
    exporter: Option<Arc<Exporter>>,
    pub(crate) identity: Identity,
    pub(crate) operations: Operations,
    remembered: std::sync::Mutex<Option<Desired>>,
    ready: watch::Sender<bool>,
    started: Instant,
    started_at: u64,
    gateway_address: OnceLock<SocketAddr>,
    /// Held as long as the agent lives.
    _lock: File,
}

impl Agent {
    /// Begins an agent that keeps what it knows in `data_dir`.
    #[must_use]
    pub fn builder(data_dir: PathBuf) -> Builder {
        Builder {
            data_dir,
            identity: Identity::default(),
            container: ark::Settings::default(),
            gateway: gateway::Settings::default(),
            runtimes: Vec::new(),
            bounds: Bounds::default(),
            keys: Keys::default(),
            otlp: None,
            own: None,
            pack: None,
        }
    }

    /// Brings up what the journal says and what `files` say; the agent is ready after that. What did not come up is returned,
    /// and stays visible as broken where its package could be read.
    pub async fn bring_up(&self, files: Vec<InstallOrder>) -> Vec<NotUp> {
        let desired = self.remembered.lock().ok().and_then(|mut remembered| remembered.take()).unwrap_or_default();
        let not_up = self.base.bring_up(desired, files).await;
        self.keep_tidy();
        self.ready.send_replace(true);
        not_up
    }

    /// Whether it has brought up all it was to bring up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Tells when that changes.
    pub(crate) fn readiness(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// When it was started, in milliseconds since the Unix epoch.
    pub(crate) fn started_at(&self) -> u64 {
        self.started_at
    }

    /// Says that it is about to end: it is not ready any more.
    pub fn leave(&self) {
        self.ready.send_replace(false);
    }

    /// Says where modules answer.
    pub fn set_gateway_address(&self, address: SocketAddr) {
        // Only the first counts: a base has one gateway.
        let _ = self.gateway_address.set(address);
    }

    /// Takes the modules out of traffic and stops them. They come back at the next start.
    pub async fn shut_down(&self) {
        self.leave();
        self.base.shut_down().await;
    }

    /// Removes packages that no module uses any more, with what was made of them: now, whenever one may have lost its last user, and when
    /// its time is over.
    fn keep_tidy(&self) {
        let (base, store) = (self.base.clone(), Arc::clone(&self.store));
        tokio::spawn(self.tidying.token().clone().run_until_cancelled_owned(async move {
            loop {
                let uses = base.modules().into_iter().map(|module| module.sha256).collect();
                let (tidied, made) = (Arc::clone(&store), base.clone());
                let tidied = tokio::task::spawn_blocking(move || {
                    let again = tidied.tidy(&uses);
                    made.tidy(&|sha256| uses.contains(sha256) || tidied.has(sha256));
                    again
                });
                let again = tidied.await.ok().flatten();
                tokio::select! {
                    () = store.untidy.notified() => {}
                    () = tokio::time::sleep(again.unwrap_or(AT_THE_LATEST).min(AT_THE_LATEST)) => {}
                }
                // Of many that come or go together, the last is waited for.
                tokio::time::sleep(AT_THE_SOONEST).await;
            }
        }));
    }

    /// Begins to tell of an operation, where somebody wants to know.
    pub(crate) fn operation(&self, name: &'static str, headers: Option<&HeaderMap>) -> Operation {
        let parent = || headers.map_or_else(|| Parent::of(&HeaderMap::new()), Parent::of);
        Operation::begin(self.exporter.as_ref(), self.exporter.as_ref().and_then(|_| parent()), name)
    }

    pub(crate) fn modules(&self) -> Vec<ModuleView> {
        self.base.modules().into_iter().map(|module| self.with_traffic(module)).collect()
    }

    pub(crate) async fn inspect(&self, id: &ModuleId) -> Result<ModuleView, Failure> {
        self.base.inspect(id).await.map(|module| self.with_traffic(module))
    }

    pub(crate) fn with_traffic(&self, mut module: ModuleView) -> ModuleView {
        if let Some(traffic) = self.gateway.traffic(&module.id) {
            module.traffic = ark_model::api::TrafficView { peak_memory_bytes: module.traffic.peak_memory_bytes, ..traffic };
        }
        module
    }

    pub(crate) fn view(&self) -> BaseView {
        BaseView {
            identity: self.identity.identity.clone(),
            name: self.identity.name.clone(),
            version: self.identity.version.clone(),
            cluster: self.identity.cluster.clone(),
            ready: self.is_ready(),
            gateway: self.gateway_address.get().map_or_else(String::new, |address| format!("http://{address}")),
            kinds: self.base.kinds().into_iter().map(str::to_owned).collect(),
            arklet_version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            resident_bytes: system::resident_bytes(),
        }
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Milliseconds since the Unix epoch, as logs and histories have them.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
