//! Which instances come, and which go.
//!
//! Nothing that answers goes before what follows it answers, but where the policy says so, and then no more at a time than may be
//! away.

use std::collections::BTreeSet;

use super::{
    Instance, Planner,
    progress::{Aim, count},
    wake,
};
use crate::{
    placement,
    resource::{Document, IntOrPercent, Key, Module, UpgradePolicy, Write},
    revision,
};

impl Planner<'_> {
    /// How many instances may be away at a time because of us.
    pub(super) fn may_be_away(&self, desired: u32) -> u32 {
        let quarter = IntOrPercent::Percent("25%".to_owned());
        self.next.spec.operation_strategy.max_unavailable.as_ref().unwrap_or(&quarter).of(desired).unwrap_or(0).max(1)
    }

    /// Brings the instances nearer to `aim`.
    pub(super) fn reconcile(&mut self, aim: &Aim<'_>) {
        let all = self.instances.clone();
        for lost in all.iter().filter(|instance| instance.lost) {
            self.forget(lost.module);
        }
        if let Some(until) = self.lost_next() {
            wake(&mut self.plan.wake, until);
        }
        let wanted = aim.set.map(|set| set.metadata.name.as_str()).unwrap_or_default();
        let live = all.iter().copied().filter(Instance::live);
        // What is on a base that gives its modules away is followed by an instance elsewhere, like an old one.
        let (own, old): (Vec<_>, Vec<_>) = live.partition(|instance| instance.set == wanted && !instance.draining);
        let own_bases: BTreeSet<&str> = own.iter().map(|instance| instance.module.spec.base_name.as_str()).collect();
        let (paired, mut unpaired): (Vec<_>, Vec<_>) =
            old.into_iter().partition(|instance| own_bases.contains(instance.module.spec.base_name.as_str()));
        for instance in paired {
            let follower = own.iter().find(|own| own.module.spec.base_name == instance.module.spec.base_name);
            let follows = follower.is_some_and(|own| own.ready && own.module.spec.weight.is_none());
            if aim.weight.is_none() && follows {
                self.end(instance.module);
            }
        }
        unpaired.sort_by_cached_key(|instance| (instance.ready, placement::goes_first(self.world, &self.next, instance.module)));
        let there = count(own.iter());
        let ended = self.shrink(&own, there.saturating_sub(aim.allowed));
        for instance in &own {
            if instance.module.spec.weight != aim.weight && !ended.contains(instance.module.metadata.name.as_str()) {
                self.weigh(instance.module, aim.weight);
            }
        }
        let came = self.grow(aim, there, &mut unpaired, &all);
        self.clear(aim, &own, came, &unpaired);
    }

    fn weigh(&mut self, module: &Module, weight: Option<u32>) {
        let mut module = module.clone();
        module.spec.weight = weight;
        self.plan.writes.push(Write::Update(Document::Module(module)));
    }

    /// Ends `surplus` instances of the revision that is wanted; says which.
    fn shrink<'b>(&mut self, own: &[Instance<'b>], surplus: u32) -> BTreeSet<&'b str> {
        if surplus == 0 {
            return BTreeSet::new();
        }
        let mut victims = own.to_vec();
        victims.sort_by_cached_key(|instance| placement::goes_first(self.world, &self.next, instance.module));
        victims.truncate(usize::try_from(surplus).unwrap_or(usize::MAX));
        for instance in &victims {
            self.end(instance.module);
        }
        victims.into_iter().map(|instance| instance.module.metadata.name.as_str()).collect()
    }

    /// Makes instances where they are missing; says how many. Old ones that are followed on their base leave `unpaired`.
    fn grow(&mut self, aim: &Aim<'_>, there: u32, unpaired: &mut Vec<Instance<'_>>, all: &[Instance<'_>]) -> u32 {
        let Some(set) = aim.set else { return 0 };
        let mut missing = aim.allowed.saturating_sub(there);
        let mut came = 0;
        if missing == 0 {
            return 0;
        }
        let policy = self.policy();
        if policy != UpgradePolicy::ScaleupThenScaledown {
            let ready = count(all.iter().filter(|instance| instance.live() && instance.ready));
            let away = aim.desired.saturating_sub(ready);
            let mut budget = self.may_be_away(aim.desired).saturating_sub(away);
            let mut kept = Vec::with_capacity(unpaired.len());
            for old in std::mem::take(unpaired) {
                let base = self.world.base(&Key::new(self.next.metadata.namespace.clone(), old.module.spec.base_name.clone()));
                let fits = base.is_some_and(|base| {
                    base.is_ready() && !old.draining && placement::belongs(&self.next, &set.spec.template.spec, base).is_ok()
                });
                // A base has no two contents under one name and version: the old one has to go first there too.
                let goes_first = policy == UpgradePolicy::UninstallThenInstall
                    || old.module.spec.template.module.version == set.spec.template.spec.module.version;
                let costs = goes_first && old.ready;
                if missing == 0 || !fits || (costs && budget == 0) || !self.is_free(&set.metadata.name, &old.module.spec.base_name) {
                    kept.push(old);
                    continue;
                }
                if costs {
                    budget -= 1;
                }
                if goes_first {
                    self.end(old.module);
                }
                self.make(set, &old.module.spec.base_name, aim.weight);
                missing -= 1;
                came += 1;
            }
            *unpaired = kept;
            // Elsewhere only as many as there is nothing old for; what moves away from its base counts as gone.
            let staying = count(unpaired.iter().filter(|instance| !instance.draining));
            missing = missing.min(aim.desired.saturating_sub(there + came + staying));
        }
        if missing == 0 {
            return came;
        }
        let candidates = placement::candidates(self.world, &self.next, &set.spec.template.spec);
        for base in candidates {
            if missing == 0 {
                break;
            }
            if self.is_free(&set.metadata.name, &base.name) {
                self.make(set, &base.name, aim.weight);
                missing -= 1;
                came += 1;
            }
        }
        if missing > 0 {
            let why = placement::obstacles(self.world, &self.next, &set.spec.template.spec);
            self.unplaced = Some(format!("{missing} of {} instances have no base; {why}", aim.desired));
        }
        came
    }

    /// Whether the name of an instance on `base` is not taken by one that is still going.
    fn is_free(&self, set: &str, base: &str) -> bool {
        self.world.module(&Key::new(self.next.metadata.namespace.clone(), revision::instance(set, base))).is_none()
    }

    fn make(&mut self, set: &crate::resource::ModuleReplicaSet, base: &str, weight: Option<u32>) {
        let module = self.new_instance(set, base, weight);
        self.plan.writes.push(Write::Create(Document::Module(module)));
    }

    /// Ends old instances that are one too many, as long as enough others answer.
    fn clear(&mut self, aim: &Aim<'_>, own: &[Instance<'_>], came: u32, unpaired: &[Instance<'_>]) {
        let total = count(own.iter()) + came + count(unpaired.iter());
        let mut surplus = total.saturating_sub(aim.desired);
        let mut answering =
            count(own.iter().filter(|instance| instance.available)) + count(unpaired.iter().filter(|instance| instance.ready));
        for old in unpaired {
            if surplus == 0 {
                break;
            }
            if old.ready {
                if answering <= aim.desired {
                    continue;
                }
                answering -= 1;
            }
            self.end(old.module);
            surplus -= 1;
        }
    }
}
