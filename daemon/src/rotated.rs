//! A file that is bounded: where it is full it is set aside, and the oldest set aside goes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// How many that are full are kept, as `PATH.1` (the latest) and so on.
const KEPT: u32 = 3;

/// A file that whole lines are appended to. It belongs to one process, which bounds it.
#[derive(Debug)]
pub struct Rotated {
    path: PathBuf,
    file: File,
    bytes: u64,
    full_bytes: u64,
}

impl Rotated {
    /// How large a file of ours becomes: 16 MiB.
    pub const FULL_BYTES: u64 = 16 << 20;

    /// Opens the file at `path`, after what is in it already; makes it where it is missing. It is full at `full_bytes`.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn open(path: &Path, full_bytes: u64) -> io::Result<Self> {
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        // Where it is stays the same when the process goes to another folder.
        Ok(Self { path: path.canonicalize()?, file, bytes, full_bytes })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the file aside where `line` would be too much for it.
    ///
    /// # Errors
    /// Where it cannot be renamed, or no new one made; it stays as it is then.
    pub fn make_room(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes == 0 || self.bytes.saturating_add(line.len() as u64) <= self.full_bytes {
            return Ok(());
        }
        for number in (1..KEPT).rev() {
            match fs::rename(self.aside(number), self.aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.aside(1))?;
        self.file = append(&self.path)?;
        self.bytes = 0;
        Ok(())
    }

    /// Forgets what is in the file.
    ///
    /// # Errors
    /// Where it cannot be cut.
    pub fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.bytes = 0;
        Ok(())
    }

    /// Appends `line`, full or not: see [`Rotated::make_room`].
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.bytes = self.bytes.saturating_add(line.len() as u64);
        Ok(())
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}
