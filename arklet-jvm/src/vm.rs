//! The VM as the agent holds it: its Java side, and a few threads that are attached to it.

use std::{
    collections::HashMap,
    ffi::{CString, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use jni_sys::{JNI_VERSION_1_8, JavaVM, JavaVMAttachArgs, jfieldID, jmethodID};
use tokio::sync::oneshot;

use crate::{
    classes,
    jni::{Env, Global, Thrown, object},
    jvmti::{Jvmti, Tagging},
    natives,
};

/// Threads that wait for work in Java. What takes long runs on threads of Java's own.
const WORKERS: usize = 3;
/// Freed when the heap is full, so that a module can still be removed.
const BALLAST_BYTES: i32 = 1 << 20;
/// How long the end of the VM waits for the workers to leave it: threads that are in native code then hold it up for longer.
const LEAVING: Duration = Duration::from_millis(100);

static VM: OnceLock<Vm> = OnceLock::new();

type Job = Box<dyn FnOnce(Env) + Send>;

/// The one VM of this process.
pub(crate) struct Vm {
    java: JavaVmPointer,
    pub(crate) jvmti: Jvmti,
    /// Which Java it is: 17, 21, …
    pub(crate) feature: u16,
    pub(crate) names: Names,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    live: AtomicUsize,
    ballast: Mutex<Option<Global>>,
    exhausted: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct JavaVmPointer(*mut JavaVM);

// SAFETY: the interface of a VM may be used on any thread.
unsafe impl Send for JavaVmPointer {}
// SAFETY: as above.
unsafe impl Sync for JavaVmPointer {}

/// What of the Java side is called from here. Ids stay valid as long as their class, which is held.
pub(crate) struct Names {
    /// The class `ark.jvm.Module`, with those of its own.
    pub(crate) module: Global,
    pub(crate) layer: jmethodID,
    pub(crate) start: jmethodID,
    pub(crate) end: jmethodID,
    pub(crate) reclaim: jmethodID,
    pub(crate) drop_layer: jmethodID,
    pub(crate) threads: jmethodID,
    pub(crate) loader: jfieldID,
    /// The class `ark.jvm.Account`, with those that [`ask`] calls.
    account: Global,
    /// The class `ark.jvm.Ahead`, with those of its own.
    pub(crate) ahead: Global,
    pub(crate) begin_ahead: jmethodID,
    pub(crate) loaded: jmethodID,
    /// The class `ark.jvm.Ending`, with its own.
    ending: Global,
    listen_to_end: jmethodID,
    /// The class `ark.jvm.Base`, with those of its own.
    pub(crate) base: Global,
    pub(crate) base_port: jmethodID,
    pub(crate) base_class_path: jmethodID,
    pub(crate) ask_whether_to_join: jmethodID,
    pub(crate) open: jmethodID,
    /// The class `ark.jvm.ModuleLoader`.
    pub(crate) module_loader: Global,
    pub(crate) figures: jmethodID,
    pub(crate) metaspace: jmethodID,
    pub(crate) spaces: jmethodID,
    pub(crate) signs: jmethodID,
    pub(crate) packages_of_jdk: jmethodID,
    /// Whether a `java.lang.reflect.AccessibleObject` does not care for access.
    pub(crate) overrides_access: jfieldID,
    /// That of `java.lang.ClassLoader`.
    pub(crate) define: jmethodID,
}

// SAFETY: ids of methods and fields are valid on every thread.
unsafe impl Send for Names {}
// SAFETY: as above.
unsafe impl Sync for Names {}

/// The VM has ended, or ends.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the JVM is ending")]
pub(crate) struct Ended;

/// The VM, once the agent has set foot in it.
pub(crate) fn get() -> Result<&'static Vm, Ended> {
    VM.get().ok_or(Ended)
}

/// Runs `job` on an attached thread, some time. Without a VM it is dropped.
pub(crate) fn post(job: impl FnOnce(Env) + Send + 'static) {
    if let Some(vm) = VM.get()
        && let Some(jobs) = vm.jobs().as_ref()
    {
        let _ = jobs.send(Box::new(job));
    }
}

static QUESTIONS: Mutex<Option<HashMap<i64, oneshot::Sender<String>>>> = Mutex::new(None);

fn questions<T>(change: impl FnOnce(&mut HashMap<i64, oneshot::Sender<String>>) -> T) -> T {
    change(QUESTIONS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// Has `ask` ask the Java side on an attached thread, and waits for what it answers by [`answered`]. `ask` is given what both sides know the
/// question by.
///
/// # Errors
/// Why it could not be asked, in words.
pub(crate) async fn answer(ask: impl FnOnce(Env, i64) -> Result<(), Thrown> + Send + 'static) -> Result<String, String> {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    let asked = Asked(NEXT.fetch_add(1, Ordering::Relaxed));
    let (sender, answer) = oneshot::channel();
    questions(|questions| questions.insert(asked.0, sender));
    let question = asked.0;
    run(move |env| ask(env, question)).await.map_err(|ended| ended.to_string())?.map_err(|thrown| thrown.to_string())?;
    answer.await.map_err(|_| Ended.to_string())
}

/// A question that somebody waits for the answer to.
struct Asked(i64);

impl Drop for Asked {
    fn drop(&mut self) {
        questions(|questions| questions.remove(&self.0));
    }
}

/// The Java side answers.
pub(crate) fn answered(question: i64, answer: String) {
    if let Some(sender) = questions(|questions| questions.remove(&question)) {
        // Nobody may wait for it any more.
        let _ = sender.send(answer);
    }
}

/// Runs `job` on an attached thread.
pub(crate) async fn run<T: Send + 'static>(job: impl FnOnce(Env) -> T + Send + 'static) -> Result<T, Ended> {
    let (done, value) = oneshot::channel();
    post(move |env| {
        let _ = done.send(job(env));
    });
    value.await.map_err(|_| Ended)
}

/// What a method of `ark.jvm.Account` answers; none where it has no answer, or the VM is ending.
pub(crate) async fn ask(method: impl FnOnce(&Names) -> jmethodID + Send + 'static) -> Option<String> {
    ask_of(|names| (&names.account, method(names))).await
}

/// What a static method without parameters answers; none where it has no answer, or the VM is ending.
pub(crate) async fn ask_of(method: impl FnOnce(&Names) -> (&Global, jmethodID) + Send + 'static) -> Option<String> {
    let asked = run(move |env| {
        let names = &get().ok()?.names;
        let (class, method) = method(names);
        let text = env.call_static(class.get(), method, &[]).ok()?;
        (!text.is_null()).then(|| env.text(text))
    });
    asked.await.ok().flatten()
}

impl Vm {
    fn jobs(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the Java side into the VM and attaches the workers. Called once, on a thread of Java.
    pub(crate) fn enter(java: *mut JavaVM, jvmti: Jvmti, env: Env) -> Result<(), String> {
        let said = |what: &'static str| move |thrown: Thrown| format!("{what}: {thrown}");
        if classes::BASE.is_empty() {
            return Err("this agent was built without a JDK and has no Java side; build it where there is a javac".to_owned());
        }
        let feature = feature(env).map_err(said("asking for the version"))?;
        let names = names(env).map_err(said("defining the Java side"))?;
        let ballast = env.new_byte_array(BALLAST_BYTES).map_err(said("setting memory aside"))?;
        let (sender, receiver) = mpsc::channel();
        let vm = Self {
            java: JavaVmPointer(java),
            jvmti,
            feature,
            names,
            jobs: Mutex::new(Some(sender)),
            live: AtomicUsize::new(0),
            ballast: Mutex::new(Some(env.global(ballast))),
            exhausted: AtomicBool::new(false),
        };
        VM.set(vm).map_err(|_| "the agent is there already".to_owned())?;
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..WORKERS {
            let receiver = Arc::clone(&receiver);
            let worker = thread::Builder::new().name(format!("arklet-jvm-{number}"));
            worker.spawn(move || work(&receiver)).map_err(|error| format!("starting a thread: {error}"))?;
        }
        Ok(())
    }

    /// An environment of the tool interface in which objects can be tagged.
    pub(crate) fn tagging(&self) -> Result<Tagging, String> {
        Jvmti::tagging(self.java.0)
    }

    /// The heap or the metaspace is full: the next job begins with some memory.
    pub(crate) fn is_exhausted(&self) {
        self.exhausted.store(true, Ordering::Release);
    }

    /// Lets the workers go, so that they do not hold the end of the VM up.
    pub(crate) fn leave(&self) {
        *self.jobs() = None;
        // Nobody is going to answer.
        questions(HashMap::clear);
        let end = Instant::now() + LEAVING;
        while self.live.load(Ordering::Acquire) > 0 && Instant::now() < end {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// What a worker does. It is attached once, for attaching takes memory of the heap, and as a daemon, for others keep the VM from ending.
fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    let Some(vm) = VM.get() else { return };
    let mut arguments = JavaVMAttachArgs { version: JNI_VERSION_1_8, name: c"arklet".as_ptr().cast_mut(), group: ptr::null_mut() };
    let mut env: *mut c_void = ptr::null_mut();
    let java = vm.java.0;
    // SAFETY: the pointer is the VM's own; the arguments and the answer are places of ours.
    let code = unsafe { ((**java).v1_4.AttachCurrentThreadAsDaemon)(java, &raw mut env, (&raw mut arguments).cast()) };
    if code != 0 {
        tracing::error!(code, "a thread could not be attached to the JVM");
        return;
    }
    vm.live.fetch_add(1, Ordering::AcqRel);
    // SAFETY: the VM wrote it for this thread, which is attached until below.
    let env = unsafe { Env::new(env.cast()) };
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { break };
        if vm.exhausted.swap(false, Ordering::AcqRel) {
            drop(vm.ballast.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
        env.frame(|| {
            if catch_unwind(AssertUnwindSafe(|| job(env))).is_err() {
                tracing::error!("work in the JVM panicked");
            }
            if let Err(thrown) = env.check() {
                tracing::error!(%thrown, "work in the JVM left an exception");
            }
        });
    }
    // SAFETY: as above; this thread uses nothing of the VM from here on.
    unsafe { ((**java).v1_4.DetachCurrentThread)(java) };
    vm.live.fetch_sub(1, Ordering::AcqRel);
}

/// Has the VM say when it begins to end.
pub(crate) fn listen_to_its_end(env: Env) -> Result<(), Thrown> {
    let names = &get().map_err(|ended| Thrown(ended.to_string()))?.names;
    env.call_static_void(names.ending.get(), names.listen_to_end, &[])
}

/// The feature version of this Java.
fn feature(env: Env) -> Result<u16, Thrown> {
    let system = env.class(c"java/lang/System")?;
    let get = env.static_method(system, c"getProperty", c"(Ljava/lang/String;)Ljava/lang/String;")?;
    let name = env.string("java.specification.version")?;
    let version = env.text(env.call_static(system, get, &[object(name)])?);
    Ok(version.parse().unwrap_or(17))
}

/// Defines the Java side beside the base's classes: they see each other by no name that a base would use.
fn names(env: Env) -> Result<Names, Thrown> {
    let class_loader = env.class(c"java/lang/ClassLoader")?;
    let system = env.static_method(class_loader, c"getSystemClassLoader", c"()Ljava/lang/ClassLoader;")?;
    let system = env.call_static(class_loader, system, &[])?;
    let [mut module, mut account, mut ahead, mut base, mut ending, mut module_loader] = [ptr::null_mut(); 6];
    for (name, bytes) in classes::BASE {
        let c_name = CString::new(*name).unwrap_or_default();
        let class = env.define(&c_name, system, bytes)?;
        match *name {
            "ark/jvm/Module" => module = class,
            "ark/jvm/Account" => account = class,
            "ark/jvm/Ahead" => ahead = class,
            "ark/jvm/Base" => base = class,
            "ark/jvm/Ending" => ending = class,
            "ark/jvm/ModuleLoader" => module_loader = class,
            "ark/jvm/Native" => env.register(class, &natives::table())?,
            _ => {}
        }
    }
    let define = c"(Ljava/lang/String;Ljava/nio/ByteBuffer;Ljava/security/ProtectionDomain;)Ljava/lang/Class;";
    let start = c"(JLjava/lang/String;JLark/jvm/ModuleLoader;Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/String;ZZZ)Lark/jvm/Module;";
    Ok(Names {
        layer: env.static_method(module, c"layer", c"(Ljava/lang/String;J)Lark/jvm/ModuleLoader;")?,
        start: env.static_method(module, c"start", start)?,
        end: env.method(module, c"end", c"(JZ)V")?,
        reclaim: env.method(module, c"reclaim", c"(Z)Ljava/lang/String;")?,
        drop_layer: env.static_method(module, c"dropLayer", c"(Lark/jvm/ModuleLoader;)Ljava/lang/String;")?,
        figures: env.static_method(account, c"figures", c"()Ljava/lang/String;")?,
        metaspace: env.static_method(account, c"metaspace", c"()Ljava/lang/String;")?,
        threads: env.method(module, c"threads", c"()Ljava/lang/String;")?,
        packages_of_jdk: env.static_method(account, c"packagesOfJdk", c"()Ljava/lang/String;")?,
        spaces: env.static_method(account, c"spaces", c"()Ljava/lang/String;")?,
        signs: env.static_method(account, c"signs", c"()Ljava/lang/String;")?,
        begin_ahead: env.static_method(ahead, c"begin", c"(Lark/jvm/ModuleLoader;[Ljava/lang/String;ZJ)V")?,
        loaded: env.static_method(ahead, c"loaded", c"(Lark/jvm/ModuleLoader;)[Ljava/lang/Object;")?,
        listen_to_end: env.static_method(ending, c"listen", c"()V")?,
        base_port: env.static_method(base, c"port", c"()Ljava/lang/String;")?,
        base_class_path: env.static_method(base, c"classPath", c"()Ljava/lang/String;")?,
        ask_whether_to_join: env.static_method(base, c"askWhetherToJoin", c"(J)V")?,
        open: env.static_method(base, c"open", c"(Ljava/lang/String;Z)V")?,
        loader: env.field(module, c"loader", c"Lark/jvm/ModuleLoader;")?,
        // Set through this interface, it needs no permission, so that no option has to open the JDK.
        overrides_access: env.field(env.class(c"java/lang/reflect/AccessibleObject")?, c"override", c"Z")?,
        define: env.method(class_loader, c"defineClass", define)?,
        module: env.global(module),
        account: env.global(account),
        ahead: env.global(ahead),
        base: env.global(base),
        ending: env.global(ending),
        module_loader: env.global(module_loader),
    })
}
