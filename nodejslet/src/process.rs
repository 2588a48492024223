//! A process of Node.js: bound to the life of the base and to a bound of its memory by the system itself, ended for good when it is
//! dropped.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
};

use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getppid, kill_process, pidfd_open, set_parent_process_death_signal, setrlimit,
};
use tokio::io::{Interest, unix::AsyncFd};

/// The first argument of a program that is to become a process of Node.js.
pub const BECOME: &str = "become-node";
/// What the system counts of a process beyond its heap and its buffers: stacks of threads, and what Node.js has without running anything.
const BESIDE_BYTES: u64 = 160 << 20;

/// What processes are started from.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// What becomes it, by [`become_node`].
    pub(crate) launcher: Arc<Path>,
    /// The `node` to run.
    pub(crate) node: Arc<Path>,
    /// The folder with our scripts, and of our sockets.
    pub(crate) folder: Arc<Path>,
    /// The environment of the base.
    pub(crate) environment: Arc<BTreeMap<String, String>>,
}

pub(crate) struct Process {
    child: Child,
    /// Tells when it has ended. Not by a signal: inside an application's process those are the application's.
    end: AsyncFd<OwnedFd>,
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
        let mut command = Command::new(&*program.launcher);
        let bound = memory_bytes.map_or(u64::MAX, |bytes| bytes.saturating_add(BESIDE_BYTES));
        command.arg(BECOME).arg(std::process::id().to_string()).arg(bound.to_string()).arg(&*program.node);
        command
            .args(heap_mib.map(|mib| format!("--max-old-space-size={mib}")))
            .arg("--enable-source-maps")
            .arg(program.folder.join(script));
        command.env_clear().envs(&*program.environment).env("NODEJSLET_CONTROL", control).stdin(Stdio::null());
        if !through {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mut child = command.spawn()?;
        match end_of(&child) {
            Ok(end) => Ok(Self { child, end }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
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
        let _ = self.end.readable().await;
        match self.child.try_wait() {
            Ok(Some(status)) => status.to_string(),
            Ok(None) | Err(_) => "nobody knows how".to_owned(),
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

/// What can be read as soon as the process has ended.
#[expect(deprecated, reason = "what it warns of cannot be: an `OwnedFd` is the same descriptor for as long as it lives")]
fn end_of(child: &Child) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd_open(Pid::from_child(child), PidfdFlags::NONBLOCK)?, Interest::READABLE)
}

/// What a launcher does as [`BECOME`]` <base> <bytes> <program> …`, given what stands behind the first: it has the system end this process with
/// its base, however that ends, bounds its memory, and becomes the program. Comes back only where that fails.
pub fn become_node(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut next = || arguments.next().unwrap_or_default();
    let (base, bytes, program) = (next(), next(), next());
    let failed = |problem: &dyn std::fmt::Display| {
        eprintln!("{} cannot be started: {problem}", program.display());
        ExitCode::from(127)
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return failed(&error);
    }
    // It may have ended before that.
    let is_base = |parent: Pid| base == *parent.as_raw_nonzero().to_string();
    if !getppid().is_some_and(is_base) {
        return failed(&"its base has ended");
    }
    let bytes = bytes.to_str().and_then(|bytes| bytes.parse().ok()).filter(|bytes| *bytes != u64::MAX);
    if let Some(bytes) = bytes
        && let Err(error) = setrlimit(Resource::Data, Rlimit { current: Some(bytes), maximum: Some(bytes) })
    {
        return failed(&error);
    }
    failed(&Command::new(&program).args(arguments).exec())
}
