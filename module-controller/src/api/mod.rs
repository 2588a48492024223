//! The controller's HTTP API, in the shape of Kubernetes' own: `kubectl` and every client made for Kubernetes work against it.
//!
//! A request passes `guard`: what it asks for is read from its line (`call`), who asks is found (`access`), and what it came to is
//! written down (`audit`) and counted (`metrics`). Then it is answered: `discovery`, `read`, `watch`, `write`.

mod access;
mod audit;
mod call;
mod discovery;
mod events;
mod item;
mod managed;
mod metrics;
mod openapi;
mod protobuf;
mod read;
mod reply;
mod select;
mod status;
mod table;
mod unknown;
mod watch;
mod write;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use fleet::resource::{Key, Kind};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use access::{Access, Role, Token};
pub use audit::Audit;
pub use metrics::{Metered, Metrics};

use self::{
    access::Caller,
    audit::Outcome,
    call::{Call, Part, Target, Verb},
    read::Pages,
    status::Refusal,
};
use crate::store::Store;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How many namespaces are remembered that nothing is in.
const EMPTY_NAMESPACES: usize = 1_024;

/// How the API is served.
pub struct Settings {
    /// Who may do what.
    pub access: Access,
    /// Where it is written down who changed what.
    pub audit: Audit,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// The most watches at a time.
    pub watches: usize,
    /// Ends the watches: they would else keep the server from ending.
    pub end: CancellationToken,
    /// What else is answered under the same address, for who may: `/tunnel`, `/heartbeat`, `/queryBaseline` for bases, the rest for who may look,
    /// or change where it is no `GET`.
    pub others: Router,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access: Access::default(),
            audit: Audit::stderr(),
            metrics: Arc::default(),
            body_bytes: 3 << 20,
            watches: 4_096,
            end: CancellationToken::new(),
            others: Router::new(),
        }
    }
}

struct Api {
    store: Arc<dyn Store>,
    access: Access,
    audit: Audit,
    metrics: Arc<Metrics>,
    body_bytes: usize,
    watches: Arc<Semaphore>,
    end: CancellationToken,
    pages: Pages,
    /// Those that were made and may have nothing in them yet.
    namespaces: Mutex<BTreeSet<String>>,
}

/// The API on `store`.
pub fn api(store: Arc<dyn Store>, settings: Settings) -> Router {
    let Settings { access, audit, metrics, body_bytes, watches, end, others } = settings;
    let api = Arc::new(Api {
        store,
        access,
        audit,
        metrics,
        body_bytes,
        watches: Arc::new(Semaphore::new(watches)),
        end,
        pages: Pages::default(),
        namespaces: Mutex::new(["default".to_owned()].into()),
    });
    Router::new()
        .route("/metrics", get(text_of_metrics))
        .route("/openapi/v3", get(|| async { axum::Json(openapi::index()) }))
        .route("/openapi/v3/{*path}", get(description))
        .fallback(answer)
        .with_state(Arc::clone(&api))
        .merge(others)
        .layer(middleware::from_fn_with_state(Arc::clone(&api), guard))
        // Whether the controller lives and is ready is for everybody to ask.
        .route("/healthz", get(|| async { "ok" }))
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready).with_state(api))
}

impl Api {
    fn namespaces(&self) -> BTreeSet<String> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers a namespace, unless it is there already.
    fn add_namespace(&self, name: &str) -> bool {
        let mut names = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= EMPTY_NAMESPACES && !names.contains(name) {
            // One that has something in it is found by that.
            names.pop_last();
        }
        names.insert(name.to_owned())
    }
}

async fn ready(State(api): State<Arc<Api>>) -> (StatusCode, &'static str) {
    match api.store.get(Kind::Base, Key::default()).await {
        Ok(_) if !api.end.is_cancelled() => (StatusCode::OK, "ok"),
        Ok(_) => (StatusCode::SERVICE_UNAVAILABLE, "ending"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer")
        }
    }
}

async fn text_of_metrics(State(api): State<Arc<Api>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], api.metrics.text())
}

async fn description(axum::extract::Path(path): axum::extract::Path<String>) -> Response {
    match openapi::description(&path) {
        Some(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        None => Refusal::no_such_path().into_response(),
    }
}

/// Lets in who may, and writes down what came of it.
async fn guard(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let since = Instant::now();
    let call = Call::read(request.method(), request.uri());
    let path = request.uri().path().to_owned();
    let caller = api.access.caller(request.headers());
    let checked = caller.as_ref().map_err(|_| ()).map(|caller| caller.check(&call, &path));
    let writes_down =
        !call.verb.reads() && !matches!(call.target, Target::Review(_)) && !matches!(path.as_str(), "/heartbeat" | "/queryBaseline");
    let (caller, response) = match (caller, checked) {
        (Err(refusal), _) => (None, refusal.into_response()),
        (Ok(caller), Ok(Err(refusal))) => (Some(caller), refusal.into_response()),
        (Ok(caller), _) => {
            request.extensions_mut().insert(call.clone());
            request.extensions_mut().insert(caller.clone());
            (Some(caller), next.run(request).await)
        }
    };
    let code = response.status().as_u16();
    api.metrics.answered(&call, code, since.elapsed());
    if writes_down {
        let outcome = response.extensions().get::<Outcome>().cloned().unwrap_or_default();
        api.audit.record(caller.as_ref(), &call, &path, code, &outcome);
    }
    response
}

async fn answer(
    State(api): State<Arc<Api>>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if call.target == Target::Path {
        let found = matches!(parts.method, Method::GET | Method::HEAD).then(|| discovery::find(parts.uri.path(), &parts.headers)).flatten();
        return match found {
            Some(found) => {
                let mut response = reply::json(StatusCode::OK, &found.document, &parts.headers);
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(found.media));
                response
            }
            None => Refusal::no_such_path().into_response(),
        };
    }
    match api.answer(&call, &caller, &parts.headers, body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

impl Api {
    async fn answer(
        self: &Arc<Self>,
        call: &Call,
        caller: &Caller,
        headers: &axum::http::HeaderMap,
        body: Body,
    ) -> Result<Response, Refusal> {
        match call.verb {
            Verb::Watch => return self.watch(call, headers).await,
            Verb::List => return self.list(call, headers).await,
            Verb::Get if call.part == Part::Scale => return Ok(reply::json(StatusCode::OK, &self.scale(call).await?, headers)),
            Verb::Get => return self.get(call, headers).await,
            Verb::Create | Verb::Update | Verb::Patch | Verb::Delete | Verb::DeleteCollection => {}
        }
        let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
        let packed = media.starts_with(protobuf::MEDIA);
        if call.verb != Verb::Patch && !packed && !media.starts_with("application/json") {
            return Err(Refusal::unsupported(format!("{media:?} is not supported: send application/json")));
        }
        let mut body = to_bytes(body, self.body_bytes).await.map_err(|_| Refusal::too_large(self.body_bytes))?;
        if packed {
            body = protobuf::read(call.target, &body)?.to_string().into();
        }
        if let Target::Review(review) = call.target {
            let asked: Value =
                serde_json::from_slice(&body).map_err(|error| Refusal::bad_request(format!("the body is no JSON: {error}")))?;
            return Ok(reply::json(StatusCode::CREATED, &caller.review(review, call.target, &asked), headers));
        }
        let done = match call.verb {
            Verb::Create => self.create(call, headers, &body).await?,
            Verb::Delete => self.delete(call, &body).await?,
            Verb::DeleteCollection => self.delete_all(call, &body).await?,
            Verb::Update | Verb::Patch | Verb::Get | Verb::List | Verb::Watch => self.change(call, headers, &body).await?,
        };
        let text = |pointer: &str| done.document.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let outcome = Outcome { name: text("/metadata/name"), resource_version: text("/metadata/resourceVersion") };
        let mut response = reply::json(done.code, &done.document, headers);
        reply::warn(&mut response, &done.warnings);
        response.extensions_mut().insert(outcome);
        Ok(response)
    }
}
