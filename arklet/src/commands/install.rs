//! `installBiz`.

use std::sync::Arc;

use ark::{Command as Busy, Install};
use ark_model::{
    Failure, Fence, InstallOrder, Reason,
    api::{Installed, Progress},
};
use serde_json::{Value, json};

use super::{Reply, described, parameters::Parameters};
use crate::{
    agent::{Agent, now},
    system,
};

const REFUSED: &str = "install biz not success!";

pub(super) async fn install(agent: &Arc<Agent>, parameters: &Parameters, fence: Option<Fence>) -> Reply {
    let order = match parameters.order() {
        Ok(order) => order,
        Err(reply) => return reply,
    };
    match parameters.request_id_if_async() {
        Err(reply) => reply,
        Ok(None) => run(agent, order, fence).await,
        Ok(Some(request_id)) => {
            let begun = begin(agent, order, fence);
            // What was accepted survives the base before its sender hears that it was.
            if let Ok(begun) = &begun
                && let Err(failure) = begun.install.accepted().await
            {
                return Reply::broken(&failure);
            }
            let agent_ = Arc::clone(agent);
            let work = async move {
                match begun {
                    Ok(begun) => finish(&agent_, begun).await,
                    Err(reply) => reply,
                }
            };
            agent.operations.begin(request_id, parameters.meta(true), work)
        }
    }
}

/// Installs and says how it went, as `installBiz` does.
pub(super) async fn run(agent: &Arc<Agent>, order: InstallOrder, fence: Option<Fence>) -> Reply {
    match begin(agent, order, fence) {
        Ok(begun) => finish(agent, begun).await,
        Err(reply) => reply,
    }
}

struct Begun {
    install: Install,
    order: InstallOrder,
    at: u64,
    resident: u64,
}

fn begin(agent: &Agent, order: InstallOrder, fence: Option<Fence>) -> Result<Begun, Reply> {
    let (at, resident) = (now(), system::resident_bytes());
    // On the wire a module that is broken has to be uninstalled first. Whether a fenced order comes too late is looked at before all else.
    let unfenced = order.id.as_ref().filter(|_| fence.is_none());
    if let Some(id) = unfenced.filter(|id| agent.base.under_way(id.name()).is_none() && agent.base.module(id).is_ok()) {
        return Err(repeated(&id.to_string()));
    }
    let busy = order.id.as_ref().and_then(|id| agent.base.under_way(id.name())).unwrap_or(Busy::Install);
    match agent.base.install(order.clone(), fence) {
        Ok(install) => Ok(Begun { install, order, at, resident }),
        Err(failure) => Err(refusal(&order, &failure, busy)),
    }
}

async fn finish(agent: &Agent, begun: Begun) -> Reply {
    let Begun { mut install, order, at, resident } = begun;
    let mut outcome = None;
    let trace = agent.operation("install", None);
    while let Some(event) = install.next().await {
        trace.seen(&event);
        match event {
            Progress::Done(installed) => outcome = Some(Ok(*installed)),
            Progress::Failed { error } => outcome = Some(Err(error)),
            Progress::Ended(timing) => agent.metrics.step(&timing),
            Progress::Retired(retired) => retired.timings.iter().for_each(|timing| agent.metrics.step(timing)),
            Progress::Begun { .. } | Progress::Serving { .. } => {}
        }
    }
    let outcome = outcome.unwrap_or_else(|| Err(Failure::new(Reason::Internal, "the install ended without a word")));
    agent.metrics.installed(outcome.as_ref().map(|_| ()));
    match outcome {
        Ok(installed) => Reply::Success(success(&installed, at, resident)),
        Err(failure) => refusal(&order, &failure, Busy::Install),
    }
}

fn success(installed: &Installed, at: u64, resident: u64) -> Value {
    let grown = i64::try_from(system::resident_bytes()).unwrap_or(i64::MAX) - i64::try_from(resident).unwrap_or(i64::MAX);
    let (seconds, ms) = (at / 1_000, at % 1_000);
    let clock = format!("{:02}:{:02}:{:02},{ms:03}", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let id = &installed.module.id;
    json!({
        "bizInfos": [described(&installed.module)],
        "code": "SUCCESS",
        "elapsedSpace": grown,
        "message": format!("Install Biz: {id} success, cost: {} ms, started at: {clock}", now().saturating_sub(at)),
    })
}

fn repeated(id: &str) -> Reply {
    let data = json!({"code": "REPEAT_BIZ", "elapsedSpace": 0, "message": format!("Biz: {id} has been installed or registered.")});
    Reply::Failed { message: REFUSED.to_owned(), data: Some(data) }
}

fn refusal(order: &InstallOrder, failure: &Failure, busy: Busy) -> Reply {
    match (&order.id, failure.reason) {
        (Some(id), Reason::AlreadyInstalled) => repeated(&id.to_string()),
        (None, Reason::AlreadyInstalled) => repeated(failure.message.split_whitespace().next().unwrap_or_default()),
        (Some(id), Reason::Conflict) => Reply::conflict(id, "installBiz", busy),
        _ => Reply::broken(failure),
    }
}
