//! The base as modules meet it: its jars, and its web server.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ark_jvm::{BaseJars, Extracted, Limits};
use ark_model::{Failure, Reason};
use tokio::sync::OnceCell;

use crate::{
    jni::{Env, Thrown, boolean, long, object},
    runtime::ending,
    shelf::{self, Handle, Ties},
    vm,
};

/// What is on the base's class path.
pub(crate) struct Base {
    pub(crate) jars: Arc<BaseJars>,
    /// The same, for who asks for its resources.
    pub(crate) handle: Handle,
}

static BASE: OnceCell<Base> = OnceCell::const_new();

/// The jars of the base, read when they are first asked for. What has to be written out of them goes to `extracted`.
pub(crate) async fn get(extracted: &Extracted) -> Result<&'static Base, Failure> {
    let opened = BASE.get_or_try_init(|| async {
        let class_path = vm::ask_of(|names| (&names.base, names.base_class_path)).await.ok_or_else(|| ending(vm::Ended))?;
        let feature = vm::get().map_err(ending)?.feature;
        let failed = |error: String| Failure::new(Reason::Internal, format!("reading the base's class path: {error}"));
        let opened = tokio::task::spawn_blocking(move || BaseJars::open(&class_path, &Limits::default(), feature)).await;
        let jars = Arc::new(opened.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?);
        let handle = shelf::put("the base".into(), jars.path().clone(), extracted.clone(), Ties::default());
        Ok(Base { jars, handle })
    });
    opened.await
}

/// Lets go of what is in memory of the jars of the base.
pub(crate) fn rest() {
    if let Some(base) = BASE.get() {
        base.jars.path().rest();
    }
}

/// Waits until the base is up, and says whether its web server can be joined: an error says why not.
pub(crate) async fn web_server() -> Result<(), String> {
    let asked = vm::answer(|env, question| {
        let names = &vm::get().map_err(|ended| Thrown(ended.to_string()))?.names;
        env.call_static_void(names.base.get(), names.ask_whether_to_join, &[long(question)])
    });
    let reason = asked.await?;
    if reason.is_empty() { Ok(()) } else { Err(reason) }
}

/// Which joined modules begin or end to answer requests to the base's own port, by their keys: what its web server has not been told yet.
static OPENINGS: Mutex<VecDeque<(Arc<str>, bool)>> = Mutex::new(VecDeque::new());
/// Held by who tells it: a version that closes before the next one is open leaves a gap.
static TELLING: Mutex<()> = Mutex::new(());

fn openings() -> MutexGuard<'static, VecDeque<(Arc<str>, bool)>> {
    OPENINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the joined module with this key answer requests to the base's own port, or not. Calls take effect one after the other.
pub(crate) fn open(key: Arc<str>, on: bool) {
    openings().push_back((key, on));
    vm::post(tell);
}

/// Waits until all calls of [`open`] until now have had their effect: before that, a version that leaves has nobody in its place.
pub(crate) async fn opened() {
    // A VM that ends has nobody to tell.
    let _ = vm::run(tell).await;
}

fn tell(env: Env) {
    let Ok(vm) = vm::get() else { return };
    let _telling = TELLING.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || openings().pop_front();
    while let Some((key, on)) = next() {
        let told = env.string(&key);
        let told = told.and_then(|key| env.call_static_void(vm.names.base.get(), vm.names.open, &[object(key), boolean(on)]));
        if let Err(thrown) = told {
            tracing::warn!(%thrown, "the base's web server could not be told which version of a module answers");
        }
    }
}
