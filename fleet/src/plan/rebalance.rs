//! Moves instances to bases that suit better, where that was asked for: one after the other, and none twice.

use super::{Instance, Planner, progress::count};
use crate::{
    placement,
    resource::{Document, Module, ModuleReplicaSet, Progress, Write},
};

/// The annotation of an instance that gives way to one on another base. Whoever sets it moves that one instance.
pub(super) const MOVES: &str = "serverless.alipay.com/moves";
/// The annotation of an instance that says for which request it came: for that one it stays.
pub(super) const REBALANCED_AT: &str = "serverless.alipay.com/rebalanced-at";

impl Planner<'_> {
    /// Whether instances are moved now.
    pub(super) fn is_rebalancing(&self) -> bool {
        self.next.spec.rebalanced_at != self.next.status.rebalanced_at
    }

    /// Takes the next step of what was asked for.
    pub(super) fn rebalance(&mut self, update: &ModuleReplicaSet) {
        if !self.is_rebalancing() || self.next.spec.paused || self.next.status.release_status.progress != Progress::Completed {
            return;
        }
        let template = &update.spec.template.spec;
        if let Some(moving) = self.instances.iter().find(|instance| instance.live() && moves(instance.module)).copied() {
            let there = count(self.instances.iter().filter(|instance| instance.live() && !instance.draining));
            if there < self.next.status.desired_replicas && placement::candidates(self.world, &self.next, template).is_empty() {
                self.mark(moving.module, |annotations, asked| {
                    annotations.remove(MOVES);
                    annotations.insert(REBALANCED_AT.to_owned(), asked);
                });
            }
            return;
        }
        if !self.instances.iter().all(|instance| instance.live() && instance.available) {
            return;
        }
        let asked = &self.next.spec.rebalanced_at;
        let before = |instance: &&Instance<'_>| instance.module.metadata.annotations.get(REBALANCED_AT) != Some(asked);
        let left = self.instances.iter().filter(before).map(|instance| instance.module);
        match placement::misplaced(self.world, &self.next, template, left) {
            Some(module) => self.mark(module, |annotations, asked| _ = annotations.insert(MOVES.to_owned(), asked)),
            None => {
                self.next.status.rebalanced_at.clone_from(&self.next.spec.rebalanced_at);
                self.note(false, "Rebalanced", "every instance is where it would go now".to_owned());
            }
        }
    }

    fn mark(&mut self, module: &Module, change: impl FnOnce(&mut std::collections::BTreeMap<String, String>, String)) {
        let mut module = module.clone();
        change(&mut module.metadata.annotations, self.next.spec.rebalanced_at.clone());
        self.plan.writes.push(Write::Update(Document::Module(module)));
    }
}

/// Whether an instance gives way to one on another base.
pub(super) fn moves(module: &Module) -> bool {
    module.metadata.annotations.contains_key(MOVES)
}
