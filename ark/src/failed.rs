//! A module that has ended while it was wanted. It stays, broken, with its routes, until somebody removes or replaces it: its
//! clients are told that it is not there, and not that it never was.

use std::sync::Arc;

use ark_model::{Failure, ModuleId, lifecycle::Event as Change};
use futures_util::future::BoxFuture;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{base::Shared, event::Event, traffic::InstanceId};

/// Waits until `id`, which runs as `instance`, has `failed`. Dropping the guard ends that.
pub(crate) fn watch<E: Clone + Send + Sync + 'static>(
    shared: &Arc<Shared<E>>,
    id: &Arc<ModuleId>,
    instance: InstanceId,
    failed: BoxFuture<'static, Failure>,
) -> DropGuard {
    let (shared, id) = (Arc::clone(shared), Arc::clone(id));
    let given_up = CancellationToken::new();
    let guard = given_up.clone().drop_guard();
    tokio::spawn(async move {
        let Some(failure) = given_up.run_until_cancelled(failed).await else { return };
        if mark(&shared, &id, instance, &failure) {
            tracing::error!(module = %id, %failure, "a module has ended, and is broken");
            shared.listeners.tell(&Event::Failed(id, failure));
        }
    });
    guard
}

/// Makes it broken, unless it is on its way out or another instance of it runs by now.
fn mark<E: Clone + 'static>(shared: &Shared<E>, id: &ModuleId, instance: InstanceId, failure: &Failure) -> bool {
    let mut registry = shared.registry();
    let Some(module) = registry.modules.get_mut(id) else { return false };
    if module.retiring.is_some() || module.live.as_ref().is_none_or(|live| live.instance != instance) {
        return false;
    }
    if module.history.apply(Change::Failed, shared.now(), format!("{}: {failure}", failure.reason)).is_err() {
        return false;
    }
    module.failure = Some(failure.clone());
    // Another version may have what this one had.
    shared.traffic.route(id.name(), registry.targets(id.name()));
    registry.changed();
    true
}
