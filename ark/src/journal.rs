//! What the base is to run, as a sequence of entries that survives it.
//!
//! The container only says what happened, in order; whoever is given as [`Journal`] makes it durable. [`Desired`] is what a
//! sequence of entries comes to: the modules to bring back, and the orders that were accepted and not finished.

use std::collections::{BTreeMap, VecDeque};

use ark_model::{Activation, Failure, Fence, InstallOrder, ModuleId};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::fence::Fences;

/// How many replaced identities are remembered.
pub const MAX_REPLACED: usize = 256;

/// One thing that changed what the base is to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// Tagged from outside: with the tag among the members, the numbers that `Desired` has as keys could not be read back.
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// An order with a fence was taken: those on this name that are older come too late from here on.
    Fenced {
        /// The name of the modules that it is about.
        name: String,
        /// Its fence.
        fence: Fence,
    },
    /// An install was accepted.
    Ordered {
        /// Tells orders apart; never used twice.
        seq: u64,
        /// What was ordered.
        order: Box<InstallOrder>,
    },
    /// An accepted install succeeded.
    Installed {
        /// Which order.
        seq: u64,
        /// What runs now.
        wanted: Box<Wanted>,
        /// The versions that went for it.
        removed: Vec<ModuleId>,
    },
    /// An accepted install failed, or was cancelled.
    Failed {
        /// Which order.
        seq: u64,
    },
    /// A module was uninstalled.
    Removed {
        /// Which.
        id: ModuleId,
    },
    /// Traffic moved to one version.
    Switched {
        /// To which; the other versions of its name have none.
        id: ModuleId,
    },
    /// Everything before it, summed up.
    Snapshot(Box<Desired>),
}

/// A module that is to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Which.
    pub id: ModuleId,
    /// How it was ordered, with its package's digest.
    pub order: InstallOrder,
    /// Its start order.
    pub priority: i32,
    /// Whether it gets traffic.
    pub active: bool,
}

/// What a base is to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    /// The modules, in the order in which they came.
    pub modules: Vec<Wanted>,
    /// Orders that were accepted and not finished, by number.
    pub pending: BTreeMap<u64, InstallOrder>,
    /// The versions that a later one took over from, latest last.
    pub replaced: VecDeque<ModuleId>,
    /// The number for the next order.
    pub next_seq: u64,
    /// The fences of the orders that were taken.
    #[serde(default)]
    pub fences: Fences,
}

impl Desired {
    /// Takes in one entry.
    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Ordered { seq, order } => {
                self.next_seq = self.next_seq.max(seq + 1);
                self.pending.insert(seq, *order);
            }
            Entry::Installed { seq, wanted, removed } => {
                self.pending.remove(&seq);
                self.modules.retain(|module| module.id != wanted.id && !removed.contains(&module.id));
                self.replaced.retain(|id| *id != wanted.id);
                self.replaced.extend(removed);
                while self.replaced.len() > MAX_REPLACED {
                    self.replaced.pop_front();
                }
                if wanted.active && wanted.order.activation != Some(Activation::Together) {
                    self.deactivate_others(&wanted.id);
                }
                self.modules.push(*wanted);
            }
            Entry::Fenced { name, fence } => {
                // It was taken; and what is read back here is never refused.
                let _ = self.fences.take(&name, fence);
                let modules = &self.modules;
                self.fences.forget(modules.len(), || modules.iter().map(|module| module.id.name()).collect());
            }
            Entry::Failed { seq } => {
                self.pending.remove(&seq);
            }
            Entry::Removed { id } => self.modules.retain(|module| module.id != id),
            Entry::Switched { id } => {
                self.deactivate_others(&id);
                if let Some(module) = self.modules.iter_mut().find(|module| module.id == id) {
                    module.active = true;
                }
            }
            Entry::Snapshot(desired) => *self = *desired,
        }
    }

    fn deactivate_others(&mut self, id: &ModuleId) {
        for other in self.modules.iter_mut().filter(|module| module.id.name() == id.name() && module.id != *id) {
            other.active = false;
        }
    }
}

/// Keeps entries.
pub trait Journal: Send + Sync + 'static {
    /// Adds `entry` after all before it. It is durable once the future is done; dropping the future does not take it back.
    fn record(&self, entry: Entry) -> BoxFuture<'static, Result<(), Failure>>;
}

/// Keeps nothing: a base that begins empty each time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forgetful;

impl Journal for Forgetful {
    fn record(&self, _: Entry) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ModuleId {
        let (name, version) = text.split_once(':').unwrap();
        ModuleId::new(name, version).unwrap()
    }

    fn installed(seq: u64, module: &str, active: bool, removed: &[&str]) -> Entry {
        let wanted = Wanted { id: id(module), order: InstallOrder::default(), priority: 100, active };
        Entry::Installed { seq, wanted: Box::new(wanted), removed: removed.iter().map(|other| id(other)).collect() }
    }

    fn standing(desired: &Desired) -> Vec<String> {
        desired.modules.iter().map(|module| format!("{} {}", module.id, module.active)).collect()
    }

    #[test]
    fn an_order_is_pending_until_it_succeeds_or_fails() {
        let mut desired = Desired::default();
        for seq in 0..3 {
            desired.apply(Entry::Ordered { seq, order: Box::default() });
        }
        desired.apply(installed(0, "a:1", true, &[]));
        desired.apply(Entry::Failed { seq: 1 });
        assert_eq!(desired.pending.keys().copied().collect::<Vec<_>>(), [2]);
        assert_eq!(desired.next_seq, 3);
    }

    #[test]
    fn a_switch_leaves_one_version_and_remembers_the_other() {
        let mut desired = Desired::default();
        desired.apply(installed(0, "a:1", true, &[]));
        desired.apply(installed(1, "a:2", true, &["a:1"]));
        assert_eq!(standing(&desired), ["a:2 true"]);
        assert_eq!(desired.replaced, [id("a:1")]);
        desired.apply(installed(2, "a:1", true, &["a:2"]));
        assert_eq!(desired.replaced, [id("a:2")]);
    }

    #[test]
    fn versions_side_by_side_keep_who_has_the_traffic() {
        let mut desired = Desired::default();
        desired.apply(installed(0, "a:1", true, &[]));
        desired.apply(installed(1, "a:2", false, &[]));
        desired.apply(Entry::Switched { id: id("a:2") });
        assert_eq!(standing(&desired), ["a:1 false", "a:2 true"]);
        desired.apply(Entry::Removed { id: id("a:1") });
        assert_eq!(standing(&desired), ["a:2 true"]);
    }

    #[test]
    fn a_snapshot_stands_for_everything_before_it() {
        let mut before = Desired::default();
        before.apply(installed(4, "a:1", true, &[]));
        let mut after = Desired::default();
        after.apply(Entry::Snapshot(Box::new(before.clone())));
        assert_eq!(after, before);
    }
}
