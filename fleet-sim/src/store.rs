//! The store: documents, one counter, and what was written last.

use std::{collections::BTreeMap, sync::Arc};

use fleet::{
    Controller,
    resource::{Document, Key, Kind, Meta, Time, Write},
};

/// Every document, by kind and key. It raises generations and ends what has no finalizer left as the program's own store does.
#[derive(Debug, Default)]
pub struct Store {
    documents: BTreeMap<(Kind, Key), Arc<Document>>,
    revision: u64,
}

/// A document as it is now, or was before it was removed.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) document: Arc<Document>,
    pub(crate) revision: u64,
    pub(crate) removed: bool,
}

impl Change {
    /// Lets a controller know.
    pub(crate) fn tell(&self, controller: &mut Controller) {
        if self.removed {
            controller.removed(self.document.kind(), &self.document.key(), self.revision);
        } else {
            controller.stored(Arc::clone(&self.document));
        }
    }
}

/// The commit that made a document.
pub(crate) fn created(meta: &Meta) -> u64 {
    meta.uid.strip_prefix("uid-").and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

impl Store {
    /// Writes, all or nothing, and lets `controller` know. Says whether it was written: not where something has changed meanwhile.
    pub fn carry_out(&mut self, writes: Vec<Write>, controller: &mut Controller, now: Time) -> bool {
        let Some(changes) = self.commit(writes, now) else { return false };
        changes.iter().for_each(|change| change.tell(controller));
        true
    }

    /// All or nothing; none where something has changed meanwhile.
    pub(crate) fn commit(&mut self, writes: Vec<Write>, now: Time) -> Option<Vec<Change>> {
        let fits = |write: &Write| match write {
            Write::Create(document) => !self.documents.contains_key(&(document.kind(), document.key())),
            Write::Update(document) => self.is_at(document.kind(), &document.key(), &document.meta().resource_version),
            Write::Delete { kind, key, resource_version } => self.is_at(*kind, key, resource_version),
        };
        if !writes.iter().all(fits) {
            return None;
        }
        self.revision += 1;
        Some(writes.into_iter().filter_map(|write| self.write(write, now)).collect())
    }

    fn is_at(&self, kind: Kind, key: &Key, version: &str) -> bool {
        self.documents.get(&(kind, key.clone())).is_some_and(|document| document.meta().resource_version == version)
    }

    fn write(&mut self, write: Write, now: Time) -> Option<Change> {
        let revision = self.revision;
        let (mut document, before) = match write {
            Write::Create(mut document) => {
                document.meta_mut().uid = format!("uid-{revision}");
                document.meta_mut().creation_timestamp = Some(now);
                document.meta_mut().generation = 1;
                (document, None)
            }
            Write::Update(document) => {
                let before = self.documents.get(&(document.kind(), document.key())).cloned();
                (document, before)
            }
            Write::Delete { kind, key, .. } => {
                let with_finalizers = self.documents.get(&(kind, key.clone())).filter(|document| !document.meta().finalizers.is_empty());
                if let Some(document) = with_finalizers {
                    let mut document = (**document).clone();
                    document.meta_mut().deletion_timestamp.get_or_insert(now);
                    return self.write(Write::Update(document), now);
                }
                let document = self.documents.remove(&(kind, key))?;
                return Some(Change { document, revision, removed: true });
            }
        };
        if let Some(before) = before {
            let begins_to_go = document.meta().is_going() && !before.meta().is_going();
            document.meta_mut().generation = before.meta().generation + i64::from(begins_to_go || !document.wants_the_same(&before));
        }
        document.meta_mut().resource_version = revision.to_string();
        let (place, document) = ((document.kind(), document.key()), Arc::new(document));
        let removed = document.meta().is_going() && document.meta().finalizers.is_empty();
        if removed {
            self.documents.remove(&place);
        } else {
            self.documents.insert(place, Arc::clone(&document));
        }
        Some(Change { document, revision, removed })
    }

    pub(crate) fn get(&self, kind: Kind, key: &Key) -> Option<&Arc<Document>> {
        self.documents.get(&(kind, key.clone()))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.documents.values()
    }
}
