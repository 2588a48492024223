//! A line by `wasi:logging`, under both of the names by which it is known.

use http::StatusCode;
use support::reply;

use crate::Exchange;

#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]
mod plain {
    wit_bindgen::generate!({ path: "logging/logging.wit", world: "logs", generate_all });
}

#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]
mod draft {
    wit_bindgen::generate!({ path: "logging/logging-draft.wit", world: "logs-by-draft", generate_all });
}

/// Logs by `$logging`, one of both.
macro_rules! log {
    ($($logging:ident)::+, $level:expr, $context:expr, $message:expr) => {{
        use $($logging)::+::{self as logging, Level};
        let level = match $level {
            "trace" => Level::Trace,
            "debug" => Level::Debug,
            "warn" => Level::Warn,
            "error" => Level::Error,
            "critical" => Level::Critical,
            _ => Level::Info,
        };
        logging::log(level, $context, $message);
    }};
}

pub(crate) fn call(exchange: Exchange) -> Option<()> {
    let text = |name| exchange.text(name).unwrap_or_default();
    let (level, context, message) = (text("level"), text("context"), text("text"));
    if exchange.text("draft").is_some() {
        log!(draft::wasi::logging::logging, level.as_str(), &context, &message);
    } else {
        log!(plain::wasi::logging::logging, level.as_str(), &context, &message);
    }
    exchange.answer(reply::text(StatusCode::OK, "logged\n"));
    Some(())
}
