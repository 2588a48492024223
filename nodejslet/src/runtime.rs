//! Node.js modules for the container: unpack, start, probe, stop, reclaim.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use ark::{Facts, ModuleSpec, Package, Prepared, Reclaimed, Running, Runtime, Started};
use ark_model::{Failure, Manifest, Reason, Verdict, VerdictState, api::Inspection, order::Resource};
use ark_node::{GZIP, Isolation, PackageError, PackageJson, Store, describe};
use futures_util::future::BoxFuture;
use gateway::Endpoint;
use tokio::sync::Mutex;

use crate::{
    BASE, dependencies,
    instance::{Handles, Instance, Wanted},
    starter::Starter,
    unit::{Output, Run},
};

/// The option of an order that says what its module runs in.
const ISOLATION: &str = "isolation";

/// What of the base's environment a module sees: what describes the machine, and that there is a base. The rest it has to be given.
const OF_MACHINE: [&str; 10] = ["PATH", "HOME", "LANG", "LC_", "TZ", "USER", "HOSTNAME", "TMPDIR", "NODE_EXTRA_CA_CERTS", BASE];

/// The environment of a module: what it is `given`, over what it sees `of_base`.
fn environment(of_base: &BTreeMap<String, String>, given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let of_machine = of_base.iter().filter(|(name, _)| OF_MACHINE.iter().any(|prefix| name.starts_with(prefix)));
    let of_machine = of_machine.chain(given).map(|(name, value)| (name.clone(), value.clone()));
    std::iter::once(("NODE_ENV".to_owned(), "production".to_owned())).chain(of_machine).collect()
}

/// The runtime of Node.js modules.
pub(crate) struct Node {
    store: Store,
    starter: Starter,
    /// That of the base.
    environment: Arc<BTreeMap<String, String>>,
    /// Of modules that do not say.
    isolation: Isolation,
}

impl Node {
    /// Keeps unpacked packages in `folder`, and runs in `isolation` what does not say in what.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub(crate) fn new(
        folder: &Path,
        starter: Starter,
        environment: Arc<BTreeMap<String, String>>,
        isolation: Isolation,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::new(Reason::Internal, format!("the folder {} cannot be used: {error}", folder.display()));
        Ok(Self { store: Store::open(folder).map_err(failed)?, starter, environment, isolation })
    }
}

fn refused(error: &PackageError) -> Failure {
    let full = |error: &std::io::Error| error.kind() == std::io::ErrorKind::StorageFull;
    match error {
        PackageError::Write(_, problem) if full(problem) => Failure::new(Reason::DiskFull, error.to_string()),
        PackageError::Write(..) => Failure::new(Reason::Internal, error.to_string()),
        _ => Failure::new(Reason::PackageInvalid, error.to_string()),
    }
}

/// Work that reads and writes files.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, PackageError> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::new(Reason::Internal, format!("reading a package broke off: {error}")))?.map_err(|error| refused(&error))
}

impl Runtime<Endpoint> for Node {
    fn kind(&self) -> &'static str {
        "node"
    }

    fn recognises(&self, package: &Package) -> bool {
        package.head.starts_with(GZIP)
    }

    /// Their names may be scoped, and are those of npm's registry.
    fn packages_name_modules(&self) -> bool {
        false
    }

    fn parse<'a>(&'a self, package: &'a Package) -> BoxFuture<'a, Result<Manifest, Failure>> {
        let path = Arc::clone(&package.path);
        Box::pin(aside(move || Ok(describe(&path)?.manifest()?)))
    }

    fn prepare<'a>(&'a self, spec: &'a ModuleSpec) -> BoxFuture<'a, Result<Box<dyn Prepared<Endpoint>>, Failure>> {
        Box::pin(async move {
            let invalid = |problem: String| Failure::new(Reason::InvalidRequest, format!("{}: {problem}", spec.id));
            if let Some(key) = spec.options.keys().find(|key| *key != ISOLATION) {
                return Err(invalid(format!("{key:?} is no option of a Node.js module; there is {ISOLATION}")));
            }
            let ordered = spec.options.get(ISOLATION).map(|text| text.parse::<Isolation>()).transpose().map_err(invalid)?;
            let (store, package) = (self.store.clone(), spec.package.clone());
            let unpacked = aside(move || {
                let folder = store.unpacked(&package.sha256, &package.path)?;
                let json = PackageJson::of(&folder)?;
                Ok((folder, json))
            });
            let (folder, json) = unpacked.await?;
            if json.has_dependencies() {
                dependencies::install(&folder, &self.environment).await?;
            }
            let main = json.main(|file| folder.join(file).is_file()).map_err(|error| refused(&error.into()))?;
            let isolation = ordered.or(json.isolation()).unwrap_or(self.isolation);
            let (spec, keeps_prefix) = (Arc::new(spec.clone()), json.keeps_prefix());
            let mut given: BTreeMap<String, String> = spec.grants.config.clone();
            given.extend(spec.grants.env.clone());
            let environment = environment(&self.environment, &given);
            let run = Run { main: folder.join(main), arguments: spec.args.clone(), cwd: folder.to_path_buf(), environment };
            let ready = Ready { spec, folder, run, isolation, keeps_prefix, starter: self.starter.clone() };
            Ok(Box::new(ready) as Box<dyn Prepared<Endpoint>>)
        })
    }

    fn tidy(&self, has: &dyn Fn(&str) -> bool) {
        self.store.tidy(has);
    }
}

/// A module that is unpacked.
struct Ready {
    spec: Arc<ModuleSpec>,
    folder: Arc<Path>,
    run: Run,
    isolation: Isolation,
    keeps_prefix: bool,
    starter: Starter,
}

impl Prepared<Endpoint> for Ready {
    fn start(self: Box<Self>) -> BoxFuture<'static, Result<Started<Endpoint>, Failure>> {
        Box::pin(async move {
            let Self { spec, folder, run, isolation, keeps_prefix, starter } = *self;
            let output = Output::Log(Arc::clone(&spec.log));
            let wanted = Wanted { name: spec.id.to_string(), run, isolation, keeps_prefix, limits: spec.limits, output };
            let instance = Instance::start(starter, wanted).await;
            let instance = instance
                .map_err(|problem| Failure::new(Reason::StartFailed, format!("{} did not start: {problem}; its log says more", spec.id)))?;
            let running = Served { spec, isolation, instance, left: Mutex::default(), _folder: folder };
            Ok(Started { running: Box::new(running), refined: None })
        })
    }
}

/// A module that runs.
struct Served {
    spec: Arc<ModuleSpec>,
    isolation: Isolation,
    instance: Instance,
    /// What was open at its end, and the memory that it used.
    left: Mutex<(Handles, u64)>,
    /// It runs there, so that stays.
    _folder: Arc<Path>,
}

impl Running<Endpoint> for Served {
    fn endpoint(&self) -> Endpoint {
        self.instance.endpoint()
    }

    fn facts(&self) -> Facts {
        Facts { peak_memory_bytes: self.instance.figures().memory_bytes, ..Facts::default() }
    }

    fn inspect(&self) -> BoxFuture<'static, Inspection> {
        let figures = self.instance.figures();
        let uses = vec![
            Resource::new("memory", figures.memory_bytes, "bytes"),
            Resource::new("open handles", figures.handles, "handles"),
            Resource::new("restarts", figures.restarts, "restarts"),
        ];
        let delay = format!("{:.1} ms at most lately", figures.delay_ms);
        let notes = [("event loop held up".to_owned(), delay), (ISOLATION.to_owned(), self.isolation.to_string())].into();
        Box::pin(std::future::ready(Inspection { uses, notes }))
    }

    fn failed(&self) -> Option<BoxFuture<'static, Failure>> {
        Some(self.instance.failed())
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            let Some(path) = &self.spec.probe_path else { return Ok(()) };
            let failed = |problem: String| {
                Failure::new(Reason::ProbeFailed, format!("{} did not answer its probe at {path}: {problem}", self.spec.id))
            };
            let status = gateway::probe(&*self.instance.endpoint(), http::Request::get(path)).await.map_err(failed)?.status();
            if status.as_u16() < 400 { Ok(()) } else { Err(failed(format!("status {status}"))) }
        })
    }

    fn stop(&self, patience: Duration) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let memory = self.instance.figures().memory_bytes;
            let handles = self.instance.end(patience).await;
            *self.left.lock().await = (handles, memory);
            Ok(())
        })
    }

    fn reclaim(self: Box<Self>) -> BoxFuture<'static, Reclaimed> {
        Box::pin(async move {
            let (handles, memory) = self.left.into_inner();
            let given_back = vec![Resource::new("memory", memory, "bytes"), Resource::new(format!("a {}", self.isolation), 1, "units")];
            // They went with the process; whoever wrote the module may want to know.
            let mut open: BTreeMap<String, u64> = BTreeMap::new();
            for handle in handles {
                *open.entry(handle).or_default() += 1;
            }
            let open = open.into_iter().map(|(handle, count)| Resource::new(format!("open at its end: {handle}"), count, "handles"));
            let given_back = given_back.into_iter().chain(open).collect();
            Verdict { state: VerdictState::Unloaded, given_back, ..Verdict::default() }.into()
        })
    }
}
