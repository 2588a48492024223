//! One compiler with its engine, its linker and its cache: component in, linked code out.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use ark_model::{Failure, ModuleId, Reason};
use tokio::sync::Semaphore;
use wasmtime::{
    Engine,
    component::{Component, Linker},
};
use wasmtime_wasi_http::{handler::ProxyPre, p2, p3};

use crate::{
    cache::{self, Cache},
    engine::{self, Build},
    host::Host,
    link, memory,
    settings::Settings,
};

/// Adds a base's own capabilities to what modules may import.
pub(crate) type Extension = Arc<dyn Fn(&mut Linker<Host>) -> wasmtime::Result<()> + Send + Sync>;

/// A component that is compiled and linked.
pub(crate) struct Code {
    pub(crate) pre: ProxyPre<Host>,
    pub(crate) engine: Engine,
    pub(crate) build: Build,
    /// The size of its machine code and data, in bytes.
    pub(crate) bytes: u64,
    component: Arc<Component>,
}

impl Code {
    /// Takes no memory for the code itself until somebody runs it.
    pub(crate) fn rest(&self) {
        if !self.is_shared() {
            cache::rest(&self.component);
        }
    }

    /// Whether another module runs the same code.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.component) > 1
    }
}

pub(crate) struct Compiler {
    build: Build,
    engine: Engine,
    linker: Linker<Host>,
    cache: Cache,
    /// What is mapped now, by the digest of its component: modules of the same content share it.
    mapped: Mutex<HashMap<String, Weak<Component>>>,
    /// Threads that rank below those that serve.
    threads: rayon::ThreadPool,
    /// One compile at a time: each uses all the threads, and the memory of several would add up.
    turn: Semaphore,
    /// How many compiles are under way or wait for their turn.
    ordered: AtomicUsize,
}

impl Compiler {
    pub(crate) fn new(settings: &Settings, build: Build, extensions: &[Extension]) -> Result<Self, Failure> {
        let engine = engine::engine(settings, build).map_err(|error| unusable(build, &format!("{error:#}")))?;
        let mut linker = link::linker(&engine).map_err(|error| unusable(build, &format!("{error:#}")))?;
        for extension in extensions {
            extension(&mut linker).map_err(|error| unusable(build, &format!("a capability of the base cannot be linked: {error:#}")))?;
        }
        let nice = match build {
            Build::Baseline => settings.baseline_nice,
            Build::Optimised => settings.optimising_nice,
        };
        let threads = rayon::ThreadPoolBuilder::new()
            .thread_name(move |number| format!("wasm-{}-{number}", build.as_str()))
            .start_handler(move |_| rank_below_traffic(nice))
            .build()
            .map_err(|error| unusable(build, &error.to_string()))?;
        let cache = Cache::open(&settings.cache, build, &engine)?;
        Ok(Self { build, engine, linker, cache, mapped: Mutex::default(), threads, turn: Semaphore::new(1), ordered: AtomicUsize::new(0) })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Removes the code of components that the base no longer `has`.
    pub(crate) fn tidy(&self, has: &dyn Fn(&str) -> bool) {
        self.cache.tidy(has);
    }

    /// The code of the component with the digest `sha256`, where it was compiled before.
    pub(crate) fn cached(&self, id: &ModuleId, sha256: &str) -> Result<Option<Code>, Failure> {
        let mapped = self.mapped().get(sha256).and_then(Weak::upgrade);
        let component = mapped.or_else(|| self.cache.load(&self.engine, sha256).map(|component| self.keep(sha256, component)));
        component.map(|component| self.link(id, component)).transpose()
    }

    /// Compiles the component at `path`, keeps the code, and links it.
    pub(crate) async fn compile(self: &Arc<Self>, id: &Arc<ModuleId>, sha256: &Arc<str>, path: &Arc<Path>) -> Result<Code, Failure> {
        let order = Order::begin(self);
        let _turn = self.turn.acquire().await.map_err(|_| unusable(self.build, "the base is ending"))?;
        let (this, id, sha256, path) = (Arc::clone(self), Arc::clone(id), Arc::clone(sha256), Arc::clone(path));
        let (done, code) = tokio::sync::oneshot::channel();
        self.threads.spawn(move || {
            // Somebody else may have compiled the same content while this one waited for its turn.
            let code = this.cached(&id, &sha256).and_then(|cached| cached.map_or_else(|| this.compile_now(&id, &sha256, &path), Ok));
            // Whoever waited may have given up; the cache has the code all the same.
            let _ = done.send(code);
            // After the answer, for somebody may wait for it. The optimised build is the last of a module's compiles.
            if order.is_last() && this.build == Build::Optimised {
                memory::give_back();
            }
        });
        code.await.map_err(|_| unusable(self.build, "the compiler panicked; see the base's log"))?
    }

    fn compile_now(&self, id: &ModuleId, sha256: &str, path: &Path) -> Result<Code, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(Reason::CompileFailed, format!("{id} could not be compiled ({}): {error:#}", self.build.as_str()))
        };
        let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
        let compiled = self.engine.precompile_component(&bytes).map_err(|error| failed(&error))?;
        drop(bytes);
        let component = self.cache.store(&self.engine, sha256, &compiled)?;
        self.link(id, self.keep(sha256, component))
    }

    /// The one mapping of this content: that of somebody else, who was faster, or `component`.
    fn keep(&self, sha256: &str, component: Component) -> Arc<Component> {
        let mut mapped = self.mapped();
        mapped.retain(|_, component| component.strong_count() > 0);
        if let Some(other) = mapped.get(sha256).and_then(Weak::upgrade) {
            return other;
        }
        let component = Arc::new(component);
        mapped.insert(sha256.to_owned(), Arc::downgrade(&component));
        component
    }

    fn mapped(&self) -> std::sync::MutexGuard<'_, HashMap<String, Weak<Component>>> {
        self.mapped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self, id: &ModuleId, component: Arc<Component>) -> Result<Code, Failure> {
        let linked = self.linker.instantiate_pre(&component).map_err(|error| {
            let message = format!("{id} needs something that this base does not offer: {error:#}");
            Failure::new(Reason::ImportUnknown, message)
        })?;
        let pre = match p3::bindings::ServicePre::new(linked.clone()) {
            Ok(service) => ProxyPre::P3(service),
            Err(_) => ProxyPre::P2(p2::bindings::ProxyPre::new(linked).map_err(|error| {
                let message = format!("{id} exports neither wasi:http/incoming-handler@0.2 nor wasi:http/handler@0.3: {error:#}");
                Failure::new(Reason::PackageInvalid, message)
            })?),
        };
        let image = component.image_range();
        let bytes = (image.end as usize).saturating_sub(image.start as usize) as u64;
        Ok(Code { pre, engine: self.engine.clone(), build: self.build, bytes, component })
    }
}

/// A compile that somebody ordered, until it has ended.
struct Order(Arc<Compiler>);

impl Order {
    fn begin(compiler: &Arc<Compiler>) -> Self {
        compiler.ordered.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(compiler))
    }

    fn is_last(&self) -> bool {
        self.0.ordered.load(Ordering::Acquire) == 1
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        self.0.ordered.fetch_sub(1, Ordering::AcqRel);
    }
}

fn unusable(build: Build, problem: &str) -> Failure {
    Failure::new(Reason::Internal, format!("the {} compiler cannot be used: {problem}", build.as_str()))
}

/// A compile takes what traffic leaves.
fn rank_below_traffic(nice: i32) {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), nice) {
        tracing::warn!(%error, nice, "a compiler thread keeps the rank of the threads that serve");
    }
}
