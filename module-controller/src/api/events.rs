//! What happened to resources of late, for people to read: a bounded list in memory, where what repeats is counted.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use fleet::resource::{API_VERSION, Document, Time};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;

/// The most that are kept. The one that was not heard of for longest goes first.
const KEPT: usize = 4_096;
/// How many changes a watcher may be behind.
const BEHIND: usize = 1_024;

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It is.
    Normal,
    /// Somebody should look at it.
    Warning,
}

impl Severity {
    /// As `type` says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// One thing that happened, once or again and again.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// Of `involvedObject`: kind, name, uid.
    pub(crate) about: (&'static str, String, String),
    pub(crate) severity: Severity,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) first: Time,
    pub(crate) last: Time,
    pub(crate) count: u64,
    pub(crate) revision: u64,
}

impl Event {
    /// As an `Event` of the core group.
    pub(crate) fn write(&self) -> Value {
        let (kind, name, uid) = &self.about;
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {
                "name": self.name, "namespace": self.namespace, "uid": self.name, "resourceVersion": self.revision.to_string(),
                "creationTimestamp": seconds(self.first),
            },
            "involvedObject": {"apiVersion": API_VERSION, "kind": kind, "name": name, "namespace": self.namespace, "uid": uid},
            "reason": self.reason, "message": self.message, "type": self.severity.as_str(), "count": self.count,
            "firstTimestamp": seconds(self.first), "lastTimestamp": seconds(self.last), "eventTime": null,
            "source": {"component": "module-controller"}, "reportingComponent": "module-controller", "reportingInstance": "",
        })
    }
}

/// `Event` knows only whole seconds.
fn seconds(time: Time) -> Time {
    Time(time.0 / 1_000 * 1_000)
}

/// Where the controller says what happens. Clones say it in the same place.
#[derive(Debug, Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    list: Mutex<List>,
    changes: broadcast::Sender<Arc<Event>>,
}

#[derive(Debug)]
struct List {
    /// By name, which comes of what they say.
    by_name: BTreeMap<String, Arc<Event>>,
    /// Names in the order in which they were first heard.
    order: VecDeque<String>,
    revision: u64,
}

impl Default for Events {
    fn default() -> Self {
        // What an earlier process counted is below.
        let revision = now().0;
        let list = List { by_name: BTreeMap::new(), order: VecDeque::new(), revision };
        Self { shared: Arc::new(Shared { list: Mutex::new(list), changes: broadcast::Sender::new(BEHIND) }) }
    }
}

pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Events {
    /// Says that something happened to `about`: `reason` in one word, `message` in a sentence. Said again, it is counted.
    pub fn record(&self, about: &Document, severity: Severity, reason: &str, message: &str) {
        let meta = about.meta();
        let mut hash = Sha256::new();
        for part in [about.kind().as_str(), &meta.namespace, &meta.name, &meta.uid, severity.as_str(), reason, message] {
            hash.update(part);
            hash.update([0]);
        }
        let digest: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}.{digest}", meta.name);
        let now = now();
        let mut list = self.held();
        list.revision = list.revision.saturating_add(1);
        let revision = list.revision;
        let event = match list.by_name.get(&name) {
            Some(before) => Event { last: now, count: before.count.saturating_add(1), revision, ..Event::clone(before) },
            None => Event {
                name: name.clone(),
                namespace: meta.namespace.clone(),
                about: (about.kind().as_str(), meta.name.clone(), meta.uid.clone()),
                severity,
                reason: reason.to_owned(),
                message: message.to_owned(),
                first: now,
                last: now,
                count: 1,
                revision,
            },
        };
        let event = Arc::new(event);
        if list.by_name.insert(name.clone(), Arc::clone(&event)).is_none() {
            list.order.push_back(name);
        }
        if list.order.len() > KEPT
            && let Some(oldest) = list.order.pop_front()
        {
            list.by_name.remove(&oldest);
        }
        // Sent under the lock, so that watchers see them in order. Nobody may watch.
        drop(self.shared.changes.send(event));
    }

    fn held(&self) -> MutexGuard<'_, List> {
        self.shared.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that are kept, in the order of their names, with the revision at which this was all.
    pub(crate) fn list(&self) -> (Vec<Arc<Event>>, u64) {
        let list = self.held();
        (list.by_name.values().cloned().collect(), list.revision)
    }

    /// All later changes than `after`; none where not all of them are known any more.
    pub(crate) fn watch(&self, after: u64) -> Option<broadcast::Receiver<Arc<Event>>> {
        let list = self.held();
        // Those between are not kept, only what they came to.
        (after == list.revision).then(|| self.shared.changes.subscribe())
    }

    /// Everything that was kept, and whatever comes after.
    pub(crate) fn follow(&self) -> (Vec<Arc<Event>>, u64, broadcast::Receiver<Arc<Event>>) {
        let list = self.held();
        (list.by_name.values().cloned().collect(), list.revision, self.shared.changes.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::resource::{Meta, Module};

    fn module(name: &str) -> Document {
        let metadata = Meta { name: name.to_owned(), namespace: "default".to_owned(), ..Meta::default() };
        Document::Module(Module { metadata, ..Module::default() })
    }

    #[test]
    fn what_is_said_again_is_counted() {
        let events = Events::default();
        for _ in 0..3 {
            events.record(&module("shop"), Severity::Warning, "StartFailed", "it did not start");
        }
        events.record(&module("shop"), Severity::Normal, "Installed", "it runs");
        let (list, _) = events.list();
        assert_eq!(list.iter().map(|event| event.count).sum::<u64>(), 4);
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn no_more_are_kept_than_is_said() {
        let events = Events::default();
        for number in 0..KEPT + 10 {
            events.record(&module("shop"), Severity::Normal, "Installed", &number.to_string());
        }
        assert_eq!(events.list().0.len(), KEPT);
    }

    #[test]
    fn a_watcher_who_missed_something_lists_again() {
        let events = Events::default();
        let (_, revision) = events.list();
        assert!(events.watch(revision).is_some());
        events.record(&module("shop"), Severity::Normal, "Installed", "it runs");
        assert!(events.watch(revision).is_none());
    }
}
