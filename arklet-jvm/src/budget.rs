//! Whether the VM has room for a module, and what it says of itself.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ark::Sign;
use ark_jvm::budget::{self, Fill, Full, Memory, Space, Took, Weighing};
use ark_model::{Failure, ModuleId, Reason};

use crate::{inspect, served::COLLECTED_HEAP_BYTES, vm};

/// The VM's account of its loaders is asked for anew only after a while, and may be older than a module.
const LOOKS: u32 = 3;
const BETWEEN: Duration = Duration::from_secs(2);

/// What modules took when they were here last, by the content of their package, or of their layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken(Arc<Mutex<Memory>>);

impl Taken {
    fn held(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses `id` where what its parts took before does not fit any more. Parts are known by their content.
    pub(crate) async fn admit(&self, id: &ModuleId, parts: &[&str]) -> Result<(), Failure> {
        let predicted = {
            let mut memory = self.held();
            memory.change();
            memory.predict(parts.iter().copied())
        };
        let spaces = Spaces::now().await;
        let mut room = spaces.admit(predicted, spaces.heap_in_use);
        if room.is_err_and(|full| full.space == Space::Heap) {
            // That counted garbage.
            let spaces = spaces.collected().await.unwrap_or(spaces);
            room = spaces.admit(predicted, spaces.heap_left);
        }
        room.map_err(|full| {
            let reason = match full.space {
                Space::Metaspace | Space::ClassSpace => Reason::MetaspaceFull,
                Space::Heap => Reason::BudgetExceeded,
            };
            Failure::new(reason, format!("{id} is not taken in: {full}"))
        })
    }

    /// Remembers what the loaders of these names, of a module that has come, take, each for its content, where that is not known yet: the world
    /// stands still for the VM's account. Nobody waits for it.
    pub(crate) fn learn(&self, mut parts: Vec<(String, String)>) {
        {
            let mut memory = self.held();
            memory.change();
            parts.retain(|(content, _)| !memory.knows_metaspace(content));
        }
        if parts.is_empty() {
            return;
        }
        let taken = self.clone();
        tokio::spawn(async move {
            for _ in 0..LOOKS {
                let loaders = inspect::loaders().await;
                parts.retain(|(content, name)| {
                    let usage = loaders.iter().find(|usage| usage.name == *name);
                    if let Some(usage) = usage {
                        taken.held().learn_metaspace(content.clone(), usage.bytes);
                    }
                    usage.is_none()
                });
                if parts.is_empty() {
                    break;
                }
                tokio::time::sleep(BETWEEN).await;
            }
        });
    }

    /// Weighs the heap before a module of this content goes: once for each content, since garbage is collected for it, and only
    /// where that is cheap.
    pub(crate) async fn before(&self, content: &str) -> Option<Weighing> {
        let weighing = {
            let mut memory = self.held();
            memory.change();
            (!memory.knows_heap(content)).then(|| memory.weigh())?
        };
        let spaces = Spaces::now().await.collected().await?;
        Some(weighing.found(spaces.heap_left))
    }

    /// The VM has just let go of a module, of which `before` was weighed, if it was: with the last collection, which was after that.
    pub(crate) async fn after(&self, content: &str, before: Option<Weighing>) {
        if let Some(before) = before {
            let spaces = Spaces::now().await;
            self.held().learn_heap(content, before, spaces.heap_left, spaces.heap_max);
        }
        self.gone();
    }

    /// A module has gone, or is going without having been weighed.
    pub(crate) fn gone(&self) {
        self.held().change();
    }
}

/// How full the VM is, in bytes.
#[derive(Debug, Clone, Copy)]
struct Spaces {
    metaspace: (u64, Option<u64>),
    class_space: (u64, Option<u64>),
    /// What the last collections left.
    heap_left: u64,
    heap_max: Option<u64>,
    /// With garbage.
    heap_in_use: u64,
}

impl Spaces {
    async fn now() -> Self {
        let text = vm::ask(|names| names.spaces).await.unwrap_or_default();
        let mut numbers = text.split(' ').map(|number| number.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok()));
        let mut next = || numbers.next().flatten();
        Self {
            metaspace: (next().unwrap_or(0), next()),
            class_space: (next().unwrap_or(0), next()),
            heap_left: next().unwrap_or(0),
            heap_max: next(),
            heap_in_use: next().unwrap_or(0),
        }
    }

    /// The same after a collection; none where the heap is so large that only the VM decides about one.
    async fn collected(self) -> Option<Self> {
        if self.heap_in_use > COLLECTED_HEAP_BYTES {
            return None;
        }
        vm::run(|_| vm::get().map(|vm| vm.jvmti.collect_garbage())).await.ok()?.ok()?;
        Some(Self::now().await)
    }

    fn admit(&self, predicted: Took, heap: u64) -> Result<(), Full> {
        let fill = |space, (used, max), predicted| Fill { space, used, max, predicted };
        budget::admit(&[
            fill(Space::Metaspace, self.metaspace, predicted.metaspace),
            fill(Space::ClassSpace, self.class_space, 0),
            fill(Space::Heap, (heap, self.heap_max), predicted.heap),
        ])
    }
}

/// What the VM says of itself.
pub(crate) async fn signs() -> Vec<(String, Sign)> {
    let text = vm::ask(|names| names.signs).await.unwrap_or_default();
    let sign = |line: &str| {
        let mut parts = line.splitn(3, '\t');
        let (kind, name, value) = (parts.next()?, parts.next()?, parts.next()?);
        let sign = match kind {
            "i" => Sign::Count(value.parse().ok()?),
            "n" => Sign::Number(value.parse().ok()?),
            _ => Sign::Text(value.to_owned()),
        };
        Some((name.to_owned(), sign))
    };
    let mut signs: Vec<_> = text.lines().filter_map(sign).collect();
    let spaces = Spaces::now().await;
    let room = spaces.admit(Took::default(), spaces.heap_left);
    signs.push(("room for modules".to_owned(), Sign::Text(room.map_or_else(|full| full.to_string(), |()| "yes".to_owned()))));
    signs
}
