//! What no order may do, and what everything has to come to: the same in every simulated fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ark_model::{Fence, ModuleId};
use fleet::{
    Command, Order, observe,
    resource::{Document, Kind, ModuleDeployment, Phase, Progress, label},
};

use crate::{
    base::Base,
    store::{Store, created},
};

/// An order on its way.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) base: usize,
    pub(crate) order: Order,
    pub(crate) fence: Fence,
}

/// The highest fence that acted, by base and name: of what acted, not of what the base says.
#[derive(Debug, Default)]
pub(crate) struct Acted(BTreeMap<(usize, String), Fence>);

impl Acted {
    /// A base has lost everything it had, and with it what it knew of fences.
    pub(crate) fn forget(&mut self, base: usize) {
        self.0.retain(|(of, _), _| *of != base);
    }

    /// Looks at an order that acts now, while `epoch` reigns.
    ///
    /// # Errors
    /// What it must not do.
    pub(crate) fn check(&mut self, sent: &Sent, base: &Base, store: &Store, epoch: u64) -> Result<(), String> {
        let highest = self.0.entry((sent.base, sent.order.name.clone())).or_default();
        if sent.fence < *highest {
            return Err(format!("an order with fence {} acts after one with {highest}: {sent:?}", sent.fence));
        }
        *highest = sent.fence;
        let Command::Uninstall { id, mark: ordered } = &sent.order.command else { return Ok(()) };
        // What gets traffic goes only where nobody wants it there, or where its follower cannot come beside it.
        let mark = base.serving().find(|(serving, mark)| *serving == id && mark == ordered).map(|(_, mark)| mark);
        let module = mark.and_then(observe::marked).and_then(|key| store.get(Kind::Module, &key));
        let Some(Document::Module(module)) = module.map(|document| &**document) else { return Ok(()) };
        let followed = store.all().any(|document| {
            matches!(&**document, Document::Module(other)
                if other.spec.base_name == module.spec.base_name
                    && other.spec.template.module.name == module.spec.template.module.name
                    && other.metadata.name != module.metadata.name)
        });
        // One that was wanted again only after the order was sent is installed again by a later order.
        let again = created(&module.metadata) > sent.fence.generation;
        if !module.metadata.is_going() && !followed && !again && sent.fence.epoch == epoch {
            return Err(format!("{id} is removed from {} though it is wanted there", base.name));
        }
        Ok(())
    }
}

/// Looks at a base after an order.
///
/// # Errors
/// What it must not have been brought to: more than two versions of one name that serve.
pub(crate) fn look(base: &Base) -> Result<(), String> {
    let mut versions: BTreeMap<&str, Vec<&ModuleId>> = BTreeMap::new();
    for (id, _) in base.serving() {
        versions.entry(id.name()).or_default().push(id);
    }
    match versions.into_values().find(|versions| versions.len() > 2) {
        Some(versions) => Err(format!("{versions:?} serve on {} at the same time", base.name)),
        None => Ok(()),
    }
}

/// Every instance and base, and how it stands.
pub(crate) fn instances(store: &Store) -> String {
    let of = |document: &Arc<Document>| match &**document {
        Document::Module(module) => {
            Some(format!("{} on {} {:?} going {}", module.metadata.name, module.spec.base_name, module.status, module.metadata.is_going()))
        }
        Document::Base(base) => Some(format!("{} {:?} {}", base.metadata.name, base.spec, base.is_ready())),
        Document::ModuleDeployment(_) | Document::ModuleReplicaSet(_) => None,
    };
    store.all().filter_map(of).collect::<Vec<_>>().join("\n  ")
}

/// What is not yet as it was asked for, if anything is. Every rollout is to end in `end`.
pub(crate) fn unrest(store: &Store, bases: &[Base], end: Progress) -> Option<String> {
    let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
    let mut waits_for_bases = BTreeSet::new();
    for deployment in deployments(store) {
        let (name, status) = (&deployment.metadata.name, &deployment.status);
        if deployment.metadata.is_going() {
            return Some(format!("{name} is still being removed"));
        }
        if status.observed_generation != deployment.metadata.generation {
            return Some(format!("{name} was not looked at"));
        }
        // More instances than bases that take them is nothing that time mends.
        let full = status.conditions.iter().any(|condition| condition.kind == "Progressing" && condition.message.contains("have no base"));
        if full {
            waits_for_bases.insert(name.clone());
        } else if !(status.release_status.progress == end && status.available_replicas == status.desired_replicas) {
            return Some(format!(
                "{name} ({:?}) is {:?}: {:?}; {}",
                deployment.spec,
                status.release_status,
                status.conditions,
                instances(store)
            ));
        }
    }
    for document in store.all() {
        if let Document::Module(module) = &**document {
            let waits = module.metadata.label(label::MODULE_DEPLOYMENT).is_some_and(|name| waits_for_bases.contains(name));
            if !waits && (module.metadata.is_going() || module.status.status != Phase::Available) {
                return Some(format!("{} is {:?}: {}", module.metadata.name, module.status.status, module.status.message));
            }
            wanted.insert((module.spec.base_name.clone(), observe::mark(&module.metadata.key())));
        }
    }
    let mut there = BTreeSet::new();
    for base in bases {
        let serving: Vec<_> = base.serving().map(|(_, mark)| (base.name.clone(), mark.to_owned())).collect();
        there.extend(serving);
    }
    let (missing, needless) = (wanted.difference(&there).count(), there.difference(&wanted).count());
    if needless > 0 || (missing > 0 && waits_for_bases.is_empty()) {
        return Some(format!("wanted {wanted:?}, there {there:?}"));
    }
    None
}

/// Every deployment.
pub(crate) fn deployments(store: &Store) -> impl Iterator<Item = &ModuleDeployment> {
    store.all().filter_map(|document| match &**document {
        Document::ModuleDeployment(deployment) => Some(deployment),
        Document::ModuleReplicaSet(_) | Document::Module(_) | Document::Base(_) => None,
    })
}
