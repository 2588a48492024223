//! What a plan must never do, whatever it was made of. Every plan is looked at before it is carried out, in tests and in production.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    placement,
    plan::Plan,
    resource::{Document, Key, Kind, Module, Write, label},
    world::World,
};

/// Something a plan would do and must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It writes the same document twice.
    #[error("{} {key} is written twice", kind.as_str())]
    WrittenTwice {
        /// Of which kind.
        kind: Kind,
        /// Which.
        key: Key,
    },
    /// It writes a document of another deployment.
    #[error("{} {key} belongs to another deployment", kind.as_str())]
    NotItsOwn {
        /// Of which kind.
        kind: Kind,
        /// Which.
        key: Key,
    },
    /// It puts two instances of one revision on a base, or beside one of another deployment.
    #[error("base {base} would have {name} twice")]
    Twice {
        /// The base.
        base: String,
        /// The module.
        name: String,
    },
    /// It puts more modules on a base than that takes.
    #[error("base {base} would have {count} modules, and takes {most}")]
    Overfull {
        /// The base.
        base: String,
        /// So many.
        count: usize,
        /// It takes so many.
        most: u32,
    },
    /// It takes more instances out of traffic at a time than may be away.
    #[error("{away} of {desired} instances would be away, and only {most} may")]
    TooManyAway {
        /// So many would be.
        away: u32,
        /// Of so many.
        desired: u32,
        /// So many may be.
        most: u32,
    },
}

/// Everything that `plan`, made for the deployment `of`, must not do.
#[must_use]
pub fn lint(world: &World, of: &Key, plan: &Plan) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut written = BTreeSet::new();
    for write in &plan.writes {
        let (kind, key) = match write {
            Write::Create(document) | Write::Update(document) => (document.kind(), document.key()),
            Write::Delete { kind, key, .. } => (*kind, key.clone()),
        };
        if !written.insert((kind, key.clone())) {
            faults.push(Fault::WrittenTwice { kind, key: key.clone() });
        }
        let owner = match write {
            Write::Create(document) | Write::Update(document) => Some(document.meta().clone()),
            Write::Delete { kind, key, .. } => world.document(*kind, key).map(|document| document.meta().clone()),
        };
        let owner = owner.and_then(|meta| {
            if kind == Kind::ModuleDeployment { Some(meta.name) } else { meta.label(label::MODULE_DEPLOYMENT).map(str::to_owned) }
        });
        if owner.as_deref() != Some(&of.name) || key.namespace != of.namespace || kind == Kind::Base {
            faults.push(Fault::NotItsOwn { kind, key });
        }
    }
    faults.extend(crowded(world, of, plan));
    faults.extend(away(world, of, plan));
    faults
}

fn created(plan: &Plan) -> impl Iterator<Item = &Module> {
    plan.writes.iter().filter_map(|write| match write {
        Write::Create(Document::Module(module)) => Some(module),
        Write::Create(_) | Write::Update(_) | Write::Delete { .. } => None,
    })
}

/// The instances that the plan ends.
fn ended(plan: &Plan) -> BTreeSet<Key> {
    let ended = plan.writes.iter().filter_map(|write| match write {
        Write::Update(Document::Module(module)) if module.metadata.is_going() => Some(module.metadata.key()),
        Write::Create(_) | Write::Update(_) | Write::Delete { .. } => None,
    });
    ended.collect()
}

fn crowded(world: &World, of: &Key, plan: &Plan) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut coming: BTreeMap<&str, Vec<&Module>> = BTreeMap::new();
    for module in created(plan) {
        coming.entry(&module.spec.base_name).or_default().push(module);
    }
    for (base, modules) in coming {
        let key = Key::new(of.namespace.clone(), base);
        for module in &modules {
            let name = &module.spec.template.module.name;
            let foreign = world
                .instances_on(&key)
                .any(|other| other.spec.template.module.name == *name && other.metadata.label(label::MODULE_DEPLOYMENT) != Some(&of.name));
            if foreign || modules.len() > 1 {
                faults.push(Fault::Twice { base: base.to_owned(), name: name.clone() });
            }
        }
        // One that follows another on its base takes that one's place.
        let follows = world.instances_on(&key).any(|other| other.metadata.label(label::MODULE_DEPLOYMENT) == Some(&of.name));
        let count = world.count_on(&key) + usize::from(!follows);
        if let Some(most) = world.base(&key).and_then(placement::most_modules)
            && !follows
            && count > usize::try_from(most).unwrap_or(usize::MAX)
        {
            faults.push(Fault::Overfull { base: base.to_owned(), count, most });
        }
    }
    faults
}

/// Instances that answer now and would not, with none that answers in their place, against how many there are to be.
fn away(world: &World, of: &Key, plan: &Plan) -> Option<Fault> {
    let deployment = world.deployment(of).filter(|deployment| !deployment.metadata.is_going())?;
    let next = plan.writes.iter().find_map(|write| match write {
        Write::Update(Document::ModuleDeployment(next)) => Some(next),
        Write::Create(_) | Write::Update(_) | Write::Delete { .. } => None,
    });
    let next = next.unwrap_or(deployment);
    let release = &next.status.release_status;
    // A first rollout that is given up leaves nothing.
    let desired = if release.rejected_revision == release.update_revision && release.stable_revision.is_empty() {
        0
    } else {
        next.status.desired_replicas
    };
    let ended = ended(plan);
    let ready = world.instances_of(of).filter(|module| module.status.status.is_ready() && !module.metadata.is_going());
    let (ending, staying): (Vec<_>, Vec<_>) = ready.partition(|module| ended.contains(&module.metadata.key()));
    let stays_on: BTreeSet<&str> = staying.iter().map(|module| module.spec.base_name.as_str()).collect();
    let ends_alone = ending.iter().any(|module| !stays_on.contains(module.spec.base_name.as_str()));
    let most = next.spec.operation_strategy.may_be_away(desired);
    let away = desired.saturating_sub(u32::try_from(staying.len()).unwrap_or(u32::MAX));
    (ends_alone && away > most).then_some(Fault::TooManyAway { away, desired, most })
}
