//! A process of Node.js: spoken to by a socket of its own, read line by line, ended for good when it is dropped.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use ark::LogBook;
use arklet::now;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream, unix::pipe},
    signal::unix::{Signal as Signals, SignalKind, signal},
    sync::mpsc,
};

/// How long a process may take until it speaks.
const PATIENCE: Duration = Duration::from_secs(20);
const CONTROL: &str = "control";

/// What a process runs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// The file.
    pub(crate) main: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) cwd: PathBuf,
    pub(crate) environment: BTreeMap<String, String>,
}

/// What a process tells.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(crate) enum Told {
    /// One of its servers listens, the how manieth.
    Listening { listening: u32, port: u16, tls: bool },
    /// It came to its end without a server, and has no handler of requests.
    Silent { silent: bool },
    /// Its servers have closed; what keeps it alive.
    Drained { drained: bool, handles: Vec<String> },
    /// It answers: how long its event loop was held up at most since it was asked before.
    Pong { pong: bool, delay_ms: f64, handles: u64 },
}

/// Where its output goes.
#[derive(Clone)]
pub(crate) enum Output {
    /// Into a module's log.
    Log(Arc<LogBook>),
    /// Where the supervisor's own goes.
    Through,
}

pub(crate) struct Process {
    child: Child,
    /// Tells when some process of ours has ended.
    ends: Signals,
    orders: mpsc::UnboundedSender<String>,
    told: mpsc::UnboundedReceiver<Told>,
    /// Its sockets. Deleted with it.
    folder: tempfile::TempDir,
}

impl Process {
    /// Starts `node` with our script at `script`, which waits for what it is to run. What it says is kept for then, or goes `through`.
    ///
    /// # Errors
    /// Where there is no `node`, or it does not come up.
    pub(crate) async fn start(node: &Path, script: &Path, heap_mib: u64, through: bool) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("nodejslet-").tempdir()?;
        let control = UnixListener::bind(folder.path().join(CONTROL))?;
        let mut command = Command::new(node);
        command.arg(format!("--max-old-space-size={heap_mib}")).arg("--enable-source-maps").arg(script);
        command.env("NODEJSLET_CONTROL", folder.path().join(CONTROL)).stdin(Stdio::null());
        if !through {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{} cannot be started: {error}", node.display()));
        // Before there is one that could end.
        let ends = signal(SignalKind::child())?;
        let child = command.spawn().map_err(named)?;
        let (orders, to_send) = mpsc::unbounded_channel();
        let (teller, told) = mpsc::unbounded_channel();
        // From here on it is ended where this is given up.
        let mut process = Self { child, ends, orders, told, folder };
        let connected = tokio::select! {
            connected = tokio::time::timeout(PATIENCE, control.accept()) => connected,
            status = process.ended() => return Err(io::Error::other(format!("{} ended at once: {}", node.display(), described(status)))),
        };
        let (stream, _) = connected.map_err(|_| io::Error::other(format!("{} says nothing", node.display())))??;
        tokio::spawn(speak(stream, to_send, teller));
        Ok(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it run something, with what it says going to `output`. It does so once.
    pub(crate) fn run(&mut self, run: &Run, output: &Output) -> io::Result<()> {
        if let Output::Log(log) = output {
            if let Some(stdout) = self.child.stdout.take() {
                tokio::spawn(lines(pipe::Receiver::from_owned_fd(stdout.into())?, "stdout", Arc::clone(log)));
            }
            if let Some(stderr) = self.child.stderr.take() {
                tokio::spawn(lines(pipe::Receiver::from_owned_fd(stderr.into())?, "stderr", Arc::clone(log)));
            }
        }
        let mut order = json!({ "run": run });
        if let Some(run) = order.get_mut("run").and_then(serde_json::Value::as_object_mut) {
            run.insert("sockets".to_owned(), json!(self.folder.path()));
        }
        self.order(&order);
        Ok(())
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn order(&self, order: &serde_json::Value) {
        let _ = self.orders.send(format!("{order}\n"));
    }

    /// Asks it for a sign of life.
    pub(crate) fn ping(&self) {
        self.order(&json!({ "ping": true }));
    }

    /// Has it take no more connections, and tell when the last has ended.
    pub(crate) fn drain(&self) {
        self.order(&json!({ "drain": true }));
    }

    /// What it tells next; none once it has ended.
    pub(crate) async fn hear(&mut self) -> Option<Told> {
        self.told.recv().await
    }

    /// Where its server `number` is reached.
    pub(crate) fn socket(&self, number: u32) -> Arc<Path> {
        self.folder.path().join(number.to_string()).into()
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> Option<ExitStatus> {
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            self.ends.recv().await?;
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Ok(pid) = pid(&self.child) {
            let _ = kill_process(pid, signal);
        }
    }

    /// The memory that is its own: neither shared with other processes nor a file's, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.id())).unwrap_or_default();
        let mut pages = pages.split(' ').skip(1).map(|number| number.parse::<u64>().unwrap_or(0));
        let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
        resident.saturating_sub(shared) * rustix::param::page_size() as u64
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(child: &Child) -> io::Result<Pid> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("a process has an impossible number"))
}

/// How a process ended, for people.
pub(crate) fn described(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) => status.to_string(),
        None => "nobody knows how".to_owned(),
    }
}

async fn speak(stream: UnixStream, mut orders: mpsc::UnboundedReceiver<String>, told: mpsc::UnboundedSender<Told>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) if writer.write_all(order.as_bytes()).await.is_ok() => {}
                _ => return,
            },
            line = lines.next_line() => match line {
                Ok(Some(line)) => match serde_json::from_str(&line) {
                    Ok(said) => {
                        if told.send(said).is_err() {
                            return;
                        }
                    }
                    Err(error) => tracing::warn!(%error, line, "a module's process says what nobody understands"),
                },
                _ => return,
            },
        }
    }
}

/// Writes what comes out of `pipe` into the log, line by line, as much of each as that keeps.
async fn lines(pipe: pipe::Receiver, stream: &'static str, log: Arc<LogBook>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = log.line_bytes() as u64 + 1;
        let read = (&mut reader).take(most).read_until(b'\n', &mut line).await;
        match read {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let ended = line.ends_with(b"\n");
        log.write(now(), stream, None, String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        if ended {
            continue;
        }
        // What is longer is passed over.
        loop {
            line.clear();
            match (&mut reader).take(most).read_until(b'\n', &mut line).await {
                Ok(read) if read > 0 && !line.ends_with(b"\n") => {}
                _ => break,
            }
        }
    }
}
