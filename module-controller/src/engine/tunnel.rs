//! Bases that dialled: they serve their API on the connection that they opened, and are asked on it.

use std::{sync::Arc, time::Duration};

use ark_model::{
    Failure, Fence, ModuleId,
    api::ErrorBody,
    report::{BASE_HEADER, BaseReport, FENCE_HEADER, MARK_HEADER, TUNNEL_PROTOCOL},
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use fleet::{Command, Outcome, admission, resource::Key};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::{Engine, Word, links::Link};

/// The namespace that bases join.
pub(super) const NAMESPACE: &str = "default";
/// A peer that is gone is noticed after both together.
const PING_EVERY: Duration = Duration::from_secs(8);
const PING_ANSWER: Duration = Duration::from_secs(8);
/// The longest report, and the longest answer to an order.
const LONGEST: usize = 32 << 20;
/// After a report broke off on a connection that still stands.
const AGAIN: Duration = Duration::from_millis(500);

/// A base's own connection.
#[derive(Clone)]
pub(super) struct Tunnel {
    sender: SendRequest<Full<Bytes>>,
}

/// `GET /tunnel`: takes the connection over, where this controller leads.
pub(super) async fn open(State(engine): State<Engine>, mut request: Request) -> Response {
    let headers = request.headers();
    let asked = headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(TUNNEL_PROTOCOL.as_bytes()));
    if !asked {
        let message = format!("a base opens its tunnel with upgrade: {TUNNEL_PROTOCOL}");
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, TUNNEL_PROTOCOL)], message).into_response();
    }
    let name = headers.get(BASE_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if !admission::is_name(&name) {
        let message = format!("{name:?} cannot be a base's name: lower-case letters, digits, '-' and '.'; give it another --base-name");
        return (StatusCode::BAD_REQUEST, message).into_response();
    }
    if !*engine.leads.borrow() {
        let leader = engine.store.leader().await.ok().flatten().unwrap_or_default();
        return (StatusCode::MISDIRECTED_REQUEST, format!("this controller does not lead; {leader} does")).into_response();
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(connection) => serve(engine, Key::new(NAMESPACE, name), connection).await,
            Err(error) => tracing::warn!(base = name, %error, "a tunnel broke off while it was opened"),
        }
    });
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, TUNNEL_PROTOCOL)];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

/// Listens to a base for as long as its connection stands and this controller leads.
async fn serve(engine: Engine, base: Key, connection: hyper::upgrade::Upgraded) {
    let builder = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(TokioIo::new(connection)))
        .await;
    let (sender, connection) = match builder {
        Ok(pair) => pair,
        Err(error) => return tracing::warn!(%base, %error, "a base opened a tunnel and does not speak HTTP/2 on it"),
    };
    let tunnel = Tunnel { sender };
    let number = engine.links.put(base.clone(), Link::Tunnel(tunnel.clone()));
    engine.counts.tunnels.inc();
    tracing::info!(%base, "a base has joined");
    let mut leads = engine.leads.clone();
    let listening = async {
        // It has another connection by now, or somebody took its name.
        while engine.links.is_current(&base, number) {
            if let Err(why) = listen(&engine, &base, &tunnel).await {
                tracing::debug!(%base, why, "a report broke off");
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    let ended = tokio::select! {
        ended = connection => ended.err().map_or_else(|| "it has left".to_owned(), |error| error.to_string()),
        () = listening => "it has another connection".to_owned(),
        _ = leads.wait_for(|leads| !leads) => "this controller leads no longer".to_owned(),
        () = engine.end.cancelled() => "this controller ends".to_owned(),
    };
    engine.links.remove(&base, number);
    engine.counts.tunnels.dec();
    tracing::info!(%base, "a base's tunnel has ended: {ended}");
}

/// Reads reports as they come.
async fn listen(engine: &Engine, base: &Key, tunnel: &Tunnel) -> Result<(), String> {
    let mut body = tunnel.ask(Method::GET, "/v1/report", HeaderMap::new(), Bytes::new()).await?.into_body();
    let mut line = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Some(data) = frame.data_ref() else { continue };
        line.extend_from_slice(data);
        while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let rest = line.split_off(end + 1);
            let report = read(&line)?;
            line = rest;
            let word = Word::Report { base: base.clone(), report, api: String::new() };
            if engine.words.send(word).await.is_err() {
                return Err("nobody listens".to_owned());
            }
        }
        if line.len() > LONGEST {
            return Err(format!("a report is longer than {LONGEST} bytes"));
        }
    }
    Ok(())
}

fn read(line: &[u8]) -> Result<Arc<BaseReport>, String> {
    serde_json::from_slice(line).map(Arc::new).map_err(|error| format!("a report cannot be read: {error}"))
}

impl Tunnel {
    async fn ask(&self, method: Method, path: &str, mut headers: HeaderMap, body: Bytes) -> Result<hyper::Response<Incoming>, String> {
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://base{path}").parse().map_err(|error| format!("{path} is no path: {error}"))?;
        *request.headers_mut() = headers;
        self.sender.clone().send_request(request).await.map_err(|error| error.to_string())
    }

    pub(super) async fn order(&self, command: &Command, fence: Fence) -> Outcome {
        let mut headers = HeaderMap::new();
        if let Ok(fence) = fence.to_string().parse() {
            headers.insert(FENCE_HEADER, fence);
        }
        let path = |id: &ModuleId| format!("/v1/modules/{}/{}", id.name(), id.version());
        let asked = match command {
            Command::Install(order) => {
                self.ask(Method::POST, "/v1/modules", headers, serde_json::to_vec(order).unwrap_or_default().into()).await
            }
            Command::Activate(id) => self.ask(Method::POST, &format!("{}/activate", path(id)), headers, Bytes::new()).await,
            Command::Uninstall { id, mark } => {
                if let Ok(mark) = mark.parse() {
                    headers.insert(MARK_HEADER, mark);
                }
                self.ask(Method::DELETE, &path(id), headers, Bytes::new()).await
            }
        };
        let Ok(answer) = asked else { return Outcome::Unknown };
        let status = answer.status();
        let Ok(body) = Limited::new(answer.into_body(), LONGEST).collect().await else { return Outcome::Unknown };
        if status.is_success() {
            return Outcome::Done;
        }
        match serde_json::from_slice::<ErrorBody>(&body.to_bytes()) {
            Ok(body) => Outcome::Failed(body.error),
            Err(_) => {
                let message = format!("the base answered {status}, with nothing that can be read");
                Outcome::Failed(Failure::new(ark_model::Reason::Internal, message))
            }
        }
    }

    /// The first line of a report.
    pub(super) async fn report(&self) -> Option<Arc<BaseReport>> {
        let mut body = self.ask(Method::GET, "/v1/report", HeaderMap::new(), Bytes::new()).await.ok()?.into_body();
        let mut line = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            line.extend_from_slice(frame.data_ref()?);
            if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                return read(line.get(..end)?).ok();
            }
            if line.len() > LONGEST {
                return None;
            }
        }
        None
    }
}
