//! Arklets of the system before: they say by `POST /heartbeat` that they live, and are called at their own address.
//!
//! They keep no marks and no fences: a module is known by its name and version, and a late order is not told from a new one.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ark_model::{
    Failure, InstallOrder, ModuleId, Reason, State,
    report::{BaseReport, ModuleReport},
};
use axum::{
    Json,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use fleet::{
    Command, Outcome, admission,
    resource::{Document, Key, Kind},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};

use super::{Engine, Word, links::Link, tunnel::NAMESPACE};

/// What a call may take, but an install.
const CALL: Duration = Duration::from_secs(10);
/// The longest answer.
const LONGEST: usize = 16 << 20;

/// What such an arklet says every twelve seconds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Heartbeat {
    base_metadata: Metadata,
    #[serde(rename = "localIP")]
    local_ip: IpAddr,
    port: u16,
    #[serde(default)]
    state: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    cluster_name: String,
    identity: String,
    name: String,
    version: String,
}

/// A stock arklet.
#[derive(Debug, Clone)]
pub(super) struct Arklet {
    ip: IpAddr,
    port: u16,
    metadata: Metadata,
    ready: bool,
}

/// `POST /heartbeat`.
pub(super) async fn heartbeat(Shared(engine): Shared<Engine>, Json(beat): Json<Heartbeat>) -> Response {
    let name = name_of(&beat.base_metadata.identity);
    if !admission::is_name(&name) {
        return (StatusCode::BAD_REQUEST, format!("{:?} cannot be a base's name", beat.base_metadata.identity)).into_response();
    }
    let base = Key::new(NAMESPACE, name);
    // One that holds a tunnel is heard there.
    if !*engine.leads.borrow() || matches!(engine.links.get(&base), Some(Link::Tunnel(_))) {
        return "SUCCESS".into_response();
    }
    let ready = beat.state.is_empty() || beat.state.eq_ignore_ascii_case("activated");
    let arklet = Arklet { ip: beat.local_ip, port: beat.port, metadata: beat.base_metadata, ready };
    engine.links.put(base.clone(), Link::Stock(arklet.clone()));
    tokio::spawn(async move {
        match arklet.report().await {
            Some(report) => {
                let _ = engine.words.send(Word::Report { base, report, api: arklet.api() }).await;
            }
            None => tracing::warn!(%base, api = arklet.api(), "a base says that it lives, and does not answer"),
        }
    });
    "SUCCESS".into_response()
}

/// `POST /queryBaseline`: what a base is to run.
pub(super) async fn baseline(Shared(engine): Shared<Engine>, Json(metadata): Json<Metadata>) -> Response {
    let name = name_of(&metadata.identity);
    match engine.store.list([Kind::Module].into(), Some(NAMESPACE.to_owned())).await {
        Ok(listing) => {
            let wanted: Vec<Value> = listing
                .documents
                .iter()
                .filter_map(|document| match &**document {
                    Document::Module(module) if module.spec.base_name == name && !module.metadata.is_going() => {
                        let module = &module.spec.template.module;
                        Some(json!({"bizName": module.name, "bizVersion": module.version, "bizUrl": module.url}))
                    }
                    Document::Module(_) | Document::ModuleDeployment(_) | Document::ModuleReplicaSet(_) | Document::Base(_) => None,
                })
                .collect();
            Json(wanted).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

fn name_of(identity: &str) -> String {
    identity.to_ascii_lowercase().replace('_', "-")
}

impl Arklet {
    pub(super) fn api(&self) -> String {
        match self.ip {
            IpAddr::V4(ip) => format!("http://{ip}:{}", self.port),
            IpAddr::V6(ip) => format!("http://[{ip}]:{}", self.port),
        }
    }

    /// Calls a command; the answer is whole or nothing.
    async fn call(&self, command: &str, body: &Value) -> Option<Value> {
        let stream = TcpStream::connect((self.ip, self.port)).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let request = hyper::Request::post(format!("/{command}"))
            .header(header::HOST, format!("{}:{}", self.ip, self.port))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body.to_string())))
            .ok()?;
        let answer = sender.send_request(request).await.ok()?;
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.ok()?.to_bytes();
        serde_json::from_slice(&body).ok()
    }

    pub(super) async fn order(&self, command: &Command) -> Outcome {
        let of = |id: &ModuleId| json!({"bizName": id.name(), "bizVersion": id.version()});
        let (name, body, patience) = match command {
            Command::Install(order) => ("installBiz", install(order), None),
            Command::Activate(id) => ("switchBiz", of(id), Some(CALL)),
            Command::Uninstall { id, .. } => ("uninstallBiz", of(id), None),
        };
        let answer = match patience {
            Some(patience) => timeout(patience, self.call(name, &body)).await.ok().flatten(),
            None => self.call(name, &body).await,
        };
        let Some(answer) = answer else { return Outcome::Unknown };
        match answer.get("code").and_then(Value::as_str) {
            Some("SUCCESS") => Outcome::Done,
            code => {
                let message = answer.get("message").and_then(Value::as_str).filter(|message| !message.is_empty());
                let text = message.map_or_else(|| format!("{name} answered {}", code.unwrap_or("nothing that can be read")), str::to_owned);
                let reason = match command {
                    Command::Install(_) => Reason::StartFailed,
                    Command::Activate(_) | Command::Uninstall { .. } => Reason::IllegalState,
                };
                Outcome::Failed(Failure::new(reason, text))
            }
        }
    }

    pub(super) async fn report(&self) -> Option<Arc<BaseReport>> {
        let answer = timeout(CALL, self.call("queryAllBiz", &json!({}))).await.ok().flatten()?;
        let modules = answer.get("data").and_then(Value::as_array)?.iter().filter_map(module).collect();
        Some(Arc::new(BaseReport {
            identity: self.metadata.identity.clone(),
            name: self.metadata.name.clone(),
            version: self.metadata.version.clone(),
            cluster: self.metadata.cluster_name.clone(),
            deployment: self.metadata.name.clone(),
            kinds: vec!["jvm".to_owned()],
            ready: self.ready,
            modules,
            ..BaseReport::default()
        }))
    }
}

fn install(order: &InstallOrder) -> Value {
    let id = order.id.as_ref();
    json!({
        "bizName": id.map(ModuleId::name), "bizVersion": id.map(ModuleId::version), "bizUrl": order.url, "args": order.args,
        "envs": order.grants.env,
    })
}

/// One of the modules that it says it has.
fn module(value: &Value) -> Option<ModuleReport> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let id = ModuleId::new(text("bizName")?, text("bizVersion")?).ok()?;
    let state: State = serde_json::from_value(Value::from(text("bizState")?.to_ascii_uppercase())).ok()?;
    Some(ModuleReport {
        id,
        state,
        failure: None,
        mark: String::new(),
        fence: ark_model::Fence::default(),
        weight: 100,
        requests: 0,
        failures: 0,
        in_flight: 0,
        p99_ms: 0.0,
    })
}
