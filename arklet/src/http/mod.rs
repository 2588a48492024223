//! The agent's HTTP API on one port: the commands of the wire, the typed API, health, metrics.

mod access;
mod listen;
mod openapi;
mod v1;

use std::sync::Arc;

pub use access::{Access, Rights};
use ark_model::{Failure, Fence, Reason, api::ErrorBody, report::FENCE_HEADER};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
pub use listen::{ServeError, serve};

use crate::{agent::Agent, commands};

/// The largest body of a command, in bytes.
const MAX_BODY: usize = 1 << 20;
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The API of `agent`, for whoever may use it by `access`.
pub fn router(agent: Arc<Agent>, access: Access) -> Router {
    Router::new()
        .nest("/v1", v1::router())
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(description))
        .route("/{command}", axum::routing::any(command))
        .fallback(no_command)
        .layer(middleware::from_fn_with_state(Arc::new(access), access::check))
        // Whether the base lives and is ready is for everybody to ask.
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(agent)
}

async fn ready(State(agent): State<Arc<Agent>>) -> (StatusCode, &'static str) {
    if agent.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

async fn metrics(State(agent): State<Arc<Agent>>) -> impl IntoResponse {
    let text = agent.metrics.text(&agent.base.inspect_all().await, &agent.base.verdicts(), crate::system::resident_bytes());
    ([(header::CONTENT_TYPE, OPENMETRICS)], text)
}

async fn description() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi::CHECKED_IN)
}

async fn command(State(agent): State<Arc<Agent>>, Path(name): Path<String>, request: Request) -> Response {
    if request.method() != Method::POST {
        return post_only();
    }
    if commands::known(&name).is_none() {
        return axum::Json(commands::not_found()).into_response();
    }
    let fence = match fence(request.headers()) {
        Ok(fence) => fence,
        Err(failure) => return Refusal(failure).into_response(),
    };
    let Ok(body) = to_bytes(request.into_body(), MAX_BODY).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, [(header::CONNECTION, "close")]).into_response();
    };
    let identity = agent.view().identity;
    axum::Json(commands::run(&agent, &name, &body, fence).await.envelope(&identity)).into_response()
}

async fn no_command(method: Method) -> Response {
    if method == Method::POST { axum::Json(commands::not_found()).into_response() } else { post_only() }
}

fn post_only() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "POST http request only supported by arklet").into_response()
}

/// The fence that an order carries.
fn fence(headers: &HeaderMap) -> Result<Option<Fence>, Failure> {
    let Some(value) = headers.get(FENCE_HEADER) else { return Ok(None) };
    let fence = String::from_utf8_lossy(value.as_bytes()).parse();
    fence.map(Some).map_err(|invalid: ark_model::report::InvalidFence| {
        Failure::new(Reason::InvalidRequest, format!("the header {FENCE_HEADER} cannot be read: {invalid}"))
    })
}

/// A failure as the typed API tells it.
pub(crate) struct Refusal(pub(crate) Failure);

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        (status_of(self.0.reason), axum::Json(ErrorBody { error: self.0 })).into_response()
    }
}

/// The one table from reasons to statuses.
fn status_of(reason: Reason) -> StatusCode {
    match reason {
        Reason::InvalidRequest | Reason::IdentityMismatch => StatusCode::BAD_REQUEST,
        Reason::Unauthorized => StatusCode::UNAUTHORIZED,
        Reason::NotInstalled | Reason::NoRoute => StatusCode::NOT_FOUND,
        Reason::AlreadyInstalled
        | Reason::ContextPathTaken
        | Reason::Conflict
        | Reason::OrderStale
        | Reason::IllegalState
        | Reason::Cancelled => StatusCode::CONFLICT,
        Reason::PackageTooLarge | Reason::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::DigestMismatch
        | Reason::SignatureInvalid
        | Reason::PackageInvalid
        | Reason::ImportUnknown
        | Reason::CompileFailed
        | Reason::StartFailed
        | Reason::ProbeFailed
        | Reason::ModuleFailed => StatusCode::UNPROCESSABLE_ENTITY,
        Reason::FetchFailed => StatusCode::BAD_GATEWAY,
        Reason::StartTimedOut | Reason::RequestTimedOut => StatusCode::GATEWAY_TIMEOUT,
        Reason::BudgetExceeded | Reason::MetaspaceFull | Reason::QueueFull | Reason::Draining => StatusCode::SERVICE_UNAVAILABLE,
        Reason::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
