//! How a base comes up: what its journal says and what its files say, by priority, in parallel inside one priority.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use ark_model::{DEFAULT_PRIORITY, Failure, InstallOrder, ModuleId};
use futures_util::{StreamExt, stream};

use crate::{
    base::{Base, Shared},
    install::{self, Origin},
    journal::Desired,
};

/// How many names of one priority start at a time.
const PARALLEL: usize = 16;

/// A module that did not come up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUp {
    /// Which: its identity where that is known, else where its package should be.
    pub what: String,
    /// Whether it was among the files the base was started with.
    pub is_static: bool,
    /// Why.
    pub failure: Failure,
}

struct Job {
    id: ModuleId,
    order: InstallOrder,
    origin: Origin,
}

impl<E: Clone + Send + Sync + 'static> Base<E> {
    /// Brings up what `desired` and `files` say, smaller priorities first, and then what was ordered and not finished.
    /// Returns once all of it has come up or failed, with those that failed.
    ///
    /// A version among `files` that a later one has replaced stays away. No order with a fence is taken before that is done.
    pub async fn bring_up(&self, desired: Desired, files: Vec<InstallOrder>) -> Vec<NotUp> {
        let shared = &self.0;
        shared.next_seq.fetch_max(desired.next_seq, Ordering::Relaxed);
        let mut not_up = Vec::new();
        let mut groups: BTreeMap<i32, BTreeMap<String, Vec<Job>>> = BTreeMap::new();
        for order in files {
            let what = order.id.as_ref().map_or_else(|| order.url.clone(), ToString::to_string);
            match look(shared, &order).await {
                Ok((id, _)) if desired.replaced.contains(&id) || desired.modules.iter().any(|wanted| wanted.id == id) => {}
                Ok((id, priority)) => {
                    let job = Job { id: id.clone(), order, origin: Origin::Static };
                    groups.entry(priority).or_default().entry(id.name().to_owned()).or_default().push(job);
                }
                Err(failure) => not_up.push(NotUp { what, is_static: true, failure }),
            }
        }
        for wanted in desired.modules {
            let name = wanted.id.name().to_owned();
            let job = Job { id: wanted.id, order: wanted.order, origin: Origin::Restored { active: wanted.active } };
            groups.entry(wanted.priority).or_default().entry(name).or_default().push(job);
        }
        {
            let mut registry = shared.registry();
            registry.replaced.extend(desired.replaced);
            registry.fences = desired.fences;
        }
        for names in groups.into_values() {
            let runs = names.into_values().map(|jobs| run(shared, jobs));
            not_up.extend(stream::iter(runs).buffer_unordered(PARALLEL).collect::<Vec<_>>().await.into_iter().flatten());
        }
        // One after the other, as they came: two of them may be about one name.
        for (seq, order) in desired.pending {
            let what = order.id.as_ref().map_or_else(|| order.url.clone(), ToString::to_string);
            if let Err(failure) = finish(shared, order, Origin::Ordered { seq, recorded: true }).await {
                not_up.push(NotUp { what, is_static: false, failure });
            }
        }
        self.is_up();
        not_up
    }

    /// Identity and priority of a package that is not installed yet: fetches, verifies and parses it.
    ///
    /// # Errors
    /// What keeps it from being read, as an install of `order` would tell it.
    pub async fn look(&self, order: &InstallOrder) -> Result<(ModuleId, i32), Failure> {
        look(&self.0, order).await
    }
}

/// Identity and priority of a package that is not installed yet.
async fn look<E: 'static>(shared: &Shared<E>, order: &InstallOrder) -> Result<(ModuleId, i32), Failure> {
    let package = shared.packages.fetch(order).await?;
    shared.packages.verify(order, &package).await?;
    let (runtime, manifest) = install::parse(shared, &package).await?;
    let id = install::identity(order, &manifest, runtime.packages_name_modules())?;
    Ok((id, manifest.priority.unwrap_or(DEFAULT_PRIORITY)))
}

/// The versions of one name, one after the other.
async fn run<E: Clone + Send + Sync + 'static>(shared: &Arc<Shared<E>>, jobs: Vec<Job>) -> Vec<NotUp> {
    let mut not_up = Vec::new();
    for Job { id, order, origin } in jobs {
        if let Err(failure) = finish(shared, order, origin).await {
            not_up.push(NotUp { what: id.to_string(), is_static: origin == Origin::Static, failure });
        }
    }
    not_up
}

async fn finish<E: Clone + Send + Sync + 'static>(shared: &Arc<Shared<E>>, order: InstallOrder, origin: Origin) -> Result<(), Failure> {
    install::begin(shared, order, None, origin)?.finish().await.map(|_| ())
}
