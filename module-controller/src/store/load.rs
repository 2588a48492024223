//! What a database has, read back into memory. A version of a document that stands in it several times is read once.

use std::collections::HashMap;

use fleet::resource::{Key, Kind, Time};

use super::{
    Change, Revision, StoreError, Stored,
    events::{self, Chronicle},
    memory::now,
    state::{Commit, State},
    text,
};

/// A row of the log of changes.
#[derive(Debug)]
pub(super) struct Row {
    /// The commit.
    pub(super) revision: Revision,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(super) at: u64,
    /// The name of the document's kind.
    pub(super) kind: String,
    /// Where it is found.
    pub(super) key: Key,
    /// The version before, where there was one.
    pub(super) previous: Option<Revision>,
    /// Its text.
    pub(super) before: Option<String>,
    /// The text since.
    pub(super) after: String,
    /// Whether it was removed.
    pub(super) removed: bool,
}

/// Versions of documents that were read already.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<(Kind, Key, Revision), Stored>);

impl Known {
    /// A document as it stands in its table.
    pub(super) fn document(&mut self, kind: Kind, text: &str) -> Result<Stored, StoreError> {
        let document = Stored::new(text::read(kind, text)?);
        let revision = document.meta().resource_version.parse().map_err(|_| StoreError::Failed(format!("{kind:?} has no revision")))?;
        self.0.insert((kind, document.key(), revision), document.clone());
        Ok(document)
    }

    fn version(&mut self, kind: Kind, key: &Key, revision: Revision, text: &str) -> Result<Stored, StoreError> {
        match self.0.get(&(kind, key.clone(), revision)) {
            Some(document) => Ok(document.clone()),
            None => self.document(kind, text),
        }
    }

    /// The commits that rows, in order, are of.
    pub(super) fn commits(&mut self, rows: impl IntoIterator<Item = Row>) -> Result<Vec<Commit>, StoreError> {
        let mut commits: Vec<(Time, Vec<Change>)> = Vec::new();
        for row in rows {
            let kind = text::kind(&row.kind)?;
            let before = match (row.previous, &row.before) {
                (Some(previous), Some(text)) => Some(self.version(kind, &row.key, previous, text)?),
                (None, _) | (_, None) => None,
            };
            // One that was removed has the number of the removal, and with it whatever the same commit made in its place.
            let after = match row.removed {
                true => Stored::new(text::read(kind, &row.after)?),
                false => self.version(kind, &row.key, row.revision, &row.after)?,
            };
            let change = Change { revision: row.revision, before, after, removed: row.removed };
            match commits.last_mut() {
                Some((_, changes)) if changes.first().is_some_and(|first| first.revision == row.revision) => changes.push(change),
                _ => commits.push((Time(row.at), vec![change])),
            }
        }
        Ok(commits.into_iter().map(|(at, changes)| Commit { at, changes: changes.into() }).collect())
    }
}

/// The version of a document that a change followed.
pub(super) fn previous(change: &Change) -> Option<Revision> {
    change.before.as_ref().and_then(|before| before.meta().resource_version.parse().ok())
}

/// The numbers that a database has of all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counters {
    /// The latest commit.
    pub(super) revision: Revision,
    /// All changes after this one are kept.
    pub(super) oldest: Revision,
    /// The latest telling of an event.
    pub(super) told: Revision,
}

/// All that a database has: documents by the name of their kind, changes, and events by their last telling, in order.
pub(super) fn state(
    counters: Counters,
    documents: impl IntoIterator<Item = (String, String)>,
    changes: impl IntoIterator<Item = Row>,
    events: impl IntoIterator<Item = (Revision, String)>,
) -> Result<State, StoreError> {
    let mut known = Known::default();
    let documents = documents.into_iter().map(|(kind, text)| known.document(text::kind(&kind)?, &text)).collect::<Result<Vec<_>, _>>()?;
    let events = events.into_iter().map(|(revision, text)| events::read(revision, &text)).collect::<Result<Vec<_>, _>>()?;
    let Counters { revision, oldest, told } = counters;
    let mut state = State::new(revision, oldest, documents.into_iter(), Chronicle::new(told, events, now()));
    for commit in known.commits(changes)? {
        state.remember(commit);
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use fleet::resource::{Base, Document, Meta};

    use super::*;

    #[test]
    fn what_takes_the_place_of_another_in_one_commit_is_told_from_it() {
        let row = |drain: bool, removed: bool| {
            let metadata = Meta { name: "b".into(), namespace: "ns".into(), resource_version: "13".into(), ..Meta::default() };
            let mut base = Base { metadata, ..Base::default() };
            base.spec.drain = drain;
            let (key, after) = (base.metadata.key(), text::write(&Document::Base(base)).unwrap());
            Row { revision: 13, at: 0, kind: "Base".into(), key, previous: None, before: None, after, removed }
        };
        let commits = Known::default().commits([row(true, true), row(false, false)]).unwrap();
        let [commit] = commits.as_slice() else { panic!("{commits:?}") };
        let drains: Vec<_> =
            commit.changes.iter().map(|change| matches!(&*change.after, Document::Base(base) if base.spec.drain)).collect();
        assert_eq!(drains, [true, false]);
    }
}
