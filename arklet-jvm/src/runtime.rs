//! JVM modules for the container: packages, layers, start.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ark::{ModuleSpec, Package as Stored, Prepared, Runtime, Sign, Started};
use ark_jvm::{
    Apart, Extracted, Kind, LibrarySet, Limits, Package,
    ahead::{RecordKey, Records},
    declared::Imports,
    options::{Options, Web},
    settings,
    share::{LayerKey, Layers, Lease, Released, Scope},
    why::suspect,
};
use ark_model::{
    Failure, LimitOverrides, Manifest, ModuleId, Reason,
    api::{Holders, SearchCost},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared as Common},
};
use gateway::Endpoint;

use crate::{
    ahead::Record,
    base::{self, Base},
    budget::{self, Taken},
    inspect::Look,
    jni::{Env, Global, Thrown, boolean, long, object},
    modules::{self, Up},
    served::{self, Served, Vital},
    shelf::{self, Handle, Ties},
    vm,
};

/// From the begin of start to the end of probe, unless the order says otherwise: an application that scans and weaves takes its time.
const START_DEADLINE_MS: u64 = 120_000;
/// Jars begin so, if nothing stands in front of them.
const ZIP: &[u8] = b"PK\x03\x04";
/// A script in front of an executable jar.
const SCRIPT: &[u8] = b"#!";

/// The runtime of JVM modules.
pub(crate) struct Jvm {
    shared: Arc<Shared>,
}

/// What all modules have in common.
pub(crate) struct Shared {
    extracted: Extracted,
    /// What layers had loaded when they were here last; none where nothing is to be loaded ahead of use.
    records: Option<Records>,
    taken: Taken,
    options: Options,
    layers: Mutex<Shelf>,
}

struct Shelf {
    decided: Layers,
    made: HashMap<LayerKey, Arc<Layer>>,
    /// The identity of the libraries of a package, by the package's digest: reading them all takes a while.
    sets: HashMap<Arc<str>, LibrarySet>,
    /// Which of its jars a package has in common with the base's servlet container, likewise.
    containers: HashMap<Arc<str>, Result<Vec<String>, Apart>>,
}

/// A layer of libraries. Its loader is made when a module starts on it first, or before, where that was asked for.
pub(crate) struct Layer {
    /// What it is called, here and as a loader.
    pub(crate) name: Arc<str>,
    /// What its libraries are known by, whoever shares them.
    content: Arc<str>,
    pub(crate) path: Handle,
    loader: Mutex<Option<Global>>,
    /// The end of its being loaded ahead of use, once that has begun.
    loading: OnceLock<Common<BoxFuture<'static, ()>>>,
    /// Whether a module has come up on it.
    used: AtomicBool,
}

impl Layer {
    fn held(&self) -> std::sync::MutexGuard<'_, Option<Global>> {
        self.loader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its loader, once there is one. It lives as long as this, unless it was let go.
    pub(crate) fn loader(&self) -> Option<jni_sys::jobject> {
        self.held().as_ref().map(Global::get)
    }

    /// Its loader, which is made where it is missing.
    fn make(&self, env: Env) -> Result<jni_sys::jobject, Thrown> {
        let names = &vm::get().map_err(|ended| Thrown(ended.to_string()))?.names;
        let mut held = self.held();
        if let Some(loader) = held.as_ref() {
            return Ok(loader.get());
        }
        let label = env.string(&self.name)?;
        let made = env.call_static(names.module.get(), names.layer, &[object(label), long(self.path.get())])?;
        Ok(held.insert(env.global(made)).get())
    }

    /// Begins to load what it is going to be asked for, unless that has begun already; ends when it is done. It goes on when this is dropped.
    fn load(self: &Arc<Self>, record: &Arc<Record>, alone: bool) -> Common<BoxFuture<'static, ()>> {
        let begin = || {
            let loading = tokio::spawn(Arc::clone(record).load(Arc::clone(self), alone));
            loading.map(drop).boxed().shared()
        };
        self.loading.get_or_init(begin).clone()
    }

    /// Whether most of what it will have loaded is.
    fn is_loaded(&self) -> bool {
        self.used.load(Ordering::Acquire) || self.loading.get().is_some_and(|loading| loading.peek().is_some())
    }

    /// Holds its loader no longer. What is on it may load classes from it all the same.
    pub(crate) fn let_go(&self) {
        drop(self.held().take());
    }
}

/// What its classes left in the process is taken back, so that its loader can be collected.
impl Drop for Layer {
    fn drop(&mut self) {
        let Some(loader) = self.held().take() else { return };
        let name = Arc::clone(&self.name);
        vm::post(move |env| {
            let Ok(vm) = vm::get() else { return };
            match env.call_static(vm.names.module.get(), vm.names.drop_layer, &[object(loader.get())]) {
                Ok(told) => served::told_of_sweep(&name, &env.text(told)),
                Err(thrown) => tracing::warn!(%name, %thrown, "sweeping up after a layer of libraries broke off"),
            }
        });
    }
}

/// A module's right to a layer, given back when it goes.
pub(crate) struct Leased {
    pub(crate) layer: Arc<Layer>,
    lease: Option<Lease>,
    /// What it had loaded when it was here last.
    record: Option<Arc<Record>>,
    shared: Arc<Shared>,
}

impl Leased {
    /// Who uses its layer, whenever that is asked.
    pub(crate) fn users(&self) -> impl Fn() -> Vec<String> + Send + Sync + 'static {
        let (shared, key) = (Arc::clone(&self.shared), self.lease.as_ref().map(|lease| lease.key().clone()));
        move || {
            let shelf = shared.shelf();
            let users = shelf.decided.all().find(|(known, _)| Some(*known) == key.as_ref()).map(|(_, users)| users);
            users.unwrap_or_default().into_iter().map(str::to_owned).collect()
        }
    }

    /// Whether the layer stays for a while when no module is on it.
    fn is_kept(&self) -> bool {
        !self.is_alone() && self.shared.shelf().decided.keeps()
    }

    /// Whether no other module has or will have the layer.
    pub(crate) fn is_alone(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| matches!(lease.key().scope, Scope::Install(_)))
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let key = lease.key().clone();
        let mut shelf = self.shared.shelf();
        match shelf.decided.release(lease, Instant::now()) {
            Released::Drop => {
                shelf.made.remove(&key);
            }
            Released::KeptUntil(until) => {
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    let shared = Arc::clone(&self.shared);
                    runtime.spawn(async move {
                        tokio::time::sleep_until(until.into()).await;
                        shared.expire();
                    });
                }
            }
            Released::InUse(_) => {}
        }
    }
}

impl Shared {
    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of layers that nobody has used for a while.
    pub(crate) fn expire(&self) {
        let mut shelf = self.shelf();
        for key in shelf.decided.expire(Instant::now()) {
            shelf.made.remove(&key);
        }
    }

    /// The layer of a package's libraries for a module, tied to the base by `ties`; none where it has no libraries.
    fn lease(self: &Arc<Self>, spec: &ModuleSpec, options: Options, package: &Package, ties: &Ties) -> Result<Option<Leased>, Failure> {
        if package.libraries().jars().is_empty() {
            return Ok(None);
        }
        let known = self.shelf().sets.get(&spec.package.sha256).copied();
        let set = known.unwrap_or_else(|| package.libraries().set());
        let mut shelf = self.shelf();
        shelf.sets.insert(Arc::clone(&spec.package.sha256), set);
        let lease = shelf.decided.acquire(options.share, spec.id.name(), &spec.id.to_string(), set.tied(&ties.text())).lease;
        let layer = match shelf.made.get(lease.key()) {
            Some(layer) => Arc::clone(layer),
            None => match package.libraries().class_path() {
                Ok(path) => {
                    let name: Arc<str> = lease.key().to_string().into();
                    let path = shelf::put(Arc::clone(&name), path, self.extracted.clone(), ties.clone());
                    let layer = Arc::new(Layer {
                        name,
                        content: lease.key().set.to_string().into(),
                        path,
                        loader: Mutex::default(),
                        loading: OnceLock::new(),
                        used: AtomicBool::new(false),
                    });
                    shelf.made.insert(lease.key().clone(), Arc::clone(&layer));
                    layer
                }
                Err(error) => {
                    let _ = shelf.decided.release(lease, Instant::now());
                    return Err(Failure::new(Reason::PackageInvalid, error.to_string()));
                }
            },
        };
        let key = RecordKey::of(set, spec.id.name());
        let record = self.records.clone().map(|records| Arc::new(Record { records, key }));
        Ok(Some(Leased { layer, lease: Some(lease), record, shared: Arc::clone(self) }))
    }

    fn container(&self, spec: &ModuleSpec, package: &Package, base: &Base, imports: bool) -> Result<Vec<String>, Apart> {
        let known = self.shelf().containers.get(&spec.package.sha256).cloned();
        known.unwrap_or_else(|| {
            let compared = base.jars.container(package.libraries().jars(), imports);
            self.shelf().containers.insert(Arc::clone(&spec.package.sha256), compared.clone());
            compared
        })
    }

    /// Whose web server answers for a module, and what it has from the base.
    async fn ties(&self, spec: &ModuleSpec, options: Options, package: &Package) -> Result<(Server, Ties), Failure> {
        let rules = match &package.layout().kind {
            Kind::ArkBiz(biz) => Some(Imports::of(biz)),
            Kind::Boot { .. } | Kind::Plain => None,
        };
        let own = || Server::own("it has one of its own, for web=own".to_owned());
        if rules.is_none() && options.web == Web::Own {
            return Ok((own(), Ties::default()));
        }
        let base = base::get(&self.extracted).await?;
        let imports = rules.is_some();
        let mut ties = Ties { container: Vec::new(), imports: rules.map(|rules| (base, rules)) };
        let apart = match options.web {
            Web::Own => return Ok((own(), ties)),
            Web::Join | Web::Auto => match self.container(spec, package, base, imports) {
                Err(apart) => apart.to_string(),
                Ok(container) => match base::web_server().await {
                    Err(apart) => apart,
                    Ok(()) => {
                        ties.container = container;
                        return Ok((Server { joins: true, has_to_join: options.web == Web::Join, why: String::new() }, ties));
                    }
                },
            },
        };
        if options.web == Web::Join {
            let text = format!("{} cannot join the base's web server: {apart}; with web=auto or web=own it has one of its own", spec.id);
            return Err(Failure::new(Reason::ImportUnknown, text));
        }
        Ok((Server::own(format!("it has one of its own: {apart}")), ties))
    }
}

impl Jvm {
    /// Keeps what it has to write out in folders of `data`.
    pub(crate) fn new(data: &Path, options: Options, keep: Duration, ahead: bool) -> Result<Self, Failure> {
        let extracted = Extracted::open(&data.join("jars")).map_err(|error| Failure::new(Reason::Internal, error.to_string()))?;
        let records = ahead.then(|| Records::new(data.join("loaded")));
        let shelf = Shelf { decided: Layers::new(keep), made: HashMap::new(), sets: HashMap::new(), containers: HashMap::new() };
        Ok(Self { shared: Arc::new(Shared { extracted, records, taken: Taken::default(), options, layers: Mutex::new(shelf) }) })
    }
}

async fn open(package: &Stored) -> Result<Package, Failure> {
    let path = Arc::clone(&package.path);
    let feature = vm::get().map_err(ending)?.feature;
    let opened = tokio::task::spawn_blocking(move || Package::open(&path, &Limits::default(), feature)).await;
    let opened = opened.map_err(|error| Failure::new(Reason::Internal, format!("reading a package broke off: {error}")))?;
    opened.map_err(|error| Failure::new(Reason::PackageInvalid, error.to_string()))
}

pub(crate) fn ending(ended: vm::Ended) -> Failure {
    Failure::new(Reason::Internal, ended.to_string())
}

impl Runtime<Endpoint> for Jvm {
    fn kind(&self) -> &'static str {
        "jvm"
    }

    fn recognises(&self, package: &Stored) -> bool {
        package.head.starts_with(ZIP) || package.head.starts_with(SCRIPT)
    }

    /// `Implementation-Title` is free text: what a developer called the project, with spaces at times.
    fn packages_name_modules(&self) -> bool {
        false
    }

    fn parse<'a>(&'a self, package: &'a Stored) -> BoxFuture<'a, Result<Manifest, Failure>> {
        Box::pin(async move {
            let opened = open(package).await?;
            let layout = opened.layout();
            let (context_path, priority) = match &layout.kind {
                Kind::ArkBiz(biz) => (Some(biz.context_path.clone()), Some(biz.priority)),
                Kind::Boot { .. } | Kind::Plain => (settings::context_path(opened.own()), None),
            };
            let limits = LimitOverrides { start_deadline_ms: Some(START_DEADLINE_MS), ..LimitOverrides::default() };
            Ok(Manifest {
                name: layout.name.clone(),
                version: layout.version.clone(),
                context_path,
                priority,
                limits,
                ..Manifest::default()
            })
        })
    }

    fn signs(&self) -> BoxFuture<'_, Vec<(String, Sign)>> {
        Box::pin(budget::signs())
    }

    fn prepare<'a>(&'a self, spec: &'a ModuleSpec) -> BoxFuture<'a, Result<Box<dyn Prepared<Endpoint>>, Failure>> {
        Box::pin(async move {
            let package = open(&spec.package).await?;
            let (shared, spec) = (Arc::clone(&self.shared), Arc::new(spec.clone()));
            let options = self.shared.options.with(&spec.options);
            let options = options.map_err(|error| Failure::new(Reason::InvalidRequest, format!("{}: {error}", spec.id)))?;
            let (server, ties) = self.shared.ties(&spec, options, &package).await?;
            let ready = tokio::task::spawn_blocking(move || {
                shared.expire();
                let leased = shared.lease(&spec, options, &package, &ties)?;
                let (importing, logs) = (ties.imports.is_some(), package.has_logging());
                // What is behind all of the module's own is the base.
                let ties = if leased.is_some() { Ties::default() } else { ties };
                let own = shelf::put(spec.id.to_string().into(), package.own().clone(), shared.extracted.clone(), ties);
                let main = package.layout().start_class.clone();
                Ok(Ready { main, own, leased, spec, server, importing, logs, taken: shared.taken.clone() })
            });
            let ready: Result<Ready, Failure> =
                ready.await.map_err(|error| Failure::new(Reason::Internal, format!("preparing a package broke off: {error}")))?;
            let ready = ready?;
            // Libraries that are loaded already take nothing more.
            let anew = ready.leased.as_ref().filter(|leased| !leased.layer.is_loaded()).map(|leased| &*leased.layer.content);
            let parts: Vec<&str> = std::iter::once(&*ready.spec.package.sha256).chain(anew).collect();
            self.shared.taken.admit(&ready.spec.id, &parts).await?;
            Ok(Box::new(ready) as Box<dyn Prepared<Endpoint>>)
        })
    }

    fn cost_of_holders(&self, id: &ModuleId) -> Option<BoxFuture<'static, Result<SearchCost, Failure>>> {
        served::cost_of_holders(id)
    }

    fn holders(&self, id: &ModuleId, at_most_objects: u64) -> Option<BoxFuture<'static, Result<Holders, Failure>>> {
        served::holders(id, at_most_objects)
    }
}

/// Whose web server is to answer for a module.
struct Server {
    /// Whether it is the base's, where the application lets it.
    joins: bool,
    /// Whether the module is not to be there otherwise.
    has_to_join: bool,
    /// Why it is the module's own.
    why: String,
}

impl Server {
    fn own(why: String) -> Self {
        Self { joins: false, has_to_join: false, why }
    }

    /// Whose it has become, for people.
    fn told(&self, up: &Up) -> String {
        match (up.port, &up.key, &up.apart) {
            (0, ..) => "none: the module has no web server".to_owned(),
            (port, Some(_), _) => format!("the base's Tomcat on port {port}, which it has joined"),
            (port, None, Some(apart)) => format!("port {port} of this machine: it has one of its own: {apart}"),
            (port, None, None) => format!("port {port} of this machine: {}", self.why),
        }
    }
}

/// A module whose class paths are there.
struct Ready {
    spec: Arc<ModuleSpec>,
    main: String,
    own: Handle,
    leased: Option<Leased>,
    server: Server,
    /// Whether some of its classes are the base's.
    importing: bool,
    /// Whether it brings what it logs with.
    logs: bool,
    taken: Taken,
}

impl Ready {
    /// What the base decides for the module, before its own configuration is looked at.
    fn settings(&self, context_path: &str) -> Vec<String> {
        let servlet_path = if context_path == "/" { "" } else { context_path };
        // Two versions of one name are there at once while traffic moves.
        let domain = format!("{}-{}", self.spec.id.name(), self.spec.id.version());
        let unless_given = [
            ("spring.jmx.default-domain", domain.as_str()),
            // Those too that are named in the code.
            ("spring.jmx.unique-names", "true"),
            // Its own files alone: those beside the process are the base's.
            ("spring.config.location", "optional:classpath:/,optional:classpath:/config/"),
            // A thread that initialises what is loaded here already: with it nothing starts sooner.
            ("spring.backgroundpreinitializer.ignore", "true"),
            // As it is anyway from Log4j 2.24 on.
            ("log4j2.disableJmx", "true"),
        ];
        // These outrank arguments, which may say otherwise.
        let argued =
            |key: &str| self.spec.args.iter().any(|argument| argument.strip_prefix("--").is_some_and(|rest| rest.starts_with(key)));
        // Logging that is the base's is set up, and not a module's to set up anew.
        let logging = (self.importing && !self.logs).then_some(("org.springframework.boot.logging.LoggingSystem", "none"));
        // Where it is there on the base's server only, there is none to shut down.
        let shutdown = (!self.server.has_to_join).then_some(("server.shutdown", "graceful"));
        let unless_given = unless_given.into_iter().chain(logging).chain(shutdown).filter(|(key, _)| !argued(key));
        let given = self.spec.grants.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        // Where it listens and answers is the base's to say: the last of a key counts.
        let always = [
            ("server.port", "0"),
            ("server.address", "127.0.0.1"),
            ("server.servlet.context-path", servlet_path),
            ("spring.webflux.base-path", servlet_path),
        ];
        unless_given.chain(given).chain(always).flat_map(|(key, value)| [key.to_owned(), value.to_owned()]).collect()
    }
}

impl Prepared<Endpoint> for Ready {
    fn start(self: Box<Self>) -> BoxFuture<'static, Result<Started<Endpoint>, Failure>> {
        Box::pin(async move {
            let settings = self.settings(&self.spec.context_path);
            let environment: Vec<String> = self.spec.grants.env.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect();
            let Self { spec, main, own, leased, server, importing, logs: _, taken } = *self;
            let (joins, has_to_join) = (server.joins, server.has_to_join);
            let (number, ears) = modules::listen(&spec.log);
            let (id, name, path, arguments) = (number.get(), spec.id.to_string(), own.get(), spec.args.clone());
            let layer = leased.as_ref().map(|leased| Arc::clone(&leased.layer));
            let record = leased.as_ref().and_then(|leased| leased.record.clone());
            let on = layer.clone();
            let failed = |problem: String| Failure::new(Reason::StartFailed, format!("{} did not start: {problem}", spec.id));
            let began = vm::run(move |env| {
                let names = &vm::get().map_err(|ended| ended.to_string())?.names;
                let start = || {
                    let layer = match &layer {
                        None => std::ptr::null_mut(),
                        Some(layer) => layer.make(env)?,
                    };
                    let arguments = [
                        long(id),
                        object(env.string(&name)?),
                        long(path),
                        object(layer),
                        object(env.string(&main)?),
                        object(env.strings(&arguments)?),
                        object(env.strings(&settings)?),
                        object(env.strings(&environment)?),
                        boolean(joins),
                        boolean(has_to_join),
                        boolean(importing),
                    ];
                    let module = env.call_static(names.module.get(), names.start, &arguments)?;
                    let loader = env.get(module, names.loader);
                    Ok((Arc::new(env.global(module)), env.weak(loader)))
                };
                start().map_err(|thrown: Thrown| thrown.to_string())
            });
            let (module, loader) = began.await.map_err(ending)?.map_err(&failed)?;
            if let (Some(layer), Some(record)) = (&on, &record) {
                // Nobody waits for it.
                drop(layer.load(record, false));
            }
            let mut look = Look::new(&spec.id, &module, own.get(), leased.as_ref());
            // From here on giving up means ending the module.
            let vital = Vital {
                spec: Arc::clone(&spec),
                number,
                module,
                loader,
                own,
                leased,
                taken: taken.clone(),
                weighing: None,
                over: ears.over,
            };
            let mut abandoned = Abandoned(Some(vital));
            let up = match ears.up.await {
                Ok(Ok(up)) => up,
                Ok(Err(problem)) => return Err(failed(format!("{problem}{}; its log says more", diagnosis(&problem, look).await))),
                Err(_) => return Err(failed("the JVM is ending".to_owned())),
            };
            if let Some(layer) = &on
                && !layer.used.swap(true, Ordering::AcqRel)
                && let Some(record) = record
            {
                record.learn(Arc::clone(layer));
            }
            let of_layer = on.map(|layer| (layer.content.to_string(), layer.name.to_string()));
            taken.learn(of_layer.into_iter().chain([(spec.package.sha256.to_string(), spec.id.to_string())]).collect());
            let Some(vital) = abandoned.0.take() else { return Err(failed("it was given up".to_owned())) };
            look.web = server.told(&up);
            // Most of what was read of the jars to start it is not looked at again.
            vital.paths().for_each(|shelved| shelved.path.rest());
            base::rest();
            served::give_back_soon();
            Ok(Started { running: Box::new(Served::new(vital, look, &up)), refined: None })
        })
    }

    /// Its libraries are loaded then, for as long as a layer is kept that no module is on.
    fn keep(self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            let Some((leased, record)) =
                self.leased.filter(Leased::is_kept).and_then(|leased| leased.record.clone().map(|record| (leased, record)))
            else {
                return Ok(());
            };
            let layer = Arc::clone(&leased.layer);
            let made = vm::run(move |env| layer.make(env).map(drop)).await.map_err(ending)?;
            made.map_err(|thrown| Failure::new(Reason::Internal, format!("making {}: {thrown}", leased.layer.name)))?;
            leased.layer.load(&record, true).await;
            if let Some(shelved) = shelf::get(leased.layer.path.get()) {
                shelved.path.rest();
            }
            served::give_back_soon();
            Ok(())
        })
    }
}

/// Where the class comes from, or does not, that a failure of linking is about.
async fn diagnosis(problem: &str, look: Look) -> String {
    let Some(class) = suspect(problem) else { return String::new() };
    look.why(class).await.map(|origin| format!(" ({})", origin.text.replace("\n ", ";"))).unwrap_or_default()
}

/// A module whose start somebody gave up, or that did not come up: it is ended behind their back.
struct Abandoned(Option<Vital>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(vital) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(vital.end());
        }
    }
}
