//! What a new layer of libraries is going to be asked for: what it had loaded when it was here last, or else what the base has loaded of
//! the same names.

use std::sync::Arc;

use ark_jvm::ahead::{Loaded, RecordKey, Records};
use jni_sys::jobjectArray;

use crate::{
    jni::{Env, Thrown, boolean, long, object},
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
    /// Loads what `layer`, which has a loader, is going to be asked for: beside its first module, or `alone` with it, before there is one.
    pub(crate) async fn load(self: Arc<Self>, layer: Arc<Layer>, alone: bool) {
        let recorded = tokio::task::spawn_blocking(move || self.records.read(self.key)).await.unwrap_or_default();
        let name = Arc::clone(&layer.name);
        if let Err(problem) = vm::answer(move |env, question| begin(env, &layer, &recorded, alone, question)).await {
            tracing::debug!(%name, problem, "nothing is loaded ahead of use");
        }
    }

    /// Records what `layer` has loaded, where that is news. Nobody waits for it.
    pub(crate) fn learn(self: Arc<Self>, layer: Arc<Layer>) {
        tokio::spawn(async move {
            let known = Arc::clone(&self);
            let known = tokio::task::spawn_blocking(move || known.records.read(known.key).len()).await.unwrap_or(0);
            let loaded = vm::run(move |env| loaded(env, &layer, known + known / GROWN).unwrap_or_default());
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

fn begin(env: Env, layer: &Layer, recorded: &[Loaded], alone: bool, question: i64) -> Result<(), Thrown> {
    let names = &vm::get().map_err(|ended| Thrown(ended.to_string()))?.names;
    let loader = layer.loader().ok_or_else(|| Thrown("it is on its way out".to_owned()))?;
    let lines: Vec<String> = recorded.iter().map(Loaded::line).collect();
    let arguments = [object(loader), object(env.strings(&lines)?), boolean(alone), long(question)];
    env.call_static_void(names.ahead.get(), names.begin_ahead, &arguments)
}

/// What a layer has, in the order in which it was loaded; nothing unless that is more than `known`.
fn loaded(env: Env, layer: &Layer, known: usize) -> Result<Vec<Loaded>, Thrown> {
    let names = &vm::get().map_err(|ended| Thrown(ended.to_string()))?.names;
    let Some(loader) = layer.loader() else { return Ok(Vec::new()) };
    let classes = env.call_static(names.ahead.get(), names.loaded, &[object(loader)])?;
    Ok(if env.length(classes) > known { of(layer.path.get(), env, classes) } else { Vec::new() })
}

/// Those of `classes` whose names the class path with this handle has.
pub(crate) fn of(path: i64, env: Env, classes: jobjectArray) -> Vec<Loaded> {
    let (Some(shelved), Ok(vm)) = (shelf::get(path), vm::get()) else { return Vec::new() };
    env.each(classes, |class| {
        let signature = vm.jvmti.signature(class);
        let name = signature.strip_prefix('L')?.strip_suffix(';')?.replace('/', ".");
        matches!(shelved.place_of(&name), Place::Here { .. }).then(|| Loaded { name, linked: vm.jvmti.is_linked(class) })
    })
}
