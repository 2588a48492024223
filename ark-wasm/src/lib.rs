//! Runs WebAssembly components as modules: WASI 0.2 `wasi:http/proxy`, and 0.3 by the same way (experimental).
//!
//! A package is compiled in `compile` (through `cache`), started and ended in `module`; how long one
//! instance lives is decided in `worker`; what it may do in `host`, `outgoing`, `meter` and `logging`. [`Settings`] has every knob.

mod cache;
mod compile;
mod engine;
mod host;
mod link;
mod logging;
mod memory;
mod meter;
mod module;
mod outgoing;
mod settings;
mod worker;

use std::sync::Arc;

use ark::{ModuleSpec, Package, Prepared, Runtime};
use ark_model::{Failure, Manifest, Reason, component};
use futures_util::future::BoxFuture;
use gateway::Endpoint;
pub use host::Host;
pub use settings::Settings;
/// The engine's own interface, for a base that adds capabilities.
pub use wasmtime;

use crate::{
    compile::{Compiler, Extension},
    engine::Build,
    module::{Inner, Ready},
};

/// The runtime of WebAssembly modules.
pub struct Wasm {
    settings: Arc<Settings>,
    optimised: Arc<Compiler>,
    /// Absent where it is switched off, or this processor has none.
    baseline: Option<Arc<Compiler>>,
}

/// Makes a [`Wasm`].
pub struct Builder {
    settings: Settings,
    extensions: Vec<Extension>,
}

impl Builder {
    /// Adds something of the base's own that modules may import. `link` is called once for each engine, with the linker to add to.
    #[must_use]
    pub fn host(mut self, link: impl Fn(&mut wasmtime::component::Linker<Host>) -> wasmtime::Result<()> + Send + Sync + 'static) -> Self {
        self.extensions.push(Arc::new(link));
        self
    }

    /// Sets up the engines.
    ///
    /// # Errors
    /// [`Reason::Internal`] where the machine cannot run an engine with these settings, e.g. for want of address space;
    /// [`Reason::DiskFull`] where there is no room for compiled code.
    pub fn build(self) -> Result<Wasm, Failure> {
        let optimised = Arc::new(Compiler::new(&self.settings, Build::Optimised, &self.extensions)?);
        let baseline = if self.settings.baseline {
            Compiler::new(&self.settings, Build::Baseline, &self.extensions)
                .inspect_err(|failure| tracing::warn!(%failure, "components are compiled by the optimising compiler only"))
                .ok()
                .map(Arc::new)
        } else {
            None
        };
        let compilers = baseline.iter().chain([&optimised]).map(Arc::downgrade).collect();
        engine::tick(&self.settings, compilers)
            .map_err(|error| Failure::new(Reason::Internal, format!("could not start the thread that ticks: {error}")))?;
        Ok(Wasm { settings: Arc::new(self.settings), optimised, baseline })
    }
}

impl Wasm {
    /// Begins a runtime with `settings`.
    #[must_use]
    pub fn builder(settings: Settings) -> Builder {
        Builder { settings, extensions: Vec::new() }
    }

    async fn ready(&self, spec: &ModuleSpec) -> Result<Ready, Failure> {
        let (id, sha256, path) = (&spec.id, &spec.package.sha256, &spec.package.path);
        let (code, optimiser) = match (self.optimised.cached(id, sha256)?, &self.baseline) {
            (Some(code), _) => (code, None),
            (None, None) => (self.optimised.compile(id, sha256, path).await?, None),
            (None, Some(baseline)) => match baseline.compile(id, sha256, path).await {
                Ok(code) => (code, Some(Arc::clone(&self.optimised))),
                // What only the optimising compiler understands is compiled by it.
                Err(failure) if failure.reason == Reason::CompileFailed => (self.optimised.compile(id, sha256, path).await?, None),
                Err(failure) => return Err(failure),
            },
        };
        Ok(Ready { module: Inner::new(spec, code, &self.settings), optimiser, settings: Arc::clone(&self.settings) })
    }
}

impl Runtime<Endpoint> for Wasm {
    fn kind(&self) -> &'static str {
        "wasm"
    }

    fn recognises(&self, package: &Package) -> bool {
        package.head.starts_with(component::MAGIC)
    }

    fn parse<'a>(&'a self, package: &'a Package) -> BoxFuture<'a, Result<Manifest, Failure>> {
        Box::pin(async move {
            let path = Arc::clone(&package.path);
            let read = tokio::task::spawn_blocking(move || {
                let bytes = std::fs::read(&path)
                    .map_err(|error| Failure::new(Reason::Internal, format!("could not read {}: {error}", path.display())))?;
                manifest(&bytes)
            });
            read.await.map_err(|error| Failure::new(Reason::Internal, format!("reading a package broke off: {error}")))?
        })
    }

    fn prepare<'a>(&'a self, spec: &'a ModuleSpec) -> BoxFuture<'a, Result<Box<dyn Prepared<Endpoint>>, Failure>> {
        if let Some(option) = spec.options.keys().next() {
            let message = format!("{}: a WebAssembly module has no options, and so no {option:?}", spec.id);
            return Box::pin(std::future::ready(Err(Failure::new(Reason::InvalidRequest, message))));
        }
        Box::pin(async move { self.ready(spec).await.map(|ready| Box::new(ready) as Box<dyn Prepared<Endpoint>>) })
    }

    fn tidy(&self, has: &dyn Fn(&str) -> bool) {
        for compiler in self.baseline.iter().chain([&self.optimised]) {
            compiler.tidy(has);
        }
    }
}

/// What a component says of itself; nothing where it says nothing.
fn manifest(bytes: &[u8]) -> Result<Manifest, Failure> {
    let invalid = |problem: &dyn std::fmt::Display| {
        Failure::new(Reason::PackageInvalid, format!("the package is no component that can be used: {problem}"))
    };
    match component::manifest(bytes).map_err(|error| invalid(&error))? {
        None => Ok(Manifest::default()),
        Some(json) => serde_json::from_slice(json)
            .map_err(|error| invalid(&format!("its manifest cannot be read: {error}; build it anew with `arkctl build`"))),
    }
}
