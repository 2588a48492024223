//! The native methods of `ark.jvm.Native`. A panic becomes an error in Java and never crosses.

use std::{
    ffi::{CStr, c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::OnceLock,
};

use ark_jvm::{
    ahead::{Loaded, is_likely},
    without_exits,
};
use jni_sys::{JNIEnv, JNINativeMethod, jboolean, jbyte, jbyteArray, jclass, jint, jlong, jobject, jobjectArray, jstring};

use crate::{
    ahead, classes,
    jni::{Env, object},
    modules::{self, Up},
    shelf::{self, Place},
    vm,
};

/// `ark.jvm.Native.OF_BASE`.
const OF_BASE: jlong = -2;

/// All of them, as they are registered.
pub(crate) fn table() -> Vec<JNINativeMethod> {
    let native = |name: &'static CStr, signature: &'static CStr, function: *mut c_void| JNINativeMethod {
        name: name.as_ptr().cast_mut(),
        signature: signature.as_ptr().cast_mut(),
        fnPtr: function,
    };
    vec![
        native(c"find", c"(JLjava/lang/String;)J", find as *mut c_void),
        native(
            c"define",
            c"(Lark/jvm/ModuleLoader;JILjava/lang/String;Ljava/security/ProtectionDomain;)Ljava/lang/Class;",
            define as *mut c_void,
        ),
        native(c"known", c"(J[Ljava/lang/Object;)[Ljava/lang/String;", known as *mut c_void),
        native(c"bytes", c"(JLjava/lang/String;I)[B", bytes as *mut c_void),
        native(c"bytesAt", c"(JLjava/lang/String;)[B", bytes_at as *mut c_void),
        native(c"url", c"(JLjava/lang/String;I)Ljava/lang/String;", url as *mut c_void),
        native(c"location", c"(JIZ)Ljava/lang/String;", location as *mut c_void),
        native(c"describe", c"(JILjava/lang/String;)[Ljava/lang/String;", describe as *mut c_void),
        native(c"library", c"(JLjava/lang/String;)Ljava/lang/String;", library as *mut c_void),
        native(c"helper", c"(Ljava/lang/String;)[B", helper as *mut c_void),
        native(c"open", c"(Ljava/lang/reflect/AccessibleObject;)V", open as *mut c_void),
        native(c"initialised", c"(Ljava/lang/Class;)Z", initialised as *mut c_void),
        native(c"loaderOf", c"(Ljava/lang/String;)Ljava/lang/ClassLoader;", loader_of as *mut c_void),
        native(c"answered", c"(JLjava/lang/String;)V", answered as *mut c_void),
        native(c"started", c"(JILjava/lang/String;Ljava/lang/String;)V", started as *mut c_void),
        native(c"failed", c"(JLjava/lang/String;)V", failed as *mut c_void),
        native(c"ended", c"(JLjava/lang/String;)V", ended as *mut c_void),
        native(c"output", c"(JZ[BII)V", output as *mut c_void),
        native(c"ending", c"()V", ending as *mut c_void),
        native(c"exitRefused", c"(JI)V", exit_refused as *mut c_void),
    ]
}

/// Runs a native method; `otherwise` where it panics, with an exception pending.
fn guard<T>(env: *mut JNIEnv, otherwise: T, body: impl FnOnce(Env) -> T) -> T {
    // SAFETY: the VM passed the pointer to this native method on this thread.
    let env = unsafe { Env::new(env) };
    catch_unwind(AssertUnwindSafe(|| body(env))).unwrap_or_else(|_| {
        if !env.has_thrown() {
            env.throw(c"java/lang/InternalError", "the arklet agent panicked; see its log");
        }
        otherwise
    })
}

extern "system" fn find(env: *mut JNIEnv, _: jclass, path: jlong, name: jstring) -> jlong {
    guard(env, -1, |env| {
        let name = env.text(name);
        match shelf::get(path).map_or(Place::Nowhere, |shelved| shelved.place_of(&name)) {
            Place::Here { jar, entry } => i64::try_from(jar).unwrap_or(0) << 32 | i64::from(entry),
            Place::InBase => OF_BASE,
            Place::Nowhere => -1,
        }
    })
}

/// What the JDK itself defines classes by: unlike the public function it takes where they come from.
type DefineWithSource =
    unsafe extern "system" fn(*mut JNIEnv, *const c_char, jobject, *const jbyte, jint, jobject, *const c_char) -> jclass;

fn define_with_source() -> Option<DefineWithSource> {
    static FOUND: OnceLock<Option<DefineWithSource>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // SAFETY: looking a symbol up has no effect; where there is one of this name, it has this signature in every JDK since 8.
        unsafe {
            let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"JVM_DefineClassWithSource".as_ptr());
            if symbol.is_null() { None } else { Some(std::mem::transmute::<*mut c_void, DefineWithSource>(symbol)) }
        }
    })
}

extern "system" fn define(
    env: *mut JNIEnv,
    _: jclass,
    loader: jobject,
    path: jlong,
    entry: jint,
    name: jstring,
    domain: jobject,
) -> jclass {
    guard(env, ptr::null_mut(), |env| {
        let Some(shelved) = shelf::get(path) else { return ptr::null_mut() };
        let number = u32::from_ne_bytes(entry.to_ne_bytes());
        let Some(hit) = shelved.path.entry(number) else { return ptr::null_mut() };
        // The bytes stay in this frame while the VM defines the class, which may ask for others meanwhile.
        let bytes = match hit.bytes() {
            Ok(bytes) => bytes,
            Err(error) => {
                env.throw(c"java/lang/ClassFormatError", &error.to_string());
                return ptr::null_mut();
            }
        };
        let bytes = without_exits(&bytes);
        match define_with_source() {
            Some(define) => {
                let mut internal: Vec<u8> = env.text(name).into_bytes();
                internal.iter_mut().filter(|byte| **byte == b'.').for_each(|byte| *byte = b'/');
                internal.push(0);
                let source = shelved.location(hit.jar_number(), false).unwrap_or_default() + "\0";
                let size = jint::try_from(bytes.len()).unwrap_or(jint::MAX);
                // SAFETY: the VM's own function with references it just passed, names that end with a zero, and bytes that outlive the call.
                unsafe { define(env.raw(), internal.as_ptr().cast(), loader, bytes.as_ptr().cast(), size, domain, source.as_ptr().cast()) }
            }
            None => {
                let (Ok(vm), Ok(buffer)) = (vm::get(), env.buffer_over(&bytes)) else { return ptr::null_mut() };
                env.call_through(loader, vm.names.define, &[object(name), object(buffer), object(domain)])
            }
        }
    })
}

extern "system" fn known(env: *mut JNIEnv, _: jclass, path: jlong, classes: jobjectArray) -> jobjectArray {
    guard(env, ptr::null_mut(), |env| {
        let classes = ahead::of(path, env, classes);
        let lines: Vec<String> = classes.iter().filter(|class| is_likely(&class.name)).map(Loaded::line).collect();
        env.strings(&lines).unwrap_or(ptr::null_mut())
    })
}

extern "system" fn bytes(env: *mut JNIEnv, _: jclass, path: jlong, name: jstring, nth: jint) -> jbyteArray {
    guard(env, ptr::null_mut(), |env| {
        let name = env.text(name);
        let Some(shelved) = shelf::get(path) else { return ptr::null_mut() };
        let nth = usize::try_from(nth).unwrap_or(usize::MAX);
        let bytes = shelved.resource(&name, nth, |_, hit| hit.bytes().ok().and_then(|bytes| env.bytes(&bytes).ok()));
        bytes.flatten().unwrap_or(ptr::null_mut())
    })
}

extern "system" fn bytes_at(env: *mut JNIEnv, _: jclass, path: jlong, url: jstring) -> jbyteArray {
    guard(env, ptr::null_mut(), |env| {
        let url = env.text(url);
        let Some(shelved) = shelf::get(path) else { return ptr::null_mut() };
        let bytes = shelved.at(&url, |hit| hit.bytes().ok().and_then(|bytes| env.bytes(&bytes).ok()));
        bytes.flatten().unwrap_or(ptr::null_mut())
    })
}

extern "system" fn url(env: *mut JNIEnv, _: jclass, path: jlong, name: jstring, nth: jint) -> jstring {
    guard(env, ptr::null_mut(), |env| {
        let name = env.text(name);
        let Some(shelved) = shelf::get(path) else { return ptr::null_mut() };
        let url = shelved.resource(&name, usize::try_from(nth).unwrap_or(usize::MAX), |whose, hit| whose.url_of(hit));
        url.flatten().and_then(|url| env.string(&url).ok()).unwrap_or(ptr::null_mut())
    })
}

extern "system" fn location(env: *mut JNIEnv, _: jclass, path: jlong, jar: jint, real: jboolean) -> jstring {
    guard(env, ptr::null_mut(), |env| {
        let location = shelf::get(path).and_then(|shelved| shelved.location(usize::try_from(jar).ok()?, real));
        location.and_then(|location| env.string(&location).ok()).unwrap_or(ptr::null_mut())
    })
}

extern "system" fn describe(env: *mut JNIEnv, _: jclass, path: jlong, jar: jint, place: jstring) -> jobjectArray {
    guard(env, ptr::null_mut(), |env| {
        let place = env.text(place).replace('.', "/");
        let shelved = shelf::get(path);
        let jar = shelved.as_ref().and_then(|shelved| shelved.path.jars().get(usize::try_from(jar).ok()?));
        let described = match jar.and_then(|jar| jar.package(&place).ok()) {
            Some(is) => [
                is.specification_title,
                is.specification_version,
                is.specification_vendor,
                is.implementation_title,
                is.implementation_version,
                is.implementation_vendor,
            ],
            None => [None; 6],
        };
        env.optional_strings(&described).unwrap_or(ptr::null_mut())
    })
}

extern "system" fn library(env: *mut JNIEnv, _: jclass, path: jlong, file: jstring) -> jstring {
    guard(env, ptr::null_mut(), |env| {
        let file = env.text(file);
        let place = shelf::get(path).and_then(|shelved| shelved.library(path, &file));
        place.and_then(|place| env.string(&place).ok()).unwrap_or(ptr::null_mut())
    })
}

extern "system" fn helper(env: *mut JNIEnv, _: jclass, name: jstring) -> jbyteArray {
    guard(env, ptr::null_mut(), |env| {
        let name = env.text(name).replace('.', "/");
        let class = classes::SPRING.iter().chain(classes::TOMCAT).find(|(known, _)| *known == name);
        class.and_then(|(_, bytes)| env.bytes(bytes).ok()).unwrap_or(ptr::null_mut())
    })
}

extern "system" fn open(env: *mut JNIEnv, _: jclass, member: jobject) {
    guard(env, (), |env| {
        if let Ok(vm) = vm::get() {
            env.set_true(member, vm.names.overrides_access);
        }
    });
}

extern "system" fn initialised(env: *mut JNIEnv, _: jclass, class: jclass) -> jboolean {
    guard(env, false, |_| vm::get().is_ok_and(|vm| vm.jvmti.is_initialised(class)))
}

extern "system" fn loader_of(env: *mut JNIEnv, _: jclass, name: jstring) -> jobject {
    guard(env, ptr::null_mut(), |env| {
        let Ok(vm) = vm::get() else { return ptr::null_mut() };
        let wanted = format!("L{};", env.text(name).replace('.', "/"));
        let loaders = vm.jvmti.loaded_classes().into_iter().filter(|class| vm.jvmti.signature(*class) == wanted);
        let mut loaders = loaders.map(|class| vm.jvmti.loader_of(class)).filter(|loader| !loader.is_null());
        loaders.find(|loader| !env.is_a(*loader, vm.names.module_loader.get())).unwrap_or(ptr::null_mut())
    })
}

extern "system" fn answered(env: *mut JNIEnv, _: jclass, question: jlong, answer: jstring) {
    guard(env, (), |env| vm::answered(question, env.text(answer)));
}

extern "system" fn started(env: *mut JNIEnv, _: jclass, module: jlong, port: jint, key: jstring, apart: jstring) {
    guard(env, (), |env| {
        let given = |text: jstring| (!text.is_null()).then(|| env.text(text));
        modules::started(module, Up { port: u16::try_from(port).unwrap_or(0), key: given(key), apart: given(apart) });
    });
}

extern "system" fn failed(env: *mut JNIEnv, _: jclass, module: jlong, problem: jstring) {
    guard(env, (), |env| modules::failed(module, env.text(problem)));
}

extern "system" fn ended(env: *mut JNIEnv, _: jclass, module: jlong, said: jstring) {
    guard(env, (), |env| modules::ended(module, env.text(said)));
}

extern "system" fn output(env: *mut JNIEnv, _: jclass, module: jlong, error: jboolean, array: jbyteArray, from: jint, count: jint) {
    guard(env, (), |env| modules::output(module, error, &env.bytes_of(array, from, count)));
}

extern "system" fn ending(env: *mut JNIEnv, _: jclass) {
    guard(env, (), |_| crate::ending());
}

extern "system" fn exit_refused(env: *mut JNIEnv, _: jclass, module: jlong, status: jint) {
    guard(env, (), |_| modules::exit_refused(module, status));
}
