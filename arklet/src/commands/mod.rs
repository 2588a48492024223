//! The eight commands that clients of the wire have always sent: `POST /<command>` with a JSON object, answered with an envelope.
//!
//! Codes, texts and field names are those of the system before this one, so that its clients keep working. Where it left a
//! request without an answer, or sent none that says what is wrong, this one answers.

mod batch;
mod health;
mod install;
mod operations;
mod parameters;

use std::sync::Arc;

use ark::Command as Busy;
use ark_model::{Failure, Fence, ModuleId, Reason, State, api::ModuleView};
pub(crate) use operations::Operations;
use serde_json::{Map, Value, json};

use self::parameters::Parameters;
use crate::agent::Agent;

/// What a command comes to.
pub(crate) enum Reply {
    /// It succeeded.
    Success(Value),
    /// It was refused.
    Failed { message: String, data: Option<Value> },
    /// It makes no sense, or broke off.
    Internal { message: String, detail: String },
}

impl Reply {
    fn invalid(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Internal { detail: format!("{}: {message}", Reason::InvalidRequest), message }
    }

    fn broken(failure: &Failure) -> Self {
        let step = failure.step.map_or_else(String::new, |step| format!(" in {step}"));
        Self::Internal { message: failure.message.clone(), detail: format!("{}{step}: {failure}", failure.reason) }
    }

    fn refused(message: &str, inner_code: &str, inner_message: &str) -> Self {
        Self::Failed { message: message.to_owned(), data: Some(json!({"code": inner_code, "message": inner_message})) }
    }

    fn conflict(id: &ModuleId, command: &str, busy: Busy) -> Self {
        let message = format!("FAILED:{id} {command} conflict, exist unfinished command({}) for this biz", wire_name(busy));
        Self::Failed { message, data: None }
    }

    /// The envelope. Its keys are in alphabetical order, and absent ones are left out.
    pub(crate) fn envelope(self, base_identity: &str) -> Value {
        let mut envelope = Map::new();
        match self {
            Self::Success(data) => {
                envelope.insert("baseIdentity".to_owned(), base_identity.into());
                envelope.insert("code".to_owned(), "SUCCESS".into());
                envelope.insert("data".to_owned(), data);
            }
            Self::Failed { message, data } => {
                envelope.insert("baseIdentity".to_owned(), base_identity.into());
                envelope.insert("code".to_owned(), "FAILED".into());
                if let Some(data) = data {
                    envelope.insert("data".to_owned(), data);
                }
                envelope.insert("message".to_owned(), message.into());
            }
            Self::Internal { message, detail } => {
                envelope.insert("code".to_owned(), "CMD_PROCESS_INTERNAL_ERROR".into());
                envelope.insert("errorStackTrace".to_owned(), detail.into());
                envelope.insert("message".to_owned(), format!("Internal Error: {message}").into());
            }
        }
        Value::Object(envelope)
    }
}

/// The answer to a path that is no command.
pub(crate) fn not_found() -> Value {
    json!({"code": "CMD_NOT_FOUND", "message": "please follow the doc"})
}

fn wire_name(busy: Busy) -> &'static str {
    match busy {
        Busy::Install => "installBiz",
        Busy::Uninstall => "uninstallBiz",
        Busy::Switch => "switchBiz",
    }
}

/// Every command with its description.
const COMMANDS: [(&str, &str); 8] = [
    ("help", "list all supported commands"),
    ("installBiz", "install one ark biz"),
    ("batchInstallBiz", "install one ark biz"),
    ("uninstallBiz", "uninstall one ark biz"),
    ("switchBiz", "switch one ark biz"),
    ("queryAllBiz", "query all ark biz(including master biz)"),
    ("queryBizOps", "query ark biz ops"),
    ("health", "get all health info"),
];

/// Whether `name` is a command, and whether it only reads.
pub(crate) fn known(name: &str) -> Option<bool> {
    COMMANDS.iter().any(|(id, _)| *id == name).then_some(matches!(name, "help" | "queryAllBiz" | "queryBizOps" | "health"))
}

/// Runs the command `name`, which is a known one, with the body and the fence of its request.
pub(crate) async fn run(agent: &Arc<Agent>, name: &str, body: &[u8], fence: Option<Fence>) -> Reply {
    let parameters = match Parameters::read(body) {
        Ok(parameters) => parameters,
        Err(problem) => return Reply::invalid(problem),
    };
    match name {
        "help" => Reply::Success(COMMANDS.iter().map(|(id, desc)| json!({"desc": desc, "id": id})).collect()),
        "queryAllBiz" => Reply::Success(agent.base.modules().iter().map(queried).collect()),
        "health" => health::health(agent, &parameters).await,
        "queryBizOps" => agent.operations.query(&parameters),
        "installBiz" => install::install(agent, &parameters, fence).await,
        "batchInstallBiz" => batch::install(agent, &parameters, fence).await,
        "uninstallBiz" => uninstall(agent, &parameters, fence).await,
        _ => switch(agent, &parameters, fence).await,
    }
}

async fn uninstall(agent: &Arc<Agent>, parameters: &Parameters, fence: Option<Fence>) -> Reply {
    const REFUSED: &str = "uninstall biz not success!";
    let id = match parameters.required_id() {
        Ok(id) => id,
        Err(reply) => return reply,
    };
    let request_id = match parameters.request_id_if_async() {
        Ok(request_id) => request_id,
        Err(reply) => return reply,
    };
    if id.name() == agent.identity.name && id.version() == agent.identity.version {
        return Reply::refused(REFUSED, "FAILED", "Master biz must not be uninstalled.");
    }
    let work = {
        let (agent, id) = (Arc::clone(agent), id.clone());
        let busy = agent.base.under_way(id.name());
        async move {
            let refusal =
                |failure: &Failure, busy| refusal(failure, &id, "uninstallBiz", busy, REFUSED, &format!("Uninstall biz: {id} not found."));
            let pending = match agent.base.uninstall(&id, fence) {
                Ok(pending) => pending,
                Err(failure) => return refusal(&failure, busy.or(Some(Busy::Install))),
            };
            let trace = agent.operation("uninstall", None);
            match pending.await {
                Ok(retired) => {
                    trace.steps(&retired.timings, None);
                    trace.end(Some(&id), None);
                    retired.timings.iter().for_each(|timing| agent.metrics.step(timing));
                    Reply::Success(json!({"code": "SUCCESS", "message": format!("Uninstall biz: {id} success.")}))
                }
                // What holds the name now is not known: a listener may have refused.
                Err(failure) => refusal(&failure, None),
            }
        }
    };
    match request_id {
        None => work.await,
        Some(request_id) => agent.operations.begin(request_id, parameters.meta(false), work),
    }
}

async fn switch(agent: &Arc<Agent>, parameters: &Parameters, fence: Option<Fence>) -> Reply {
    const REFUSED: &str = "switch biz not success!";
    let id = match parameters.required_id() {
        Ok(id) => id,
        Err(reply) => return reply,
    };
    let busy = agent.base.under_way(id.name());
    let pending = match agent.base.activate(&id, fence) {
        Ok(pending) => pending,
        Err(failure) if failure.reason == Reason::IllegalState => {
            let state = agent.base.module(&id).map_or(State::Stopped, |module| module.state);
            return Reply::refused(REFUSED, "ILLEGAL_STATE_BIZ", &format!("Switch Biz: {id}'s state must not be {state}."));
        }
        Err(failure) => {
            return refusal(&failure, &id, "switchBiz", busy.or(Some(Busy::Switch)), REFUSED, &format!("Switch biz: {id} not found."));
        }
    };
    match pending.await {
        Ok(_) => Reply::Success(json!({"code": "SUCCESS", "message": format!("Switch biz: {id} is activated.")})),
        Err(failure) => Reply::broken(&failure),
    }
}

fn refusal(failure: &Failure, id: &ModuleId, command: &str, busy: Option<Busy>, outer: &str, not_found: &str) -> Reply {
    match (failure.reason, busy) {
        (Reason::NotInstalled, _) => Reply::refused(outer, "NOT_FOUND_BIZ", not_found),
        (Reason::Conflict, Some(busy)) => Reply::conflict(id, command, busy),
        _ => Reply::broken(failure),
    }
}

/// A module as `queryAllBiz` lists it.
fn queried(module: &ModuleView) -> Value {
    json!({
        "bizName": module.id.name(),
        "bizState": module.state,
        "bizStateRecords": module.history,
        "bizVersion": module.id.version(),
        "mainClass": main_class(module),
        "webContextPath": web_context_path(module),
    })
}

/// A module as `installBiz` describes it.
fn described(module: &ModuleView) -> Value {
    json!({
        "attributes": {},
        "bizName": module.id.name(),
        "bizState": module.state,
        "bizStateRecords": module.history,
        "bizUrl": module.url,
        "bizVersion": module.id.version(),
        "declaredMode": true,
        "identity": module.id.to_string(),
        "mainClass": main_class(module),
        "priority": module.priority,
        "webContextPath": web_context_path(module),
    })
}

/// Clients expect a text; what comes nearest to a class to start is the kind.
fn main_class(module: &ModuleView) -> &str {
    &module.kind
}

/// Without its first slash, but for the root.
fn web_context_path(module: &ModuleView) -> &str {
    module.context_path.strip_prefix('/').filter(|path| !path.is_empty()).unwrap_or("/")
}
