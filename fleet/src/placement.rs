//! Which bases an instance may go to, and which of them first.

use std::{collections::BTreeMap, fmt};

use ark_model::report::Room;

use crate::{
    resource::{Base, Key, Module, ModuleDeployment, SchedulingPolicy, Selector, TemplateSpec, label},
    world::World,
};

/// Why a base does not take an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// It is none of the deployment's bases.
    NotSelected,
    /// It does not run this kind of module.
    WrongKind(String),
    /// It does not answer.
    NotReady,
    /// It takes no further modules.
    Cordoned,
    /// It gives its modules away.
    Draining,
    /// It has this module already, by this deployment or another.
    HasIt(String),
    /// It has a module that this one shares no base with.
    ApartFrom(String),
    /// It has as many modules as it may.
    Full(u32),
    /// It has not enough room.
    NoRoom(Room),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSelected => f.write_str("not selected"),
            Self::WrongKind(kind) => write!(f, "does not run {kind} modules"),
            Self::NotReady => f.write_str("not ready"),
            Self::Cordoned => f.write_str("cordoned"),
            Self::Draining => f.write_str("draining"),
            Self::HasIt(by) => write!(f, "has it already, by {by}"),
            Self::ApartFrom(name) => write!(f, "has {name}, which it shares no base with"),
            Self::Full(most) => write!(f, "has its {most} modules"),
            Self::NoRoom(room) => f.write_str(match room {
                Room::Modules => "has no room for a module",
                Room::Memory => "has not enough memory",
                Room::Metaspace => "has not enough metaspace",
            }),
        }
    }
}

/// Whether `base` is one of the deployment's: by its base deployment, its labels, and the kind of module.
///
/// # Errors
/// What keeps it from being one.
pub fn belongs(deployment: &ModuleDeployment, template: &TemplateSpec, base: &Base) -> Result<(), Obstacle> {
    let (spec, labels) = (&deployment.spec, &base.metadata.labels);
    let named = spec.base_deployment_name.is_empty() || labels.get(label::DEPLOYMENT_NAME) == Some(&spec.base_deployment_name);
    let selected = [&spec.base_selector, &template.selector].into_iter().flatten().all(|selector| selector.matches(labels));
    if !named || !selected || base.metadata.is_going() {
        return Err(Obstacle::NotSelected);
    }
    match &template.module.kind {
        Some(kind) if !base.status.kinds.contains(kind) => Err(Obstacle::WrongKind(kind.clone())),
        Some(_) | None => Ok(()),
    }
}

/// The most modules that a base takes; none where it has no bound.
#[must_use]
pub fn most_modules(base: &Base) -> Option<u32> {
    let said = base.metadata.label(label::MAX_MODULES).and_then(|most| most.parse().ok());
    let room = base.status.room.get(&Room::Modules).map(|room| u32::try_from(room.total).unwrap_or(u32::MAX));
    [base.spec.max_modules, said, room].into_iter().flatten().min()
}

/// Whether `base` takes one more instance now.
///
/// # Errors
/// What is in the way.
pub fn takes(world: &World, deployment: &ModuleDeployment, template: &TemplateSpec, base: &Base) -> Result<(), Obstacle> {
    belongs(deployment, template, base)?;
    if !base.is_ready() {
        return Err(Obstacle::NotReady);
    }
    if base.spec.drain {
        return Err(Obstacle::Draining);
    }
    if base.spec.unschedulable {
        return Err(Obstacle::Cordoned);
    }
    let key = base.metadata.key();
    let count = u32::try_from(world.count_on(&key)).unwrap_or(u32::MAX);
    let strategy = &deployment.spec.scheduling_strategy;
    if let Some(most) = [most_modules(base), strategy.max_modules_per_base].into_iter().flatten().min()
        && count >= most
    {
        return Err(Obstacle::Full(most));
    }
    let mut coming = BTreeMap::new();
    for module in world.instances_on(&key) {
        let name = &module.spec.template.module.name;
        if *name == template.module.name {
            return Err(Obstacle::HasIt(module.metadata.label(label::MODULE_DEPLOYMENT).unwrap_or(&module.metadata.name).to_owned()));
        }
        // What is ready is in the base's own figures already.
        if !module.status.status.is_ready() {
            for (room, bytes) in needs(&module.spec.template) {
                *coming.entry(room).or_insert(0u64) += bytes;
            }
        }
    }
    if let Some(name) = kept_apart(world, deployment, base) {
        return Err(Obstacle::ApartFrom(name.to_owned()));
    }
    for (room, bytes) in needs(template) {
        if let Some(share) = base.status.room.get(&room) {
            let used = share.used.saturating_add(coming.get(&room).copied().unwrap_or(0)).saturating_add(bytes);
            if used > share.total {
                return Err(Obstacle::NoRoom(room));
            }
        }
    }
    Ok(())
}

/// The module on `base` that the deployment's instances share no base with, if there is one.
#[must_use]
pub(crate) fn kept_apart<'a>(world: &'a World, deployment: &ModuleDeployment, base: &Base) -> Option<&'a str> {
    let apart_from = &deployment.spec.scheduling_strategy.apart_from;
    if apart_from.is_empty() {
        return None;
    }
    let names = world.instances_on(&base.metadata.key()).map(|module| &module.spec.template.module.name);
    names.filter(|name| apart_from.contains(name)).map(String::as_str).next()
}

fn needs(template: &TemplateSpec) -> impl Iterator<Item = (Room, u64)> {
    let requests = template.requests;
    [(Room::Memory, requests.memory_bytes), (Room::Metaspace, requests.metaspace_bytes)]
        .into_iter()
        .filter_map(|(room, bytes)| Some((room, bytes?)))
}

/// The bases that take one more instance, the one to go to first at the front.
#[must_use]
pub fn candidates(world: &World, deployment: &ModuleDeployment, template: &TemplateSpec) -> Vec<Key> {
    let bases = world.bases_in(&deployment.metadata.namespace).filter(|base| takes(world, deployment, template, base).is_ok());
    let mut ranked: Vec<_> = bases.map(|base| (standing(world, deployment, base, 0), base.metadata.key())).collect();
    ranked.sort();
    ranked.into_iter().map(|(_, key)| key).collect()
}

/// Of `instances` the one on the base that suits least, if another base suits better.
#[must_use]
pub(crate) fn misplaced<'a>(
    world: &World,
    deployment: &ModuleDeployment,
    template: &TemplateSpec,
    instances: impl Iterator<Item = &'a Module>,
) -> Option<&'a Module> {
    let best = candidates(world, deployment, template).into_iter().next()?;
    let best = standing(world, deployment, world.base(&best)?, 0);
    let placed = instances.filter_map(|instance| {
        let base = world.base(&Key::new(instance.metadata.namespace.clone(), instance.spec.base_name.clone()))?;
        Some((standing(world, deployment, base, 1), instance))
    });
    let (worst, instance) = placed.max_by(|(a, _), (b, _)| a.cmp(b))?;
    (best < worst).then_some(instance)
}

/// How well `base` suits, without so many of its instances: less is better.
fn standing(world: &World, deployment: &ModuleDeployment, base: &Base, without: i64) -> (bool, bool, i64) {
    let strategy = &deployment.spec.scheduling_strategy;
    let chosen = |selector: &Option<Selector>| selector.as_ref().is_some_and(|selector| selector.matches(&base.metadata.labels));
    let count = i64::try_from(world.count_on(&base.metadata.key())).unwrap_or(i64::MAX) - without;
    let rank = match strategy.scheduling_policy {
        SchedulingPolicy::Scatter => count,
        SchedulingPolicy::Stacking => -count,
    };
    (chosen(&strategy.avoid), !chosen(&strategy.prefer), rank)
}

/// Which of several instances goes first where there are too many: the smallest.
#[must_use]
pub fn goes_first(world: &World, deployment: &ModuleDeployment, instance: &Module) -> (bool, bool, i64, String) {
    let key = Key::new(instance.metadata.namespace.clone(), instance.spec.base_name.clone());
    let ready = instance.status.status.is_ready();
    let stays = world.base(&key).is_some_and(|base| base.is_ready() && !base.spec.unschedulable && !base.spec.drain);
    let count = i64::try_from(world.count_on(&key)).unwrap_or(i64::MAX);
    let rank = match deployment.spec.scheduling_strategy.scheduling_policy {
        SchedulingPolicy::Scatter => -count,
        SchedulingPolicy::Stacking => count,
    };
    (ready, stays, rank, instance.metadata.name.clone())
}

/// What keeps the bases of a namespace from taking one more instance, and how many each: one sentence.
#[must_use]
pub fn obstacles(world: &World, deployment: &ModuleDeployment, template: &TemplateSpec) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = 0usize;
    for base in world.bases_in(&deployment.metadata.namespace) {
        if let Err(obstacle) = takes(world, deployment, template, base) {
            all += 1;
            *counts.entry(obstacle.to_string()).or_default() += 1;
        }
    }
    if all == 0 {
        return format!("no base has joined the namespace {}", deployment.metadata.namespace);
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
    let parts: Vec<_> = counts.into_iter().take(5).map(|(obstacle, count)| format!("{count} {obstacle}")).collect();
    format!("no further base takes it: {}", parts.join("; "))
}

/// Whether an instance is away for good as far as can be told: its base is gone, or has been silent for too long.
#[must_use]
pub fn is_lost(world: &World, instance: &Module, now: crate::resource::Time, patience: std::time::Duration) -> bool {
    let key = Key::new(instance.metadata.namespace.clone(), instance.spec.base_name.clone());
    let Some(base) = world.base(&key) else { return true };
    let silent_since = base.ready().filter(|_| !base.is_ready()).and_then(|ready| ready.last_transition_time);
    silent_since.is_some_and(|since| since.elapsed(now) >= patience)
}
