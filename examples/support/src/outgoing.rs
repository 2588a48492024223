//! Requests to others. The host lets through what the module's grants name.

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode, Uri};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, OutgoingRequest, RequestOptions, Scheme};

use crate::component::{self, ReadError};

/// Why a request to another brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// It is not an address that can be asked.
    #[error("cannot ask {0:?}: not an absolute http or https address")]
    NotAnAddress(String),
    /// The host does not let the module ask there.
    #[error("cannot ask {0}: the module has no grant for this host")]
    Denied(Uri),
    /// No connection, no answer in time, or none that could be understood.
    #[error("cannot ask {url}: {code}")]
    Failed {
        /// What was asked.
        url: Uri,
        /// What the host says.
        code: ErrorCode,
    },
    /// The answer's body broke off, or is longer than it may be.
    #[error("cannot read the answer of {url}: {reason:?}")]
    Body {
        /// What was asked.
        url: Uri,
        /// What is wrong with its body.
        reason: ReadError,
    },
}

/// GETs `url` with `headers`; waits `patience` for the connection and again for the answer's head, and takes a
/// body of `body_limit` bytes at most. A response of any status is an answer.
///
/// # Errors
/// [`GetError`] when there is no whole answer.
pub fn get(url: &Uri, headers: &HeaderMap, patience: Duration, body_limit: usize) -> Result<Response<Vec<u8>>, GetError> {
    let request = request(url, headers).ok_or_else(|| GetError::NotAnAddress(url.to_string()))?;
    let failed = |code| match code {
        ErrorCode::HttpRequestDenied => GetError::Denied(url.clone()),
        code => GetError::Failed { url: url.clone(), code },
    };
    let pending = outgoing_handler::handle(request, Some(options(patience))).map_err(failed)?;
    pending.subscribe().block();
    let response = match pending.get() {
        Some(Ok(answer)) => answer.map_err(failed)?,
        Some(Err(())) | None => return Err(failed(ErrorCode::InternalError(None))),
    };
    let broken = |reason| GetError::Body { url: url.clone(), reason };
    let body = response.consume().map_err(|()| broken(ReadError::Broken))?;
    let mut answer = Response::new(component::read(&body, body_limit).map_err(broken)?);
    *answer.status_mut() = StatusCode::from_u16(response.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    *answer.headers_mut() = component::headers(&response.headers());
    Ok(answer)
}

fn request(url: &Uri, headers: &HeaderMap) -> Option<OutgoingRequest> {
    let scheme = match url.scheme_str()? {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let request = OutgoingRequest::new(component::fields(headers));
    request.set_scheme(Some(&scheme)).ok()?;
    request.set_authority(Some(url.authority()?.as_str())).ok()?;
    request.set_path_with_query(Some(url.path_and_query()?.as_str())).ok()?;
    Some(request)
}

fn options(patience: Duration) -> RequestOptions {
    let nanoseconds = u64::try_from(patience.as_nanos()).ok();
    let options = RequestOptions::new();
    // A host that knows no such option keeps its own.
    let _ = options.set_connect_timeout(nanoseconds);
    let _ = options.set_first_byte_timeout(nanoseconds);
    options
}
