//! A closer look at a module that runs: what it uses, which layer it stands on, where its classes come from.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use ark_jvm::{
    metaspace::{self, LoaderUsage},
    why::{AskBase, Place, View, why},
};
use ark_model::{
    Failure, ModuleId,
    api::{Inspection, Origin},
    order::Resource,
};
use tokio::sync::{Mutex, OnceCell};

use crate::{
    jni::Global,
    runtime::{Leased, ending},
    shelf, vm,
};

/// How long the VM's account of its loaders is good for: it is made with the world stopped.
const FRESH: Duration = Duration::from_secs(2);

/// What a look needs. It keeps nothing of the module alive that the module's end has to let go of.
#[derive(Clone)]
pub(crate) struct Look {
    id: Arc<ModuleId>,
    module: Weak<Global>,
    own: i64,
    layer: Option<Layer>,
    /// Whose web server answers for it, for people.
    pub(crate) web: String,
}

#[derive(Clone)]
struct Layer {
    name: Arc<str>,
    path: i64,
    users: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl Look {
    pub(crate) fn new(id: &Arc<ModuleId>, module: &Arc<Global>, own: i64, leased: Option<&Leased>) -> Self {
        let layer = leased.map(|leased| Layer {
            name: Arc::clone(&leased.layer.name),
            path: leased.layer.path.get(),
            users: Arc::new(leased.users()),
        });
        Self { id: Arc::clone(id), module: Arc::downgrade(module), own, layer, web: String::new() }
    }

    pub(crate) async fn inspect(self) -> Inspection {
        let loaders = loaders().await;
        let of = |name: &str| loaders.iter().find(|usage| usage.name == name).map_or((0, 0), |usage| (usage.classes, usage.bytes));
        let (classes, bytes) = of(&self.id.to_string());
        let mut uses = vec![Resource::new("classes", classes, "classes"), Resource::new("metaspace", bytes, "bytes")];
        let mut notes = BTreeMap::new();
        match &self.layer {
            Some(layer) => {
                let (classes, bytes) = of(&layer.name);
                uses.push(Resource::new("classes of its layer", classes, "classes"));
                uses.push(Resource::new("metaspace of its layer", bytes, "bytes"));
                notes.insert("layer".to_owned(), shared(layer, &self.id.to_string()));
            }
            None => {
                notes.insert("layer".to_owned(), "none: it has no libraries".to_owned());
            }
        }
        notes.insert("web server".to_owned(), self.web.clone());
        if let Some((threads, nanos)) = self.threads().await {
            uses.push(Resource::new("threads", threads, "threads"));
            uses.push(Resource::new("cpu of its live threads", nanos / 1_000_000, "ms"));
        }
        Inspection { uses, notes }
    }

    /// Its own threads, and the nanoseconds of processor time that they have used.
    async fn threads(&self) -> Option<(u64, u64)> {
        let module = self.module.upgrade()?;
        let text = vm::run(move |env| {
            let names = &vm::get().ok()?.names;
            Some(env.text(env.call(module.get(), names.threads, &[]).ok()?))
        });
        let text = text.await.ok()??;
        let (threads, nanos) = text.split_once(' ')?;
        Some((threads.parse().ok()?, nanos.parse().ok()?))
    }

    pub(crate) async fn why(self, class: String) -> Result<Origin, Failure> {
        let jdk = packages_of_jdk().await?;
        let own = shelf::get(self.own).ok_or_else(|| ending(vm::Ended))?;
        let layer = self.layer.as_ref().and_then(|layer| Some((&*layer.name, shelf::get(layer.path)?)));
        // The last of its class paths is the one that is tied to the base.
        let last = layer.as_ref().map_or(&own, |(_, shelved)| shelved);
        let asked = last.imports().map_or(0, |(base, _)| base.handle.get());
        let others = shelf::others(&[self.own, self.layer.as_ref().map_or(0, |layer| layer.path), asked]);
        let others: Vec<_> = others.iter().map(|(name, shelved)| (&**name, &shelved.path)).collect();
        let ask_base = last.imports().map(|(base, rules)| |class: &str| base.jars.why(class, rules));
        let view = View {
            jdk: &|package| jdk.contains(package),
            joined: &|class| last.jar_of_container(class),
            own: &own.path,
            layer: layer.as_ref().map(|(name, shelved)| (*name, &shelved.path)),
            base: ask_base.as_ref().map(|ask| ask as &AskBase<'_>),
            others: &others,
        };
        let answer = why(&class, &view);
        let found = !matches!(answer.place, Place::NotFound | Place::Refused { .. });
        Ok(Origin { class, found, text: answer.to_string() })
    }
}

fn shared(layer: &Layer, me: &str) -> String {
    let others: Vec<String> = (layer.users)().into_iter().filter(|user| user != me).collect();
    let libraries = shelf::get(layer.path).map_or(0, |shelved| shelved.path.jars().len());
    let with = if others.is_empty() { "shared with nobody now".to_owned() } else { format!("shared with {}", others.join(", ")) };
    format!("{} ({libraries} libraries), {with}; who shares it shares its statics", layer.name)
}

/// What each named loader uses.
pub(crate) async fn loaders() -> Arc<[LoaderUsage]> {
    static KNOWN: Mutex<Option<(Instant, Arc<[LoaderUsage]>)>> = Mutex::const_new(None);
    let mut known = KNOWN.lock().await;
    if let Some((at, usage)) = &*known
        && at.elapsed() < FRESH
    {
        return Arc::clone(usage);
    }
    let text = vm::ask(|names| names.metaspace).await;
    let usage: Arc<[LoaderUsage]> = metaspace::loaders(&text.unwrap_or_default()).into();
    *known = Some((Instant::now(), Arc::clone(&usage)));
    usage
}

async fn packages_of_jdk() -> Result<&'static HashSet<String>, Failure> {
    static PACKAGES: OnceCell<HashSet<String>> = OnceCell::const_new();
    let asked = PACKAGES.get_or_try_init(|| async {
        let text = vm::ask(|names| names.packages_of_jdk).await.ok_or(vm::Ended)?;
        Ok(text.lines().map(str::to_owned).collect())
    });
    asked.await.map_err(ending)
}
