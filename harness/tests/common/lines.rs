//! The command line on a base, and what programs say, line by line.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use harness::{base::Base, bin_dir};

pub(crate) fn arkctl(base: &Base, arguments: &[&str]) -> Command {
    let mut command = Command::new(bin_dir().unwrap().join("arkctl"));
    command.args(["--base", base.api.url()]).args(arguments).stdin(Stdio::null()).env_remove("ARKCTL_TOKEN");
    command
}

/// The lines of a stream as they come.
pub(crate) fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (line, lines) = channel();
    thread::spawn(move || {
        for text in BufReader::new(stream).lines().map_while(Result::ok) {
            if line.send(text).is_err() {
                return;
            }
        }
    });
    lines
}

/// Saves a file in one step: whoever watches it sees no half of it.
pub(crate) fn save(file: &Path, text: &str) {
    let saved = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&saved, text).unwrap();
    saved.persist(file).unwrap();
}
