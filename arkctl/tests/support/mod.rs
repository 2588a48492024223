//! A base for tests: a real server on the loopback that answers by a function.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// One request, read whole.
pub(crate) struct Request {
    head: Vec<String>,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Method and target, as in `GET /v1/base`.
    pub(crate) fn line(&self) -> &str {
        self.head[0].trim_end_matches(" HTTP/1.1")
    }

    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// One response.
pub(crate) struct Answer {
    status: u16,
    kind: &'static str,
    pieces: Vec<Vec<u8>>,
    pause: Option<Duration>,
}

impl Answer {
    /// A JSON text.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self { status, kind: "application/json", pieces: vec![body.as_bytes().to_vec()], pause: None }
    }

    /// Server-sent events with these data; then the end.
    pub(crate) fn events(data: &[&str]) -> Self {
        let text: String = data.iter().map(|data| format!("event: x\ndata: {data}\n\n")).collect();
        Self { status: 200, kind: "text/event-stream", pieces: vec![text.into_bytes()], pause: None }
    }

    /// A text in pieces, with a pause after each but the last, and without an end until the client goes.
    pub(crate) fn pieces(pieces: &[&str], pause: Duration) -> Self {
        let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
        Self { status: 200, kind: "application/x-ndjson", pieces, pause: Some(pause) }
    }
}

/// A server that is there until it is dropped.
pub(crate) struct FakeBase {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl FakeBase {
    /// Answers every request by `answer`, each connection for one request.
    pub(crate) fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                let answer = Arc::clone(&answer);
                thread::spawn(move || drop(serve(stream.unwrap(), &*answer)));
            }
        });
        Self { address, ended, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for FakeBase {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

fn serve(stream: TcpStream, answer: &dyn Fn(&Request) -> Answer) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let mut request = Request { head, body: Vec::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body)?;
    let answer = answer(&request);
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {} x\r\ncontent-type: {}\r\nconnection: close\r\n\r\n", answer.status, answer.kind)?;
    for (at, piece) in answer.pieces.iter().enumerate() {
        stream.write_all(piece)?;
        if let Some(pause) = answer.pause.filter(|_| at + 1 < answer.pieces.len()) {
            thread::sleep(pause);
        }
    }
    if answer.pause.is_some() {
        // Until the client goes.
        reader.read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

/// What a base says of itself.
pub(crate) fn base_json() -> String {
    r#"{"identity":"id-1","name":"demo","version":"1.0.0","cluster":"default","ready":true,"gateway":"http://127.0.0.1:8080",
        "kinds":["wasm"],"arkletVersion":"0.1.0","uptimeSeconds":185,"residentBytes":67108864}"#
        .replace('\n', "")
}

/// A module `orders` as a base shows it.
pub(crate) fn module_json(version: &str, state: &str) -> String {
    let limits = serde_json::to_string(&ark_model::Limits::default()).unwrap();
    format!(
        r#"{{"name":"orders","version":"{version}","kind":"wasm","state":"{state}","contextPath":"/orders","hosts":[],"weight":100,
            "priority":100,"url":"sha256:ab","sha256":"abcd","packageBytes":61440,"build":"optimised","limits":{limits},
            "manifest":{{"name":"orders","version":"{version}"}},
            "history":[{{"changeTime":1700000000000,"state":"resolved","reason":"Created","message":""}},
                       {{"changeTime":1700000000500,"state":"{state}","reason":"Started","message":""}}],
            "timings":[{{"step":"fetch","ms":1.5}}],
            "traffic":{{"requests":1234,"failures":1,"refused":2,"inFlight":3,"queued":4,"p50Ms":0.4,"p99Ms":12.34,"peakMemoryBytes":1048576}}}}"#
    )
    .replace('\n', "")
}

/// A Java module `orders` as a base shows it.
pub(crate) fn jvm_module_json() -> String {
    let module = module_json("1.0.0", "activated").replace(r#""kind":"wasm""#, r#""kind":"jvm""#);
    module.replace(r#""build":"optimised""#, r#""build":"""#).replace(r#""peakMemoryBytes":1048576"#, r#""peakMemoryBytes":0"#)
}

/// A removal as a base shows it.
pub(crate) fn retired_json(version: &str) -> String {
    format!(
        r#"{{"name":"orders","version":"{version}","timings":[{{"step":"drain","ms":3.5}},{{"step":"stop","ms":0.2}}],
            "verdict":{{"state":"unloaded","cutRequests":0,"givenBack":[{{"what":"compiled code","amount":5632000,"unit":"bytes"}}],"held":[]}},"at":1700000001000}}"#
    )
    .replace('\n', "")
}

/// An install that succeeded and took over from 0.9.0.
pub(crate) fn installed_json(version: &str) -> String {
    format!(
        r#"{{"module":{},"timings":[{{"step":"fetch","ms":1.5}},{{"step":"prepare","ms":40.25}},{{"step":"start","ms":0.8}}],"retired":[{}]}}"#,
        module_json(version, "activated"),
        retired_json("0.9.0")
    )
}

/// A jar with this manifest and these entries, stored.
pub(crate) fn jar(manifest: &str, entries: &[&str]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer.start_file("META-INF/MANIFEST.MF", options).unwrap();
    writer.write_all(format!("Manifest-Version: 1.0\n{manifest}").as_bytes()).unwrap();
    for entry in entries {
        writer.start_file(*entry, options).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
