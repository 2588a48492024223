//! A base as a process of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use ark_model::{State, api::ModuleView};

use crate::{Error, api::Api, bin_dir, program::Program};

/// How long whatever is waited for may take: far above what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A base that runs. It is killed when this is dropped.
pub struct Base {
    program: Program,
    /// Its API.
    pub api: Api,
    /// Where its modules answer.
    pub gateway: SocketAddr,
    data: PathBuf,
    /// Deleted with it.
    pub(crate) folder: Option<tempfile::TempDir>,
}

impl Base {
    /// Starts a base with a data directory of its own, and waits until it is ready.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start(arguments: &[&str]) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        let mut base = Self::start_in(folder.path(), arguments)?;
        base.folder = Some(folder);
        Ok(base)
    }

    /// Starts a base on the data directory `data`, and waits until it is ready.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start_in(data: &Path, arguments: &[&str]) -> Result<Self, Error> {
        let base = Self::launch(data, arguments)?;
        base.wait_ready()?;
        Ok(base)
    }

    /// Starts a base and waits only until it listens.
    ///
    /// # Errors
    /// Where it ends, or says nothing.
    pub fn launch(data: &Path, arguments: &[&str]) -> Result<Self, Error> {
        Self::launch_by(Command::new(bin_dir()?.join("arklet")), data, arguments)
    }

    /// The same, where `command` is what starts the binary.
    ///
    /// # Errors
    /// Where it ends, or says nothing.
    pub fn launch_by(mut command: Command, data: &Path, arguments: &[&str]) -> Result<Self, Error> {
        command.arg("--data-dir").arg(data);
        for (option, default) in [("--listen", "127.0.0.1:0"), ("--gateway", "127.0.0.1:0")] {
            if !arguments.contains(&option) {
                command.args([option, default]);
            }
        }
        command.args(arguments).stdout(Stdio::null());
        Self::spawn(command, data)
    }

    /// Starts `command`, which runs a base on the data directory `data`, and waits only until it listens.
    ///
    /// # Errors
    /// Where it ends, or says nothing.
    pub fn spawn(command: Command, data: &Path) -> Result<Self, Error> {
        let addresses = |line: &str| Some((field(line, "api=")?, field(line, "gateway=")?));
        let (program, (api, gateway)) = Program::start(command, PATIENCE, addresses)?;
        let api = Api::new(&format!("http://{api}"));
        Ok(Self { program, api, gateway, data: data.to_owned(), folder: None })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// Where it ends, or takes too long.
    pub fn wait_ready(&self) -> Result<(), Error> {
        self.until("the base is not ready", || Ok(matches!(self.api.get_status("/readyz"), Ok(200))))
    }

    /// Waits until its log has `part` in it: what it does may be seen before the line that says so.
    ///
    /// # Errors
    /// Where it takes too long: with the log.
    pub fn wait_log(&self, part: &str) -> Result<(), Error> {
        self.until(&format!("{part:?} is not in the log"), || Ok(self.log().contains(part)))
    }

    /// Waits until all that serves does so by its optimised build. Each is made behind the install, and takes over like any other version:
    /// by another instance, and with an end to the requests of the one before.
    ///
    /// # Errors
    /// Where it takes too long.
    pub fn settle(&self) -> Result<(), Error> {
        let is_optimised = |module: &ModuleView| module.state != State::Activated || module.build == "optimised";
        self.until("there is no optimised build", || Ok(self.api.modules()?.iter().all(is_optimised)))
    }

    /// Waits until `holds`; where that takes too long it is told what is `wrong`, with the log.
    fn until(&self, wrong: &str, holds: impl Fn() -> Result<bool, Error>) -> Result<(), Error> {
        let end = Instant::now() + PATIENCE;
        while !holds()? {
            if Instant::now() > end {
                return Err(format!("{wrong}:\n{}", self.log()).into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Whether its process still runs.
    #[must_use]
    pub fn is_alive(&mut self) -> bool {
        self.program.is_alive()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// What it wrote to its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Errors
    /// Where it does not.
    pub fn end(mut self) -> Result<std::process::ExitStatus, Error> {
        let asked = Command::new("kill").args(["-TERM", &self.program.pid().to_string()]).status()?;
        if !asked.success() {
            return Err("could not signal the base".into());
        }
        self.program.wait()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Where the operating system does not tell.
    pub fn wait(&mut self) -> Result<(), Error> {
        self.program.wait().map(drop)
    }

    /// Processor time it has used so far, user and system together.
    ///
    /// # Errors
    /// Where the operating system does not tell.
    pub fn cpu_time(&self) -> Result<Duration, Error> {
        cpu_time(self.program.pid())
    }

    /// A field of `/proc/<pid>/status` in KiB, e.g. `VmRSS:` or `RssAnon:`.
    ///
    /// # Errors
    /// Where the operating system does not tell.
    pub fn memory_kib(&self, field: &str) -> Result<u64, Error> {
        status(self.program.pid(), field)
    }
}

/// A field of `/proc/<pid>/status`, e.g. `VmRSS:`, without its unit.
///
/// # Errors
/// Where the operating system does not tell.
pub fn status(pid: u32, field: &str) -> Result<u64, Error> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    Ok(line.split_whitespace().next().ok_or("no value")?.parse()?)
}

/// Processor time that the process `pid` has used so far, user and system together.
///
/// # Errors
/// Where the operating system does not tell.
pub fn cpu_time(pid: u32) -> Result<Duration, Error> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name in brackets, which may have any character.
    let fields: Vec<&str> = stat.rsplit_once(')').ok_or("no name")?.1.split_whitespace().collect();
    let ticks = |at: usize| -> Result<u64, Error> { Ok(fields.get(at).ok_or("too few fields")?.parse()?) };
    // Fields 14 and 15 of proc(5), in hundredths of a second.
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

fn field(line: &str, name: &str) -> Option<SocketAddr> {
    line.split_whitespace().find_map(|word| word.strip_prefix(name))?.parse().ok()
}
