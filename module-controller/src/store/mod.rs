//! Where resources are kept: one log of changes, numbered by one counter, and what it comes to.
//!
//! Every store gives the same promises. A commit is whole or nothing; once it is answered it survives `kill -9`; a document
//! that changed since it was read is not overwritten; who watches from a revision sees every later change once, in order.

mod events;
mod group;
mod lease;
mod load;
pub mod memory;
pub mod postgres;
pub mod sqlite;
mod stamp;
mod state;
mod text;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use fleet::resource::{Document, Key, Kind, Write};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

pub use events::{About, Event, MAX_TOLD, Severity, Telling, Told};
pub use memory::Memory;
pub use postgres::Postgres;
pub use sqlite::Sqlite;

/// The most bytes of one document, as JSON.
pub const MAX_BYTES: usize = 1_500_000;
/// The most writes of one commit.
pub const MAX_WRITES: usize = 1000;

/// The number of a commit: rises by at least one with each, and is the `resourceVersion` of what it wrote.
pub type Revision = u64;

/// A document as it was stored by the commit that its `resourceVersion` names.
pub type Stored = Arc<Document>;

/// Why a store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another one was there first.
    #[error("{} {key} is there already", kind.as_str())]
    Exists {
        /// Its kind.
        kind: Kind,
        /// Where it is.
        key: Key,
    },
    /// It has changed, or is gone, since it was read.
    #[error("{} {key} has changed since it was read; read it again", kind.as_str())]
    Conflict {
        /// Its kind.
        kind: Kind,
        /// Where it is, or was.
        key: Key,
    },
    /// The changes after that revision are no longer all known; list again.
    #[error("the changes after revision {asked} are not kept any more, only those after {oldest}; list again")]
    Compacted {
        /// The revision that was asked for.
        asked: Revision,
        /// The oldest one from which changes are known.
        oldest: Revision,
    },
    /// This controller does not lead, or no longer.
    #[error("another controller leads")]
    NotLeading,
    /// A document has more than [`MAX_BYTES`], or a commit more than [`MAX_WRITES`].
    #[error("too large: {0}")]
    TooLarge(String),
    /// The database failed. What was to be written is kept or not: whoever needs to know reads it again.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What a commit changed about one document.
#[derive(Debug, Clone)]
pub struct Change {
    /// The commit.
    pub revision: Revision,
    /// What it was before, where it was.
    pub before: Option<Stored>,
    /// What it is now. One that was removed is given as it last was, with the revision of the removal.
    pub after: Stored,
    /// Whether it was removed.
    pub removed: bool,
}

/// Everything of some kinds at one revision.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// By kind, then namespace, then name.
    pub documents: Vec<Stored>,
    /// The revision at which this was all there was.
    pub revision: Revision,
}

/// Changes as they come. Ends where the watcher falls too far behind; it lists again then.
pub type Watch = mpsc::Receiver<Arc<[Change]>>;

/// A reign: who holds it may order. A later reign has a higher epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reign {
    /// Its number.
    pub epoch: u64,
}

/// Where resources are kept.
pub trait Store: Send + Sync {
    /// Does all of `writes` or none. Fills in uid, creation time, generation (it rises where the spec changed or deletion began) and
    /// resource version. Removes at once what has a deletion timestamp and no finalizers; a [`Write::Delete`] of what has finalizers
    /// gives it a deletion timestamp, and removes the rest at once. With `reign`, only while that reign lasts.
    ///
    /// The answers are in the order of `writes`. It is done, or not, even where nobody waits for them.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Conflict`], [`StoreError::NotLeading`], [`StoreError::TooLarge`], and what all calls have:
    /// [`StoreError::Failed`].
    fn commit(&self, writes: Vec<Write>, reign: Option<Reign>) -> BoxFuture<'_, Result<Vec<Change>, StoreError>>;

    /// One document.
    fn get(&self, kind: Kind, key: Key) -> BoxFuture<'_, Result<Option<Stored>, StoreError>>;

    /// All documents of `kinds`, in one namespace or all.
    fn list(&self, kinds: BTreeSet<Kind>, namespace: Option<String>) -> BoxFuture<'_, Result<Listing, StoreError>>;

    /// Every change of a later revision than `after`, one message for each commit. At least the last 10,000 changes are known, and
    /// of the last five minutes up to 100,000.
    ///
    /// # Errors
    /// [`StoreError::Compacted`], also for a revision that is yet to come.
    fn watch(&self, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>>;

    /// Tells what happened, by [`Event::new`], to whoever asks: what was said before is counted. Kept beside the documents, and bounded in number
    /// (4,096) and age (an hour since it was last said).
    fn tell(&self, said: Vec<Event>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What happened of late, and what is told from there on.
    fn telling(&self) -> BoxFuture<'_, Result<Telling, StoreError>>;

    /// Takes the lead, or keeps it: with the reign it had before, or a new one where it had none or lost it. None while another leads.
    /// To be called again well within [`LEASE`].
    fn lead(&self, holder: String, address: String) -> BoxFuture<'_, Result<Option<Reign>, StoreError>>;

    /// Gives the lead back, for another to take at once.
    fn resign(&self, reign: Reign) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Where the one who leads is reached, while somebody does.
    fn leader(&self) -> BoxFuture<'_, Result<Option<String>, StoreError>>;
}

/// How long a leader that is not heard of any more keeps others from leading.
pub const LEASE: std::time::Duration = std::time::Duration::from_secs(15);
