//! Responses of the usual kinds. Each has its content type; the length is added when it is sent.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

/// A plain text.
#[must_use]
pub fn text(status: StatusCode, body: impl Into<String>) -> Response<Vec<u8>> {
    of(status, "text/plain; charset=utf-8", body.into().into_bytes())
}

/// A page.
#[must_use]
pub fn html(status: StatusCode, body: impl Into<String>) -> Response<Vec<u8>> {
    of(status, "text/html; charset=utf-8", body.into().into_bytes())
}

/// A JSON document with a line end, or 500 with the reason when `body` cannot be written as JSON.
#[must_use]
pub fn json(status: StatusCode, body: &impl Serialize) -> Response<Vec<u8>> {
    match serde_json::to_vec(body) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            of(status, "application/json", bytes)
        }
        Err(reason) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the answer as JSON: {reason}\n")),
    }
}

/// A JSON document with one member, `error`.
#[must_use]
pub fn error(status: StatusCode, message: impl Into<String>) -> Response<Vec<u8>> {
    json(status, &serde_json::json!({ "error": message.into() }))
}

fn of(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
