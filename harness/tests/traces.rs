//! Spans as an OpenTelemetry collector gets them: of requests through the gateway, and of operations with their steps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use harness::{base::Base, samples};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector: takes what comes, and hands its spans on with their resource.
fn collector() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (span, spans) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let span = span.clone();
            thread::spawn(move || take(stream, &span));
        }
    });
    (endpoint, spans)
}

fn take(mut stream: std::net::TcpStream, spans: &Sender<Value>) -> Option<()> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8_192]);
    loop {
        let head = loop {
            if let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break head;
            }
            let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
            bytes.extend_from_slice(&buffer[..read]);
        };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        assert!(text.starts_with("post /v1/traces http/1.1") && text.contains("content-type: application/json"), "{text}");
        let length: usize = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().trim().parse().unwrap();
        while bytes.len() < head + 4 + length {
            let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
            bytes.extend_from_slice(&buffer[..read]);
        }
        let body: Value = serde_json::from_slice(&bytes[head + 4..head + 4 + length]).unwrap();
        bytes.drain(..head + 4 + length);
        for resource in body["resourceSpans"].as_array().unwrap() {
            for span in resource["scopeSpans"][0]["spans"].as_array().unwrap() {
                let mut span = span.clone();
                span["resource"] = attributes(&resource["resource"]["attributes"]);
                span["attributes"] = attributes(&span["attributes"]);
                spans.send(span).ok()?;
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}").ok()?;
    }
}

/// A list of keys and values as an object.
fn attributes(list: &Value) -> Value {
    let value = |value: &Value| value.as_object().unwrap().values().next().unwrap().clone();
    list.as_array()
        .unwrap()
        .iter()
        .map(|one| (one["key"].as_str().unwrap().to_owned(), value(&one["value"])))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The spans that come until one is `last`.
fn until(spans: &Receiver<Value>, last: impl Fn(&Value) -> bool) -> Vec<Value> {
    let (mut all, end) = (Vec::new(), Instant::now() + PATIENCE);
    loop {
        let span = spans.recv_timeout(end.saturating_duration_since(Instant::now())).unwrap_or_else(|error| panic!("{error}: {all:#?}"));
        let is_last = last(&span);
        all.push(span);
        if is_last {
            return all;
        }
    }
}

fn nanos(span: &Value, field: &str) -> u128 {
    span[field].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_collector_gets_a_span_for_each_sampled_request_and_for_each_step_of_an_install() {
    let (endpoint, spans) = collector();
    let base = Base::start(&["--otlp-endpoint", &endpoint, "--name", "shop", "--identity", "base-7"]).unwrap();
    let order = json!({"url": format!("file://{}", samples::sample("misbehave", 1).unwrap().display())}).to_string();
    let install = ureq::post(format!("{}/v1/modules", base.api.url())).header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    assert_eq!(install.content_type("application/json").send(order).unwrap().status(), 200);
    let of_install = until(&spans, |span| span["name"] == "install");
    let operation = of_install.last().unwrap();
    assert_eq!((&operation["traceId"], &operation["parentSpanId"]), (&json!(TRACE), &json!(PARENT)));
    assert_eq!(operation["attributes"], json!({"ark.module": "misbehave", "ark.version": "1.0.0"}));
    assert_eq!((&operation["resource"]["service.name"], &operation["resource"]["service.instance.id"]), (&json!("shop"), &json!("base-7")));
    let steps: Vec<&str> = of_install[..of_install.len() - 1].iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(steps, ["fetch", "verify", "parse", "admit", "prepare", "start", "probe", "activate"]);
    for step in &of_install[..of_install.len() - 1] {
        assert_eq!((&step["traceId"], &step["parentSpanId"]), (&operation["traceId"], &operation["spanId"]));
        assert!(nanos(step, "startTimeUnixNano") <= nanos(step, "endTimeUnixNano"));
    }

    // A request, whose module sees the gateway's span as its parent.
    let target = |path: &str| format!("http://{}/misbehave/{path}", base.gateway);
    let seen = ureq::get(target("headers?x=1")).header("traceparent", format!("00-{TRACE}-{PARENT}-01")).call().unwrap();
    let seen = seen.into_body().read_to_string().unwrap();
    let request = until(&spans, |span| span["kind"] == 2).pop().unwrap();
    assert_eq!((&request["traceId"], &request["parentSpanId"]), (&json!(TRACE), &json!(PARENT)));
    assert_eq!(request["name"], "GET misbehave");
    assert_eq!(
        request["attributes"],
        json!({"http.request.method": "GET", "url.path": "/misbehave/headers", "http.response.status_code": "200",
               "ark.module": "misbehave", "ark.version": "1.0.0"})
    );
    assert!(nanos(&request, "startTimeUnixNano") < nanos(&request, "endTimeUnixNano"));
    assert!(seen.contains(&format!("00-{TRACE}-{}-01", request["spanId"].as_str().unwrap())), "{seen}");

    // One that is not sampled is not told, and passes as it came; one without a trace begins one; one that fails says so.
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    let seen = ureq::get(target("headers")).header("traceparent", &unsampled).call().unwrap().into_body().read_to_string().unwrap();
    assert!(seen.contains(&unsampled), "{seen}");
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    assert_eq!(agent.get(target("trap")).call().unwrap().status(), 500);
    let of_failure = until(&spans, |span| span["kind"] == 2);
    assert_eq!(of_failure.len(), 1, "{of_failure:#?}");
    let failed = &of_failure[0];
    assert_eq!((&failed["status"]["code"], &failed["parentSpanId"]), (&json!(2), &Value::Null));
    assert_ne!(failed["traceId"], TRACE);

    // What is refused has its reason.
    base.api.install(&json!({"url": "file:///nowhere.wasm"})).unwrap().unwrap_err();
    let refused = until(&spans, |span| span["name"] == "install").pop().unwrap();
    assert_eq!((&refused["status"]["code"], &refused["attributes"]["error.type"]), (&json!(2), &json!("FetchFailed")));
    base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
    let removal: Vec<Value> = until(&spans, |span| span["name"] == "uninstall");
    let names: Vec<&Value> = removal.iter().map(|span| &span["name"]).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn a_collector_that_is_not_there_costs_spans_and_no_request() {
    // A port that the system gives to nobody by itself.
    let base = Base::start(&["--otlp-endpoint", "http://127.0.0.1:9"]).unwrap();
    base.api.install_file(&samples::sample("hello", 1).unwrap()).unwrap();
    for _ in 0..50 {
        assert_eq!(ureq::get(format!("http://{}/hello/", base.gateway)).call().unwrap().status(), 200);
    }
    let began = Instant::now();
    loop {
        let metrics = base.api.get("/metrics").unwrap().1;
        let dropped = metrics.lines().find_map(|line| line.strip_prefix("ark_spans_dropped_total ")).unwrap();
        // Nine of the install, and one for each request.
        if dropped.parse::<u64>().unwrap() == 59 {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{dropped} spans were dropped");
        thread::sleep(Duration::from_millis(20));
    }
}
