//! A JVM module that answers, and its end: what is closed, what is swept, and whether the VM let go of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ark::{Facts, ModuleSpec, Reclaimed, Running};
use ark_jvm::budget::Weighing;
use ark_model::{
    Failure, ModuleId, Reason, Verdict, VerdictState,
    api::{HolderPath, HolderStep, Holders, Inspection, Origin, SearchCost},
    order::Resource,
};
use futures_util::future::BoxFuture;
use gateway::{Endpoint, Proxy};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::{
    base,
    budget::Taken,
    inspect::Look,
    jni::{Global, Thrown, Weak, boolean, long},
    leaks::{self, Loaders},
    memory::give_back,
    modules::{Number, Up},
    proxy::{Joined, Silent},
    runtime::Leased,
    shelf::{self, Handle, Place, Shelved},
    vm,
};

/// How often garbage is collected before a module that is still there counts as not yet gone: references from one generation of
/// the heap to another take more than one.
const COLLECTIONS: u32 = 3;
const BETWEEN: Duration = Duration::from_millis(20);
/// How often it is looked whether what was not gone then has gone since.
const LINGERING: Duration = Duration::from_secs(5);
/// Garbage is collected again at these looks, for threads and cleaners may take their time; after the last, something holds it.
const COLLECTED_AT: [u32; 3] = [1, 3, LOOKS];
const LOOKS: u32 = 12;
/// A collection stops the world for as long as what lives is large: above so much of used heap only the VM decides about one.
pub(crate) const COLLECTED_HEAP_BYTES: u64 = 1 << 30;
/// Up to so much of used heap it is looked by itself for what holds a module: the world stands still for a second or two, once.
const SEARCHED_HEAP_BYTES: u64 = 48 << 20;
const SEARCHED_OBJECTS: u64 = 1_000_000;
/// A class that Spring Boot's Actuator has in each of its versions.
const ACTUATOR: &str = "org.springframework.boot.actuate.endpoint.annotation.Endpoint";
/// How long the VM may compile after a start.
const COMPILED: Duration = Duration::from_secs(5);
/// What a module gets to end when its start was given up.
const ABANDONED: Duration = Duration::from_secs(5);

/// All that a module is in the VM.
pub(crate) struct Vital {
    pub(crate) spec: Arc<ModuleSpec>,
    pub(crate) number: Number,
    pub(crate) module: Arc<Global>,
    pub(crate) loader: Weak,
    pub(crate) own: Handle,
    pub(crate) leased: Option<Leased>,
    pub(crate) taken: Taken,
    /// The heap before its end.
    pub(crate) weighing: Option<Weighing>,
    pub(crate) over: oneshot::Receiver<String>,
}

/// A module that was started.
pub(crate) struct Served {
    spec: Arc<ModuleSpec>,
    endpoint: Endpoint,
    has_server: bool,
    has_actuator: bool,
    look: Look,
    vital: Mutex<Option<Vital>>,
    /// What the end of it left to tell.
    said: Mutex<String>,
}

/// A request that reaches what is at `path` in the server, and there nobody but it: asked whether other methods are allowed from the same
/// origin, Spring runs no handler. One that nobody knows a path of would meet the application's own handlers of errors.
fn quiet(path: &str) -> http::request::Builder {
    let request = http::Request::options(path).header(http::header::ORIGIN, "http://localhost");
    request.header(http::header::ACCESS_CONTROL_REQUEST_METHOD, "GET")
}

impl Served {
    pub(crate) fn new(vital: Vital, look: Look, up: &Up) -> Self {
        let endpoint: Endpoint = match (up.port, &up.key) {
            (0, _) => Arc::new(Silent),
            (port, None) => Arc::new(Proxy::new(gateway::Place::port(port))),
            (port, Some(key)) => Arc::new(Joined::new(port, key)),
        };
        let spec = Arc::clone(&vital.spec);
        let has_actuator = vital.paths().any(|path| !matches!(path.place_of(ACTUATOR), Place::Nowhere));
        Self { spec, endpoint, has_server: up.port != 0, has_actuator, look, vital: Mutex::new(Some(vital)), said: Mutex::default() }
    }
}

impl Running<Endpoint> for Served {
    fn endpoint(&self) -> Endpoint {
        Arc::clone(&self.endpoint)
    }

    fn facts(&self) -> Facts {
        Facts::default()
    }

    fn inspect(&self) -> BoxFuture<'static, Inspection> {
        Box::pin(self.look.clone().inspect())
    }

    fn why(&self, class: String) -> BoxFuture<'static, Result<Origin, Failure>> {
        Box::pin(self.look.clone().why(class))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            if !self.has_server {
                return Ok(());
            }
            let failed = |path: &str, problem: String| {
                Failure::new(Reason::ProbeFailed, format!("{} did not answer its probe at {path}: {problem}", self.spec.id))
            };
            let prefix = if &*self.spec.context_path == "/" { "" } else { &*self.spec.context_path };
            let (path, request): (_, fn(&str) -> _) = match self.has_actuator {
                true => (format!("{prefix}/actuator/health"), |path| http::Request::get(path)),
                false => (format!("{prefix}/"), quiet),
            };
            let answer = gateway::probe(&*self.endpoint, request(&path)).await;
            let status = answer.map_err(|problem| failed(&path, problem))?.status();
            // Any answer of the server will do: it may be that nobody is let in, or that the health is told elsewhere.
            if status.is_server_error() { Err(failed(&path, format!("status {status}"))) } else { Ok(()) }
        })
    }

    fn stop(&self, patience: Duration) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let mut vital = self.vital.lock().await;
            let Some(vital) = vital.as_mut() else { return Ok(()) };
            vital.weighing = vital.taken.before(&vital.spec.package.sha256).await;
            let said = vital.stop(patience).await;
            let threads = said.lines().filter(|line| line.starts_with("thread ")).count();
            *self.said.lock().await = said;
            if threads == 0 {
                return Ok(());
            }
            Err(Failure::new(Reason::Internal, format!("{threads} threads of {} did not end in {} ms", self.spec.id, patience.as_millis())))
        })
    }

    fn reclaim(self: Box<Self>) -> BoxFuture<'static, Reclaimed> {
        Box::pin(async move {
            let said = self.said.into_inner();
            match self.vital.into_inner() {
                Some(vital) => vital.reclaim(&said).await,
                None => Verdict::default().into(),
            }
        })
    }
}

/// What the VM uses.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    classes: u64,
    metaspace: u64,
    heap: u64,
}

async fn figures() -> Figures {
    let text = vm::ask(|names| names.figures).await.unwrap_or_default();
    let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    Figures { classes: next(), metaspace: next(), heap: next() }
}

impl Vital {
    /// Its class path and, where it has one, that of its layer.
    pub(crate) fn paths(&self) -> impl Iterator<Item = Arc<Shelved>> {
        let layer = self.leased.as_ref().map(|leased| leased.layer.path.get());
        [Some(self.own.get()), layer].into_iter().flatten().filter_map(shelf::get)
    }

    /// Closes its contexts and interrupts its threads; answers with what the Java side says of it, a line each.
    async fn stop(&mut self, patience: Duration) -> String {
        base::opened().await;
        let module = self.module.get() as usize;
        let millis = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        let alone = self.leased.as_ref().is_some_and(Leased::is_alone);
        let began = vm::run(move |env| {
            let names = &vm::get().map_err(|ended| Thrown(ended.to_string()))?.names;
            env.call_void(module as jni_sys::jobject, names.end, &[long(millis), boolean(alone)])
        });
        match began.await {
            Ok(Ok(())) => {}
            Ok(Err(thrown)) => return format!("stopping it: {thrown}\n"),
            Err(ended) => return format!("stopping it: {ended}\n"),
        }
        match tokio::time::timeout(patience * 2, &mut self.over).await {
            Ok(Ok(said)) => said,
            Ok(Err(_)) | Err(_) => "stopping it: it does not come to an end\n".to_owned(),
        }
    }

    /// The whole end of a module that nobody waits for.
    pub(crate) async fn end(mut self) {
        let id = Arc::clone(&self.spec.id);
        self.taken.gone();
        let said = self.stop(ABANDONED).await;
        let verdict = self.reclaim(&said).await.verdict;
        tracing::info!(module = %id, verdict = %verdict.state, "a module that did not come up was ended");
    }

    async fn reclaim(self, said: &str) -> Reclaimed {
        let before = figures().await;
        let Self { spec, number, module, loader, own, leased, taken, weighing, over } = self;
        drop(over);
        let swept = vm::run(move |env| {
            let layer = leased.as_ref().and_then(|leased| leased.layer.loader());
            // Nobody else's libraries go with the module, and may hold it until then.
            let alone = leased.as_ref().is_some_and(Leased::is_alone);
            let mut loaders = vec![loader];
            let swept = vm::get().map_err(|ended| Thrown(ended.to_string())).and_then(|vm| {
                let told = env.call(module.get(), vm.names.reclaim, &[boolean(alone)])?;
                Ok(env.text(told))
            });
            if alone && let Some(layer) = layer {
                loaders.push(env.weak(layer));
                if let Some(leased) = &leased {
                    leased.layer.let_go();
                }
            }
            drop(module);
            (swept, loaders, leased)
        });
        let Ok((swept, loaders, leased)) = swept.await else { return Verdict::default().into() };
        match swept {
            Ok(told) => told_of_sweep(&spec.id.to_string(), &told),
            Err(thrown) => tracing::warn!(module = %spec.id, %thrown, "sweeping up after a module broke off"),
        }
        drop(number);
        let loaders = Arc::new(loaders);
        leaks::remember(&spec.id, &loaders);
        let gone = Going { spec, loaders, own, leased, before, running_on: running_on(said) };
        let collected = gone.is_collected().await;
        taken.after(&gone.spec.package.sha256, weighing.filter(|_| collected)).await;
        if collected {
            return gone.unloaded().await.into();
        }
        let verdict = gone.not_yet(VerdictState::Pending);
        let (later, receiver) = mpsc::unbounded_channel();
        tokio::spawn(gone.linger(later));
        Reclaimed { verdict, later: Some(receiver) }
    }
}

/// Logs what a sweep took back, and louder what it could not.
pub(crate) fn told_of_sweep(whose: &str, told: &str) {
    for line in told.lines() {
        if line.contains("could not be swept") {
            tracing::warn!(%whose, "{line}");
        } else {
            tracing::debug!(%whose, "{line}");
        }
    }
}

/// The threads that run on, and what else could not be ended, a line each.
fn running_on(said: &str) -> Vec<Resource> {
    said.lines().map(|line| Resource::new(line.to_owned(), u64::from(line.starts_with("thread ")), "threads")).collect()
}

/// A module that was ended and swept up after. Its class paths are kept until its loader is gone, which may load classes yet.
struct Going {
    spec: Arc<ModuleSpec>,
    loaders: Loaders,
    own: Handle,
    leased: Option<Leased>,
    before: Figures,
    running_on: Vec<Resource>,
}

impl Going {
    async fn is_collected(&self) -> bool {
        is_collected(&self.loaders, self.before.heap).await
    }

    /// The VM has let go of it.
    async fn unloaded(self) -> Verdict {
        let Self { own, leased, before, running_on, .. } = self;
        drop((own, leased));
        let after = figures().await;
        give_back();
        let given_back = vec![
            Resource::new("classes", before.classes.saturating_sub(after.classes), "classes"),
            Resource::new("metaspace", before.metaspace.saturating_sub(after.metaspace), "bytes"),
            Resource::new("heap, garbage of others with it", before.heap.saturating_sub(after.heap), "bytes"),
        ];
        Verdict { state: VerdictState::Unloaded, given_back, held: running_on, ..Verdict::default() }
    }

    /// Whether a thread still runs its code.
    fn runs(&self) -> bool {
        self.running_on.iter().any(|resource| resource.amount > 0)
    }

    fn not_yet(&self, state: VerdictState) -> Verdict {
        let mut held = self.running_on.clone();
        held.push(Resource::new("its class loader is not collected yet", 1, "loaders"));
        // A thread that runs its code holds it as long as it does.
        let state = if self.runs() { VerdictState::Leaking } else { state };
        Verdict { state, held, ..Verdict::default() }
    }

    /// Says that something holds it, and what, where that is found out cheaply.
    async fn tell_leaking(&self, later: &mpsc::UnboundedSender<Verdict>) {
        let mut verdict = self.not_yet(VerdictState::Leaking);
        if figures().await.heap <= SEARCHED_HEAP_BYTES
            && let Ok(found) = leaks::search(Arc::clone(&self.spec.id), Arc::clone(&self.loaders), SEARCHED_OBJECTS).await
        {
            let step = |step: &HolderStep| format!("{} {}", step.by, step.to);
            let way = |path: &HolderPath| path.steps.iter().map(step).collect::<Vec<_>>().join(" → ");
            verdict.held.extend(found.paths.iter().map(|path| Resource::new(format!("held by {}", way(path)), 1, "paths")));
            give_back();
        }
        let _ = later.send(verdict);
    }

    /// Looks now and then until it is gone, and says so.
    async fn linger(self, later: mpsc::UnboundedSender<Verdict>) {
        let mut looks = 0;
        if self.runs() {
            self.tell_leaking(&later).await;
        }
        while !is_gone(&self.loaders).await {
            tokio::time::sleep(LINGERING).await;
            looks += 1;
            if COLLECTED_AT.contains(&looks) && !self.is_collected().await && looks == LOOKS {
                self.tell_leaking(&later).await;
            }
        }
        let _ = later.send(self.unloaded().await);
    }
}

async fn is_gone(loaders: &Loaders) -> bool {
    let loaders = Arc::clone(loaders);
    // A VM that ends has let go of everything.
    vm::run(move |env| loaders.iter().all(|loader| env.is_gone(loader))).await.unwrap_or(true)
}

/// Whether they are gone, once garbage was collected where that is cheap.
async fn is_collected(loaders: &Loaders, heap_bytes: u64) -> bool {
    let mut gone = is_gone(loaders).await;
    for _ in 0..COLLECTIONS {
        if gone || heap_bytes > COLLECTED_HEAP_BYTES {
            break;
        }
        let _ = vm::run(|_| vm::get().map(|vm| vm.jvmti.collect_garbage())).await;
        tokio::time::sleep(BETWEEN).await;
        gone = is_gone(loaders).await;
    }
    gone
}

/// What it takes to look for what holds the removed module `id`; none where it is gone.
pub(crate) fn cost_of_holders(id: &ModuleId) -> Option<BoxFuture<'static, Result<SearchCost, Failure>>> {
    leaks::lingering(id)?;
    Some(Box::pin(async { Ok(leaks::cost(figures().await.heap)) }))
}

/// Looks for what holds the removed module `id`; none where it is gone.
pub(crate) fn holders(id: &ModuleId, at_most_objects: u64) -> Option<BoxFuture<'static, Result<Holders, Failure>>> {
    let loaders = leaks::lingering(id)?;
    let id = Arc::new(id.clone());
    Some(Box::pin(async move {
        if is_collected(&loaders, figures().await.heap).await {
            return Err(Failure::new(Reason::NotInstalled, format!("nothing holds {id}: it has just gone")));
        }
        let found = leaks::search(id, loaders, at_most_objects).await;
        give_back();
        found
    }))
}

/// [`give_back`], once the VM has compiled what a start has made hot: compiling takes the most and frees it again.
pub(crate) fn give_back_soon() {
    static WAITING: AtomicBool = AtomicBool::new(false);
    if !WAITING.swap(true, Ordering::AcqRel) {
        tokio::spawn(async {
            tokio::time::sleep(COMPILED).await;
            WAITING.store(false, Ordering::Release);
            give_back();
        });
    }
}
