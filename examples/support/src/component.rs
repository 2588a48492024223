//! Between the host's streams and a request or a response in memory.

use std::io::Write as _;

use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use wasip2::http::types::{Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::StreamError;

use crate::reply;

const CHUNK: u64 = 64 << 10;

/// Reads the whole request, has `handle` answer it, and sends the answer.
///
/// A body of more than `body_limit` bytes is answered 413, one that breaks off 400.
pub fn serve(
    request: &IncomingRequest,
    out: ResponseOutparam,
    body_limit: usize,
    handle: impl FnOnce(Request<Vec<u8>>) -> Response<Vec<u8>>,
) {
    let response = match received(request, body_limit) {
        Ok(request) => handle(request),
        Err(refusal) => refusal,
    };
    send(out, response);
}

/// Sends `response` with its length. A client that has left gets no more of it.
pub fn send(out: ResponseOutparam, response: Response<Vec<u8>>) {
    let _ = try_send(out, response);
}

fn try_send(out: ResponseOutparam, response: Response<Vec<u8>>) -> Option<()> {
    let (mut head, body) = response.into_parts();
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let outgoing = OutgoingResponse::new(fields(&head.headers));
    outgoing.set_status_code(head.status.as_u16()).ok()?;
    let outgoing_body = outgoing.body().ok()?;
    ResponseOutparam::set(out, Ok(outgoing));
    let mut stream = outgoing_body.write().ok()?;
    stream.write_all(&body).ok()?;
    stream.flush().ok()?;
    // The stream belongs to the body, and has to be gone before the body can be finished.
    drop(stream);
    OutgoingBody::finish(outgoing_body, None).ok()
}

fn received(request: &IncomingRequest, body_limit: usize) -> Result<Request<Vec<u8>>, Response<Vec<u8>>> {
    let headers = headers(&request.headers());
    let too_large = || reply::error(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {body_limit} bytes"));
    if announced_length(&headers).is_some_and(|length| length > body_limit as u64) {
        return Err(too_large());
    }
    let body = match request.consume() {
        Ok(body) => read(&body, body_limit).map_err(|reason| match reason {
            ReadError::TooLong => too_large(),
            ReadError::Broken => reply::error(StatusCode::BAD_REQUEST, "the body broke off"),
        })?,
        Err(()) => Vec::new(),
    };
    let mut received = Request::new(body);
    *received.method_mut() = method(request);
    *received.uri_mut() = uri(request);
    *received.headers_mut() = headers;
    Ok(received)
}

/// The method of `request`.
#[must_use]
pub fn method(request: &IncomingRequest) -> Method {
    use wasip2::http::types::Method as M;
    match request.method() {
        M::Get => Method::GET,
        M::Head => Method::HEAD,
        M::Post => Method::POST,
        M::Put => Method::PUT,
        M::Delete => Method::DELETE,
        M::Connect => Method::CONNECT,
        M::Options => Method::OPTIONS,
        M::Trace => Method::TRACE,
        M::Patch => Method::PATCH,
        // The host has parsed it, so it is a token; were it not, GET is refused wherever it would matter.
        M::Other(name) => Method::from_bytes(name.as_bytes()).unwrap_or_default(),
    }
}

/// Path and query of `request`; `/` when it has none.
#[must_use]
pub fn uri(request: &IncomingRequest) -> Uri {
    request.path_with_query().and_then(|target| target.parse().ok()).unwrap_or_default()
}

/// `fields` as a header map. What would not be a header is left out.
#[must_use]
pub fn headers(fields: &Fields) -> HeaderMap {
    fields
        .entries()
        .into_iter()
        .filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?)))
        .fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        })
}

/// `headers` for the host, without those that it keeps to itself.
#[must_use]
pub fn fields(headers: &HeaderMap) -> Fields {
    let fields = Fields::new();
    for (name, value) in headers {
        let _ = fields.append(name.as_str(), value.as_bytes());
    }
    fields
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// It is longer than the limit.
    TooLong,
    /// It ended before its end.
    Broken,
}

/// The whole of `body`, of `limit` bytes at most.
///
/// # Errors
/// [`ReadError`], in both of its cases.
pub fn read(body: &IncomingBody, limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    read_chunks(body, |chunk| {
        bytes.extend_from_slice(chunk);
        if bytes.len() > limit { Err(ReadError::TooLong) } else { Ok(()) }
    })?;
    Ok(bytes)
}

/// Hands `body` to `take` as it arrives, and stops at the first error.
///
/// # Errors
/// The error of `take`, or [`ReadError::Broken`].
pub fn read_chunks(body: &IncomingBody, mut take: impl FnMut(&[u8]) -> Result<(), ReadError>) -> Result<(), ReadError> {
    let stream = body.stream().map_err(|()| ReadError::Broken)?;
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(chunk) => take(&chunk)?,
            Err(StreamError::Closed) => return Ok(()),
            Err(StreamError::LastOperationFailed(_)) => return Err(ReadError::Broken),
        }
    }
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
