//! A process of Node.js: bound to the life of the supervisor and to a bound of its memory by the system itself, ended for good when it is
//! dropped.

use std::{
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::Arc,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getppid, kill_process, set_parent_process_death_signal, setrlimit};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// The first argument of the supervisor's own program where it is to become a process of Node.js.
pub(crate) const BECOME: &str = "become-node";
/// What the system counts of a process beyond its heap and its buffers: stacks of threads, and what Node.js has without running anything.
const BESIDE_BYTES: u64 = 160 << 20;

/// What processes are started from.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// The `node` to run.
    pub(crate) node: Arc<Path>,
    /// The folder with our scripts.
    pub(crate) scripts: Arc<Path>,
}

pub(crate) struct Process {
    child: Child,
    /// Tells when some process of ours has ended.
    ends: Signals,
}

impl Process {
    /// Starts `script` of ours with `control` as the way to here. It cannot have more than `memory_bytes` of memory of its own, and some
    /// for Node.js itself, where that is given; what it says goes `through`, or is kept until it is taken.
    ///
    /// # Errors
    /// Where there is no such program.
    pub(crate) fn start(
        program: &Program,
        script: &str,
        control: &Path,
        heap_mib: Option<u64>,
        memory_bytes: Option<u64>,
        through: bool,
    ) -> io::Result<Self> {
        // Whatever its file has become: the program that runs.
        let mut command = Command::new("/proc/self/exe");
        let bound = memory_bytes.map_or(u64::MAX, |bytes| bytes.saturating_add(BESIDE_BYTES));
        command.arg(BECOME).arg(std::process::id().to_string()).arg(bound.to_string()).arg(&*program.node);
        command
            .args(heap_mib.map(|mib| format!("--max-old-space-size={mib}")))
            .arg("--enable-source-maps")
            .arg(program.scripts.join(script));
        command.env("NODEJSLET_CONTROL", control).stdin(Stdio::null());
        if !through {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        // Before there is one that could end.
        let ends = signal(SignalKind::child())?;
        Ok(Self { child: command.spawn()?, ends })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output and its standard error, where they were kept and not taken before.
    pub(crate) fn take_output(&mut self) -> [Option<OwnedFd>; 2] {
        [self.child.stdout.take().map(OwnedFd::from), self.child.stderr.take().map(OwnedFd::from)]
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended, and says how.
    pub(crate) async fn ended(&mut self) -> String {
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return described(status);
            }
            if self.ends.recv().await.is_none() {
                return "nobody knows how".to_owned();
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
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

fn described(status: ExitStatus) -> String {
    status.to_string()
}

/// What the supervisor's program does as `become-node <supervisor> <bytes> <program> …`: it has the system end this process with the
/// supervisor, however that ends, bounds its memory, and becomes the program. Comes back only where that fails.
pub(crate) fn become_node(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut next = || arguments.next().unwrap_or_default();
    let (supervisor, bytes, program) = (next(), next(), next());
    let failed = |problem: &dyn std::fmt::Display| {
        eprintln!("{} cannot be started: {problem}", program.display());
        ExitCode::from(127)
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return failed(&error);
    }
    // It may have ended before that.
    let is_supervisor = |parent: Pid| supervisor == *parent.as_raw_nonzero().to_string();
    if !getppid().is_some_and(is_supervisor) {
        return failed(&"its supervisor has ended");
    }
    let bytes = bytes.to_str().and_then(|bytes| bytes.parse().ok()).filter(|bytes| *bytes != u64::MAX);
    if let Some(bytes) = bytes
        && let Err(error) = setrlimit(Resource::Data, Rlimit { current: Some(bytes), maximum: Some(bytes) })
    {
        return failed(&error);
    }
    failed(&Command::new(&program).args(arguments).exec())
}
