//! The form in which a client wants its answer: documents, tables, or metadata alone; packed where it is long.

use std::io::Write;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use super::{call::Call, status::Refusal, table::Include};

/// From how many bytes on an answer is packed for who can unpack it.
const PACKED_FROM: usize = 128 << 10;

/// How a client wants resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Documents,
    /// As rows.
    Table(Include),
    /// Without spec and status.
    Metadata,
}

impl Form {
    /// The first of the forms a client accepts that there is.
    ///
    /// # Errors
    /// Where it accepts none.
    pub(crate) fn of(call: &Call, headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else { return Ok(Self::Documents) };
        let form = |offer: &str| {
            let mut parts = offer.split(';').map(str::trim);
            if !matches!(parts.next(), Some("application/json" | "application/*" | "*/*" | "")) {
                return None;
            }
            let parts: Vec<&str> = parts.collect();
            let wanted = parts.iter().find_map(|part| part.strip_prefix("as="));
            let first = parts.iter().all(|part| part.strip_prefix("v=").is_none_or(|version| version == "v1"));
            match wanted {
                None => Some(Self::Documents),
                Some("Table") if first => Some(Self::Table(match call.parameter("includeObject") {
                    Some("None") => Include::None,
                    Some("Object") => Include::Object,
                    _ => Include::Metadata,
                })),
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") if first => Some(Self::Metadata),
                Some(_) => None,
            }
        };
        let none = || {
            Refusal::not_acceptable("only the following media types are accepted: application/json, also as Table or PartialObjectMetadata")
        };
        accept.split(',').find_map(form).ok_or_else(none)
    }
}

/// Answers with `value`.
pub(crate) fn json(code: StatusCode, value: &Value, headers: &HeaderMap) -> Response {
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    let unpacks = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("gzip"));
    if unpacks && bytes.len() >= PACKED_FROM {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        if let Ok(packed) = packer.write_all(&bytes).and_then(|()| packer.finish()) {
            bytes = packed;
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
    }
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::from(bytes);
    response
}

/// Adds warnings, which clients show.
pub(crate) fn warn(response: &mut Response, warnings: &[String]) {
    for warning in warnings {
        let text: String =
            warning.chars().filter(|letter| !letter.is_control()).map(|letter| if letter == '"' { '\'' } else { letter }).collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
