//! What holds a module that was removed: the VM follows every reference of its heap once, and the nearest roots are looked for
//! backwards, from the objects of the module on.
//!
//! Everything stands still while the VM walks, so that this happens when somebody asks, or where the heap is small.

use std::{
    collections::{HashMap, HashSet},
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, Weak as Unheld},
    time::Instant,
};

use ark_jvm::holders::{Heap, Path, Reference, Root};
use ark_model::{
    Failure, ModuleId, Reason,
    api::{HolderPath, HolderStep, Holders, SearchCost},
};
use jni_sys::{jclass, jint, jlong, jmethodID, jobject};

use crate::{
    jni::{Env, Weak},
    jvmti::{Jvmti, Tagging},
    vm,
};

/// How many ways are looked for.
const PATHS: usize = 5;
/// The size of an object on the average, and how long the VM walks for one: as measured on heaps of Spring Boot applications.
const OBJECT_BYTES: u64 = 56;
const OBJECT_MS: f64 = 0.002;

/// Kinds of reference and root, by the specification's `jvmtiHeapReferenceKind`.
const CLASS: u8 = 1;
const FIELD: u8 = 2;
const ELEMENT: u8 = 3;
const LOADER: u8 = 4;
const SIGNERS: u8 = 5;
const DOMAIN: u8 = 6;
const INTERFACE: u8 = 7;
const STATIC: u8 = 8;
const CONSTANT: u8 = 9;
const SUPERCLASS: u8 = 10;
const FIRST_ROOT: u8 = 21;
const ROOT_GLOBAL: u8 = 21;
const ROOT_SYSTEM_CLASS: u8 = 22;
const ROOT_MONITOR: u8 = 23;
const ROOT_LOCAL: u8 = 24;
const ROOT_NATIVE_LOCAL: u8 = 25;
const ROOT_THREAD: u8 = 26;
/// What the callback answers.
const GO_ON: jint = 0x100;
const LEAVE_OUT: jint = 0;
const ABORT: jint = 0x8000;

/// The loaders of a module that was removed: its own, and that of its libraries where nobody else has it.
pub(crate) type Loaders = Arc<Vec<Weak>>;

/// Modules that were removed, the latest last.
static LINGERING: Mutex<Vec<Lingering>> = Mutex::new(Vec::new());

type Lingering = (Arc<ModuleId>, Unheld<Vec<Weak>>);

/// Makes a removed module findable as long as its loaders are.
pub(crate) fn remember(id: &Arc<ModuleId>, loaders: &Loaders) {
    let mut lingering = LINGERING.lock().unwrap_or_else(PoisonError::into_inner);
    lingering.retain(|(_, loaders)| loaders.strong_count() > 0);
    lingering.push((Arc::clone(id), Arc::downgrade(loaders)));
}

/// The loaders of the module `id` that was removed last and is not gone.
pub(crate) fn lingering(id: &ModuleId) -> Option<Loaders> {
    let lingering = LINGERING.lock().unwrap_or_else(PoisonError::into_inner);
    lingering.iter().rev().filter(|(known, _)| **known == *id).find_map(|(_, loaders)| loaders.upgrade())
}

/// What a search takes in a heap of which so much is in use.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(crate) fn cost(heap_bytes: u64) -> SearchCost {
    let objects = heap_bytes / OBJECT_BYTES;
    SearchCost { heap_bytes, objects, stopped_ms: objects as f64 * OBJECT_MS }
}

/// What holds the module `id`, which these loaders are of.
pub(crate) async fn search(id: Arc<ModuleId>, loaders: Loaders, at_most_objects: u64) -> Result<Holders, Failure> {
    // One at a time: another's references, and its memory, would be in the way.
    static SEARCHING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _searching = SEARCHING.lock().await;
    let found = vm::run(move |env| look(env, &id, &loaders, at_most_objects)).await;
    found.map_err(|ended| Failure::new(Reason::Internal, ended.to_string()))?
}

fn look(env: Env, id: &ModuleId, loaders: &[Weak], at_most_objects: u64) -> Result<Holders, Failure> {
    let internal = |problem: String| Failure::new(Reason::Internal, format!("looking for what holds {id}: {problem}"));
    let began = Instant::now();
    let tools = vm::get().map_err(|ended| internal(ended.to_string()))?.tagging().map_err(internal)?;
    let mut walk = Walk { at_most: u32::try_from(at_most_objects).unwrap_or(u32::MAX - 1), ..Walk::default() };
    // References of this thread are roots too: they are given back before the walk.
    env.frame(|| walk.prepare(env, &tools, loaders));
    let walked = Instant::now();
    // SAFETY: the callback expects a `Walk`, which outlives the call and is nobody else's meanwhile.
    unsafe { tools.follow(on_reference, (&raw mut walk).cast()) }.map_err(internal)?;
    let stopped = walked.elapsed();
    if walk.over {
        let message = format!(
            "the heap has more than {at_most_objects} objects; ask again with more, and everything stands still for about {:.1} s a million",
            OBJECT_MS * 1_000.0
        );
        return Err(Failure::new(Reason::BudgetExceeded, message));
    }
    walk.heap.objects = walk.next;
    let paths = walk.heap.paths(&walk.wanted, PATHS);
    let names = Names::new(env, &tools, &walk, &paths);
    let paths = paths.iter().map(|path| HolderPath { soft: path.soft, steps: names.steps(path) }).collect();
    let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1_000.0;
    Ok(Holders {
        id: id.clone(),
        paths,
        objects: u64::from(walk.next),
        references: walk.heap.references.len() as u64,
        stopped_ms: ms(stopped),
        total_ms: ms(began.elapsed()),
    })
}

/// What is known of a class before the walk.
#[derive(Debug, Default)]
struct Class {
    signature: String,
    /// Whether it is of a loader that is looked for: such a class and its objects hold the loader.
    is_wanted: bool,
    /// The place of the field by which a `java.lang.ref.Reference` does not hold, and whether it does softly.
    referent: Option<(jint, bool)>,
}

/// A walk through the heap. Objects have the numbers in which they are met as tags; classes come first, then threads.
#[derive(Debug, Default)]
struct Walk {
    heap: Heap,
    /// By number; the one at 0 stands for classes that were loaded since.
    classes: Vec<Class>,
    /// The names of threads, by their numbers.
    threads: HashMap<u32, String>,
    /// The class of each object, by the number of the object.
    class_of: Vec<u32>,
    wanted: Vec<u32>,
    /// Where in the code the local variables are that are roots, by the place of the root.
    frames: HashMap<usize, (u32, usize)>,
    /// The highest number given.
    next: u32,
    at_most: u32,
    over: bool,
}

impl Walk {
    fn number(&mut self, class: u32) -> u32 {
        self.next += 1;
        self.class_of.push(class);
        self.next
    }

    fn prepare(&mut self, env: Env, tools: &Tagging, loaders: &[Weak]) {
        let loaders: Vec<jobject> = loaders.iter().map(|loader| env.strong(loader)).filter(|loader| !loader.is_null()).collect();
        let (reference, soft) = (env.class(c"java/lang/ref/Reference"), env.class(c"java/lang/ref/SoftReference"));
        let (Ok(reference), Ok(soft)) = (reference, soft) else { return };
        let fields = tools.0.fields(reference);
        let referent = fields.iter().position(|field| tools.0.field_name(reference, *field) == "referent").unwrap_or(0);
        let referent = jint::try_from(referent).unwrap_or(0);
        self.classes.push(Class::default());
        self.class_of.push(0);
        for class in tools.0.loaded_classes() {
            let signature = tools.0.signature(class);
            let loader = tools.0.loader_of(class);
            let is_wanted = !loader.is_null() && loaders.iter().any(|wanted| env.is_same(*wanted, loader));
            let is_reference = signature.starts_with('L') && env.is_kind_of(class, reference);
            let referent = is_reference.then(|| (interface_fields(env, tools.0, class) + referent, env.is_kind_of(class, soft)));
            self.classes.push(Class { signature, is_wanted, referent });
            let number = self.number(0);
            if is_wanted {
                self.wanted.push(number);
            }
            tools.set(class, jlong::from(number));
            env.delete(loader);
            env.delete(class);
        }
        self.heap.classes = self.next;
        for thread in tools.0.threads() {
            let number = self.number(0);
            self.threads.insert(number, tools.0.thread_name(thread));
            tools.set(thread, jlong::from(number));
        }
        for loader in loaders {
            let number = self.number(0);
            self.wanted.push(number);
            tools.set(loader, jlong::from(number));
        }
    }

    fn class(&self, number: u32) -> Option<&Class> {
        self.classes.get(number as usize)
    }

    /// Meets an object by a reference or a root. Answers with its number, and with what the VM is to do.
    fn meet(&mut self, met: &Met) -> (u32, jint) {
        let mut soft = false;
        if met.kind == FIELD
            && let Some((referent, softly)) = self.class(met.holder_class).and_then(|class| class.referent)
            && met.index == referent
        {
            if !softly {
                return (met.to, LEAVE_OUT);
            }
            soft = true;
        }
        let to = if met.to == 0 {
            if self.next >= self.at_most {
                self.over = true;
                return (0, ABORT);
            }
            let number = self.number(met.class);
            if self.class(met.class).is_some_and(|class| class.is_wanted) {
                self.wanted.push(number);
            }
            number
        } else {
            // Threads and loaders had their numbers before their classes were known.
            if let Some(known) = self.class_of.get_mut(met.to as usize)
                && met.to > self.heap.classes
            {
                *known = met.class;
            }
            met.to
        };
        if let Some(from) = met.from {
            self.heap.references.push(Reference { from, to, index: met.index, kind: met.kind, soft });
        } else {
            self.root(met, to);
        }
        (to, GO_ON)
    }

    fn root(&mut self, met: &Met, object: u32) {
        let (mut rank, mut place) = (met.kind, u64::from(met.kind) << 32 | u64::from(object));
        if let Some(frame) = met.frame {
            // The frames of a thread are one place, and say more of it than that it runs.
            (rank, place) = (1, u64::from(ROOT_LOCAL) << 32 | u64::from(u32::try_from(frame.thread_id).unwrap_or(0)));
            let thread = u32::try_from(frame.thread_tag).unwrap_or(0);
            self.frames.insert(self.heap.roots.len(), (thread, frame.method as usize));
        } else if met.kind == ROOT_THREAD {
            rank = 0;
        } else if met.kind == ROOT_SYSTEM_CLASS {
            rank = 2;
        }
        self.heap.roots.push(Root { object, rank, place });
    }
}

/// What the VM tells of a reference or a root. Objects are given by their numbers, 0 where they have none yet.
struct Met<'a> {
    kind: u8,
    /// Who holds; none for a root.
    from: Option<u32>,
    holder_class: u32,
    index: jint,
    to: u32,
    class: u32,
    frame: Option<&'a Frame>,
}

/// Where a local variable is: the first members of both `jvmtiHeapReferenceInfoStackLocal` and `…JniLocal`.
#[repr(C)]
struct Frame {
    thread_tag: jlong,
    thread_id: jlong,
    depth: jint,
    method: jmethodID,
}

unsafe extern "system" fn on_reference(
    kind: jint,
    info: *const c_void,
    class: jlong,
    holder_class: jlong,
    _: jlong,
    tag: *mut jlong,
    holder: *mut jlong,
    _: jint,
    walk: *mut c_void,
) -> jint {
    catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: what was given to `follow`.
        let walk = unsafe { &mut *walk.cast::<Walk>() };
        let kind = u8::try_from(kind).unwrap_or(0);
        let number = |tag: jlong| u32::try_from(tag).unwrap_or(0);
        let (mut index, mut frame) = (-1, None);
        match kind {
            // SAFETY: for these kinds the VM passes a structure whose first member is an index.
            FIELD | STATIC | ELEMENT | CONSTANT => index = unsafe { *info.cast::<jint>() },
            // SAFETY: for these kinds it passes a structure that begins so.
            ROOT_LOCAL | ROOT_NATIVE_LOCAL => frame = Some(unsafe { &*info.cast::<Frame>() }),
            _ => {}
        }
        // SAFETY: the VM passes the place of the tag of who is held, and that of who holds where it is no root.
        let (to, from) = unsafe { (*tag, holder.as_ref().filter(|_| kind < FIRST_ROOT).copied()) };
        let (from, to) = (from.map(number), number(to));
        let met = Met { kind, from, holder_class: number(holder_class), index, to, class: number(class), frame };
        let (to, answer) = walk.meet(&met);
        // SAFETY: as above.
        unsafe { *tag = jlong::from(to) };
        answer
    }))
    .unwrap_or(ABORT)
}

/// The fields of all interfaces of a class: they are counted before its own.
fn interface_fields(env: Env, jvmti: Jvmti, class: jclass) -> jint {
    let (mut all, mut at) = (Vec::<jclass>::new(), class);
    while !at.is_null() {
        let mut open = jvmti.interfaces(at);
        while let Some(interface) = open.pop() {
            if !all.iter().any(|known| env.is_same(*known, interface)) {
                all.push(interface);
                open.extend(jvmti.interfaces(interface));
            }
        }
        at = env.superclass(at);
    }
    all.iter().map(|interface| jint::try_from(jvmti.fields(*interface).len()).unwrap_or(0)).sum()
}

/// What the objects and references of some paths are called.
struct Names<'a> {
    env: Env,
    jvmti: Jvmti,
    walk: &'a Walk,
    /// The classes that may be asked, by their numbers.
    classes: HashMap<u32, jobject>,
}

impl<'a> Names<'a> {
    fn new(env: Env, tools: &Tagging, walk: &'a Walk, paths: &[Path]) -> Self {
        let mut wanted = HashSet::new();
        for reference in paths.iter().flat_map(|path| &path.references) {
            wanted.insert(if reference.kind == STATIC { reference.from } else { walk.class_of(reference.from) });
        }
        let tags: Vec<jlong> = wanted.into_iter().map(jlong::from).collect();
        let classes = tools.objects(&tags).into_iter().filter_map(|(tag, class)| Some((u32::try_from(tag).ok()?, class))).collect();
        Self { env, jvmti: tools.0, walk, classes }
    }

    fn steps(&self, path: &Path) -> Vec<HolderStep> {
        let root = self.walk.heap.roots.get(path.root).map_or(0, |root| root.object);
        let first = HolderStep { by: self.root(path.root), to: self.object(root) };
        let rest = path.references.iter().map(|reference| HolderStep { by: self.reference(reference), to: self.object(reference.to) });
        std::iter::once(first).chain(rest).collect()
    }

    fn object(&self, number: u32) -> String {
        if (1..=self.walk.heap.classes).contains(&number) {
            return format!("class {}", self.class_name(number));
        }
        let class = self.class_name(self.walk.class_of(number));
        match self.walk.threads.get(&number) {
            Some(name) => format!("{class} \"{name}\""),
            None => class,
        }
    }

    fn class_name(&self, number: u32) -> String {
        self.walk.class(number).map_or_else(String::new, |class| readable(&class.signature))
    }

    fn root(&self, number: usize) -> String {
        let kind = self.walk.heap.roots.get(number).map_or(0, |root| u8::try_from(root.place >> 32).unwrap_or(0));
        let what = match kind {
            ROOT_GLOBAL => "native code",
            ROOT_SYSTEM_CLASS => "always loaded",
            ROOT_MONITOR => "locked",
            ROOT_THREAD => "running thread",
            ROOT_LOCAL => match self.walk.frames.get(&number) {
                Some((thread, method)) => return self.frame(*thread, *method),
                None => "a local variable",
            },
            _ => "the JVM",
        };
        what.to_owned()
    }

    fn frame(&self, thread: u32, method: usize) -> String {
        let thread = self.walk.threads.get(&thread).map_or("a thread", String::as_str);
        let method = if method == 0 { None } else { self.jvmti.method(method as jmethodID) };
        match method {
            Some((class, name)) => format!("thread \"{thread}\", which runs {}.{name},", readable(&self.jvmti.signature(class))),
            None => format!("thread \"{thread}\", in native code,"),
        }
    }

    fn reference(&self, reference: &Reference) -> String {
        match reference.kind {
            FIELD | STATIC => {
                let class = if reference.kind == STATIC { reference.from } else { self.walk.class_of(reference.from) };
                let name = self.field(class, reference.index);
                let before = if reference.kind == STATIC { "static " } else { "" };
                let after = if reference.soft { " (soft)" } else { "" };
                format!("{before}.{name}{after}")
            }
            ELEMENT => format!("[{}]", reference.index),
            CLASS => "its class".to_owned(),
            LOADER => "its class loader".to_owned(),
            SIGNERS => "its signers".to_owned(),
            DOMAIN => "its protection domain".to_owned(),
            INTERFACE => "its interface".to_owned(),
            CONSTANT => "its constant".to_owned(),
            SUPERCLASS => "its superclass".to_owned(),
            other => format!("reference of kind {other}"),
        }
    }

    /// The field with this number: fields of interfaces come first, then those of the highest superclass, and so on.
    fn field(&self, class: u32, index: jint) -> String {
        let unknown = || format!("field {index}");
        let Some(class) = self.classes.get(&class) else { return unknown() };
        let Ok(mut left) = usize::try_from(index - interface_fields(self.env, self.jvmti, *class)) else { return unknown() };
        let (mut chain, mut at) = (Vec::new(), *class);
        while !at.is_null() {
            chain.push(at);
            at = self.env.superclass(at);
        }
        for class in chain.into_iter().rev() {
            let fields = self.jvmti.fields(class);
            match fields.get(left) {
                Some(field) => return self.jvmti.field_name(class, *field),
                None => left -= fields.len(),
            }
        }
        unknown()
    }
}

impl Walk {
    fn class_of(&self, object: u32) -> u32 {
        self.class_of.get(object as usize).copied().unwrap_or(0)
    }
}

/// `java.lang.String[]` for `[Ljava/lang/String;`.
fn readable(signature: &str) -> String {
    let element = signature.trim_start_matches('[');
    let name = match element {
        "Z" => "boolean",
        "B" => "byte",
        "C" => "char",
        "S" => "short",
        "I" => "int",
        "J" => "long",
        "F" => "float",
        "D" => "double",
        "" => "an object of a class that was loaded meanwhile",
        class => class.strip_prefix('L').unwrap_or(class).trim_end_matches(';'),
    };
    format!("{}{}", name.replace('/', "."), "[]".repeat(signature.len() - element.len()))
}
