//! Clients that mean no good, over real sockets: each is bounded, and its neighbours are served meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod front;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ark_model::{Limits, ModuleId};
use bytes::Bytes;
use front::{Front, PATIENCE};
use futures_util::future::BoxFuture;
use gateway::{Body, Settings, Upstream, UpstreamError};
use http_body_util::{BodyExt, Full};

const SHORT: Duration = Duration::from_millis(300);

/// Answers with as many bytes as the query says.
struct Sized;

impl Upstream for Sized {
    fn call(
        &self,
        request: http::Request<Body>,
        _: &gateway::RequestId,
    ) -> BoxFuture<'static, Result<http::Response<Body>, UpstreamError>> {
        let size: usize = request.uri().query().and_then(|query| query.parse().ok()).unwrap_or(3);
        let body = Full::from(Bytes::from(vec![b'x'; size])).map_err(|never| match never {}).boxed_unsync();
        Box::pin(std::future::ready(Ok(http::Response::new(body))))
    }
}

fn front(settings: Settings) -> Front {
    Front::of("sized", Arc::new(Sized), Limits { drain_deadline_ms: 100, ..Limits::default() }, settings)
}

impl Front {
    fn in_flight(&self) -> u64 {
        self.gateway.traffic(&ModuleId::new("sized", "1").unwrap()).unwrap().in_flight
    }

    fn neighbour_is_served(&self) {
        let mut stream = self.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("xxx"), "{text}");
    }
}

/// All that comes until the other end closes; panics where it never does.
fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return all,
            Ok(read) => all.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("the connection stayed open: {error}"),
        }
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_cut_off_and_neighbours_are_served() {
    let front = front(Settings { head_timeout: SHORT, ..Settings::default() });
    let mut slow = front.connect();
    let mut writer = slow.try_clone().unwrap();
    let dripping = thread::spawn(move || {
        let head = b"GET / HTTP/1.1\r\nhost: x\r\n".iter().chain(std::iter::repeat(&b'a'));
        for byte in head {
            if writer.write_all(&[*byte]).is_err() {
                return;
            }
            // Faster than any pause that a server could take offence at: what counts is the whole head.
            thread::sleep(Duration::from_millis(10));
        }
    });
    front.neighbour_is_served();
    let began = Instant::now();
    until_closed(&mut slow);
    assert!(began.elapsed() < PATIENCE);
    dripping.join().unwrap();
    front.neighbour_is_served();
}

#[test]
fn a_client_that_says_nothing_or_only_how_each_protocol_begins_is_cut_off() {
    let front = front(Settings { head_timeout: SHORT, ..Settings::default() });
    // `P` begins `POST`, `PUT` and the preface of HTTP/2.
    for begin in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = front.connect();
        stream.write_all(begin).unwrap();
        front.neighbour_is_served();
        until_closed(&mut stream);
    }
}

#[test]
fn a_connection_that_is_kept_and_not_used_is_cut_off() {
    let front = front(Settings { head_timeout: SHORT, ..Settings::default() });
    let mut stream = front.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let answer = until_closed(&mut stream);
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_holds_no_instance() {
    let front = front(Settings { write_timeout: SHORT, max_connections: 1, ..Settings::default() });
    let mut stream = front.connect();
    // More than the buffers of both ends hold.
    stream.write_all(b"GET /?200000000 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 16]).unwrap();
    let began = Instant::now();
    // Its only frame is with the server; the connection is what is held, and the next one comes in once that is cut off.
    front.neighbour_is_served();
    let mut all = 16;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        all += read;
    }
    assert!(all < 200_000_000, "the whole answer came");
    assert_eq!(front.in_flight(), 0);
    assert!(began.elapsed() < PATIENCE);
    front.neighbour_is_served();
}

#[test]
fn connections_beyond_the_bound_wait_and_are_served_once_others_end() {
    let front = front(Settings { max_connections: 2, ..Settings::default() });
    let held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = front.connect();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 16]).unwrap();
            stream
        })
        .collect();
    let mut waiting = front.connect();
    waiting.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    waiting.set_read_timeout(Some(SHORT)).unwrap();
    assert!(waiting.read(&mut [0; 16]).is_err(), "it was served beyond the bound");
    drop(held);
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(until_closed(&mut waiting).starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn a_head_that_is_too_large_is_told_so_and_one_below_passes() {
    let front = front(Settings { max_head: 16 << 10, ..Settings::default() });
    let ask = |size: usize| {
        let mut stream = front.connect();
        // The server may answer and close before it has taken everything.
        let _ = stream.write_all(format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\na: {}\r\n\r\n", "a".repeat(size)).as_bytes());
        String::from_utf8_lossy(&until_closed(&mut stream)).into_owned()
    };
    assert!(ask(8 << 10).starts_with("HTTP/1.1 200 "));
    let refused = ask(32 << 10);
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 431 "), "{refused}");
    // What the server has taken whole it also answers, whatever is wrong with it.
    for (head, status) in [
        ("GET / HTTP/1.1\r\nhost: x\r\n".to_owned() + &"a: b\r\n".repeat(200) + "\r\n", "431"),
        ("not a request\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_owned(), "400"),
    ] {
        let mut stream = front.connect();
        stream.write_all(head.as_bytes()).unwrap();
        let answer = String::from_utf8_lossy(&until_closed(&mut stream)).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer:?}");
    }
    front.neighbour_is_served();
}
