//! The JVM Tool Interface, as far as the agent uses it: a table of functions, called by their number in the specification
//! (<https://docs.oracle.com/en/java/javase/17/docs/specs/jvmti.html>).

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use jni_sys::{JavaVM, jclass, jint, jobject};

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
        let mut status = 0;
        let code = jvmti!(self, 49, (jclass, *mut jint), class, &raw mut status);
        code == 0 && status & INITIALIZED != 0
    }

    /// How many classes have `loader` as their initiating loader: those it defined, and those it was asked for.
    pub(crate) fn class_count(self, loader: jobject) -> u64 {
        let (mut count, mut classes): (jint, *mut jclass) = (0, ptr::null_mut());
        if jvmti!(self, 79, (jobject, *mut jint, *mut *mut jclass), loader, &raw mut count, &raw mut classes) != 0 {
            return 0;
        }
        let _ = jvmti!(self, 47, (*mut c_char), classes.cast());
        u64::try_from(count).unwrap_or(0)
    }
}
