//! Which instances come, and which go.
//!
//! Nothing that answers goes before what follows it answers, but where the policy says so, and then no more at a time than may be
//! away.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Instance, Planner,
    progress::{Aim, count},
    wake,
};
use crate::{
    placement,
    resource::{Document, Key, ModuleReplicaSet, Phase, UpgradePolicy, Write},
    revision,
};

impl Planner<'_> {
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
        let old = self.one_for_each_base(old);
        let own_bases: BTreeSet<&str> = own.iter().map(|instance| instance.module.spec.base_name.as_str()).collect();
        let (paired, mut unpaired): (Vec<_>, Vec<_>) =
            old.into_iter().partition(|instance| own_bases.contains(instance.module.spec.base_name.as_str()));
        let (followed, beside): (Vec<_>, Vec<_>) = paired.iter().copied().partition(|instance| {
            let follower = own.iter().find(|own| own.module.spec.base_name == instance.module.spec.base_name);
            let follows = follower.is_some_and(|own| own.ready && own.module.spec.weight.is_none());
            // One that failed answers nobody, and takes the room that its follower needs.
            instance.module.status.status == Phase::Failed || aim.weight.is_none() && follows
        });
        for instance in followed {
            self.end(instance.module);
        }
        unpaired.sort_by_cached_key(|instance| (instance.ready, placement::goes_first(self.world, &self.next, instance.module)));
        let there = count(own.iter());
        let ended = self.shrink(&own, there.saturating_sub(aim.most()));
        let kept: Vec<_> = own.iter().copied().filter(|instance| !ended.contains(instance.module.metadata.name.as_str())).collect();
        for instance in &kept {
            // One that was there before what it is to follow now, as where a rollout turns back half way, was made earlier.
            let base = &instance.module.spec.base_name;
            let overtaken =
                paired.iter().any(|old| old.module.spec.base_name == *base && old.module.spec.ordinal > instance.module.spec.ordinal);
            if overtaken || instance.module.spec.weight != aim.weight {
                let mut module = instance.module.clone();
                module.spec.weight = aim.weight;
                if overtaken {
                    module.spec.ordinal = self.next_ordinal();
                }
                self.plan.writes.push(Write::Update(Document::Module(module)));
            }
        }
        // What was ended just now answers no more, and nobody else may go for it.
        let ready = count(kept.iter().chain(&beside).chain(&unpaired).filter(|instance| instance.ready));
        let came = self.grow(aim, there, ready, &mut unpaired);
        self.clear(aim, &own, came, &unpaired);
    }

    /// Of several old instances that answer on a base, as of a canary and the version before, leaves one: no base has a third version
    /// of a name. It is the stable one where that is among them.
    fn one_for_each_base<'b>(&mut self, old: Vec<Instance<'b>>) -> Vec<Instance<'b>> {
        let stable = self.next.status.release_status.stable_revision.clone();
        let rank = |instance: &Instance<'_>| (instance.module.spec.weight.is_none(), instance.set == stable, instance.module.spec.ordinal);
        let mut stays: BTreeMap<&str, Instance<'_>> = BTreeMap::new();
        for instance in old.iter().filter(|instance| instance.ready) {
            let best = stays.entry(&instance.module.spec.base_name).or_insert(*instance);
            if rank(instance) > rank(best) {
                *best = *instance;
            }
        }
        let (left, needless): (Vec<_>, Vec<_>) = old.into_iter().partition(|instance| {
            let best = stays.get(instance.module.spec.base_name.as_str()).filter(|_| instance.ready);
            best.is_none_or(|best| best.module.metadata.name == instance.module.metadata.name)
        });
        for instance in needless {
            self.end(instance.module);
        }
        left
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

    /// Makes instances where they are missing, of which `ready` of any revision answer and stay; says how many. Old ones that are followed
    /// on their base leave `unpaired`.
    fn grow(&mut self, aim: &Aim<'_>, there: u32, ready: u32, unpaired: &mut Vec<Instance<'_>>) -> u32 {
        let Some(set) = aim.set else { return 0 };
        let missing = aim.allowed.saturating_sub(there);
        if missing == 0 {
            return 0;
        }
        let mut may_go = self.next.spec.operation_strategy.may_be_away(aim.desired).saturating_sub(aim.desired.saturating_sub(ready));
        let in_place = self.next.spec.upgrade_policy() != UpgradePolicy::ScaleupThenScaledown;
        let mut came = 0;
        if in_place {
            // What moves away from its base is part of the batch already: it comes elsewhere, and no old one more is followed for it.
            let moving = count(unpaired.iter().filter(|instance| instance.draining && instance.set == set.metadata.name));
            came += self.follow(set, aim, missing.saturating_sub(moving), unpaired, &mut may_go, |_| true);
        }
        let mut elsewhere = missing - came;
        if in_place {
            // Only as many as there is nothing old for; what moves away from its base counts as gone.
            let staying = count(unpaired.iter().filter(|instance| !instance.draining));
            elsewhere = elsewhere.min(aim.desired.saturating_sub(there + came + staying));
        }
        came += self.spread(set, aim, elsewhere);
        if !in_place && came < missing {
            // No base is left that has none. One whose old instance does not answer has as good as none.
            came += self.follow(set, aim, missing - came, unpaired, &mut may_go, |old| !old.ready);
        }
        let without = (there + came).min(aim.allowed);
        if without < aim.allowed && (!in_place || elsewhere > 0) {
            let why = placement::obstacles(self.world, &self.next, &set.spec.template.spec);
            self.unplaced = Some(format!("{} of {} instances have no base; {why}", aim.allowed - without, aim.desired));
        }
        came
    }

    /// Makes at most `missing` instances on bases of old ones of which `which` holds; says how many.
    fn follow(
        &mut self,
        set: &ModuleReplicaSet,
        aim: &Aim<'_>,
        missing: u32,
        unpaired: &mut Vec<Instance<'_>>,
        may_go: &mut u32,
        which: impl Fn(&Instance<'_>) -> bool,
    ) -> u32 {
        let mut followed: BTreeSet<&str> = BTreeSet::new();
        let mut kept = Vec::with_capacity(unpaired.len());
        for old in std::mem::take(unpaired) {
            let name = old.module.spec.base_name.as_str();
            if followed.contains(name) {
                continue;
            }
            let base = self.world.base(&Key::new(self.next.metadata.namespace.clone(), name));
            let fits = base.is_some_and(|base| {
                base.is_ready() && !old.draining && placement::belongs(&self.next, &set.spec.template.spec, base).is_ok()
            });
            let goes_first = self.next.spec.upgrade_policy() == UpgradePolicy::UninstallThenInstall;
            let costs = goes_first && old.ready;
            let enough = count(followed.iter()) >= missing;
            if enough || !which(&old) || !fits || (costs && *may_go == 0) || !self.is_free(&set.metadata.name, name) {
                kept.push(old);
                continue;
            }
            if costs {
                *may_go -= 1;
            }
            if goes_first {
                self.end(old.module);
            }
            self.make(set, name, aim.weight);
            followed.insert(name);
        }
        *unpaired = kept;
        count(followed.iter())
    }

    /// Makes at most `missing` instances on bases that have none; says how many.
    fn spread(&mut self, set: &ModuleReplicaSet, aim: &Aim<'_>, missing: u32) -> u32 {
        if missing == 0 {
            return 0;
        }
        let candidates = placement::candidates(self.world, &self.next, &set.spec.template.spec);
        let free = candidates.into_iter().filter(|base| self.is_free(&set.metadata.name, &base.name));
        let chosen: Vec<_> = free.take(usize::try_from(missing).unwrap_or(usize::MAX)).collect();
        for base in &chosen {
            self.make(set, &base.name, aim.weight);
        }
        count(chosen.iter())
    }

    /// Whether the name of an instance on `base` is not taken by one that is still going.
    fn is_free(&self, set: &str, base: &str) -> bool {
        self.world.module(&Key::new(self.next.metadata.namespace.clone(), revision::instance(set, base))).is_none()
    }

    fn make(&mut self, set: &ModuleReplicaSet, base: &str, weight: Option<u32>) {
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
