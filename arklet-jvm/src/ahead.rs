//! What a new layer of libraries is going to be asked for: what it had loaded when it was here last, or else what the base has loaded of
//! libraries with the same classes.

use std::{ptr, sync::Arc};

use ark_jvm::ahead::{Loaded, RecordKey, Records};
use jni_sys::jobject;

use crate::{
    jni::{Env, Thrown, object},
    runtime::Layer,
    shelf::{self, Place},
    vm,
};

/// More classes than the record has, by this part of it, make a new one.
const GROWN: usize = 16;

/// The record of one layer.
pub(crate) struct Record {
    pub(crate) records: Records,
    pub(crate) key: RecordKey,
}

impl Record {
    /// Begins to load what `layer`, whose loader was just made, is going to be asked for. Nobody waits for it.
    pub(crate) fn begin(self: &Arc<Self>, layer: &Arc<Layer>) {
        let (record, layer) = (Arc::clone(self), Arc::clone(layer));
        tokio::task::spawn_blocking(move || {
            let recorded = record.records.read(record.key);
            vm::post(move |env| {
                if let Err(thrown) = begin(env, &layer, recorded) {
                    tracing::debug!(name = %layer.name, %thrown, "nothing is loaded ahead of use");
                }
            });
        });
    }

    /// Records what `layer` has loaded, where that is news. Nobody waits for it.
    pub(crate) fn learn(self: Arc<Self>, layer: Arc<Layer>) {
        tokio::spawn(async move {
            let known = Arc::clone(&self);
            let known = tokio::task::spawn_blocking(move || known.records.read(known.key).len()).await.unwrap_or(0);
            let loaded = vm::run(move |env| {
                let Some(loader) = layer.loader() else { return Vec::new() };
                loaded(env, loader, known + known / GROWN).map(|loaded| of(&layer, loaded)).unwrap_or_default()
            });
            let Ok(loaded) = loaded.await else { return };
            if loaded.len() > known {
                let written = tokio::task::spawn_blocking(move || self.records.write(self.key, &loaded)).await;
                if let Ok(Err(error)) = written {
                    tracing::warn!("{error}");
                }
            }
        });
    }
}

fn begin(env: Env, layer: &Layer, recorded: Vec<Loaded>) -> Result<(), Thrown> {
    let names = &vm::get().map_err(|ended| Thrown(ended.to_string()))?.names;
    let Some(loader) = layer.loader() else { return Ok(()) };
    let wanted = if recorded.is_empty() { loaded(env, ptr::null_mut(), 0)? } else { recorded };
    let lines: Vec<String> = of(layer, wanted).iter().map(Loaded::line).collect();
    if lines.is_empty() {
        return Ok(());
    }
    env.call_static_void(names.ahead.get(), names.begin_ahead, &[object(loader), object(env.strings(&lines)?)])
}

/// What a loader has, the base's where it is null, in the order in which it was loaded; nothing unless that is more than `known`.
fn loaded(env: Env, loader: jobject, known: usize) -> Result<Vec<Loaded>, Thrown> {
    let vm = vm::get().map_err(|ended| Thrown(ended.to_string()))?;
    let classes = env.call_static(vm.names.ahead.get(), vm.names.loaded, &[object(loader)])?;
    if env.length(classes) <= known {
        return Ok(Vec::new());
    }
    Ok(env.each(classes, |class| {
        let signature = vm.jvmti.signature(class);
        let name = signature.strip_prefix('L')?.strip_suffix(';')?.replace('/', ".");
        Some(Loaded { name, linked: vm.jvmti.is_linked(class) })
    }))
}

/// Those that come from the class path of `layer`.
fn of(layer: &Layer, mut classes: Vec<Loaded>) -> Vec<Loaded> {
    let Some(shelved) = shelf::get(layer.path.get()) else { return Vec::new() };
    classes.retain(|class| matches!(shelved.place_of(&class.name), Place::Here { .. }));
    classes
}
