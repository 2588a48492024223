//! WebSockets of a module, while it is replaced.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use harness::{base::Base, node};
use serde_json::json;

use crate::support::{body, eventually, install, order};

/// What is waited for one answer at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client that sends and reads short texts.
struct Socket(TcpStream);

impl Socket {
    fn open(base: &Base, path: &str) -> Self {
        let mut stream = TcpStream::connect(base.gateway).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        // The digest of that key, as RFC 6455 gives it.
        assert!(head.starts_with("http/1.1 101 ") && head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        Self(stream)
    }

    /// What comes back for `text`.
    fn ask(&mut self, text: &str) -> String {
        // One text frame, masked by zeros.
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        frame.extend(text.bytes());
        self.0.write_all(&frame).unwrap();
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        assert!(head[0] == 0x81 && head[1] < 126, "{head:?}");
        let mut text = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }
}

#[test]
fn web_sockets_stay_with_their_version_until_they_end_or_its_drain_does() {
    let base = node::base(&[]).unwrap();
    let mut first = order("chat", "1.0.0");
    first["limits"] = json!({"drain-deadline-ms": 6_000});
    install(&base, &first);
    assert_eq!(body(&base, "/chat/version"), "v1.0.0");
    let (mut stays, mut goes) = (Socket::open(&base, "/chat/room"), Socket::open(&base, "/chat"));
    assert_eq!(stays.ask("hi"), "v1.0.0: hi");
    assert_eq!(goes.ask("hi"), "v1.0.0: hi");

    let second = order("chat", "2.0.0");
    let (installed, mut new) = std::thread::scope(|scope| {
        let installing = scope.spawn(|| base.api.install(&second).unwrap().unwrap());
        let new = eventually("new connections come to the new version", || {
            let mut socket = Socket::open(&base, "/chat");
            (socket.ask("hi") == "v2.0.0: hi").then_some(socket)
        });
        assert_eq!(stays.ask("still there?"), "v1.0.0: still there?");
        goes.0.shutdown(Shutdown::Both).unwrap();
        (installing.join().unwrap(), new)
    });
    assert_eq!(installed.retired[0].verdict.cut_requests, 1, "{installed:?}");
    assert_eq!(stays.0.read(&mut [0; 16]).unwrap(), 0, "it is closed");
    assert_eq!(new.ask("hello"), "v2.0.0: hello");
}
