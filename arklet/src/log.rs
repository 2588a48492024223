//! A log in a file, bounded: where it is full it is set aside, and the oldest set aside goes.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use daemon::Rotated;

/// A file that every line is appended to. It belongs to one process, which bounds it.
#[derive(Debug)]
pub(crate) struct LogFile(Mutex<Open>);

#[derive(Debug)]
struct Open {
    file: Rotated,
    /// Whether it was said that it cannot be written. It is said again after it could.
    complained: bool,
}

impl LogFile {
    /// Opens the log at `path`, after what is in it already; makes it, and the folder it is in, where they are missing.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::bounded(path, Rotated::FULL_BYTES)
    }

    fn bounded(path: &Path, full_bytes: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(Self(Mutex::new(Open { file: Rotated::open(path, full_bytes)?, complained: false })))
    }

    fn held(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.file.make_room(line).is_err() {
            // Bounded before complete: a log must not fill the disk.
            self.file.clear()?;
        }
        self.file.append(line)
    }
}

/// Takes whole lines, each in one call. Never fails: nobody who logs could do anything about it, so that is said once on standard error.
impl Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut open = self.held();
        match open.append(line) {
            Ok(()) => open.complained = false,
            Err(error) if !open.complained => {
                eprintln!("arklet: could not write the log to {}, and lines of it are lost: {error}", open.file.path().display());
                open.complained = true;
            }
            Err(_) => {}
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(folder: &Path, full_bytes: u64) -> LogFile {
        LogFile::bounded(&folder.join("logs/of/arklet.log"), full_bytes).unwrap()
    }

    fn read(folder: &Path, name: &str) -> Option<String> {
        fs::read_to_string(folder.join("logs/of").join(name)).ok()
    }

    #[test]
    fn it_goes_on_where_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        for line in ["one\n", "two\n"] {
            (&log(folder.path(), 100)).write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(read(folder.path(), "arklet.log").unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_full_file_is_set_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        // What was there before counts.
        (&log(folder.path(), 8)).write_all(b"0\n").unwrap();
        let log = log(folder.path(), 8);
        for number in 1..=20 {
            (&log).write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        let files: Vec<_> = ["arklet.log", "arklet.log.1", "arklet.log.2", "arklet.log.3"].map(|name| read(folder.path(), name)).into();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(files, [text("19\n20\n"), text("17\n18\n"), text("15\n16\n"), text("13\n14\n")]);
        assert_eq!(fs::read_dir(folder.path().join("logs/of")).unwrap().count(), 4);
    }

    #[test]
    fn a_line_that_is_longer_than_a_file_is_there_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), 4);
        (&log).write_all(b"a long line\n").unwrap();
        (&log).write_all(b"b\n").unwrap();
        assert_eq!(read(folder.path(), "arklet.log.1").unwrap(), "a long line\n");
        assert_eq!(read(folder.path(), "arklet.log").unwrap(), "b\n");
    }

    #[test]
    fn one_that_cannot_be_set_aside_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), 4);
        fs::create_dir(folder.path().join("logs/of/arklet.log.1")).unwrap();
        fs::write(folder.path().join("logs/of/arklet.log.1/in-the-way"), "").unwrap();
        fs::create_dir(folder.path().join("logs/of/arklet.log.2")).unwrap();
        fs::write(folder.path().join("logs/of/arklet.log.2/in-the-way"), "").unwrap();
        fs::write(folder.path().join("logs/of/arklet.log.3"), "").unwrap();
        (&log).write_all(b"one\n").unwrap();
        (&log).write_all(b"two\n").unwrap();
        assert_eq!(read(folder.path(), "arklet.log").unwrap(), "two\n");
    }
}
