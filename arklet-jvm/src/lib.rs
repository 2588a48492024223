//! The agent as a native JVM agent. `java -agentpath:libarklet_jvm.so -jar base.jar` makes an ordinary application a base: the same
//! API, lifecycle and gateway as the `arklet` binary, with modules that are Java applications.
//!
//! Follow one install: `runtime` reads the package and leases a layer, `ark.jvm.Module` starts it with a loader of its own, whose
//! classes come from `shelf` through `natives`; `modules` hears that it is up, `proxy` passes requests on, `served` ends it.

#![expect(unsafe_code, reason = "the interfaces of the JVM are C")]

mod ahead;
mod base;
mod budget;
mod classes;
mod inspect;
mod jni;
mod jvmti;
mod leaks;
mod memory;
mod modules;
mod natives;
mod options;
mod proxy;
mod runtime;
mod served;
mod shelf;
mod vm;

use std::{
    ffi::{CStr, c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use arklet::End;
use jni_sys::{JNI_ERR, JNI_OK, JNI_VERSION_1_8, JNIEnv, JavaVM, jint, jobject};
use tokio_util::sync::CancellationToken;

use crate::{
    jni::Env,
    jvmti::{Callbacks, Jvmti},
    options::Wanted,
    vm::Vm,
};

/// After so long the agent itself has started.
const STARTED: Duration = Duration::from_secs(1);

static LOADED: AtomicBool = AtomicBool::new(false);
/// What is to begin once the VM is there.
static PENDING: Mutex<Option<Pending>> = Mutex::new(None);
static END: Mutex<Option<End>> = Mutex::new(None);

struct Pending {
    java: *mut JavaVM,
    jvmti: Jvmti,
    wanted: Wanted,
}

// SAFETY: the interface of a VM may be used on any thread.
unsafe impl Send for Pending {}

/// Called by the VM at its start, for `-agentpath` and `JAVA_TOOL_OPTIONS`.
#[unsafe(no_mangle)]
pub extern "system" fn Agent_OnLoad(java: *mut JavaVM, options: *mut c_char, _: *mut c_void) -> jint {
    catch_unwind(|| load(java, options, false)).unwrap_or(JNI_OK)
}

/// Called by the VM when the agent is loaded late, by `jcmd <pid> JVMTI.agent_load`.
#[unsafe(no_mangle)]
pub extern "system" fn Agent_OnAttach(java: *mut JavaVM, options: *mut c_char, _: *mut c_void) -> jint {
    catch_unwind(|| load(java, options, true)).unwrap_or(JNI_ERR)
}

fn complain(problem: &str) {
    eprintln!("arklet: {problem}");
}

fn load(java: *mut JavaVM, options: *mut c_char, late: bool) -> jint {
    if LOADED.swap(true, Ordering::AcqRel) {
        complain("the agent is there already; nothing is done a second time");
        return JNI_OK;
    }
    match prepare(java, options, late) {
        Ok(()) => JNI_OK,
        Err(problem) => {
            complain(&format!("there is no agent, the application goes on without: {problem}"));
            LOADED.store(false, Ordering::Release);
            // At the start of a VM an error would be the end of it; later it is what `jcmd` shows.
            if late { JNI_ERR } else { JNI_OK }
        }
    }
}

fn prepare(java: *mut JavaVM, options: *mut c_char, late: bool) -> Result<(), String> {
    let text = if options.is_null() {
        String::new()
    } else {
        // SAFETY: the VM passes a text that ends with a zero.
        unsafe { CStr::from_ptr(options) }.to_string_lossy().into_owned()
    };
    let wanted = options::read(&text)?;
    let jvmti = Jvmti::of(java)?;
    jvmti.watch_resources();
    let callbacks = Callbacks { init: init as *const c_void, death: death as *const c_void, exhausted: exhausted as *const c_void };
    jvmti.listen(&callbacks, !late)?;
    *PENDING.lock().unwrap_or_else(PoisonError::into_inner) = Some(Pending { java, jvmti, wanted });
    if late {
        let mut env: *mut c_void = std::ptr::null_mut();
        // SAFETY: the VM passed its own pointer, and the answer is written to a place of ours.
        let code = unsafe { ((**java).v1_4.GetEnv)(java, &raw mut env, JNI_VERSION_1_8) };
        if code != JNI_OK {
            return Err(format!("this thread is not the JVM's (GetEnv answered {code})"));
        }
        // SAFETY: the VM wrote it for this thread.
        begin(unsafe { Env::new(env.cast()) })?;
    }
    Ok(())
}

/// The VM is there.
extern "system" fn init(_: *mut c_void, env: *mut JNIEnv, _: jobject) {
    let begun = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the VM passed it to this callback on this thread.
        begin(unsafe { Env::new(env) })
    }));
    match begun {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => complain(&format!("the agent does nothing: {problem}")),
        Err(_) => complain("the agent does nothing: it panicked"),
    }
}

fn begin(env: Env) -> Result<(), String> {
    let Some(Pending { java, jvmti, wanted }) = PENDING.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
    Vm::enter(java, jvmti, env)?;
    let end = End { begins: CancellationToken::new(), comes: CancellationToken::new() };
    *END.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.clone());
    vm::listen_to_its_end(env).map_err(|thrown| format!("adding a shutdown hook: {thrown}"))?;
    let base = thread::Builder::new().name("arklet".to_owned()).spawn(move || run(wanted, end));
    base.map(drop).map_err(|error| format!("starting a thread: {error}"))
}

/// The base, on threads of its own that are never attached to the VM.
fn run(wanted: Wanted, end: End) {
    let Wanted { options, of_modules, keep, ahead } = wanted;
    if let Err(problem) = options.start_log() {
        return complain(&format!("there is no agent, the application goes on without: {problem}"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("arklet").worker_threads(2).enable_all().build();
    let ended = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        let kinds = move |base: arklet::Builder| {
            let base = base.own(Arc::new(proxy::OfBase::default()));
            base.runtime(move |data| {
                Ok(Arc::new(runtime::Jvm::new(data, of_modules, keep, ahead)?) as Arc<dyn ark::Runtime<gateway::Endpoint>>)
            })
        };
        runtime.spawn(async {
            tokio::time::sleep(STARTED).await;
            memory::rest();
        });
        runtime.block_on(arklet::run(options.beside(), kinds, end)).map_err(|problem| problem.to_string())
    });
    if let Err(problem) = ended {
        complain(&format!("the agent has ended, the application goes on: {problem}"));
    }
}

/// The VM begins to end: its shutdown hooks run, and modules are theirs until they are done.
fn ending() {
    if let Some(end) = &*END.lock().unwrap_or_else(PoisonError::into_inner) {
        end.begins.cancel();
    }
}

/// The VM ends: its own threads are stopped, and nobody may be in it from here on.
extern "system" fn death(_: *mut c_void, _: *mut JNIEnv) {
    let _ = catch_unwind(|| {
        if let Some(end) = END.lock().unwrap_or_else(PoisonError::into_inner).take() {
            end.begins.cancel();
            end.comes.cancel();
        }
        if let Ok(vm) = vm::get() {
            vm.leave();
        }
    });
}

/// A resource of the VM is full.
extern "system" fn exhausted(_: *mut c_void, _: *mut JNIEnv, _: jint, _: *const c_void, what: *const c_char) {
    let _ = catch_unwind(|| {
        // SAFETY: the VM passes a text that ends with a zero.
        let what = unsafe { CStr::from_ptr(what) }.to_string_lossy();
        tracing::error!(%what, "a resource of the JVM is exhausted");
        if let Ok(vm) = vm::get() {
            vm.is_exhausted();
        }
    });
}
