//! What a module can reach beyond its request.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use serde_json::json;
use support::{component, outgoing, reply};

use crate::Exchange;

pub(crate) fn env(exchange: Exchange) -> Option<()> {
    let variables: BTreeMap<_, _> = std::env::vars().collect();
    exchange.answer(reply::json(StatusCode::OK, &variables));
    Some(())
}

pub(crate) fn work(exchange: Exchange) -> Option<()> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u16>().ok());
    std::thread::sleep(Duration::from_millis(number("DELAY_MS").unwrap_or(0).into()));
    let status = number("STATUS").and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK);
    exchange.answer(reply::text(status, std::env::var("ANSWER").unwrap_or_default()));
    Some(())
}

pub(crate) fn config(exchange: Exchange) -> Option<()> {
    let settings: BTreeMap<_, _> = support::config::all().into_iter().collect();
    exchange.answer(reply::json(StatusCode::OK, &settings));
    Some(())
}

pub(crate) fn files(exchange: Exchange) -> Option<()> {
    let directories: Vec<_> = wasip2::filesystem::preopens::get_directories().into_iter().map(|(_, path)| path).collect();
    let path = exchange.text("path").unwrap_or_else(|| "/".to_owned());
    let found = match exchange.text("write") {
        Some(text) => std::fs::write(&path, text).map(|()| json!({ "written": path })),
        None => read(&path),
    };
    let found = found.unwrap_or_else(|reason| json!({ "error": reason.to_string() }));
    exchange.answer(reply::json(StatusCode::OK, &json!({ "directories": directories, "path": path, "found": found })));
    Some(())
}

fn read(path: &str) -> std::io::Result<serde_json::Value> {
    if std::fs::metadata(path)?.is_dir() {
        let names: Result<Vec<_>, _> =
            std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned())).collect();
        Ok(json!({ "entries": names? }))
    } else {
        Ok(json!({ "text": std::fs::read_to_string(path)? }))
    }
}

pub(crate) fn out(exchange: Exchange) -> Option<()> {
    let url = exchange.text("url").unwrap_or_default();
    let told = match url.parse() {
        Ok(url) => match outgoing::get(&url, &HeaderMap::new(), Duration::from_secs(5), 1 << 20) {
            Ok(answer) => json!({ "status": answer.status().as_u16(), "body": String::from_utf8_lossy(answer.body()) }),
            Err(reason) => json!({ "error": reason.to_string() }),
        },
        Err(_) => json!({ "error": format!("{url:?} is not a URL") }),
    };
    exchange.answer(reply::json(StatusCode::OK, &told));
    Some(())
}

pub(crate) fn connect(exchange: Exchange) -> Option<()> {
    let to = exchange.text("to").unwrap_or_default();
    let told = match TcpStream::connect(&to) {
        Ok(_) => json!({ "connected": to }),
        Err(reason) => json!({ "error": reason.to_string() }),
    };
    exchange.answer(reply::json(StatusCode::OK, &told));
    Some(())
}

pub(crate) fn count(exchange: Exchange) -> Option<()> {
    static REQUESTS: AtomicU64 = AtomicU64::new(0);
    let requests = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
    exchange.answer(reply::text(StatusCode::OK, format!("{requests}\n")));
    Some(())
}

pub(crate) fn headers(exchange: Exchange) -> Option<()> {
    let response = told(&exchange);
    exchange.answer(response);
    Some(())
}

fn told(exchange: &Exchange) -> Response<Vec<u8>> {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in exchange.request.headers().entries() {
        headers.entry(name).or_default().push(String::from_utf8_lossy(&value).into_owned());
    }
    let scheme = exchange.request.scheme().map(|scheme| format!("{scheme:?}"));
    reply::json(
        StatusCode::OK,
        &json!({
            "method": component::method(&exchange.request).as_str(),
            "target": exchange.request.path_with_query(),
            "scheme": scheme,
            "authority": exchange.request.authority(),
            "headers": headers,
        }),
    )
}
