//! A program as a process beside the test, with the log that it writes.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use crate::Error;

/// How much of a log is kept.
const KEPT_LINES: usize = 20_000;

/// A program that runs. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// Starts `command` and waits until `is_up` finds in a line of its log what says that it listens. That line is in
    /// [`Self::log`] then.
    ///
    /// # Errors
    /// Where it ends before, or has not said so after `patience`: with its log.
    pub(crate) fn start<T: Send + 'static>(
        mut command: Command,
        patience: Duration,
        is_up: impl Fn(&str) -> Option<T> + Send + 'static,
    ) -> Result<(Self, T), Error> {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let (sender, said) = mpsc::channel();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stderr, kept) = (child.stderr.take().ok_or("no stderr")?, Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let found = is_up(&line);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < KEPT_LINES {
                    kept.push(line);
                }
                drop(kept);
                if let Some(found) = found {
                    let _ = sender.send(found);
                }
            }
        });
        let program = Self { child, log };
        match said.recv_timeout(patience) {
            Ok(found) => Ok((program, found)),
            Err(_) => Err(format!("{} did not listen:\n{}", command.get_program().display(), program.log()).into()),
        }
    }

    /// What it wrote to its log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus, Error> {
        Ok(self.child.wait()?)
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
