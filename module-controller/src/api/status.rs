//! What a caller hears where it does not get what it asked for: `Status` of Kubernetes' API, whose clients tell cases apart by it.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use fleet::admission::{Fault, FieldError};
use serde_json::{Value, json};

use super::call::Target;
use crate::store::StoreError;

/// A refusal.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Value,
    retry_after: Option<u32>,
}

impl Refusal {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: json!({}), retry_after: None }
    }

    fn about(mut self, target: Target, name: &str) -> Self {
        self.details = json!({"name": name, "group": target.group(), "kind": target.plural()});
        self
    }

    fn caused_by(mut self, causes: Vec<Value>) -> Self {
        if let Value::Object(details) = &mut self.details {
            details.insert("causes".to_owned(), causes.into());
        }
        self
    }

    pub(crate) fn not_found(target: Target, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("{} {name:?} not found", target.qualified())).about(target, name)
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn exists(target: Target, name: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "AlreadyExists", format!("{} {name:?} already exists", target.qualified())).about(target, name)
    }

    pub(crate) fn conflict(target: Target, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", target.qualified());
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(target, name)
    }

    /// Fields that an apply sets, and others have set to something else.
    pub(crate) fn field_conflicts(conflicts: &[(String, String)]) -> Self {
        let said: Vec<String> = conflicts.iter().map(|(manager, field)| format!("conflict with {manager:?}: {field}")).collect();
        let plural = if conflicts.len() == 1 { "conflict" } else { "conflicts" };
        let message = format!("Apply failed with {} {plural}: {}", conflicts.len(), said.join(", "));
        let cause = |(manager, field): &(String, String)| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager:?}"), "field": field});
        Self::new(StatusCode::CONFLICT, "Conflict", message).caused_by(conflicts.iter().map(cause).collect())
    }

    pub(crate) fn invalid(target: Target, name: &str, faults: &[FieldError]) -> Self {
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let all = if said.len() == 1 { said.concat() } else { format!("[{}]", said.join(", ")) };
        let message = format!("{}.{} {name:?} is invalid: {all}", target.kind(), target.group());
        let cause = |fault: &FieldError| {
            let (reason, said) = match fault.fault {
                Fault::Required => ("FieldValueRequired", "Required value"),
                Fault::Invalid => ("FieldValueInvalid", "Invalid value"),
                Fault::Immutable => ("FieldValueForbidden", "Forbidden"),
            };
            json!({"reason": reason, "message": format!("{said}: {}", fault.detail), "field": fault.field})
        };
        let mut refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        refusal.details = json!({"name": name, "group": target.group(), "kind": target.kind()});
        refusal.caused_by(faults.iter().map(cause).collect())
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    }

    pub(crate) fn forbidden(target: Target, name: &str, why: &str) -> Self {
        let message = match target {
            Target::Path => why.to_owned(),
            _ => format!("{} {name:?} is forbidden: {why}", target.qualified()),
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(target, name)
    }

    pub(crate) fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub(crate) fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    pub(crate) fn too_large(bytes: usize) -> Self {
        let message = format!("the body is larger than {bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    pub(crate) fn too_many(message: impl Into<String>) -> Self {
        let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
        refusal.retry_after = Some(5);
        refusal.details = json!({"retryAfterSeconds": 5});
        refusal
    }

    pub(crate) fn too_new(revision: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {revision}, current: {current}");
        let mut refusal = Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message);
        refusal.retry_after = Some(1);
        refusal.details =
            json!({"retryAfterSeconds": 1, "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]});
        refusal
    }

    /// What the store said of `name`.
    pub(crate) fn of_store(error: &StoreError, target: Target, name: &str) -> Self {
        match error {
            StoreError::Exists { .. } => Self::exists(target, name),
            StoreError::Conflict { .. } => {
                Self::conflict(target, name, "the object has been modified; please apply your changes to the latest version and try again")
            }
            StoreError::Compacted { .. } => Self::expired(error.to_string()),
            StoreError::NotLeading => Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", error.to_string()),
            StoreError::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", error.to_string()),
            StoreError::Failed(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", error.to_string()),
        }
    }

    pub(crate) fn code(&self) -> StatusCode {
        self.code
    }

    /// As a document: also the last event of a watch that cannot go on.
    pub(crate) fn document(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": self.details, "code": self.code.as_u16(),
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.code, Json(self.document())).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
