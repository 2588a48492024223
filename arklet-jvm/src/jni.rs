//! The Java Native Interface, as far as the agent uses it: calls that a mistake cannot turn into undefined behaviour as long as
//! references are those the VM gave, and exceptions as errors.

use std::{
    ffi::{CStr, c_void},
    fmt, ptr,
};

use jni_sys::{
    JNI_TRUE, JNIEnv, JNINativeMethod, jbyteArray, jclass, jfieldID, jint, jlong, jmethodID, jobject, jobjectArray, jstring, jvalue,
};

use crate::vm;

/// An exception that Java threw, as text.
#[derive(Debug, Clone)]
pub(crate) struct Thrown(pub(crate) String);

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The interface as one attached thread has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Env(*mut JNIEnv);

macro_rules! jni {
    ($env:expr, $name:ident $(, $argument:expr)*) => {{
        let env = $env.0;
        // SAFETY: an `Env` is only made from what the VM gave this thread, and is not kept beyond; the references passed are the
        // VM's own and alive, the names end with a zero, and pointers to Rust memory are valid for the call.
        unsafe { ((**env).v1_6.$name)(env $(, $argument)*) }
    }};
}

impl Env {
    /// The interface that the VM passed to a native method, a callback, or a thread that it attached.
    ///
    /// # Safety
    /// `env` has to be that very pointer, and the value must not leave the thread.
    pub(crate) unsafe fn new(env: *mut JNIEnv) -> Self {
        Self(env)
    }

    /// Takes a pending exception.
    pub(crate) fn check(self) -> Result<(), Thrown> {
        let thrown = jni!(self, ExceptionOccurred);
        if thrown.is_null() {
            return Ok(());
        }
        jni!(self, ExceptionClear);
        let class = jni!(self, GetObjectClass, thrown);
        let method = jni!(self, GetMethodID, class, c"toString".as_ptr(), c"()Ljava/lang/String;".as_ptr());
        let text = if method.is_null() { ptr::null_mut() } else { jni!(self, CallObjectMethodA, thrown, method, ptr::null()) };
        jni!(self, ExceptionClear);
        let text = if text.is_null() { "an exception that cannot be told".to_owned() } else { self.text(text) };
        jni!(self, DeleteLocalRef, thrown);
        Err(Thrown(text))
    }

    fn checked<T>(self, value: T) -> Result<T, Thrown> {
        self.check().map(|()| value)
    }

    /// Runs `work`, and gives back the local references it made.
    pub(crate) fn frame<T>(self, work: impl FnOnce() -> T) -> T {
        let pushed = jni!(self, PushLocalFrame, 64) == 0;
        let value = work();
        if pushed {
            jni!(self, PopLocalFrame, ptr::null_mut());
        } else {
            jni!(self, ExceptionClear);
        }
        value
    }

    pub(crate) fn class(self, name: &CStr) -> Result<jclass, Thrown> {
        self.checked(jni!(self, FindClass, name.as_ptr()))
    }

    pub(crate) fn define(self, name: &CStr, loader: jobject, bytes: &[u8]) -> Result<jclass, Thrown> {
        self.checked(jni!(self, DefineClass, name.as_ptr(), loader, bytes.as_ptr().cast(), length(bytes)))
    }

    pub(crate) fn register(self, class: jclass, methods: &[JNINativeMethod]) -> Result<(), Thrown> {
        jni!(self, RegisterNatives, class, methods.as_ptr(), i32::try_from(methods.len()).unwrap_or(0));
        self.check()
    }

    pub(crate) fn method(self, class: jclass, name: &CStr, signature: &CStr) -> Result<jmethodID, Thrown> {
        self.checked(jni!(self, GetMethodID, class, name.as_ptr(), signature.as_ptr()))
    }

    pub(crate) fn static_method(self, class: jclass, name: &CStr, signature: &CStr) -> Result<jmethodID, Thrown> {
        self.checked(jni!(self, GetStaticMethodID, class, name.as_ptr(), signature.as_ptr()))
    }

    pub(crate) fn field(self, class: jclass, name: &CStr, signature: &CStr) -> Result<jfieldID, Thrown> {
        self.checked(jni!(self, GetFieldID, class, name.as_ptr(), signature.as_ptr()))
    }

    pub(crate) fn get(self, object: jobject, field: jfieldID) -> jobject {
        jni!(self, GetObjectField, object, field)
    }

    pub(crate) fn set_true(self, object: jobject, field: jfieldID) {
        jni!(self, SetBooleanField, object, field, JNI_TRUE);
    }

    pub(crate) fn call_static(self, class: jclass, method: jmethodID, arguments: &[jvalue]) -> Result<jobject, Thrown> {
        self.checked(jni!(self, CallStaticObjectMethodA, class, method, arguments.as_ptr()))
    }

    pub(crate) fn call_static_void(self, class: jclass, method: jmethodID, arguments: &[jvalue]) -> Result<(), Thrown> {
        jni!(self, CallStaticVoidMethodA, class, method, arguments.as_ptr());
        self.check()
    }

    pub(crate) fn call(self, object: jobject, method: jmethodID, arguments: &[jvalue]) -> Result<jobject, Thrown> {
        self.checked(jni!(self, CallObjectMethodA, object, method, arguments.as_ptr()))
    }

    pub(crate) fn call_void(self, object: jobject, method: jmethodID, arguments: &[jvalue]) -> Result<(), Thrown> {
        jni!(self, CallVoidMethodA, object, method, arguments.as_ptr());
        self.check()
    }

    /// As [`Env::call`], with an exception left for the Java code that waits.
    pub(crate) fn call_through(self, object: jobject, method: jmethodID, arguments: &[jvalue]) -> jobject {
        jni!(self, CallObjectMethodA, object, method, arguments.as_ptr())
    }

    pub(crate) fn throw(self, class: &CStr, message: &str) {
        let class = jni!(self, FindClass, class.as_ptr());
        let message: Vec<u8> = message.bytes().map(|byte| if byte == 0 || !byte.is_ascii() { b'?' } else { byte }).chain([0]).collect();
        if !class.is_null() {
            jni!(self, ThrowNew, class, message.as_ptr().cast());
        }
    }

    pub(crate) fn has_thrown(self) -> bool {
        jni!(self, ExceptionCheck) == JNI_TRUE
    }

    pub(crate) fn string(self, text: &str) -> Result<jstring, Thrown> {
        let units: Vec<u16> = text.encode_utf16().collect();
        self.checked(jni!(self, NewString, units.as_ptr(), length(&units)))
    }

    pub(crate) fn text(self, string: jstring) -> String {
        if string.is_null() {
            return String::new();
        }
        let length = jni!(self, GetStringLength, string);
        let mut units = vec![0_u16; usize::try_from(length).unwrap_or(0)];
        jni!(self, GetStringRegion, string, 0, length, units.as_mut_ptr());
        String::from_utf16_lossy(&units)
    }

    pub(crate) fn strings(self, texts: &[String]) -> Result<jobjectArray, Thrown> {
        let class = self.class(c"java/lang/String")?;
        let array = self.checked(jni!(self, NewObjectArray, length(texts), class, ptr::null_mut()))?;
        for (at, text) in (0..).zip(texts) {
            let string = self.string(text)?;
            jni!(self, SetObjectArrayElement, array, at, string);
            jni!(self, DeleteLocalRef, string);
        }
        Ok(array)
    }

    /// As [`Env::strings`], with nulls.
    pub(crate) fn optional_strings(self, texts: &[Option<&str>]) -> Result<jobjectArray, Thrown> {
        let class = self.class(c"java/lang/String")?;
        let array = self.checked(jni!(self, NewObjectArray, length(texts), class, ptr::null_mut()))?;
        for (at, text) in (0..).zip(texts) {
            if let Some(text) = text {
                let string = self.string(text)?;
                jni!(self, SetObjectArrayElement, array, at, string);
            }
        }
        Ok(array)
    }

    pub(crate) fn length(self, array: jobjectArray) -> usize {
        usize::try_from(jni!(self, GetArrayLength, array)).unwrap_or(0)
    }

    /// What `look` makes of each element of an array that is not null.
    pub(crate) fn each<T>(self, array: jobjectArray, mut look: impl FnMut(jobject) -> Option<T>) -> Vec<T> {
        let count = jni!(self, GetArrayLength, array);
        let mut seen = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        for at in 0..count {
            let element = jni!(self, GetObjectArrayElement, array, at);
            if !element.is_null() {
                seen.extend(look(element));
                jni!(self, DeleteLocalRef, element);
            }
        }
        seen
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<jbyteArray, Thrown> {
        let array = self.checked(jni!(self, NewByteArray, length(bytes)))?;
        jni!(self, SetByteArrayRegion, array, 0, length(bytes), bytes.as_ptr().cast());
        Ok(array)
    }

    /// A part of an array of bytes; empty where there is no such part.
    pub(crate) fn bytes_of(self, array: jbyteArray, from: jint, count: jint) -> Vec<u8> {
        let mut bytes = vec![0_u8; usize::try_from(count).unwrap_or(0)];
        jni!(self, GetByteArrayRegion, array, from, length(&bytes), bytes.as_mut_ptr().cast());
        if self.check().is_err() { Vec::new() } else { bytes }
    }

    /// A buffer over `bytes`. It must not be kept by Java beyond the life of the bytes.
    pub(crate) fn buffer_over(self, bytes: &[u8]) -> Result<jobject, Thrown> {
        let start: *mut c_void = bytes.as_ptr().cast_mut().cast();
        self.checked(jni!(self, NewDirectByteBuffer, start, i64::try_from(bytes.len()).unwrap_or(0)))
    }

    pub(crate) fn new_byte_array(self, size: jint) -> Result<jbyteArray, Thrown> {
        self.checked(jni!(self, NewByteArray, size))
    }

    pub(crate) fn global(self, object: jobject) -> Global {
        Global(jni!(self, NewGlobalRef, object))
    }

    pub(crate) fn weak(self, object: jobject) -> Weak {
        Weak(jni!(self, NewWeakGlobalRef, object))
    }

    /// What a weak reference refers to; null where that is gone.
    pub(crate) fn strong(self, weak: &Weak) -> jobject {
        jni!(self, NewLocalRef, weak.0)
    }

    pub(crate) fn delete(self, local: jobject) {
        jni!(self, DeleteLocalRef, local);
    }

    pub(crate) fn is_same(self, one: jobject, other: jobject) -> bool {
        jni!(self, IsSameObject, one, other) == JNI_TRUE
    }

    pub(crate) fn is_kind_of(self, class: jclass, of: jclass) -> bool {
        jni!(self, IsAssignableFrom, class, of) == JNI_TRUE
    }

    pub(crate) fn is_a(self, object: jobject, class: jclass) -> bool {
        jni!(self, IsInstanceOf, object, class) == JNI_TRUE
    }

    pub(crate) fn superclass(self, class: jclass) -> jclass {
        jni!(self, GetSuperclass, class)
    }

    pub(crate) fn is_gone(self, weak: &Weak) -> bool {
        jni!(self, IsSameObject, weak.0, ptr::null_mut()) == JNI_TRUE
    }

    pub(crate) fn raw(self) -> *mut JNIEnv {
        self.0
    }

    fn delete_global(self, object: jobject) {
        jni!(self, DeleteGlobalRef, object);
    }

    fn delete_weak(self, object: jobject) {
        jni!(self, DeleteWeakGlobalRef, object);
    }
}

fn length<T>(slice: &[T]) -> jint {
    jint::try_from(slice.len()).unwrap_or(jint::MAX)
}

/// A reference that keeps its object, on any thread.
#[derive(Debug)]
pub(crate) struct Global(jobject);

// SAFETY: global references are valid on every thread.
unsafe impl Send for Global {}
// SAFETY: as above; a shared one is only read.
unsafe impl Sync for Global {}

impl Global {
    pub(crate) fn get(&self) -> jobject {
        self.0
    }
}

impl Drop for Global {
    fn drop(&mut self) {
        let object = Raw(self.0);
        vm::post(move |env| env.delete_global(object.get()));
    }
}

/// A reference that does not keep its object, on any thread.
#[derive(Debug)]
pub(crate) struct Weak(jobject);

// SAFETY: weak global references are valid on every thread.
unsafe impl Send for Weak {}
// SAFETY: as above; a shared one is only read.
unsafe impl Sync for Weak {}

impl Drop for Weak {
    fn drop(&mut self) {
        let object = Raw(self.0);
        vm::post(move |env| env.delete_weak(object.get()));
    }
}

/// A reference on its way to the thread that deletes it.
struct Raw(jobject);

// SAFETY: only made of references that are valid on every thread.
unsafe impl Send for Raw {}

impl Raw {
    fn get(&self) -> jobject {
        self.0
    }
}

pub(crate) fn object(value: jobject) -> jvalue {
    jvalue { l: value }
}

pub(crate) fn boolean(value: bool) -> jvalue {
    jvalue { z: value }
}

pub(crate) fn long(value: jlong) -> jvalue {
    jvalue { j: value }
}
