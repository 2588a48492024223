//! The journal as a file: one entry a line, each with its checksum, durable before anybody is told so.
//!
//! A line is the CRC-32 of the rest in eight hex digits, a space, the entry as JSON, and a line feed. Whatever follows the
//! last line that is whole was never acknowledged, and is cut off at the next start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use ark::{Desired, Entry, Journal};
use ark_model::{Failure, Reason};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

/// From this size on, the journal is summed up once it is [`SLACK`] times as long as its sum.
const COMPACT_FROM: u64 = 1 << 20;
const SLACK: u64 = 4;

/// A journal in a file, written by a thread of its own. Entries that come together share one flush.
pub struct FileJournal {
    entries: mpsc::Sender<Job>,
}

struct Job {
    entry: Entry,
    durable: oneshot::Sender<Result<(), Failure>>,
}

impl FileJournal {
    /// Opens the journal at `path`, or begins one, and says what it comes to.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn open(path: &Path) -> io::Result<(Self, Desired)> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let (desired, whole) = replay(&bytes);
        let torn = bytes.len() as u64 - whole;
        if torn > 0 {
            tracing::warn!(path = %path.display(), torn, "the journal's end was torn; what was never acknowledged is cut off");
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.set_len(whole)?;
        let mut writer = Writer { path: path.to_owned(), file, length: whole, desired: desired.clone() };
        writer.file.seek(SeekFrom::End(0))?;
        writer.compact_if_long()?;
        sync_folder(path)?;
        let (entries, jobs) = mpsc::channel();
        thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&jobs))?;
        Ok((Self { entries }, desired))
    }
}

impl Journal for FileJournal {
    fn record(&self, entry: Entry) -> BoxFuture<'static, Result<(), Failure>> {
        let (durable, done) = oneshot::channel();
        let sent = self.entries.send(Job { entry, durable });
        Box::pin(async move {
            sent.map_err(|_| lost())?;
            done.await.map_err(|_| lost())?
        })
    }
}

fn lost() -> Failure {
    Failure::new(Reason::Internal, "the journal's thread has ended; restart the base")
}

/// What the whole lines at the beginning of `bytes` come to, and how many bytes they have.
fn replay(bytes: &[u8]) -> (Desired, u64) {
    let (mut desired, mut whole) = (Desired::default(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(entry) = entry_of(line) else { break };
        desired.apply(entry);
        whole += line.len() as u64;
    }
    (desired, whole)
}

fn entry_of(line: &[u8]) -> Option<Entry> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = line.split_at_checked(8)?;
    let json = json.strip_prefix(b" ")?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (crc32fast::hash(json) == sum).then(|| serde_json::from_slice(json).ok())?
}

fn line_of(entry: &Entry) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(entry)?;
    let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

struct Writer {
    path: PathBuf,
    file: File,
    length: u64,
    desired: Desired,
}

impl Writer {
    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let batch: Vec<Job> = std::iter::once(first).chain(jobs.try_iter()).collect();
            let outcome = self.write(&batch).map_err(|error| self.failed(&error));
            if outcome.is_ok() {
                for job in &batch {
                    self.desired.apply(job.entry.clone());
                }
            }
            for job in batch {
                // Nobody may wait for it.
                let _ = job.durable.send(outcome.clone());
            }
            if let Err(error) = self.compact_if_long() {
                tracing::warn!(%error, "the journal could not be summed up; it goes on as it is");
            }
        }
    }

    fn write(&mut self, batch: &[Job]) -> io::Result<()> {
        let mut lines = Vec::new();
        for job in batch {
            lines.extend_from_slice(&line_of(&job.entry)?);
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // A half-written line must not stand before a whole one.
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
        } else {
            self.length += lines.len() as u64;
        }
        written
    }

    fn compact_if_long(&mut self) -> io::Result<()> {
        if self.length < COMPACT_FROM {
            return Ok(());
        }
        let line = line_of(&Entry::Snapshot(Box::new(self.desired.clone())))?;
        if self.length < SLACK * line.len() as u64 {
            return Ok(());
        }
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&line)?;
        file.sync_data()?;
        fs::rename(&beside, &self.path)?;
        sync_folder(&self.path)?;
        (self.file, self.length) = (file, line.len() as u64);
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> Failure {
        let reason = if error.kind() == io::ErrorKind::StorageFull { Reason::DiskFull } else { Reason::Internal };
        Failure::new(reason, format!("could not write to the journal at {}: {error}; make room, or check the disk", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use ark::Wanted;
    use ark_model::{Fence, InstallOrder, ModuleId};

    use super::*;

    fn entries(count: u64) -> Vec<Entry> {
        (0..count)
            .flat_map(|seq| {
                let id = ModuleId::new("a", format!("{seq}")).unwrap();
                let order = InstallOrder { id: Some(id.clone()), url: "file:///x".to_owned(), ..InstallOrder::default() };
                let wanted = Wanted { id, order: order.clone(), priority: 100, active: true };
                [Entry::Ordered { seq, order: Box::new(order) }, Entry::Installed { seq, wanted: Box::new(wanted), removed: Vec::new() }]
            })
            .collect()
    }

    fn comes_to(entries: &[Entry]) -> Desired {
        let mut desired = Desired::default();
        entries.iter().cloned().for_each(|entry| desired.apply(entry));
        desired
    }

    async fn record(journal: &FileJournal, entries: &[Entry]) {
        for entry in entries {
            journal.record(entry.clone()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_was_recorded_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let entries = entries(3);
        record(&FileJournal::open(&path).unwrap().0, &entries).await;
        assert_eq!(FileJournal::open(&path).unwrap().1, comes_to(&entries));
    }

    #[tokio::test]
    async fn a_journal_torn_at_any_byte_comes_to_its_whole_entries_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let entries = entries(3);
        record(&FileJournal::open(&path).unwrap().0, &entries).await;
        let bytes = fs::read(&path).unwrap();
        for end in 0..bytes.len() {
            fs::write(&path, &bytes[..end]).unwrap();
            let whole = bytes[..end].iter().filter(|byte| **byte == b'\n').count();
            let (journal, desired) = FileJournal::open(&path).unwrap();
            assert_eq!(desired, comes_to(&entries[..whole]), "torn at byte {end}");
            record(&journal, &entries[whole..]).await;
            drop(journal);
            assert_eq!(FileJournal::open(&path).unwrap().1, comes_to(&entries), "after a tear at byte {end}");
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_journal_before_its_line() {
        let lines: Vec<Vec<u8>> = entries(2).iter().map(|entry| line_of(entry).unwrap()).collect();
        let bytes = lines.concat();
        for at in lines[0].len()..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let (_, whole) = replay(&damaged);
            assert!(whole as usize <= at && whole as usize >= lines[0].len(), "flipped at {at}, read {whole}");
        }
    }

    #[tokio::test]
    async fn a_long_journal_is_summed_up_and_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, _) = FileJournal::open(&path).unwrap();
        let id = ModuleId::new("a", "1").unwrap();
        let order = InstallOrder { url: "x".repeat(8 << 10), ..InstallOrder::default() };
        let fence = Fence { epoch: 3, generation: 7 };
        record(&journal, &[Entry::Fenced { name: "a".to_owned(), fence }]).await;
        for seq in 0..200 {
            record(&journal, &[Entry::Ordered { seq, order: Box::new(order.clone()) }, Entry::Failed { seq }]).await;
        }
        record(&journal, &[Entry::Removed { id }]).await;
        drop(journal);
        assert!(fs::metadata(&path).unwrap().len() < COMPACT_FROM);
        let desired = FileJournal::open(&path).unwrap().1;
        assert_eq!((desired.next_seq, desired.fences.of("a")), (200, fence));
    }
}
