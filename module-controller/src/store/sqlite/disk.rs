//! The file, and the lock on its folder.

use std::{
    fs::{DirBuilder, File, TryLockError},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use fleet::resource::Key;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};

use crate::store::{
    Revision, StoreError, events,
    group::Group,
    load::{self, Counters, Row},
    state::{Oldest, State},
};

/// The database.
const FILE: &str = "fleet.db";
/// Locked by the process that has the folder.
const LOCK: &str = "lock";
/// How long a program that reads the file beside us, a backup, may keep us waiting.
const BUSY: Duration = Duration::from_secs(5);

/// What brings a file of each version, from 0, to the next.
const MIGRATIONS: [&str; 2] = [include_str!("1.sql"), include_str!("2.sql")];

/// An open database.
pub(super) struct Disk {
    pub(super) connection: Connection,
    file: PathBuf,
    forgotten: Oldest,
    /// Last, so that the folder is free only once the file is closed.
    _lock: Lock,
}

impl Disk {
    pub(super) fn open(data: &Path) -> Result<Self, StoreError> {
        let cannot = |place: &Path, error: &dyn std::fmt::Display| StoreError::Failed(format!("{}: {error}", place.display()));
        // Documents may have passwords in them, in a module's environment.
        DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|error| cannot(data, &error))?;
        let lock = lock(&data.join(LOCK))?;
        let file = data.join(FILE);
        let connection = Connection::open(&file).map_err(|error| failed(&file, &error))?;
        let mut disk = Self { connection, file, forgotten: Oldest::default(), _lock: lock };
        disk.prepare().map_err(|error| failed(&disk.file, &error))?;
        disk.check()?;
        disk.migrate()?;
        Ok(disk)
    }

    fn prepare(&mut self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(BUSY)?;
        // A commit is on the disk when it returns, not only with the operating system, nor only in the disk's own memory (macOS).
        self.connection.pragma_update(None, "journal_mode", "wal")?;
        self.connection.pragma_update(None, "synchronous", "full")?;
        self.connection.pragma_update(None, "fullfsync", true)?;
        self.connection.pragma_update(None, "journal_size_limit", 64 << 20)
    }

    /// Refuses a damaged file, before anything of it is believed.
    fn check(&self) -> Result<(), StoreError> {
        let found: String =
            self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|error| failed(&self.file, &error))?;
        if found == "ok" { Ok(()) } else { Err(damaged(&self.file, &found)) }
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let failed = |error: rusqlite::Error| failed(&self.file, &error);
        let version: usize = self.connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        let Some(steps) = MIGRATIONS.get(version..) else {
            let (file, known) = (self.file.display(), MIGRATIONS.len());
            return Err(StoreError::Failed(format!(
                "{file} has version {version}, this controller knows those up to {known}: use a later one"
            )));
        };
        for (step, version) in steps.iter().zip(version + 1..) {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            transaction.execute_batch(step).map_err(failed)?;
            transaction.pragma_update(None, "user_version", version).map_err(failed)?;
            transaction.commit().map_err(failed)?;
        }
        Ok(())
    }

    /// All that there is, and the latest epoch.
    pub(super) fn load(&self) -> Result<(State, u64), StoreError> {
        let failed = |error: rusqlite::Error| failed(&self.file, &error);
        let (counters, epoch) = self
            .connection
            .query_row("SELECT revision, compacted, told, epoch FROM fleet", [], |row| {
                Ok((Counters { revision: row.get(0)?, oldest: row.get(1)?, told: row.get(2)? }, row.get(3)?))
            })
            .map_err(failed)?;
        let documents = self.all("SELECT kind, document FROM documents", |row| Ok((row.get(0)?, row.get(1)?)))?;
        let changes = self.all(
            "SELECT kind, revision, at, namespace, name, previous, before, after, removed FROM changes
             WHERE revision > (SELECT compacted FROM fleet) ORDER BY revision, position",
            |row| {
                Ok(Row {
                    kind: row.get(0)?,
                    revision: row.get(1)?,
                    at: row.get(2)?,
                    key: Key::new(row.get::<_, String>(3)?, row.get::<_, String>(4)?),
                    previous: row.get(5)?,
                    before: row.get(6)?,
                    after: row.get(7)?,
                    removed: row.get(8)?,
                })
            },
        )?;
        let events = self.all("SELECT revision, event FROM events ORDER BY revision", |row| Ok((row.get(0)?, row.get(1)?)))?;
        let state = load::state(counters, documents, changes, events);
        Ok((state.map_err(|error| damaged(&self.file, &error))?, epoch))
    }

    fn all<T>(&self, query: &str, read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>, StoreError> {
        fn rows<T>(
            connection: &Connection,
            query: &str,
            read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
        ) -> rusqlite::Result<Vec<T>> {
            connection.prepare(query)?.query_map([], read)?.collect()
        }
        rows(&self.connection, query, read).map_err(|error| failed(&self.file, &error))
    }

    /// Writes what a group comes to, and forgets what is as old as `oldest`. All of it is on the disk when this returns, or nothing.
    pub(super) fn keep(&mut self, group: &Group, oldest: Oldest) -> Result<(), StoreError> {
        let told = group.told.iter().map(|event| Ok((event.revision, event.name.as_str(), events::write(event)?)));
        let told = told.collect::<Result<Vec<_>, StoreError>>()?;
        let compact = (oldest.change > self.forgotten.change).then_some(oldest.change);
        let forget = (oldest.event > self.forgotten.event).then_some(oldest.event);
        let failed = |error: rusqlite::Error| failed(&self.file, &error);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        write(&transaction, group, compact).map_err(failed)?;
        tell(&transaction, &told, forget).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.forgotten = oldest;
        Ok(())
    }
}

fn write(transaction: &Transaction<'_>, group: &Group, compact: Option<Revision>) -> rusqlite::Result<()> {
    {
        let mut log = transaction.prepare(
            "INSERT INTO changes SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7,
             (SELECT document FROM documents WHERE kind = ?4 AND namespace = ?5 AND name = ?6), ?8, ?9",
        )?;
        let mut put = transaction.prepare("INSERT OR REPLACE INTO documents VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        let mut remove = transaction.prepare("DELETE FROM documents WHERE kind = ?1 AND namespace = ?2 AND name = ?3")?;
        for written in &group.commits {
            for (position, (change, text)) in written.commit.changes.iter().zip(&written.texts).enumerate() {
                let (kind, meta, previous) = (change.after.kind().as_str(), change.after.meta(), load::previous(change));
                let (namespace, name, at) = (&meta.namespace, &meta.name, written.commit.at.0);
                log.execute(params![change.revision, position, at, kind, namespace, name, previous, text, change.removed])?;
                if change.removed {
                    remove.execute(params![kind, namespace, name])?;
                } else {
                    put.execute(params![kind, namespace, name, change.revision, meta.uid, text])?;
                }
            }
        }
    }
    if let Some(last) = group.commits.last() {
        transaction.execute("UPDATE fleet SET revision = ?1", [last.commit.revision()])?;
    }
    transaction.execute("UPDATE fleet SET epoch = ?1", [group.lease.epoch])?;
    if let Some(oldest) = compact {
        transaction.execute("DELETE FROM changes WHERE revision <= ?1", [oldest])?;
        transaction.execute("UPDATE fleet SET compacted = ?1", [oldest])?;
    }
    Ok(())
}

fn tell(transaction: &Transaction<'_>, told: &[(Revision, &str, String)], forget: Option<Revision>) -> rusqlite::Result<()> {
    for (revision, name, text) in told {
        transaction.execute("INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3)", params![name, revision, text])?;
    }
    if let Some((last, ..)) = told.last() {
        transaction.execute("UPDATE fleet SET told = ?1", [last])?;
    }
    if let Some(oldest) = forget {
        transaction.execute("DELETE FROM events WHERE revision <= ?1", [oldest])?;
    }
    Ok(())
}

/// The lock on the folder. Given back in so many words: a process that is being started at this moment has the file open as well, and
/// would hold the lock on.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Where it cannot be given back, it goes with the file.
        let _ = self.0.unlock();
    }
}

fn lock(place: &Path) -> Result<Lock, StoreError> {
    let failed = |why: &dyn std::fmt::Display| StoreError::Failed(format!("{}: {why}", place.display()));
    let file = File::options().create(true).truncate(false).write(true).open(place).map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(failed(&"locked by another controller that uses this folder")),
        Err(TryLockError::Error(error)) => Err(failed(&error)),
    }
}

fn damaged(file: &Path, what: &dyn std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("{} is damaged, and was left as it is: {what}", file.display()))
}

fn failed(file: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(file, error),
        Some(ErrorCode::DiskFull) => StoreError::Failed(format!("{}: the disk is full; what is stored is untouched", file.display())),
        _ => StoreError::Failed(format!("{}: {error}", file.display())),
    }
}
