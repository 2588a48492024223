//! Everything that can go wrong: each has a clear error, loses nothing, and leaves the neighbour as it was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use ark_model::{Reason, State, VerdictState};
use harness::{base::Base, samples};
use serde_json::{Value, json};

/// A base with a neighbour on it, which has to answer before and after.
struct House {
    base: Base,
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        Self::with(Base::start(&[]).unwrap())
    }

    fn with(base: Base) -> Self {
        base.api.install_file(&samples::sample("hello", 1).unwrap()).unwrap();
        let house = Self { base, folder: tempfile::tempdir().unwrap() };
        house.neighbour_is_well();
        house
    }

    fn neighbour_is_well(&self) {
        let (status, body) = self.get("/hello/");
        assert_eq!((status, body.as_str()), (200, "hello from v1\n"));
    }

    fn get(&self, path: &str) -> (u16, String) {
        get(&self.base, path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Orders what cannot come about; says the reason and the message.
    fn refused(&self, order: &Value) -> (Reason, String) {
        let began = Instant::now();
        let error = self.base.api.install(order).unwrap().expect_err("it was installed").error;
        assert!(began.elapsed() < Duration::from_secs(60));
        assert!(error.message.chars().next().is_some_and(|first| !first.is_uppercase()), "{}", error.message);
        self.neighbour_is_well();
        (error.reason, error.message)
    }

    /// The misbehaving sample, with bounds that let its faults show soon.
    fn misbehave(&self, limits: &Value) -> &'static str {
        let package = samples::sample("misbehave", 1).unwrap();
        let order = json!({"url": url(&package), "limits": limits});
        self.base.api.install(&order).unwrap().unwrap();
        self.base.settle().unwrap();
        "/misbehave"
    }
}

fn get(base: &Base, path: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30))).build();
    let agent: ureq::Agent = config.into();
    let mut response = agent.get(format!("http://{}{path}", base.gateway)).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap_or_else(|error| format!("broken off: {error}")))
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn id(name: &str) -> Value {
    json!({"name": name, "version": "1"})
}

#[test]
fn a_damaged_package_is_refused_and_says_where() {
    let house = House::new();
    let bytes = std::fs::read(samples::sample("misbehave", 1).unwrap()).unwrap();
    for cut in [0, 4, 7, 9, 100, bytes.len() / 2, bytes.len() - 1] {
        let path = house.write("cut.wasm", &bytes[..cut]);
        let (reason, _) = house.refused(&json!({"id": id("cut"), "url": url(&path)}));
        assert_eq!(reason, Reason::PackageInvalid, "cut at {cut}");
    }
    let core = house.write("core.wasm", b"\0asm\x01\0\0\0");
    let (reason, message) = house.refused(&json!({"id": id("core"), "url": url(&core)}));
    assert_eq!(reason, Reason::PackageInvalid);
    assert!(message.contains("core module") && message.contains("wasm32-wasip2"), "{message}");
    let noise = house.write("noise.wasm", b"PK\x03\x04 and so on");
    assert_eq!(house.refused(&json!({"id": id("noise"), "url": url(&noise)})).0, Reason::PackageInvalid);
    // Whole in its outline and damaged inside: the compiler sees it.
    let mut inner = bytes;
    let middle = inner.len() / 2;
    inner[middle..middle + 64].fill(0xff);
    let path = house.write("inner.wasm", &inner);
    let (reason, _) = house.refused(&json!({"id": {"name": "misbehave", "version": "1.0.0"}, "url": url(&path)}));
    assert!(matches!(reason, Reason::CompileFailed | Reason::PackageInvalid), "{reason}");
}

#[test]
fn a_wrong_digest_is_refused_and_shown() {
    let house = House::new();
    let package = samples::sample("misbehave", 1).unwrap();
    let (reason, message) = house.refused(&json!({"url": url(&package), "sha256": "0".repeat(64)}));
    assert_eq!(reason, Reason::DigestMismatch);
    assert!(message.contains(&"0".repeat(64)), "{message}");
    assert_eq!(house.refused(&json!({"url": url(&package), "sha256": "xyz"})).0, Reason::InvalidRequest);
}

#[test]
fn unknown_imports_are_named_and_leave_a_broken_module() {
    let house = House::new();
    let package = samples::build("misbehave", &["unknown-import"], Some("9.0.0")).unwrap();
    let (reason, message) = house.refused(&json!({"url": url(&package)}));
    assert_eq!(reason, Reason::ImportUnknown);
    assert!(message.contains("nobody:provides/this"), "{message}");
    let broken = house.base.api.modules().unwrap().into_iter().find(|module| module.id.name() == "misbehave").unwrap();
    assert_eq!((broken.state, broken.failure.unwrap().reason), (State::Broken, Reason::ImportUnknown));
}

/// Serves each connection by `answer`, and says where.
fn server(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = std::sync::Arc::clone(&answer);
            thread::spawn(move || answer(stream));
        }
    });
    format!("http://{address}/app.wasm")
}

fn head(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 1024]);
    while !text.contains("\r\n\r\n") {
        let read = stream.read(&mut buffer).unwrap_or(0);
        if read == 0 {
            break;
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

#[test]
fn a_download_that_fails_is_told_and_one_that_breaks_off_goes_on() {
    let house = House::new();
    let missing = server(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    let (reason, message) = house.refused(&json!({"id": id("x"), "url": missing}));
    assert_eq!(reason, Reason::FetchFailed);
    assert!(message.contains("404"), "{message}");
    // Says nothing: the operation's deadline ends it.
    let silent = server(|mut stream| {
        head(&mut stream);
        thread::sleep(Duration::from_secs(60));
    });
    assert_eq!(house.refused(&json!({"id": id("x"), "url": silent, "deadlineMs": 500})).0, Reason::FetchFailed);
    // Never ends: the bound on size does.
    let endless = server(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&[0; 65_536]).is_ok() {}
    });
    let small = House::with(Base::start(&["--max-package", "4"]).unwrap());
    assert_eq!(small.refused(&json!({"id": id("x"), "url": endless})).0, Reason::PackageTooLarge);
    // Breaks off in the middle, and knows how to go on.
    let bytes = std::fs::read(samples::sample("inventory", 1).unwrap()).unwrap();
    let broken = server(move |mut stream| {
        let request = head(&mut stream).to_ascii_lowercase();
        let from =
            request.split("range: bytes=").nth(1).and_then(|rest| rest.split('-').next()).and_then(|from| from.parse::<usize>().ok());
        let (status, from, to) = match from {
            None => ("200 OK", 0, bytes.len() / 2),
            Some(from) => ("206 Partial Content", from, bytes.len()),
        };
        let _ = write!(stream, "HTTP/1.1 {status}\r\nETag: \"e\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len() - from);
        let _ = stream.write_all(&bytes[from..to]);
    });
    house.base.api.install(&json!({"url": broken})).unwrap().unwrap();
    assert_eq!(house.get("/inventory/items").0, 200);
}

#[test]
fn a_full_disk_refuses_what_is_new_and_keeps_what_runs() {
    let mount = tempfile::tempdir().unwrap();
    let arklet = harness::bin_dir().unwrap().join("arklet");
    let mut command = Command::new("unshare");
    let script = format!("mount -t tmpfs -o size=5m tmpfs {0} && exec {1} \"$@\"", mount.path().display(), arklet.display());
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "arklet"]);
    let base = Base::launch_by(command, mount.path(), &[]).unwrap();
    base.wait_ready().unwrap();
    let house = House::with(base);
    let (reason, message) = house.refused(&json!({"url": url(&samples::sample("render", 1).unwrap())}));
    assert_eq!(reason, Reason::DiskFull, "{message}");
    // There is room for something small still, and what was half written is gone.
    house.base.api.install_file(&samples::sample("inventory", 1).unwrap()).unwrap();
    assert_eq!(house.get("/inventory/items").0, 200);
}

#[test]
fn what_is_taken_or_missing_or_different_is_refused() {
    let house = House::new();
    let hello = samples::sample("hello", 1).unwrap();
    assert_eq!(house.refused(&json!({"url": url(&hello)})).0, Reason::AlreadyInstalled);
    let other = house.folder.path().join("other.wasm");
    samples::remade(&hello, &other, |manifest| {
        (manifest.name, manifest.context_path) = (Some("other".to_owned()), Some("/hello".to_owned()));
    })
    .unwrap();
    let (reason, message) = house.refused(&json!({"url": url(&other)}));
    assert_eq!(reason, Reason::ContextPathTaken);
    assert!(message.contains("hello:1.0.0"), "{message}");
    let (reason, message) = house.refused(&json!({"id": {"name": "hello", "version": "3"}, "url": url(&hello)}));
    assert_eq!(reason, Reason::IdentityMismatch);
    assert!(message.contains("\"3\"") && message.contains("\"1.0.0\""), "{message}");
    assert_eq!(house.base.api.uninstall("nosuch", "1").unwrap().unwrap_err().error.reason, Reason::NotInstalled);
    for bad in ["{\"url\":", "[]", "{\"url\":5}"] {
        assert_eq!(house.base.api.post("/v1/modules", bad).unwrap().0, 400, "{bad}");
    }
    house.neighbour_is_well();
}

#[test]
fn a_request_that_traps_exits_or_swells_ends_alone() {
    let house = House::new();
    let path = house.misbehave(&json!({}));
    for fault in ["trap", "exit", "stack", "alloc", "silent"] {
        assert_eq!(house.get(&format!("{path}/{fault}")).0, 500, "{fault}");
        assert_eq!(house.get(&format!("{path}/ok")).0, 200, "after {fault}");
        house.neighbour_is_well();
    }
    let log = house.base.api.get("/v1/modules/misbehave/1.0.0/logs").unwrap().1;
    for told in ["asked to trap", "memory-bytes", "ModuleFailed"] {
        assert!(log.contains(told), "{told} is not in the log");
    }
}

#[test]
fn a_loop_is_ended_at_its_deadline_and_the_thread_serves_on() {
    let house = House::new();
    let path = house.misbehave(&json!({"request-deadline-ms": 300}));
    let began = Instant::now();
    let loops: Vec<_> = (0..4)
        .map(|_| {
            let target = format!("http://{}{path}/loop", house.base.gateway);
            thread::spawn(move || ureq::get(target).config().http_status_as_error(false).build().call().unwrap().status().as_u16())
        })
        .collect();
    house.neighbour_is_well();
    for one in loops {
        assert_eq!(one.join().unwrap(), 504);
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    // The processor is free again.
    let before = house.base.cpu_time().unwrap();
    thread::sleep(Duration::from_secs(1));
    assert!(house.base.cpu_time().unwrap() - before < Duration::from_millis(500));
}

#[test]
fn an_endless_or_broken_body_ends_and_its_instance_too() {
    let house = House::new();
    let path = house.misbehave(&json!({"response-body-bytes": 1_000_000, "request-deadline-ms": 1_000}));
    let (_, body) = house.get(&format!("{path}/endless"));
    assert!(body.starts_with("broken off") || body.len() <= 1_000_000);
    assert!(house.get(&format!("{path}/half")).1.starts_with("broken off"));
    house.neighbour_is_well();
    no_request_is_left(&house);
}

fn no_request_is_left(house: &House) {
    let began = Instant::now();
    while house.base.api.modules().unwrap().iter().any(|module| module.traffic.in_flight > 0) {
        assert!(began.elapsed() < Duration::from_secs(20), "a request never ended");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    let house = House::new();
    let path = house.misbehave(&json!({"concurrency": 1, "queue": 1, "queue-wait-ms": 5_000}));
    let mut stream = TcpStream::connect(house.base.gateway).unwrap();
    write!(stream, "GET {path}/slow?ms=20000 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let began = Instant::now();
    while house.base.api.modules().unwrap().iter().all(|module| module.traffic.in_flight == 0) {
        assert!(began.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(5));
    }
    drop(stream);
    // The only place is free at once, not when the slow answer would have come.
    let began = Instant::now();
    assert_eq!(house.get(&format!("{path}/ok")).0, 200);
    assert!(began.elapsed() < Duration::from_secs(4));
    house.neighbour_is_well();
    // And so is the instance: the module can go, with nothing held.
    let retired = house.base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
    assert_eq!(retired.verdict.state, VerdictState::Unloaded, "{:?}", retired.verdict);
}

#[test]
fn a_full_queue_refuses_with_a_hint_when_to_come_again() {
    let house = House::new();
    let path = house.misbehave(&json!({"concurrency": 1, "queue": 1, "queue-wait-ms": 10_000}));
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let target = format!("http://{}{path}/slow?ms=5000", house.base.gateway);
            thread::spawn(move || ureq::get(target).call().unwrap().status().as_u16())
        })
        .collect();
    let began = Instant::now();
    while house.base.api.modules().unwrap().iter().all(|module| module.traffic.queued == 0) {
        assert!(began.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(5));
    }
    let refused = ureq::get(format!("http://{}{path}/ok", house.base.gateway)).config().http_status_as_error(false).build().call().unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(slow.into_iter().all(|one| one.join().unwrap() == 200));
    house.neighbour_is_well();
}

#[test]
fn a_flood_of_log_is_cut_and_counted() {
    let house = House::new();
    let path = house.misbehave(&json!({"log-lines-per-second": 50}));
    assert_eq!(house.get(&format!("{path}/flood")).0, 200);
    thread::sleep(Duration::from_millis(1_100));
    assert_eq!(house.get(&format!("{path}/flood")).0, 200);
    let log = house.base.api.get("/v1/modules/misbehave/1.0.0/logs").unwrap().1;
    assert!(log.contains("lines dropped: more than 50 in a second"), "{log}");
    assert!(log.lines().count() < 500);
    house.neighbour_is_well();
}

#[test]
fn a_start_that_fails_or_never_ends_leaves_the_old_version_serving() {
    let house = House::new();
    let path = house.misbehave(&json!({}));
    for (feature, version, deadline_ms, reason) in
        [("probe-fails", "2.0.0", 10_000, Reason::ProbeFailed), ("probe-hangs", "3.0.0", 500, Reason::StartTimedOut)]
    {
        let built = samples::build("misbehave", &[feature], Some(version)).unwrap();
        let package = house.folder.path().join(format!("{version}.wasm"));
        samples::remade(&built, &package, |manifest| manifest.probe_path = Some("/probe".to_owned())).unwrap();
        let limits = json!({"start-deadline-ms": deadline_ms, "request-deadline-ms": 20_000});
        let (found, message) = house.refused(&json!({"url": url(&package), "limits": limits}));
        assert_eq!(found, reason, "{message}");
        assert_eq!(house.get(&format!("{path}/ok")).0, 200);
        let states: Vec<State> = house
            .base
            .api
            .modules()
            .unwrap()
            .into_iter()
            .filter(|module| module.id.name() == "misbehave")
            .map(|module| module.state)
            .collect();
        assert!(states.contains(&State::Activated) && states.contains(&State::Broken), "{states:?}");
    }
}

#[test]
fn nothing_is_allowed_that_was_not_granted() {
    let house = House::new();
    let path = house.misbehave(&json!({}));
    let target = format!("http://{}/hello/", house.base.gateway);
    let refused = house.get(&format!("{path}/out?url={target}")).1;
    assert!(refused.contains("error") && !refused.contains("status"), "{refused}");
    assert_eq!(house.get(&format!("{path}/env")).1.trim(), "{}");
    let files: Value = serde_json::from_str(&house.get(&format!("{path}/files")).1).unwrap();
    assert_eq!(files["directories"], json!([]));
    assert!(house.get(&format!("{path}/connect?to={}", house.base.gateway)).1.contains("error"));
    // And what was granted is.
    house.base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
    let order = json!({
        "url": url(&samples::sample("misbehave", 1).unwrap()),
        "grants": {
            "outgoing-hosts": ["127.0.0.1"],
            "env": {"COLOUR": "green"},
            "config": {"shape": "round"},
            "directories": [{"host": house.folder.path(), "guest": "/data"}],
        },
    });
    house.base.api.install(&order).unwrap().unwrap();
    house.write("seen.txt", b"x");
    assert!(house.get(&format!("{path}/out?url={target}")).1.contains("200"));
    assert!(house.get(&format!("{path}/env")).1.contains("green"));
    assert!(house.get(&format!("{path}/config")).1.contains("round"));
    let files = house.get(&format!("{path}/files")).1;
    assert!(files.contains("/data"), "{files}");
}

#[test]
fn a_body_that_is_too_large_is_refused_whether_or_not_it_says_its_length() {
    let house = House::new();
    let path = house.misbehave(&json!({"request-body-bytes": 1_000}));
    let send = |body: &[u8], chunked: bool| {
        let mut stream = TcpStream::connect(house.base.gateway).unwrap();
        let framing = if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {}", body.len()) };
        write!(stream, "POST {path}/swallow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{framing}\r\n\r\n").unwrap();
        if chunked {
            let _ = write!(stream, "{:x}\r\n", body.len())
                .and_then(|()| stream.write_all(body))
                .and_then(|()| stream.write_all(b"\r\n0\r\n\r\n"));
        } else {
            let _ = stream.write_all(body);
        }
        head(&mut stream).split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(send(&[b'x'; 1_000], false), "200");
    assert_eq!(send(&[b'x'; 1_000], true), "200");
    assert_eq!(send(&[b'x'; 1_001], false), "413");
    assert_ne!(send(&[b'x'; 5_000], true), "200");
    house.neighbour_is_well();
}

#[test]
fn a_reader_that_takes_nothing_is_cut_off_and_its_module_can_go() {
    let house = House::new();
    let path = house.misbehave(&json!({"drain-deadline-ms": 500, "request-deadline-ms": 60_000}));
    let mut stream = TcpStream::connect(house.base.gateway).unwrap();
    write!(stream, "GET {path}/endless HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    // It takes the head, and nothing after that.
    let mut first = [0; 16];
    stream.read_exact(&mut first).unwrap();
    let began = Instant::now();
    let retired = house.base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
    assert_eq!(retired.verdict.cut_requests, 1);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    house.neighbour_is_well();
}
