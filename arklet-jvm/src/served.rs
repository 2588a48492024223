//! A JVM module that answers, and its end: what is closed, what is swept, and whether the VM let go of it.

use std::{sync::Arc, time::Duration};

use ark::{Facts, ModuleSpec, Running};
use ark_model::{Failure, Reason, Verdict, order::Resource};
use futures_util::future::BoxFuture;
use gateway::{Endpoint, RequestId, empty};
use tokio::sync::{Mutex, oneshot};

use crate::{
    jni::{Global, Thrown, Weak, long, object},
    modules::Number,
    proxy::{Proxy, Silent},
    runtime::Leased,
    shelf::Handle,
    vm::{self, Ended},
};

/// How often garbage is collected before a module that is still there counts as not yet gone: references from one generation of
/// the heap to another take more than one.
const COLLECTIONS: u32 = 3;
const BETWEEN: Duration = Duration::from_millis(20);
/// How often it is looked whether what was not gone then has gone since.
const LINGERING: Duration = Duration::from_secs(5);
/// What a module gets to end when its start was given up.
const ABANDONED: Duration = Duration::from_secs(5);

/// All that a module is in the VM.
pub(crate) struct Vital {
    pub(crate) spec: Arc<ModuleSpec>,
    pub(crate) number: Number,
    pub(crate) module: Global,
    pub(crate) loader: Weak,
    pub(crate) own: Handle,
    pub(crate) leased: Option<Leased>,
    pub(crate) over: oneshot::Receiver<String>,
}

/// A module that was started.
pub(crate) struct Served {
    spec: Arc<ModuleSpec>,
    endpoint: Endpoint,
    has_server: bool,
    vital: Mutex<Option<Vital>>,
    /// What the end of it left to tell.
    said: Mutex<String>,
}

impl Served {
    pub(crate) fn new(vital: Vital, port: u16) -> Self {
        let endpoint: Endpoint = if port == 0 { Arc::new(Silent) } else { Arc::new(Proxy::new(port)) };
        let spec = Arc::clone(&vital.spec);
        Self { spec, endpoint, has_server: port != 0, vital: Mutex::new(Some(vital)), said: Mutex::default() }
    }
}

impl Running<Endpoint> for Served {
    fn endpoint(&self) -> Endpoint {
        Arc::clone(&self.endpoint)
    }

    fn facts(&self) -> Facts {
        Facts::default()
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
            let (path, required) = match &self.spec.probe_path {
                Some(path) => (format!("{prefix}{path}"), true),
                // Where there is one; any answer of the server will do otherwise.
                None => (format!("{prefix}/actuator/health"), false),
            };
            let request = http::Request::get(&path).header(http::header::HOST, "localhost").body(empty());
            let request = request.map_err(|error| failed(&path, error.to_string()))?;
            let answer = self.endpoint.call(request, &RequestId::from_static("probe")).await;
            let status = answer.map_err(|error| failed(&path, error.message))?.status();
            if status.as_u16() < 400 || (!required && !status.is_server_error()) {
                return Ok(());
            }
            Err(failed(&path, format!("status {status}")))
        })
    }

    fn stop(&self, patience: Duration) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let mut vital = self.vital.lock().await;
            let Some(vital) = vital.as_mut() else { return Ok(()) };
            let said = vital.stop(patience).await;
            let threads = said.lines().filter(|line| line.starts_with("thread ")).count();
            *self.said.lock().await = said;
            if threads == 0 {
                return Ok(());
            }
            Err(Failure::new(Reason::Internal, format!("{threads} threads of {} did not end in {} ms", self.spec.id, patience.as_millis())))
        })
    }

    fn reclaim(self: Box<Self>) -> BoxFuture<'static, Verdict> {
        Box::pin(async move {
            let said = self.said.into_inner();
            match self.vital.into_inner() {
                Some(vital) => vital.reclaim(&said).await,
                None => Verdict::default(),
            }
        })
    }
}

/// What the VM uses.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    classes: u64,
    metaspace: u64,
}

async fn figures() -> Figures {
    let asked = vm::run(|env| {
        let names = &vm::get().ok()?.names;
        let text = env.call_static(names.module(), names.figures(), &[]).ok()?;
        Some(env.text(text))
    });
    let text = asked.await.ok().flatten().unwrap_or_default();
    let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    Figures { classes: next(), metaspace: next() }
}

impl Vital {
    /// Closes its contexts and interrupts its threads; answers with what the Java side says of it, a line each.
    async fn stop(&mut self, patience: Duration) -> String {
        let module = self.module.get() as usize;
        let millis = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        let began = vm::run(move |env| {
            let names = &vm::get().map_err(|ended| Thrown(ended.to_string()))?.names;
            env.call_void(module as jni_sys::jobject, names.end(), &[long(millis)])
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
        let said = self.stop(ABANDONED).await;
        let verdict = self.reclaim(&said).await;
        tracing::info!(module = %id, clean = verdict.clean, "a module that did not come up was ended");
    }

    async fn reclaim(self, said: &str) -> Verdict {
        let before = figures().await;
        let Self { spec, number, module, loader, own, leased, over } = self;
        drop(over);
        let layer = leased.as_ref().and_then(|leased| leased.layer.loader()).map(|loader| loader as usize);
        let swept = vm::run(move |env| {
            let names = &vm::get().map_err(|ended| Thrown(ended.to_string()))?.names;
            let layer = layer.map_or(std::ptr::null_mut(), |layer| layer as jni_sys::jobject);
            let told = env.call(module.get(), names.reclaim(), &[object(layer)])?;
            let text = env.text(told);
            drop(module);
            Ok::<_, Thrown>(text)
        });
        match swept.await {
            Ok(Ok(told)) => told.lines().for_each(|line| tracing::debug!(module = %spec.id, "{line}")),
            Ok(Err(thrown)) => tracing::warn!(module = %spec.id, %thrown, "sweeping up after a module broke off"),
            Err(Ended) => return Verdict::default(),
        }
        let loader = Arc::new(loader);
        let mut gone = is_gone(&loader).await;
        for _ in 0..COLLECTIONS {
            if gone {
                break;
            }
            let _ = vm::run(|_| vm::get().map(|vm| vm.jvmti.collect_garbage())).await;
            tokio::time::sleep(BETWEEN).await;
            gone = is_gone(&loader).await;
        }
        drop(number);
        let resource = |what: String, amount: u64, unit: &str| Resource { what, amount, unit: unit.to_owned() };
        let mut verdict = Verdict { clean: gone, ..Verdict::default() };
        for line in said.lines() {
            verdict.clean = false;
            verdict.held.push(resource(line.to_owned(), u64::from(line.starts_with("thread ")), "threads"));
        }
        if gone {
            drop((own, leased));
            let after = figures().await;
            verdict.given_back.push(resource("classes".to_owned(), before.classes.saturating_sub(after.classes), "classes"));
            verdict.given_back.push(resource("metaspace".to_owned(), before.metaspace.saturating_sub(after.metaspace), "bytes"));
            give_back();
        } else {
            verdict.held.push(resource("its class loader is not collected yet".to_owned(), 1, "loaders"));
            tokio::spawn(linger(spec, loader, own, leased));
        }
        verdict
    }
}

/// Keeps the class path of a loader that is still there, for it may load classes yet.
async fn linger(spec: Arc<ModuleSpec>, loader: Arc<Weak>, own: Handle, leased: Option<Leased>) {
    while !is_gone(&loader).await {
        tokio::time::sleep(LINGERING).await;
    }
    drop((own, leased));
    tracing::info!(module = %spec.id, "unloaded, later than it was removed");
}

async fn is_gone(loader: &Arc<Weak>) -> bool {
    let loader = Arc::clone(loader);
    // A VM that ends has let go of everything.
    vm::run(move |env| env.is_gone(&loader)).await.unwrap_or(true)
}

/// Gives memory back to the system that the C library keeps free: the VM takes its metaspace and its own structures from there.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` may be called at any time from any thread; it only touches what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
