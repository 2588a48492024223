//! A better build of a module that already serves: put in its place by an ordinary switch, instance for instance.

use std::sync::Arc;

use ark_model::{Failure, ModuleId};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    base::Shared,
    registry::Live,
    retire,
    runtime::{Refined, Running, Started},
    traffic::InstanceId,
};

/// Waits for the better build of `id`, which now runs as `instance`. Dropping the guard gives the build up.
pub(crate) fn watch<E: Clone + Send + Sync + 'static>(
    shared: &Arc<Shared<E>>,
    id: &Arc<ModuleId>,
    instance: InstanceId,
    refined: Refined<E>,
) -> DropGuard {
    let (shared, id) = (Arc::clone(shared), Arc::clone(id));
    let given_up = CancellationToken::new();
    let guard = given_up.clone().drop_guard();
    tokio::spawn(async move {
        let better = async {
            let better = refined.await?;
            better.probe().await?;
            Ok::<_, Failure>(better)
        };
        match given_up.run_until_cancelled(better).await {
            None => {}
            Some(Ok(better)) => replace(&shared, &id, instance, better).await,
            Some(Err(failure)) => tracing::warn!(module = %id, %failure, "the better build did not come about; the present one serves on"),
        }
    });
    guard
}

async fn replace<E: Clone + Send + Sync + 'static>(
    shared: &Arc<Shared<E>>,
    id: &Arc<ModuleId>,
    instance: InstanceId,
    better: Box<dyn Running<E>>,
) {
    let (old, drain_deadline) = {
        let mut registry = shared.registry();
        // Only in place of the very instance it was made for, and only while that one stays.
        let Some(module) = registry.modules.get_mut(id.as_ref()).filter(|module| module.retiring.is_none()) else { return };
        let Some(live) = module.live.as_mut().filter(|live| live.instance == instance) else { return };
        let new = Live::new(shared, id, Started { running: better, refined: None });
        let old = std::mem::replace(live, new);
        let deadline = std::time::Duration::from_millis(module.spec.limits.drain_deadline_ms);
        shared.traffic.route(id.name(), registry.targets(id.name()));
        (old, deadline)
    };
    shared.traffic.drain(old.instance, drain_deadline).await;
    let (reclaimed, _) = retire::end(shared, id, old, &mut Vec::new()).await;
    tracing::info!(module = %id, verdict = %reclaimed.verdict.state, "the optimised build has taken over");
}
