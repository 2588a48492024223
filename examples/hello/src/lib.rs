//! The smallest possible module: one text for every request.
//!
//! It is written on the bindings alone, to show what a component is when nothing stands between it and
//! `wasi:http`. The other samples say the same in one line, by `support::export!`.
#![cfg(target_family = "wasm")]

use std::io::Write as _;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

const GREETING: &str = if cfg!(feature = "v2") { "hello from v2\n" } else { "hello from v1\n" };

struct Hello;

impl Guest for Hello {
    fn handle(_request: IncomingRequest, out: ResponseOutparam) {
        // A request whose client has left fails half-way, and then there is no one to be told.
        let _ = answer(out);
    }
}

fn answer(out: ResponseOutparam) -> Option<()> {
    let headers = Fields::new();
    headers.append("content-type", b"text/plain").ok()?;
    headers.append("content-length", GREETING.len().to_string().as_bytes()).ok()?;
    let response = OutgoingResponse::new(headers);
    let body = response.body().ok()?;
    ResponseOutparam::set(out, Ok(response));
    let mut stream = body.write().ok()?;
    stream.write_all(GREETING.as_bytes()).ok()?;
    stream.flush().ok()?;
    // The stream belongs to the body, and has to be gone before the body can be finished.
    drop(stream);
    OutgoingBody::finish(body, None).ok()
}

#[allow(unsafe_code, reason = "the generated export")]
mod export {
    use super::Hello;
    wasip2::http::proxy::export!(Hello);
}
