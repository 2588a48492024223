//! What one module runs in, a process or a worker: both are started, spoken to and ended in the same way.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ark::LogBook;
use arklet::now;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    net::{UnixListener, unix::pipe},
    task::JoinHandle,
};

use crate::{
    host::{Host, Worker},
    line::{CONTROL, Line, Waiting},
    process::{Process, Program},
};

/// How long a worker may take to be terminated, before its whole process is killed.
const TERMINATED: Duration = Duration::from_secs(3);
/// How long the last that one wrote may take to be in its log. There is no end of it while something that it started holds its output open.
const WRITTEN: Duration = Duration::from_secs(1);

/// What is run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// The file.
    pub(crate) main: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) cwd: PathBuf,
    pub(crate) environment: BTreeMap<String, String>,
}

/// What a module's script tells.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(crate) enum Told {
    /// One of its servers listens, the how manieth.
    Listening { listening: u32, port: u16, tls: bool },
    /// A server listens on a Unix socket of its own.
    Aside { aside: String },
    /// It cannot run here, and why.
    Refused { refused: String },
    /// It came to its end without a server, and has no handler of requests.
    Silent { silent: bool },
    /// Its servers have closed; what keeps it alive.
    Drained { drained: bool, handles: Vec<String> },
    /// It answers: how long its event loop was held up at most since it was asked before, and what its engine has in memory, buffers
    /// included.
    Pong { pong: bool, delay_ms: f64, handles: u64, engine_bytes: u64 },
}

/// Where its output goes.
#[derive(Clone)]
pub(crate) enum Output {
    /// Into a module's log.
    Log(Arc<LogBook>),
    /// Where the supervisor's own goes.
    Through,
}

enum Body {
    Process(Process),
    Worker(Worker),
}

type Stream = Box<dyn AsyncRead + Send + Unpin>;

/// A process or a worker. It ends when this is dropped.
pub(crate) struct Unit {
    body: Body,
    line: Line<Told>,
    /// What it writes, until that goes somewhere.
    output: Vec<(&'static str, Stream)>,
    /// What brings that into its log.
    readers: Vec<JoinHandle<()>>,
    /// Its sockets. Deleted with it.
    folder: tempfile::TempDir,
}

impl Unit {
    /// A process that waits for what it is to run.
    ///
    /// # Errors
    /// Where there is no Node.js, or it does not come up.
    pub(crate) async fn process(program: &Program, heap_mib: u64, memory_bytes: u64, through: bool) -> io::Result<Self> {
        let (folder, waiting) = folder(&program.folder)?;
        let control = folder.path().join(CONTROL);
        let mut process = Process::start(program, "module.cjs", &control, Some(heap_mib), Some(memory_bytes), through)?;
        let [stdout, stderr] = process.take_output();
        let mut output = Vec::new();
        for (name, descriptor) in [("stdout", stdout), ("stderr", stderr)] {
            if let Some(descriptor) = descriptor {
                output.push((name, Box::new(pipe::Receiver::from_owned_fd(descriptor)?) as Stream));
            }
        }
        let called = tokio::select! {
            called = waiting.called() => called?,
            how = process.ended() => return Err(io::Error::other(format!("{} ended at once: {how}", program.node.display()))),
        };
        Ok(Self { body: Body::Process(process), line: called, output, readers: Vec::new(), folder })
    }

    /// A worker that waits for what it is to run.
    ///
    /// # Errors
    /// Where it does not come up.
    pub(crate) async fn worker(program: &Program, host: &Arc<Host>, heap_mib: u64) -> io::Result<Self> {
        let (folder, waiting) = folder(&program.folder)?;
        let listen = |name: &'static str| Ok::<_, io::Error>((name, UnixListener::bind(folder.path().join(name))?));
        let streams = [listen("stdout")?, listen("stderr")?];
        let mut worker = host.worker(folder.path(), heap_mib);
        let called = async {
            let mut output = Vec::new();
            for (name, stream) in streams {
                output.push((name, Box::new(stream.accept().await?.0) as Stream));
            }
            Ok::<_, io::Error>((waiting.called().await?, output))
        };
        let (line, output) = tokio::select! {
            called = called => called?,
            how = worker.ended() => return Err(io::Error::other(format!("a worker ended at once: {how}"))),
        };
        Ok(Self { body: Body::Worker(worker), line, output, readers: Vec::new(), folder })
    }

    /// Has it run something, with what it says going to `output`. It does so once.
    pub(crate) fn run(&mut self, run: &Run, output: &Output) {
        if let Output::Log(log) = output {
            for (name, stream) in self.output.drain(..) {
                self.readers.push(tokio::spawn(lines(stream, name, Arc::clone(log))));
            }
        }
        self.line.say(&json!({ "run": run, "sockets": self.folder.path() }));
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        match &mut self.body {
            Body::Process(process) => process.is_alive(),
            Body::Worker(worker) => worker.is_alive(),
        }
    }

    /// Asks it for a sign of life.
    pub(crate) fn ping(&self) {
        self.line.say(&json!({ "ping": true }));
    }

    /// Has it take no more connections, and tell when the last has ended.
    pub(crate) fn drain(&self) {
        self.line.say(&json!({ "drain": true }));
    }

    /// Asks it to end: `SIGTERM`, as its listeners see it.
    pub(crate) fn ask_to_end(&self) {
        match &self.body {
            Body::Process(process) => process.signal(Signal::TERM),
            Body::Worker(_) => self.line.say(&json!({ "term": true })),
        }
    }

    /// What it tells next; none once it has ended.
    pub(crate) async fn hear(&mut self) -> Option<Told> {
        self.line.hear().await
    }

    /// Where its server `number` is reached.
    pub(crate) fn socket(&self, number: u32) -> Arc<Path> {
        self.folder.path().join(number.to_string()).into()
    }

    /// Waits until it has ended and what it wrote is in its log, and says how.
    pub(crate) async fn ended(&mut self) -> String {
        let how = match &mut self.body {
            Body::Process(process) => process.ended().await,
            Body::Worker(worker) => worker.ended().await,
        };
        let written = async {
            // Where this is given up, the rest is there for who asks next.
            while let Some(reader) = self.readers.last_mut() {
                let _ = reader.await;
                self.readers.pop();
            }
        };
        let _ = tokio::time::timeout(WRITTEN, written).await;
        how
    }

    /// What it has in memory, in bytes, where its engine has `engine_bytes`: of a process, all that is its own.
    pub(crate) fn memory(&self, engine_bytes: u64) -> u64 {
        match &self.body {
            Body::Process(process) => process.memory(),
            Body::Worker(_) => engine_bytes,
        }
    }

    /// Ends it at once, and waits until it has ended.
    pub(crate) async fn kill(mut self) {
        if let Body::Worker(worker) = &mut self.body {
            worker.terminate();
            if tokio::time::timeout(TERMINATED, worker.ended()).await.is_err() {
                worker.kill_host();
                worker.ended().await;
            }
        }
    }
}

/// A folder of its own, in that of the base.
fn folder(of_base: &Path) -> io::Result<(tempfile::TempDir, Waiting)> {
    let folder = tempfile::tempdir_in(of_base)?;
    let waiting = Waiting::in_folder(folder.path())?;
    Ok((folder, waiting))
}

/// Writes what comes out of `stream` into the log, line by line, as much of each as that keeps.
async fn lines(stream: Stream, name: &'static str, log: Arc<LogBook>) {
    let mut reader = BufReader::new(stream);
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
        log.write(now(), name, None, String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
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
