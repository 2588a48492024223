//! Load over keep-alive connections, each answer checked. It spends as little as it can: it shares the machine with what it measures.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(40);
/// How many failures are kept in words.
const KEPT: usize = 10;
/// How many different bodies are counted apart.
const KEPT_BODIES: usize = 1_000;

/// Whether a body is right.
pub type Right = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What to send, and what counts as an answer.
#[derive(Clone)]
pub struct Load {
    /// Where to.
    pub target: SocketAddr,
    /// The path of every request.
    pub path: String,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Whether a body is right.
    pub right: Right,
}

impl Load {
    /// Requests to `path`, of which each answer has to be one of `bodies`.
    #[must_use]
    pub fn new(target: SocketAddr, path: &str, connections: usize, bodies: &[&str]) -> Self {
        let bodies: Vec<Vec<u8>> = bodies.iter().map(|body| body.as_bytes().to_vec()).collect();
        Self { target, path: path.to_owned(), connections, right: Arc::new(move |body| bodies.iter().any(|right| right == body)) }
    }

    /// Begins.
    ///
    /// # Errors
    /// Where a thread cannot be started.
    pub fn start(self) -> Result<Running, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let end = CancellationToken::new();
        let ended = end.clone();
        let began = Instant::now();
        let thread = thread::Builder::new().name("load".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let tasks: Vec<_> = (0..self.connections).map(|_| tokio::spawn(connection(self.clone(), ended.clone()))).collect();
                let mut report = Report::default();
                for task in tasks {
                    match task.await {
                        Ok(part) => report.add(part),
                        Err(error) => report.fail(format!("a connection's task broke off: {error}")),
                    }
                }
                report
            })
        })?;
        Ok(Running { end, thread, began })
    }

    /// Sends for `duration`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn run(self, duration: Duration) -> Result<Report, Error> {
        let running = self.start()?;
        thread::sleep(duration);
        running.stop()
    }
}

/// Load that goes on until it is stopped.
pub struct Running {
    end: CancellationToken,
    thread: thread::JoinHandle<Report>,
    began: Instant,
}

impl Running {
    /// Lets the last requests end, and says how it went.
    ///
    /// # Errors
    /// Where the load itself broke off.
    pub fn stop(self) -> Result<Report, Error> {
        self.end.cancel();
        let mut report = self.thread.join().map_err(|_| "the load panicked")?;
        report.elapsed = self.began.elapsed();
        report.micros.sort_unstable();
        Ok(report)
    }
}

/// What came of a load.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Answers that were right.
    pub right: u64,
    /// Requests without a right answer.
    pub lost: u64,
    /// The first of these, in words.
    pub failures: Vec<String>,
    /// How often each body came.
    pub bodies: BTreeMap<Vec<u8>, u64>,
    /// How long it ran.
    pub elapsed: Duration,
    /// How long each right answer took, in microseconds, rising.
    pub micros: Vec<u32>,
}

impl Report {
    fn add(&mut self, part: Self) {
        self.right += part.right;
        self.lost += part.lost;
        self.failures.extend(part.failures);
        self.failures.truncate(KEPT);
        self.micros.extend(part.micros);
        for (body, count) in part.bodies {
            *self.bodies.entry(body).or_default() += count;
        }
    }

    fn fail(&mut self, failure: String) {
        self.lost += 1;
        if self.failures.len() < KEPT {
            self.failures.push(failure);
        }
    }

    /// Requests a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.right as f64 / self.elapsed.as_secs_f64()
    }

    /// The time that this share of the answers stayed below, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        let at = (self.micros.len() as f64 * quantile) as usize;
        self.micros.get(at.min(self.micros.len().saturating_sub(1))).map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
    }
}

async fn connection(load: Load, end: CancellationToken) -> Report {
    let mut report = Report::default();
    let request = format!("GET {} HTTP/1.1\r\nhost: {}\r\n\r\n", load.path, load.target).into_bytes();
    let mut buffer = Vec::with_capacity(16 << 10);
    'connect: while !end.is_cancelled() {
        let mut stream = match TcpStream::connect(load.target).await {
            Ok(stream) => stream,
            Err(error) => {
                report.fail(format!("connect: {error}"));
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        while !end.is_cancelled() {
            let began = Instant::now();
            let answered = tokio::time::timeout(PATIENCE, exchange(&mut stream, &request, &mut buffer)).await;
            match answered.map_err(|_| Error::from("no answer")).and_then(|answer| answer) {
                Ok(Answer { status: 200, body, last }) if (load.right)(body) => {
                    report.right += 1;
                    report.micros.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
                    if let Some(count) = report.bodies.get_mut(body) {
                        *count += 1;
                    } else if report.bodies.len() < KEPT_BODIES {
                        report.bodies.insert(body.to_vec(), 1);
                    }
                    if last {
                        continue 'connect;
                    }
                }
                Ok(Answer { status, body, .. }) => {
                    report.fail(format!("status {status}, body {:?}", String::from_utf8_lossy(body.get(..200).unwrap_or(body))));
                    continue 'connect;
                }
                Err(error) => {
                    report.fail(error.to_string());
                    continue 'connect;
                }
            }
        }
    }
    report
}

/// An answer that was read to its end.
struct Answer<'a> {
    status: u16,
    body: &'a [u8],
    /// Whether the server closes the connection behind it: some do so after a number of requests.
    last: bool,
}

/// Sends one request and reads one answer, which has a `content-length` or comes in chunks.
async fn exchange<'a>(stream: &mut TcpStream, request: &[u8], buffer: &'a mut Vec<u8>) -> Result<Answer<'a>, Error> {
    stream.write_all(request).await?;
    buffer.clear();
    let (head, status, length, last) = loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(format!("the connection ended after {} bytes of an answer", buffer.len()).into());
        }
        if let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = std::str::from_utf8(buffer.get(..head).unwrap_or_default())?;
            let status = text.get(9..12).ok_or("no status")?.parse()?;
            let field = |wanted: &str| {
                let mut fields = text.lines().filter_map(|line| line.split_once(':'));
                fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
            };
            let length = field("content-length").and_then(|value| value.parse::<usize>().ok());
            let last = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let in_chunks = field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
            if length.is_none() && !in_chunks {
                return Err("an answer without a length".into());
            }
            break (head + 4, status, length, last);
        }
    };
    let length = loop {
        match length {
            Some(length) if buffer.len() >= head + length => break length,
            Some(_) => {}
            None => {
                if let Some(body) = unchunked(buffer.get(head..).unwrap_or_default())? {
                    buffer.truncate(head);
                    buffer.extend_from_slice(&body);
                    break body.len();
                }
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err("the connection ended within a body".into());
        }
    };
    Ok(Answer { status, body: buffer.get(head..head + length).unwrap_or_default(), last })
}

/// The body that `chunks` are, once all of them are there.
fn unchunked(mut chunks: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut body = Vec::new();
    loop {
        let Some(end) = chunks.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let size = usize::from_str_radix(std::str::from_utf8(chunks.get(..end).unwrap_or_default())?, 16)?;
        let rest = chunks.get(end + 2..).unwrap_or_default();
        let (Some(piece), Some(after)) = (rest.get(..size), rest.get(size + 2..)) else { return Ok(None) };
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(piece);
        chunks = after;
    }
}
