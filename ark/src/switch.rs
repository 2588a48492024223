//! Traffic moved by hand between versions that run side by side.

use std::sync::Arc;

use ark_model::{Failure, Fence, ModuleId, Reason, State, api::ModuleView, lifecycle::Event as Change};
use tokio_util::sync::CancellationToken;

use crate::{
    activation,
    base::{NameLock, Pending, Shared},
    event::Event,
    journal::Entry,
    registry::{Command, not_installed},
    retire::finished,
};

pub(crate) fn activate<E: Clone + Send + Sync + 'static>(
    shared: &Arc<Shared<E>>,
    id: &ModuleId,
    fence: Option<Fence>,
) -> Result<Pending<ModuleView>, Failure> {
    let (lock, fenced) = {
        let mut registry = shared.registry();
        let fenced = shared.admit(&mut registry, id.name(), fence)?;
        let module = registry.modules.get(id).ok_or_else(|| not_installed(id))?;
        if !module.stays() {
            let state = if module.retiring.is_some() { State::Stopped } else { module.history.state() };
            return Err(Failure::new(Reason::IllegalState, format!("{id} is {state}; only a version that runs can get the traffic")));
        }
        (NameLock::take(shared, &mut registry, id, Command::Switch, CancellationToken::new())?, fenced)
    };
    let (shared, id) = (Arc::clone(shared), Arc::new(id.clone()));
    let task = tokio::spawn(async move {
        let _lock = lock;
        fenced.await?;
        let from = activation::on_activate(&shared.registry().others(&id)).deactivate;
        shared.listeners.tell(&Event::BeforeSwitch(from.clone(), Arc::clone(&id)));
        let view = move_traffic(&shared, &id)?;
        shared.listeners.tell(&Event::AfterSwitch(from, Arc::clone(&id)));
        shared.journal.record(Entry::Switched { id: ModuleId::clone(&id) }).await?;
        Ok(view)
    });
    Ok(finished(task))
}

fn move_traffic<E: Clone + 'static>(shared: &Shared<E>, id: &ModuleId) -> Result<ModuleView, Failure> {
    let now = shared.now();
    let mut registry = shared.registry();
    let plan = activation::on_activate(&registry.others(id));
    if registry.modules.get(id).is_some_and(|module| module.history.state() == State::Deactivated) {
        let message = plan.deactivate.first().map_or_else(String::new, |old| format!("switch from old biz: {old}"));
        registry.step(id, Change::Activate, now, message)?;
    }
    for old in &plan.deactivate {
        registry.step(old, Change::Deactivate, now, format!("switch to new biz {id}"))?;
    }
    shared.traffic.route(id.name(), registry.targets(id.name()));
    registry.modules.get(id).map(|module| module.view()).ok_or_else(|| not_installed(id))
}
