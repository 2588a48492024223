//! Clients that mean no good, as raw bytes to the gateway of a real base: each is refused or cut off, and its neighbours are served.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use harness::{base::Base, samples};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

/// A base with the misbehaving sample and a neighbour.
fn base(limits: &Value) -> Base {
    let base = Base::start(&[]).unwrap();
    base.api.install_file(&samples::sample("hello", 1).unwrap()).unwrap();
    let url = format!("file://{}", samples::sample("misbehave", 1).unwrap().display());
    base.api.install(&json!({"url": url, "limits": limits})).unwrap().unwrap();
    base.settle().unwrap();
    base
}

fn connect(base: &Base) -> TcpStream {
    let stream = TcpStream::connect(base.gateway).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The status of the answer; `closed` where the connection ends without one.
fn status(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (Vec::new(), [0; 1_024]);
    while !text.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => text.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("neither an answer nor an end: {error}"),
        }
    }
    String::from_utf8_lossy(&text).split(' ').nth(1).unwrap_or("closed").to_owned()
}

fn neighbour_is_well(base: &Base) {
    let answer = ureq::get(format!("http://{}/hello/", base.gateway)).call().unwrap().body_mut().read_to_string().unwrap();
    assert_eq!(answer, "hello from v1\n");
}

fn no_request_is_left(base: &Base) {
    let began = Instant::now();
    while base.api.modules().unwrap().iter().any(|module| module.traffic.in_flight > 0) {
        assert!(began.elapsed() < PATIENCE, "a request never ended");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_head_that_is_too_large_is_refused_before_any_module_sees_it() {
    let base = base(&json!({}));
    let ask = |size: usize| {
        let mut stream = connect(&base);
        let head = format!("GET /misbehave/ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\na: {}\r\n\r\n", "a".repeat(size));
        // The base may answer before it has taken everything.
        let _ = stream.write_all(head.as_bytes());
        status(&mut stream)
    };
    assert_eq!(ask(30_000), "200");
    // It counts once it has ended, which its client may see first.
    no_request_is_left(&base);
    let requests = || base.api.modules().unwrap().iter().map(|module| module.traffic.requests).sum::<u64>();
    let before = requests();
    let refused = ask(1 << 20);
    assert!(refused == "431" || refused == "closed", "{refused}");
    // Head after head of nothing but names.
    let mut stream = connect(&base);
    let many = "GET /misbehave/ok HTTP/1.1\r\nhost: x\r\n".to_owned() + &"a: b\r\n".repeat(200) + "\r\n";
    let _ = stream.write_all(many.as_bytes());
    assert_eq!(status(&mut stream), "431");
    assert_eq!(requests(), before);
    neighbour_is_well(&base);
}

#[test]
fn a_body_beyond_its_bound_is_413_however_it_is_framed() {
    let base = base(&json!({"request-body-bytes": 1_000}));
    let send = |path: &str, pieces: &[usize], announced: bool| {
        let mut stream = connect(&base);
        let length: usize = pieces.iter().sum();
        let framing = if announced { format!("content-length: {length}") } else { "transfer-encoding: chunked".to_owned() };
        write!(stream, "POST /misbehave/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{framing}\r\n\r\n").unwrap();
        // The answer may come before everything was taken.
        for size in pieces {
            let piece = vec![b'x'; *size];
            let chunk = if announced { piece } else { [format!("{size:x}\r\n").as_bytes(), &piece, b"\r\n"].concat() };
            if stream.write_all(&chunk).is_err() {
                break;
            }
        }
        if !announced {
            let _ = stream.write_all(b"0\r\n\r\n");
        }
        status(&mut stream)
    };
    for announced in [true, false] {
        assert_eq!(send("swallow", &[1_000], announced), "200", "announced: {announced}");
        assert_eq!(send("swallow", &[1_001], announced), "413", "announced: {announced}");
        assert_eq!(send("swallow", &[600, 600], announced), "413", "announced: {announced}");
        neighbour_is_well(&base);
    }
    // Announced as too large, and never sent.
    let mut stream = connect(&base);
    stream.write_all(b"POST /misbehave/swallow HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n").unwrap();
    assert_eq!(status(&mut stream), "413");
    no_request_is_left(&base);
}

#[test]
fn a_length_that_makes_no_sense_is_refused() {
    let base = base(&json!({}));
    for framing in [
        "content-length: -1",
        "content-length: 18446744073709551616",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, identity",
    ] {
        let mut stream = connect(&base);
        write!(stream, "POST /misbehave/swallow HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\nhello").unwrap();
        let told = status(&mut stream);
        assert!(told == "400" || told == "501" || told == "closed", "{framing}: {told}");
    }
    neighbour_is_well(&base);
}

#[test]
fn a_client_that_pauses_in_its_body_gives_its_place_back() {
    let base = base(&json!({"request-deadline-ms": 500, "concurrency": 1}));
    for framing in ["content-length: 100", "transfer-encoding: chunked"] {
        let mut stream = connect(&base);
        write!(stream, "POST /misbehave/swallow HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n").unwrap();
        stream.write_all(if framing.starts_with('c') { b"hello" } else { b"5\r\nhello\r\n" }).unwrap();
        neighbour_is_well(&base);
        let told = status(&mut stream);
        assert!(["408", "504", "500", "closed"].contains(&told.as_str()), "{told}");
        no_request_is_left(&base);
        // The only place is free, and the module as it was.
        let mut next = connect(&base);
        next.write_all(b"GET /misbehave/ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        assert_eq!(status(&mut next), "200");
    }
}

#[test]
fn a_client_that_takes_nothing_of_an_endless_answer_is_cut_off_when_its_module_goes() {
    let base = base(&json!({"drain-deadline-ms": 300, "request-deadline-ms": 60_000}));
    let mut stuck: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect(&base);
            stream.write_all(b"GET /misbehave/endless HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 16]).unwrap();
            stream
        })
        .collect();
    neighbour_is_well(&base);
    let retired = base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
    assert_eq!(retired.verdict.cut_requests, 4);
    neighbour_is_well(&base);
    // What they still read is finite.
    for stream in &mut stuck {
        let mut buffer = vec![0; 1 << 20];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("the answer neither goes on nor ends: {error}"),
            }
        }
    }
}
