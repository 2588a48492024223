//! Every fault that a module can have, each at its own path, so that tests can ask for it by name.
//!
//! Not to be deployed where it matters. What each path does is said in [`ROUTES`], which `GET /` answers.
#![cfg(target_family = "wasm")]

mod ambient;
mod bodies;
mod faults;
mod log;
#[cfg(feature = "unknown-import")]
mod unknown;

use http::{Response, StatusCode, Uri};
use support::{component, query, reply};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::OutputStream;

const VERSION: &str = if cfg!(feature = "v2") { "2.0.0" } else { env!("CARGO_PKG_VERSION") };

/// One request, and the one chance to answer it.
struct Exchange {
    uri: Uri,
    request: IncomingRequest,
    out: ResponseOutparam,
}

impl Exchange {
    /// The query's parameter `name`, or `default`.
    fn number(&self, name: &str, default: u64) -> u64 {
        query::number(&self.uri, name, default)
    }

    /// The query's parameter `name`.
    fn text(&self, name: &str) -> Option<String> {
        query::first(&self.uri, name).map(Into::into)
    }

    /// Answers at once.
    fn answer(self, response: Response<Vec<u8>>) {
        component::send(self.out, response);
    }

    /// Answers 200 with `headers`, and has `write` make the body. A body of which `write` says `None` is left without its end.
    fn stream(self, headers: &[(&str, String)], write: impl FnOnce(&IncomingRequest, &OutputStream) -> Option<()>) -> Option<()> {
        let fields = wasip2::http::types::Fields::new();
        for (name, value) in headers {
            fields.append(name, value.as_bytes()).ok()?;
        }
        let response = OutgoingResponse::new(fields);
        let body = response.body().ok()?;
        ResponseOutparam::set(self.out, Ok(response));
        let stream = body.write().ok()?;
        write(&self.request, &stream)?;
        drop(stream);
        OutgoingBody::finish(body, None).ok()
    }
}

type Fault = fn(Exchange) -> Option<()>;

/// Path, what it does, and how.
const ROUTES: &[(&str, &str, Fault)] = &[
    ("/", "this list", index),
    ("/ok", "answers `ok`", faults::ok),
    ("/status", "answers with status ?code=", faults::status),
    ("/probe", "answers 200; 500 with the feature `probe-fails`, never with `probe-hangs`", faults::probe),
    ("/trap", "panics", faults::trap),
    ("/exit", "exits with status 1", faults::exit),
    ("/loop", "computes for ever", faults::endless_loop),
    ("/alloc", "allocates until it may not", faults::alloc),
    ("/stack", "recurses until it may not", faults::stack),
    ("/silent", "returns without an answer", faults::silent),
    ("/slow", "answers after ?ms=1000", faults::slow),
    ("/flood", "writes ?lines=100000 to its log, by turns to both streams", faults::flood),
    ("/log", "logs ?text= with ?level=info and ?context= by wasi:logging, or by its draft where there is ?draft", log::call),
    ("/longline", "writes a line of ?bytes=16777216 to its log, without an end", faults::long_line),
    ("/endless", "a body that does not end", bodies::endless),
    ("/drip", "?chunks=10 of ?bytes=1 each, ?ms=100 apart", bodies::drip),
    ("/half", "announces 100 bytes, sends 10 and panics after ?ms=50", bodies::half),
    ("/short", "announces 100 bytes, sends 10 and ends after ?ms=50", bodies::short),
    ("/echo", "sends the request's body back as it arrives", bodies::echo),
    ("/swallow", "reads the request's body and answers with its length", bodies::swallow),
    ("/ignore", "answers without a look at the request's body", faults::ok),
    ("/env", "its environment variables", ambient::env),
    ("/config", "its settings", ambient::config),
    ("/work", "answers $ANSWER with status $STATUS=200 after $DELAY_MS=0, as its environment says", ambient::work),
    ("/files", "the directories it was given, and what reading ?path=/ brings, or writing with ?write=text", ambient::files),
    ("/out", "asks ?url= and tells status and body, or what went wrong", ambient::out),
    ("/connect", "opens a TCP connection to ?to=host:port and tells what went wrong", ambient::connect),
    ("/count", "how many requests this instance has counted", ambient::count),
    ("/headers", "the request as it arrived", ambient::headers),
    #[cfg(feature = "unknown-import")]
    ("/unknown", "calls an import that no base has", unknown::call),
];

struct Misbehave;

impl Guest for Misbehave {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let exchange = Exchange { uri: component::uri(&request), request, out };
        let path = exchange.uri.path();
        match ROUTES.iter().find(|(route, ..)| *route == path) {
            // What is left undone is left undone on purpose, or because the client has gone.
            Some((.., fault)) => drop(fault(exchange)),
            None => exchange.answer(reply::error(StatusCode::NOT_FOUND, "no such fault: see /")),
        }
    }
}

fn index(exchange: Exchange) -> Option<()> {
    let faults: serde_json::Map<_, _> = ROUTES.iter().map(|(path, what, _)| ((*path).to_owned(), (*what).into())).collect();
    exchange.answer(reply::json(StatusCode::OK, &serde_json::json!({ "module": "misbehave", "version": VERSION, "faults": faults })));
    Some(())
}

#[allow(unsafe_code, reason = "the generated export")]
mod export {
    use super::Misbehave;
    wasip2::http::proxy::export!(Misbehave);
}
