//! JVM modules for the container: packages, layers, start.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use ark::{ModuleSpec, Package as Stored, Prepared, Runtime, Started};
use ark_jvm::{
    Extracted, Kind, LibrarySet, Limits, Package,
    share::{LayerKey, Layers, Lease, Released, Share},
};
use ark_model::{Failure, LimitOverrides, Manifest, Reason};
use futures_util::future::BoxFuture;
use gateway::Endpoint;

use crate::{
    jni::{Global, long, object},
    modules,
    served::{Served, Vital},
    shelf::{self, Handle},
    vm,
};

/// How long a layer stays after its last module: the next version of that module comes soon, or not at all.
const KEEP: Duration = Duration::from_secs(60);
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
    share: Share,
    layers: Mutex<Shelf>,
}

struct Shelf {
    decided: Layers,
    made: HashMap<LayerKey, Arc<Layer>>,
    /// The identity of the libraries of a package, by the package's digest: reading them all takes a while.
    sets: HashMap<Arc<str>, LibrarySet>,
}

/// A layer of libraries. Its loader is made with the first module that starts on it.
pub(crate) struct Layer {
    path: Handle,
    loader: OnceLock<Global>,
}

impl Layer {
    /// Its loader, once there is one.
    pub(crate) fn loader(&self) -> Option<jni_sys::jobject> {
        self.loader.get().map(Global::get)
    }
}

/// A module's right to a layer, given back when it goes.
pub(crate) struct Leased {
    pub(crate) layer: Arc<Layer>,
    lease: Option<Lease>,
    shared: Arc<Shared>,
}

impl Drop for Leased {
    fn drop(&mut self) {
        let mut shelf = self.shared.shelf();
        if let Some(lease) = self.lease.take() {
            let key = lease.key().clone();
            if shelf.decided.release(lease, Instant::now()) == Released::Drop {
                shelf.made.remove(&key);
            }
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

    /// The layer of a package's libraries for a module; none where it has no libraries.
    fn lease(self: &Arc<Self>, spec: &ModuleSpec, package: &Package) -> Result<Option<Leased>, Failure> {
        if package.libraries().jars().is_empty() {
            return Ok(None);
        }
        let known = self.shelf().sets.get(&spec.package.sha256).copied();
        let set = known.unwrap_or_else(|| package.libraries().set());
        let mut shelf = self.shelf();
        shelf.sets.insert(Arc::clone(&spec.package.sha256), set);
        let lease = shelf.decided.acquire(self.share, spec.id.name(), &spec.id.to_string(), set).lease;
        let layer = match shelf.made.get(lease.key()) {
            Some(layer) => Arc::clone(layer),
            None => match package.libraries().class_path() {
                Ok(path) => {
                    let layer = Arc::new(Layer { path: shelf::put(path, self.extracted.clone()), loader: OnceLock::new() });
                    shelf.made.insert(lease.key().clone(), Arc::clone(&layer));
                    layer
                }
                Err(error) => {
                    let _ = shelf.decided.release(lease, Instant::now());
                    return Err(Failure::new(Reason::PackageInvalid, error.to_string()));
                }
            },
        };
        Ok(Some(Leased { layer, lease: Some(lease), shared: Arc::clone(self) }))
    }
}

impl Jvm {
    /// Keeps what it has to write out in `folder`.
    pub(crate) fn new(folder: PathBuf, share: Share) -> Result<Self, Failure> {
        let extracted = Extracted::open(&folder).map_err(|error| Failure::new(Reason::Internal, error.to_string()))?;
        let shelf = Shelf { decided: Layers::new(KEEP), made: HashMap::new(), sets: HashMap::new() };
        Ok(Self { shared: Arc::new(Shared { extracted, share, layers: Mutex::new(shelf) }) })
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

    fn parse<'a>(&'a self, package: &'a Stored) -> BoxFuture<'a, Result<Manifest, Failure>> {
        Box::pin(async move {
            let opened = open(package).await?;
            let layout = opened.layout();
            let (context_path, priority) = match &layout.kind {
                Kind::ArkBiz(biz) => (Some(biz.context_path.clone()), Some(biz.priority)),
                Kind::Boot { .. } | Kind::Plain => (None, None),
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

    fn prepare<'a>(&'a self, spec: &'a ModuleSpec) -> BoxFuture<'a, Result<Box<dyn Prepared<Endpoint>>, Failure>> {
        Box::pin(async move {
            let package = open(&spec.package).await?;
            let (shared, spec) = (Arc::clone(&self.shared), Arc::new(spec.clone()));
            let ready = tokio::task::spawn_blocking(move || {
                shared.expire();
                let leased = shared.lease(&spec, &package)?;
                let own = shelf::put(package.own().clone(), shared.extracted.clone());
                Ok(Ready { main: package.layout().start_class.clone(), own, leased, spec })
            });
            let ready: Result<Ready, Failure> =
                ready.await.map_err(|error| Failure::new(Reason::Internal, format!("preparing a package broke off: {error}")))?;
            Ok(Box::new(ready?) as Box<dyn Prepared<Endpoint>>)
        })
    }
}

/// A module whose class paths are there.
struct Ready {
    spec: Arc<ModuleSpec>,
    main: String,
    own: Handle,
    leased: Option<Leased>,
}

impl Ready {
    /// What the base decides for the module, before its own configuration is looked at.
    fn settings(&self, context_path: &str) -> Vec<String> {
        let servlet_path = if context_path == "/" { "" } else { context_path };
        let ours = [
            ("server.port", "0"),
            ("server.address", "127.0.0.1"),
            ("server.servlet.context-path", servlet_path),
            ("spring.webflux.base-path", servlet_path),
            ("server.shutdown", "graceful"),
            ("spring.main.banner-mode", "off"),
            ("spring.jmx.default-domain", self.spec.id.name()),
        ];
        let given = self.spec.grants.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        ours.into_iter().chain(given).flat_map(|(key, value)| [key.to_owned(), value.to_owned()]).collect()
    }
}

impl Prepared<Endpoint> for Ready {
    fn start(self: Box<Self>) -> BoxFuture<'static, Result<Started<Endpoint>, Failure>> {
        Box::pin(async move {
            let settings = self.settings(&self.spec.context_path);
            let environment: Vec<String> = self.spec.grants.env.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect();
            let Self { spec, main, own, leased } = *self;
            let (number, ears) = modules::listen(&spec.log);
            let (id, name, path, arguments) = (number.get(), spec.id.to_string(), own.get(), spec.args.clone());
            let layer = leased.as_ref().map(|leased| Arc::clone(&leased.layer));
            let failed = |problem: String| Failure::new(Reason::StartFailed, format!("{} did not start: {problem}", spec.id));
            let began = vm::run(move |env| {
                let names = &vm::get().map_err(|ended| ended.to_string())?.names;
                let start = || {
                    let layer = match &layer {
                        None => std::ptr::null_mut(),
                        Some(layer) => match layer.loader.get() {
                            Some(loader) => loader.get(),
                            None => {
                                let label = env.string(&format!("libraries of {name}"))?;
                                let made = env.call_static(names.module(), names.layer(), &[object(label), long(layer.path.get())])?;
                                layer.loader.get_or_init(|| env.global(made)).get()
                            }
                        },
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
                    ];
                    let module = env.call_static(names.module(), names.start(), &arguments)?;
                    let loader = env.get(module, names.loader());
                    Ok((env.global(module), env.weak(loader)))
                };
                start().map_err(|thrown: crate::jni::Thrown| thrown.to_string())
            });
            let (module, loader) = began.await.map_err(ending)?.map_err(&failed)?;
            // From here on giving up means ending the module.
            let vital = Vital { spec: Arc::clone(&spec), number, module, loader, own, leased, over: ears.over };
            let mut abandoned = Abandoned(Some(vital));
            let port = match ears.up.await {
                Ok(Ok(port)) => port,
                Ok(Err(problem)) => return Err(failed(format!("{problem}; its log says more"))),
                Err(_) => return Err(failed("the JVM is ending".to_owned())),
            };
            let Some(vital) = abandoned.0.take() else { return Err(failed("it was given up".to_owned())) };
            Ok(Started { running: Box::new(Served::new(vital, port)), refined: None })
        })
    }
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
