//! The JVM Tool Interface, as far as the agent uses it: a table of functions, called by their number in the specification
//! (<https://docs.oracle.com/en/java/javase/17/docs/specs/jvmti.html>).

use std::{
    ffi::{CStr, c_char, c_void},
    ptr,
};

use jni_sys::{JavaVM, jclass, jfieldID, jint, jlong, jmethodID, jobject};

type Table = *mut *const [*const c_void; 156];

/// An environment of the tool interface. It is the process's own, and lasts as long as the VM.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jvmti(Table);

// SAFETY: the functions used here may be called on any thread.
unsafe impl Send for Jvmti {}
// SAFETY: as above.
unsafe impl Sync for Jvmti {}

const VERSION_1_2: jint = 0x3001_0200;
const ENABLE: jint = 1;
const EVENTS: usize = 37;
const EVENT_VM_INIT: jint = 50;
const EVENT_VM_DEATH: jint = 51;
const EVENT_RESOURCE_EXHAUSTED: jint = 80;
/// The callbacks lie in the order of the events' numbers, from this one on.
const FIRST_EVENT: jint = 50;
const PREPARED: jint = 2;
const INITIALIZED: jint = 4;

/// What the agent hears of the VM.
pub(crate) struct Callbacks {
    pub(crate) init: *const c_void,
    pub(crate) death: *const c_void,
    pub(crate) exhausted: *const c_void,
}

macro_rules! jvmti {
    ($self:expr, $number:literal, ($($type:ty),*) $(, $argument:expr)*) => {{
        let table = $self.0;
        // SAFETY: the table is the VM's own and lasts as long as it; the function with this number has this signature, by the
        // specification; pointers to Rust memory are valid for the call.
        unsafe {
            let function: unsafe extern "system" fn(Table $(, $type)*) -> jint = std::mem::transmute((**table)[$number - 1]);
            function(table $(, $argument)*)
        }
    }};
}

impl Jvmti {
    pub(crate) fn of(vm: *mut JavaVM) -> Result<Self, String> {
        let mut table: *mut c_void = ptr::null_mut();
        // SAFETY: the VM passed its own pointer, and the answer is written to a place of ours.
        let code = unsafe { ((**vm).v1_4.GetEnv)(vm, &raw mut table, VERSION_1_2) };
        if code == 0 { Ok(Self(table.cast())) } else { Err(format!("this VM has no tool interface (GetEnv answered {code})")) }
    }

    /// Asks to hear of a heap or a metaspace that is full.
    pub(crate) fn watch_resources(self) {
        // `can_generate_resource_exhaustion_heap_events` and `…_threads_events`, by their place in `jvmtiCapabilities`.
        let capabilities: [u32; 4] = [0, 3 << 7, 0, 0];
        let _ = jvmti!(self, 142, (*const u32), capabilities.as_ptr());
    }

    pub(crate) fn listen(self, callbacks: &Callbacks, to_init: bool) -> Result<(), String> {
        let mut table = [ptr::null::<c_void>(); EVENTS];
        let mut wanted = vec![(EVENT_VM_DEATH, callbacks.death), (EVENT_RESOURCE_EXHAUSTED, callbacks.exhausted)];
        if to_init {
            wanted.push((EVENT_VM_INIT, callbacks.init));
        }
        for (event, callback) in &wanted {
            if let Some(place) = usize::try_from(event - FIRST_EVENT).ok().and_then(|at| table.get_mut(at)) {
                *place = *callback;
            }
        }
        let size = i32::try_from(size_of_val(&table)).unwrap_or(0);
        let code = jvmti!(self, 122, (*const c_void, jint), table.as_ptr().cast(), size);
        if code != 0 {
            return Err(format!("the VM takes no callbacks (SetEventCallbacks answered {code})"));
        }
        for (event, _) in wanted {
            let table = self.0;
            // SAFETY: as in `jvmti!`; this one function has variable arguments, of which none are given.
            let code = unsafe {
                let function: unsafe extern "C" fn(Table, jint, jint, jobject, ...) -> jint = std::mem::transmute((**table)[1]);
                function(table, ENABLE, event, ptr::null_mut())
            };
            // A VM may refuse to tell of exhausted resources; the agent works without.
            if code != 0 && event != EVENT_RESOURCE_EXHAUSTED {
                return Err(format!("the VM does not tell of event {event} (SetEventNotificationMode answered {code})"));
            }
        }
        Ok(())
    }

    /// Collects garbage. Returns when that is done.
    pub(crate) fn collect_garbage(self) {
        let _ = jvmti!(self, 108, ());
    }

    pub(crate) fn is_initialised(self, class: jclass) -> bool {
        self.has_status(class, INITIALIZED)
    }

    /// Whether it has been verified and prepared, and perhaps more.
    pub(crate) fn is_linked(self, class: jclass) -> bool {
        self.has_status(class, PREPARED)
    }

    fn has_status(self, class: jclass, wanted: jint) -> bool {
        let mut status = 0;
        let code = jvmti!(self, 49, (jclass, *mut jint), class, &raw mut status);
        code == 0 && status & wanted != 0
    }

    /// An environment beside this one that may tag objects. The VM pays for that as long as it is there: it ends with the value.
    pub(crate) fn tagging(vm: *mut JavaVM) -> Result<Tagging, String> {
        let tagging = Tagging(Self::of(vm)?);
        // `can_tag_objects`, by its place in `jvmtiCapabilities`.
        let capabilities: [u32; 4] = [1, 0, 0, 0];
        let code = jvmti!(tagging.0, 142, (*const u32), capabilities.as_ptr());
        if code == 0 { Ok(tagging) } else { Err(format!("the VM lets nobody tag objects (AddCapabilities answered {code})")) }
    }

    /// Copies what the VM allocated, and gives it back.
    fn taken<T: Copy>(self, count: jint, start: *mut T) -> Vec<T> {
        if start.is_null() {
            return Vec::new();
        }
        // SAFETY: the VM wrote so many there, and they are this function's alone.
        let values = unsafe { std::slice::from_raw_parts(start, usize::try_from(count).unwrap_or(0)) }.to_vec();
        let _ = jvmti!(self, 47, (*mut c_void), start.cast());
        values
    }

    fn text(self, start: *mut c_char) -> String {
        if start.is_null() {
            return String::new();
        }
        // SAFETY: the VM wrote a text there that ends with a zero, and it is this function's alone.
        let text = unsafe { CStr::from_ptr(start) }.to_string_lossy().into_owned();
        let _ = jvmti!(self, 47, (*mut c_void), start.cast());
        text
    }

    pub(crate) fn loaded_classes(self) -> Vec<jclass> {
        let (mut count, mut start) = (0, ptr::null_mut());
        let _ = jvmti!(self, 78, (*mut jint, *mut *mut jclass), &raw mut count, &raw mut start);
        self.taken(count, start)
    }

    /// As in `Ljava/lang/String;`.
    pub(crate) fn signature(self, class: jclass) -> String {
        let mut start = ptr::null_mut();
        let _ = jvmti!(self, 48, (jclass, *mut *mut c_char, *mut *mut c_char), class, &raw mut start, ptr::null_mut());
        self.text(start)
    }

    pub(crate) fn loader_of(self, class: jclass) -> jobject {
        let mut loader = ptr::null_mut();
        let _ = jvmti!(self, 57, (jclass, *mut jobject), class, &raw mut loader);
        loader
    }

    /// Those that the class itself declares, in the order of the class file.
    pub(crate) fn fields(self, class: jclass) -> Vec<jfieldID> {
        let (mut count, mut start) = (0, ptr::null_mut());
        let _ = jvmti!(self, 53, (jclass, *mut jint, *mut *mut jfieldID), class, &raw mut count, &raw mut start);
        self.taken(count, start)
    }

    pub(crate) fn field_name(self, class: jclass, field: jfieldID) -> String {
        let mut start = ptr::null_mut();
        let null: *mut *mut c_char = ptr::null_mut();
        let name: *mut *mut c_char = &raw mut start;
        let _ = jvmti!(self, 60, (jclass, jfieldID, *mut *mut c_char, *mut *mut c_char, *mut *mut c_char), class, field, name, null, null);
        self.text(start)
    }

    /// Those that the class itself declares.
    pub(crate) fn interfaces(self, class: jclass) -> Vec<jclass> {
        let (mut count, mut start) = (0, ptr::null_mut());
        let _ = jvmti!(self, 54, (jclass, *mut jint, *mut *mut jclass), class, &raw mut count, &raw mut start);
        self.taken(count, start)
    }

    pub(crate) fn threads(self) -> Vec<jobject> {
        let (mut count, mut start) = (0, ptr::null_mut());
        let _ = jvmti!(self, 4, (*mut jint, *mut *mut jobject), &raw mut count, &raw mut start);
        self.taken(count, start)
    }

    pub(crate) fn thread_name(self, thread: jobject) -> String {
        let mut info = ThreadInfo { name: ptr::null_mut(), priority: 0, daemon: 0, group: ptr::null_mut(), loader: ptr::null_mut() };
        let _ = jvmti!(self, 9, (jobject, *mut ThreadInfo), thread, &raw mut info);
        self.text(info.name)
    }

    /// The class and the name of a method.
    pub(crate) fn method(self, method: jmethodID) -> Option<(jclass, String)> {
        let (mut class, mut start) = (ptr::null_mut(), ptr::null_mut());
        let null: *mut *mut c_char = ptr::null_mut();
        if jvmti!(self, 65, (jmethodID, *mut jclass), method, &raw mut class) != 0 {
            return None;
        }
        let _ = jvmti!(self, 64, (jmethodID, *mut *mut c_char, *mut *mut c_char, *mut *mut c_char), method, &raw mut start, null, null);
        Some((class, self.text(start)))
    }
}

#[repr(C)]
struct ThreadInfo {
    name: *mut c_char,
    priority: jint,
    daemon: u8,
    group: jobject,
    loader: jobject,
}

/// Called for each reference: its kind, what is known of it, the tags of the classes of who is held and who holds, the size of who is
/// held, the tags of both themselves, the length of an array, and what was given.
pub(crate) type OnReference =
    unsafe extern "system" fn(jint, *const c_void, jlong, jlong, jlong, *mut jlong, *mut jlong, jint, *mut c_void) -> jint;

/// An environment in which objects have tags. It ends with this.
pub(crate) struct Tagging(pub(crate) Jvmti);

impl Tagging {
    pub(crate) fn set(&self, object: jobject, tag: jlong) {
        let _ = jvmti!(self.0, 107, (jobject, jlong), object, tag);
    }

    /// Those of the objects with these tags that are alive, with their tags.
    pub(crate) fn objects(&self, tags: &[jlong]) -> Vec<(jlong, jobject)> {
        let (mut count, mut objects, mut found) = (0, ptr::null_mut(), ptr::null_mut());
        let wanted = jint::try_from(tags.len()).unwrap_or(0);
        let (objects_at, found_at): (*mut *mut jobject, *mut *mut jlong) = (&raw mut objects, &raw mut found);
        let _ = jvmti!(
            self.0,
            114,
            (jint, *const jlong, *mut jint, *mut *mut jobject, *mut *mut jlong),
            wanted,
            tags.as_ptr(),
            &raw mut count,
            objects_at,
            found_at
        );
        self.0.taken(count, found).into_iter().zip(self.0.taken(count, objects)).collect()
    }

    /// Follows all references from the roots. Everything stands still until it returns.
    ///
    /// # Safety
    /// `given` has to be what `told` expects.
    pub(crate) unsafe fn follow(&self, told: OnReference, given: *mut c_void) -> Result<(), String> {
        let mut callbacks = [ptr::null::<c_void>(); 16];
        if let Some(place) = callbacks.get_mut(1) {
            *place = told as *const c_void;
        }
        let table: *const c_void = callbacks.as_ptr().cast();
        let null = ptr::null_mut();
        let code = jvmti!(self.0, 115, (jint, jclass, jobject, *const c_void, *mut c_void), 0, null, null, table, given);
        if code == 0 { Ok(()) } else { Err(format!("the VM does not follow references (FollowReferences answered {code})")) }
    }
}

impl Drop for Tagging {
    fn drop(&mut self) {
        let _ = jvmti!(self.0, 127, ());
    }
}
