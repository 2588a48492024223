//! A store in memory, until the real ones are there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use fleet::resource::{Document, Key, Kind, Time, Write};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::store::{Change, Listing, Reign, Revision, Store, StoreError, Stored, Watch};

/// The store.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    documents: BTreeMap<(Kind, Key), Stored>,
    log: Vec<Arc<[Change]>>,
    revision: Revision,
    watchers: Vec<mpsc::Sender<Arc<[Change]>>>,
}

fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0)))
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl Inner {
    fn one(&self, write: Write, revision: Revision) -> Result<Change, StoreError> {
        let place = match &write {
            Write::Create(document) | Write::Update(document) => (document.kind(), document.key()),
            Write::Delete { kind, key, .. } => (*kind, key.clone()),
        };
        let before = self.documents.get(&place).cloned();
        let conflict = || StoreError::Conflict { kind: place.0, key: place.1.clone() };
        let (mut after, mut removed) = match write {
            Write::Create(mut document) => {
                if before.is_some() {
                    return Err(StoreError::Exists { kind: place.0, key: place.1 });
                }
                let meta = document.meta_mut();
                meta.uid = format!("{:032x}", fastrand::u128(..));
                meta.creation_timestamp = Some(now());
                meta.generation = 1;
                (document, false)
            }
            Write::Update(mut document) => {
                let old = before.as_ref().ok_or_else(conflict)?;
                if old.meta().resource_version != document.meta().resource_version {
                    return Err(conflict());
                }
                let changed = !document.wants_the_same(old) || document.meta().is_going() != old.meta().is_going();
                document.meta_mut().generation = old.meta().generation + i64::from(changed);
                (document, false)
            }
            Write::Delete { resource_version, .. } => {
                let old = before.as_ref().filter(|old| old.meta().resource_version == resource_version).ok_or_else(conflict)?;
                let mut document = Document::clone(old);
                document.meta_mut().deletion_timestamp.get_or_insert(now());
                (document, false)
            }
        };
        removed |= after.meta().is_going() && after.meta().finalizers.is_empty();
        after.meta_mut().resource_version = revision.to_string();
        Ok(Change { revision, before, after: Arc::new(after), removed })
    }
}

impl Store for Memory {
    fn commit(&self, writes: Vec<Write>, _: Option<Reign>) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        Box::pin(async move {
            let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let revision = inner.revision + 1;
            let changes = writes.into_iter().map(|write| inner.one(write, revision)).collect::<Result<Vec<_>, _>>()?;
            inner.revision = revision;
            for change in &changes {
                let place = (change.after.kind(), change.after.key());
                if change.removed {
                    inner.documents.remove(&place);
                } else {
                    inner.documents.insert(place, Arc::clone(&change.after));
                }
            }
            let message: Arc<[Change]> = changes.clone().into();
            inner.log.push(Arc::clone(&message));
            inner.watchers.retain(|watcher| watcher.try_send(Arc::clone(&message)).is_ok());
            Ok(changes)
        })
    }

    fn get(&self, kind: Kind, key: Key) -> BoxFuture<'_, Result<Option<Stored>, StoreError>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = inner.documents.get(&(kind, key)).cloned();
        Box::pin(async move { Ok(found) })
    }

    fn list(&self, kinds: BTreeSet<Kind>, namespace: Option<String>) -> BoxFuture<'_, Result<Listing, StoreError>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(kind, key): &(Kind, Key)| kinds.contains(kind) && namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace);
        let documents = inner.documents.iter().filter(|(place, _)| of(place)).map(|(_, document)| Arc::clone(document)).collect();
        let listing = Listing { documents, revision: inner.revision };
        Box::pin(async move { Ok(listing) })
    }

    fn watch(&self, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if after > inner.revision {
            let oldest = inner.revision;
            return Box::pin(async move { Err(StoreError::Compacted { asked: after, oldest }) });
        }
        let (sender, watch) = mpsc::channel(4_096);
        for changes in inner.log.iter().filter(|changes| changes.iter().any(|change| change.revision > after)) {
            drop(sender.try_send(Arc::clone(changes)));
        }
        inner.watchers.push(sender);
        Box::pin(async move { Ok(watch) })
    }

    fn lead(&self, _: String, _: String) -> BoxFuture<'_, Result<Option<Reign>, StoreError>> {
        Box::pin(async { Ok(Some(Reign { epoch: 1 })) })
    }

    fn resign(&self, _: Reign) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn leader(&self) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        Box::pin(async { Ok(None) })
    }
}
