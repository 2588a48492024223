//! What is stored, as it is held in memory: every document, the latest changes, and who watches. Reads go here and nowhere else, so
//! that none waits for a disk or keeps a writer waiting.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use fleet::resource::{Key, Kind, Time};
use tokio::sync::mpsc;

use super::{Change, Event, Listing, Revision, StoreError, Stored, Watch, events::Chronicle};

/// The most changes that are kept for those who watch.
const MOST_CHANGES: usize = 100_000;
/// So many are kept however old they are.
const LEAST_CHANGES: usize = 10_000;
/// How long more than the least are kept, in milliseconds.
const KEPT: u64 = 5 * 60 * 1000;
/// How many commits a watcher may be behind.
const BEHIND: usize = 1024;

/// A commit that was made.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    /// When.
    pub(super) at: Time,
    /// What it changed; never nothing.
    pub(super) changes: Arc<[Change]>,
}

impl Commit {
    /// Its number.
    pub(super) fn revision(&self) -> Revision {
        self.changes.first().map_or(0, |change| change.revision)
    }
}

/// Up to where nothing is kept any more.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Oldest {
    /// All changes after this revision are.
    pub(super) change: Revision,
    /// All events after this telling are.
    pub(super) event: Revision,
}

/// What is stored.
#[derive(Debug)]
pub(super) struct State {
    documents: BTreeMap<Kind, BTreeMap<Key, Stored>>,
    revision: Revision,
    /// The commits after `oldest`, all of them.
    log: VecDeque<Commit>,
    logged: usize,
    oldest: Revision,
    watchers: Vec<mpsc::Sender<Arc<[Change]>>>,
    events: Chronicle,
}

impl Default for State {
    fn default() -> Self {
        Self::new(EMPTY, 0, std::iter::empty(), Chronicle::default())
    }
}

/// The revision of a store to which nothing was written yet. Not 0, which clients of Kubernetes understand as "any".
pub(super) const EMPTY: Revision = 1;

impl State {
    /// What was stored at `revision`, with no change known but those after `oldest` that are yet to be told by [`Self::remember`].
    pub(super) fn new(revision: Revision, oldest: Revision, documents: impl Iterator<Item = Stored>, events: Chronicle) -> Self {
        let mut kinds: BTreeMap<Kind, BTreeMap<Key, Stored>> = BTreeMap::new();
        for document in documents {
            kinds.entry(document.kind()).or_default().insert(document.key(), document);
        }
        Self { documents: kinds, revision, log: VecDeque::new(), logged: 0, oldest, watchers: Vec::new(), events }
    }

    /// The latest commit.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Up to where nothing is kept any more.
    pub(super) fn oldest(&self) -> Oldest {
        Oldest { change: self.oldest, event: self.events.oldest() }
    }

    /// The events.
    pub(super) fn events(&self) -> &Chronicle {
        &self.events
    }

    /// Takes in what was told at `now`. What is known already is passed over.
    pub(super) fn tell(&mut self, told: impl IntoIterator<Item = Arc<Event>>, now: Time) {
        self.events.take(told, now);
    }

    /// One document.
    pub(super) fn get(&self, kind: Kind, key: &Key) -> Option<&Stored> {
        self.documents.get(&kind)?.get(key)
    }

    /// All documents of some kinds.
    pub(super) fn list(&self, kinds: &BTreeSet<Kind>, namespace: Option<&str>) -> Listing {
        let mut documents = Vec::new();
        for kind in kinds.iter().filter_map(|kind| self.documents.get(kind)) {
            match namespace {
                None => documents.extend(kind.values().cloned()),
                Some(namespace) => {
                    let theirs = kind.range(Key::new(namespace, "")..).take_while(|(key, _)| key.namespace == namespace);
                    documents.extend(theirs.map(|(_, document)| document.clone()));
                }
            }
        }
        Listing { documents, revision: self.revision }
    }

    /// Takes in what was committed, in order, and tells it to those who watch. What is known already is passed over.
    pub(super) fn apply(&mut self, commits: impl IntoIterator<Item = Commit>) {
        for commit in commits {
            if commit.revision() <= self.revision {
                continue;
            }
            for change in commit.changes.iter() {
                let kind = self.documents.entry(change.after.kind()).or_default();
                if change.removed {
                    kind.remove(&change.after.key());
                } else {
                    kind.insert(change.after.key(), change.after.clone());
                }
            }
            self.revision = commit.revision();
            // Who does not keep up is dropped, and thereby told.
            self.watchers.retain(|watcher| watcher.try_send(commit.changes.clone()).is_ok());
            self.remember(commit);
        }
    }

    /// Keeps a commit for those who watch from before it, and lets go of the oldest.
    pub(super) fn remember(&mut self, commit: Commit) {
        let now = commit.at.0;
        self.logged += commit.changes.len();
        self.log.push_back(commit);
        while let Some(first) = self.log.front() {
            let old = now.saturating_sub(first.at.0) > KEPT;
            if self.logged <= LEAST_CHANGES || (!old && self.logged <= MOST_CHANGES) {
                break;
            }
            self.oldest = first.revision();
            self.logged -= first.changes.len();
            self.log.pop_front();
        }
    }

    /// Every change after that revision.
    pub(super) fn watch(&mut self, after: Revision) -> Result<Watch, StoreError> {
        // One from the future was given by a store that is no more.
        if after < self.oldest || after > self.revision {
            return Err(StoreError::Compacted { asked: after, oldest: self.oldest });
        }
        let missed = self.log.partition_point(|commit| commit.revision() <= after);
        let (sender, receiver) = mpsc::channel(self.log.len() - missed + BEHIND);
        for commit in self.log.range(missed..) {
            let _ = sender.try_send(commit.changes.clone());
        }
        self.watchers.retain(|watcher| !watcher.is_closed());
        self.watchers.push(sender);
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests {
    use fleet::resource::{Base, Document, Meta};

    use super::*;

    fn commit(revision: Revision, at: u64, changes: usize) -> Commit {
        let meta = |name: usize| Meta { name: name.to_string(), resource_version: revision.to_string(), ..Meta::default() };
        let document = |name| Stored::new(Document::Base(Base { metadata: meta(name), ..Base::default() }));
        let change = |name| Change { revision, before: None, after: document(name), removed: false };
        Commit { at: Time(at), changes: (0..changes).map(change).collect() }
    }

    #[test]
    fn the_latest_changes_are_kept_and_the_young_ones_up_to_a_bound() {
        let mut state = State::default();
        state.apply((2..=31).map(|revision| commit(revision, 0, 1000)));
        assert_eq!((state.logged, state.oldest), (30_000, 0), "all are young");
        state.apply([commit(32, KEPT + 1, 1000)]);
        assert_eq!((state.logged, state.oldest), (LEAST_CHANGES, 22), "the latest are kept, old as they are");
        state.apply((33..=200).map(|revision| commit(revision, KEPT + 1, 1000)));
        assert_eq!((state.logged, state.oldest), (MOST_CHANGES, 100), "young ones go as well beyond the bound");
        assert!(matches!(state.watch(99), Err(StoreError::Compacted { asked: 99, oldest: 100 })));
        assert!(state.watch(100).is_ok() && state.watch(200).is_ok() && state.watch(201).is_err());
    }

    #[test]
    fn what_is_known_already_is_told_once() {
        let mut state = State::default();
        let mut watch = state.watch(0).unwrap();
        state.apply([commit(2, 0, 1), commit(3, 0, 1)]);
        state.apply([commit(3, 0, 1), commit(4, 0, 1)]);
        let told: Vec<_> = std::iter::from_fn(|| watch.try_recv().ok()).map(|changes| changes[0].revision).collect();
        assert_eq!(told, [2, 3, 4]);
    }

    #[test]
    fn who_watches_no_more_is_forgotten() {
        let mut state = State::default();
        for _ in 0..10 {
            drop(state.watch(1));
        }
        let _watch = state.watch(1);
        assert_eq!(state.watchers.len(), 1);
    }
}
