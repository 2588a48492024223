//! What a client is told where no module answers. It names no internals: those are in the base's log.

use ark_model::Reason;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};

use crate::upstream::Body;

pub(crate) fn status_of(reason: Reason) -> StatusCode {
    match reason {
        Reason::NoRoute => StatusCode::NOT_FOUND,
        Reason::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::RequestTimedOut => StatusCode::GATEWAY_TIMEOUT,
        Reason::QueueFull | Reason::Draining | Reason::BudgetExceeded => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn text_of(reason: Reason) -> &'static str {
    match reason {
        Reason::NoRoute => "nothing answers here",
        Reason::BodyTooLarge => "the body is larger than this service allows",
        Reason::RequestTimedOut => "the service did not answer in time",
        Reason::QueueFull | Reason::BudgetExceeded => "the service is busy; try again",
        Reason::Draining => "the service is being replaced; try again",
        _ => "the service failed",
    }
}

pub(crate) fn answer(reason: Reason, retry_after: u32) -> Response<Body> {
    let body = format!("{{\"error\":{{\"reason\":\"{reason}\",\"message\":\"{}\"}}}}\n", text_of(reason));
    let mut response = Response::new(Full::from(body).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status_of(reason);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    }
    response
}
