//! A module for WASI 0.3 (experimental): it waits as long as it is told to, and many requests wait side by side in one instance.
//!
//! `GET /<milliseconds>` answers after that time, with the number of requests this instance has seen.
#![cfg(target_family = "wasm")]

use std::sync::atomic::{AtomicU64, Ordering};

use wasip3::{
    http::types::{ErrorCode, Fields, Request, Response},
    wit_bindgen, wit_future, wit_stream,
};

static SEEN: AtomicU64 = AtomicU64::new(0);
/// The longest wait, in milliseconds.
const LONGEST: u64 = 10_000;

struct Sleeper;

impl wasip3::exports::http::handler::Guest for Sleeper {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let seen = SEEN.fetch_add(1, Ordering::Relaxed) + 1;
        let path = request.get_path_with_query().unwrap_or_default();
        let millis = path.trim_start_matches('/').parse().unwrap_or(0).min(LONGEST);
        wasip3::clocks::monotonic_clock::wait_for(millis * 1_000_000).await;
        let text = format!("slept {millis} ms as request {seen} of its instance\n");
        let headers = Fields::new();
        // Neither header can be refused: both are well formed.
        let _ = headers.append("content-type", b"text/plain");
        let _ = headers.append("content-length", text.len().to_string().as_bytes());
        let (mut writer, body) = wit_stream::new();
        let (trailers, no_trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, Some(body), no_trailers);
        drop(trailers);
        wit_bindgen::spawn_local(async move {
            // What is left over when the client has gone is of no use to anybody.
            let _ = writer.write_all(text.into_bytes()).await;
        });
        Ok(response)
    }
}

wasip3::http::service::export!(Sleeper);
