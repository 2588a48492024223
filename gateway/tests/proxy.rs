//! Servers behind the gateway, over real sockets: what passes, what is kept open, and what ends with whom.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod front;

use std::{
    convert::Infallible,
    future::Future,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use ark::{InstanceId, Traffic};
use ark_model::{Limits, ModuleId};
use bytes::Bytes;
use front::{Front, PATIENCE};
use gateway::{Body, BoxError, Place, Proxy, Settings, empty};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;

const SHORT: Duration = Duration::from_millis(300);

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A server that answers by `serve`.
struct Behind {
    place: Place,
    /// How many connections it was ever asked for.
    accepted: Arc<AtomicUsize>,
}

impl Behind {
    fn new<F, A>(serve: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
        A: Future<Output = Response<Body>> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let place = Place::port(listener.local_addr().unwrap().port());
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    count.fetch_add(1, Ordering::SeqCst);
                    let serve = serve.clone();
                    tokio::task::spawn_local(async move {
                        let service = service_fn(move |request| {
                            let answer = serve(request);
                            async move { Ok::<_, Infallible>(answer.await) }
                        });
                        let server = hyper::server::conn::http1::Builder::new();
                        let _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
                    });
                }
            });
        });
        Self { place, accepted }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// A server that does with each connection whatever `serve` does, and the number of the connection.
fn by_hand(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (serve, stream) = (Arc::clone(&serve), stream.unwrap());
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            thread::spawn(move || serve(stream, number));
        }
    });
    Place::port(port)
}

/// The next head on a connection; none at its end.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) => return None,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    Some(String::from_utf8(head).unwrap())
}

impl Front {
    fn new(place: &Place) -> Self {
        Self::with(place, Settings::default())
    }

    fn with(place: &Place, settings: Settings) -> Self {
        let limits = Limits { request_body_bytes: 1 << 30, ..Limits::default() };
        Self::of("m", Arc::new(Proxy::new(place.clone())), limits, settings)
    }

    /// The whole answer to what is sent on a connection of its own.
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        String::from_utf8(until_closed(&mut stream)).unwrap()
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    fn in_flight(&self) -> u64 {
        self.gateway.traffic(&ModuleId::new("m", "1").unwrap()).unwrap().in_flight
    }

    /// What is cut off when the module goes, with hardly any patience.
    fn remove(&self) -> u64 {
        self.gateway.route("m", Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.gateway.drain(InstanceId(1), SHORT)).cut
    }
}

/// All that comes until the other end closes; panics where it never does.
fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("the connection stayed open: {error}"),
        _ => all,
    }
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "it never came to this: {what}");
        thread::yield_now();
    }
}

// Connections that rest.

#[test]
fn requests_one_after_another_take_the_same_connection_whatever_they_ask() {
    let behind = Behind::new(|request| async move {
        let status = request.uri().path().trim_start_matches('/').parse().unwrap_or(StatusCode::OK);
        let body = if status == 204 || status == 304 || request.method() == Method::HEAD { empty() } else { full("body") };
        let mut response = Response::new(body);
        if request.method() == Method::HEAD {
            response.headers_mut().insert("content-length", HeaderValue::from_static("4"));
        }
        *response.status_mut() = status;
        response
    });
    let front = Front::new(&behind.place);
    for _ in 0..3 {
        assert!(front.get("/").ends_with("\r\n\r\nbody"));
        assert!(front.get("/204").starts_with("HTTP/1.1 204 "));
        assert!(front.get("/304").starts_with("HTTP/1.1 304 "));
        let answer = front.ask("HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("content-length: 4\r\n") && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
    }
    assert_eq!(behind.accepted(), 1);
}

#[test]
fn a_connection_that_died_at_rest_is_replaced_and_only_what_may_be_repeated_is_sent_again() {
    let (seen, requests) = mpsc::channel();
    // Of each connection it answers the first request, and takes a second that it does not answer.
    let place = by_hand(move |mut stream, number| {
        let first = head(&mut stream);
        seen.send((number, first.clone().unwrap_or_default())).unwrap();
        if first.is_some() {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        }
        if let Some(second) = head(&mut stream) {
            seen.send((number, second)).unwrap();
        }
    });
    let front = Front::new(&place);
    assert!(front.get("/first").ends_with("ok"));
    assert!(front.get("/second").ends_with("ok"), "it is repeated on a new connection");
    let answer = front.ask("POST /third HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    let seen: Vec<(usize, String)> =
        requests.try_iter().map(|(number, head)| (number, head.split(' ').nth(1).unwrap().to_owned())).collect();
    let expected = [(0, "/first"), (0, "/second"), (1, "/second"), (1, "/third")];
    assert_eq!(seen, expected.map(|(number, path)| (number, path.to_owned())));
}

#[test]
fn connections_at_rest_are_closed_when_the_server_closes_them_or_the_module_goes() {
    let (closed, gone) = mpsc::channel();
    let place = by_hand(move |mut stream, number| {
        head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        if number == 0 {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        assert_eq!(head(&mut stream), None);
        closed.send(number).unwrap();
    });
    let front = Front::new(&place);
    assert!(front.get("/").ends_with("ok"));
    assert_eq!(gone.recv_timeout(PATIENCE), Ok(0));
    assert!(front.get("/").ends_with("ok"));
    assert!(gone.try_recv().is_err(), "it was closed although it could be used again");
    assert_eq!(front.remove(), 0);
    assert_eq!(gone.recv_timeout(PATIENCE), Ok(1));
}

#[test]
fn a_client_that_goes_takes_its_request_with_it() {
    struct Ended(mpsc::Sender<()>);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (began, beginning) = mpsc::channel();
    let (ended, ending) = mpsc::channel();
    let behind = Behind::new(move |request: Request<Incoming>| {
        let (began, ended) = (began.clone(), Ended(ended.clone()));
        async move {
            began.send(()).unwrap();
            if request.into_body().collect().await.is_ok() {
                std::future::pending::<()>().await;
            }
            drop(ended);
            Response::new(empty())
        }
    });
    let front = Front::new(&behind.place);
    for request in ["GET / HTTP/1.1\r\nhost: x\r\n\r\n", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf"] {
        let mut stream = front.connect();
        stream.write_all(request.as_bytes()).unwrap();
        beginning.recv_timeout(PATIENCE).unwrap();
        drop(stream);
        ending.recv_timeout(PATIENCE).unwrap();
        eventually("nobody is inside", || front.in_flight() == 0);
    }
}

// What passes.

/// Answers with what it is sent, as it comes, trailers too.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let mut response = Response::new(request.into_body().map_err(|error| -> BoxError { error.into() }).boxed_unsync());
    response.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
    response
}

#[test]
fn an_answer_that_begins_before_its_request_has_ended_streams_beside_it() {
    let behind = Behind::new(echo);
    let front = Front::new(&behind.place);
    for method in ["POST", "GET"] {
        let mut stream = front.connect();
        write!(stream, "{method} / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        assert!(head(&mut stream).unwrap().starts_with("HTTP/1.1 200 "));
        for part in ["one", "two"] {
            let chunk = format!("3\r\n{part}\r\n");
            stream.write_all(chunk.as_bytes()).unwrap();
            let mut back = vec![0; chunk.len()];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(String::from_utf8(back).unwrap(), chunk);
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        assert_eq!(until_closed(&mut stream), b"0\r\n\r\n");
    }
    eventually("nobody is inside", || front.in_flight() == 0);
}

#[test]
fn trailers_pass_both_ways_for_who_takes_them() {
    let behind = Behind::new(|request| async move {
        let te = request.headers().get("te").cloned().unwrap_or(HeaderValue::from_static("none"));
        let mut response = echo(request).await;
        response.headers_mut().insert("x-te", te);
        response
    });
    let front = Front::new(&behind.place);
    let ask = |te: &str| {
        front.ask(&format!(
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close, te\r\nte: {te}\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n"
        ))
    };
    let answer = ask("gzip, trailers");
    assert!(answer.contains("x-te: trailers\r\n") && answer.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{answer}");
    let answer = ask("gzip");
    assert!(answer.contains("x-te: none\r\n") && answer.ends_with("body\r\n0\r\n\r\n"), "{answer}");
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked_by_the_server_and_not_before() {
    let behind = Behind::new(|request| async move {
        if request.uri() == "/no" {
            let mut response = Response::new(empty());
            *response.status_mut() = StatusCode::EXPECTATION_FAILED;
            return response;
        }
        Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
    });
    let front = Front::new(&behind.place);
    let mut stream = front.connect();
    stream.write_all(b"PUT /no HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n").unwrap();
    assert!(head(&mut stream).unwrap().starts_with("HTTP/1.1 417 "));
    let mut stream = front.connect();
    stream.write_all(b"PUT / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n").unwrap();
    assert_eq!(head(&mut stream).unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").unwrap();
    let answer = String::from_utf8(until_closed(&mut stream)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("body"), "{answer}");
}

#[test]
fn a_hundred_megabytes_pass_each_way_without_being_held() {
    const SIZE: usize = 100 << 20;
    let peak = || -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    };
    let behind = Behind::new(echo);
    let front = Front::new(&behind.place);
    let mut stream = front.connect();
    write!(stream, "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {SIZE}\r\n\r\n").unwrap();
    let before = peak();
    let mut writer = stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        let part = vec![b'x'; 1 << 20];
        for _ in 0..SIZE >> 20 {
            writer.write_all(&part).unwrap();
        }
    });
    assert!(head(&mut stream).unwrap().starts_with("HTTP/1.1 200 "));
    let (mut came, mut buffer) = (0, vec![0; 1 << 20]);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        came += buffer[..read].iter().filter(|byte| **byte == b'x').count();
    }
    writing.join().unwrap();
    assert_eq!(came, SIZE);
    assert!(peak() - before < 32 << 10, "{} KiB more were held", peak() - before);
}

#[test]
fn what_is_framed_twice_is_framed_once_and_nothing_hides_behind_it() {
    let (seen, requests) = mpsc::channel();
    let behind = Behind::new(move |request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            seen.send((parts.uri.path().to_owned(), parts.headers.contains_key("content-length"), body)).unwrap();
            Response::new(empty())
        }
    });
    let front = Front::new(&behind.place);
    let hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\nhost: x\r\n\r\n";
    for framing in ["content-length: 41\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 41"] {
        let answer = front.ask(&format!("POST /shown HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n{hidden}"));
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert_eq!(requests.recv_timeout(PATIENCE), Ok(("/shown".to_owned(), false, Bytes::new())));
        assert!(requests.try_recv().is_err());
    }
    for wrong in ["content-length: 1\r\ncontent-length: 2", "transfer-encoding: gzip", "transfer-encoding: chunked, identity"] {
        let answer = front.ask(&format!("POST / HTTP/1.1\r\nhost: x\r\n{wrong}\r\n\r\n{hidden}"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert!(requests.try_recv().is_err());
}

#[test]
fn an_answer_that_breaks_off_breaks_off_for_its_client_too() {
    let place = by_hand(|mut stream, _| {
        head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n").unwrap();
    });
    let answer = Front::new(&place).get("/");
    assert!(!answer.ends_with("0\r\n\r\n"), "it looks whole: {answer}");
}

#[test]
fn a_body_that_is_sent_without_end_passes_as_it_comes() {
    let behind = Behind::new(|_| async move {
        let parts = ["one", "two", "three"].map(|part| Ok::<_, BoxError>(Frame::data(Bytes::from(part))));
        let slowly = futures_util::StreamExt::then(futures_util::stream::iter(parts), |part| async move {
            tokio::task::yield_now().await;
            part
        });
        let mut trailers = HeaderMap::new();
        trailers.insert("x", HeaderValue::from_static("y"));
        Response::new(StreamBody::new(slowly).boxed_unsync())
    });
    let front = Front::new(&behind.place);
    for _ in 0..3 {
        let answer = front.get("/");
        assert!(answer.ends_with("3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"), "{answer}");
    }
    assert_eq!(behind.accepted(), 1);
}

// Other protocols.

/// Agrees to speak `echo`, in which the other end's bytes come back, after a greeting; and to nothing else.
async fn switching(mut request: Request<Incoming>) -> Response<Body> {
    if request.headers().get("upgrade").is_none_or(|protocol| protocol != "echo") {
        let asked = request.headers().get("upgrade").or(request.headers().get("connection")).cloned();
        return Response::new(full(format!("asked for {asked:?}")));
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded.await.unwrap()));
        tokio::io::AsyncWriteExt::write_all(&mut writer, b"welcome").await.unwrap();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut writer).await;
    });
    Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo").body(empty()).unwrap()
}

const SWITCH: &str = "GET /chat HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo\r\n\r\n";

fn switched(front: &Front) -> TcpStream {
    let mut stream = front.connect();
    stream.write_all(SWITCH.as_bytes()).unwrap();
    let head = head(&mut stream).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: echo\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
    let mut welcome = [0; 7];
    stream.read_exact(&mut welcome).unwrap();
    assert_eq!(&welcome, b"welcome");
    stream
}

#[test]
fn who_agrees_on_another_protocol_is_joined_byte_for_byte_and_counts_as_inside_until_the_end() {
    let behind = Behind::new(switching);
    let front = Front::new(&behind.place);
    let mut stream = switched(&front);
    let mut writer = stream.try_clone().unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    let sent = bytes.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    assert!(back == bytes);
    writing.join().unwrap();
    assert!(until_closed(&mut stream).is_empty());
    eventually("nobody is inside", || front.in_flight() == 0);
    let traffic = front.gateway.traffic(&ModuleId::new("m", "1").unwrap()).unwrap();
    assert_eq!((traffic.requests, traffic.failures), (1, 0));
}

#[test]
fn a_module_that_goes_takes_its_joined_connections_with_it_and_says_how_many() {
    let behind = Behind::new(switching);
    let front = Front::new(&behind.place);
    let mut streams: Vec<TcpStream> = (0..3).map(|_| switched(&front)).collect();
    assert_eq!(front.in_flight(), 3);
    assert_eq!(front.remove(), 3);
    for stream in &mut streams {
        assert!(until_closed(stream).is_empty());
    }
}

#[test]
fn joined_connections_on_which_nothing_moves_are_closed_and_count_among_all() {
    let behind = Behind::new(switching);
    let front = Front::with(&behind.place, Settings { tunnel_idle: SHORT, max_connections: 1, ..Settings::default() });
    let mut silent = switched(&front);
    let mut waiting = front.connect();
    waiting.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    assert!(until_closed(&mut silent).is_empty());
    assert!(until_closed(&mut waiting).starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn who_does_not_agree_answers_as_always_and_http_itself_is_not_asked_for() {
    let behind = Behind::new(switching);
    let front = Front::new(&behind.place);
    for (asked, passed) in [("other", "Some(\"other\")"), ("h2c", "None"), ("H2C, echo", "None")] {
        let answer = front.ask(&format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close, upgrade\r\nupgrade: {asked}\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("asked for {passed}")), "{answer}");
    }
    // Nor is what is no wish of the connection's.
    let answer = front.ask("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nupgrade: echo\r\n\r\n");
    assert!(answer.ends_with("asked for None"), "{answer}");
}

#[test]
fn a_server_that_switches_unasked_has_failed() {
    let place = by_hand(|mut stream, _| {
        head(&mut stream);
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").unwrap();
        let _ = head(&mut stream);
    });
    let front = Front::new(&place);
    assert!(front.get("/").starts_with("HTTP/1.1 500 "));
}
