//! What a runtime offers to the gateway: something that answers a request in this process.

use std::sync::Arc;

use ark_model::Reason;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};

use crate::forward::RequestId;

/// A body, of a request or of a response, that streams.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body without bytes. Costs no memory.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// What answers the requests of one instance of a module.
pub type Endpoint = Arc<dyn Upstream>;

/// Answers requests.
pub trait Upstream: Send + Sync + 'static {
    /// Answers `request`, which is known as `id`. Runs on the thread that polls it; the response's body streams from there too.
    fn call(&self, request: http::Request<Body>, id: &RequestId) -> BoxFuture<'static, Result<http::Response<Body>, UpstreamError>>;

    /// Told when the gateway begins to send it requests of clients, and when it ends that: for who answers elsewhere too. Called while
    /// routes change, so it must not wait; of two calls the later holds.
    fn routed(&self, _on: bool) {}

    /// Whether it is given paths with their context path, whatever the gateway's setting: it makes links with it.
    fn keeps_prefix(&self) -> bool {
        false
    }
}

/// What `endpoint` answers to a probe, a request for the host `localhost` without a body; or why it does not, in words.
///
/// # Errors
/// Where the request is none, or nobody answers.
pub async fn probe(endpoint: &dyn Upstream, request: http::request::Builder) -> Result<http::Response<Body>, String> {
    let request = request.header(http::header::HOST, "localhost").body(empty()).map_err(|error| error.to_string())?;
    endpoint.call(request, &RequestId::from_static("probe")).await.map_err(|error| error.message)
}

/// A request that a module did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UpstreamError {
    /// The word for it: `RequestTimedOut`, `ModuleFailed`, `BudgetExceeded`, …; it decides the status.
    pub reason: Reason,
    /// Details for the module's log, never for its client.
    pub message: String,
}

impl std::fmt::Debug for dyn Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upstream")
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::{Arc, Body, BoxFuture, Endpoint, Reason, RequestId, Upstream, UpstreamError};

    struct Nobody;

    impl Upstream for Nobody {
        fn call(&self, _: http::Request<Body>, _: &RequestId) -> BoxFuture<'static, Result<http::Response<Body>, UpstreamError>> {
            Box::pin(std::future::ready(Err(UpstreamError { reason: Reason::ModuleFailed, message: "nobody".to_owned() })))
        }
    }

    /// An endpoint that fails.
    pub(crate) fn nobody() -> Endpoint {
        Arc::new(Nobody)
    }
}
