//! What happened to resources of late, for people to read. Kept beside the documents, bounded in number and age; what is said again is
//! counted. It promises less than they do: an event is nothing that anybody decides by.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fleet::resource::{Document, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;

use super::{Revision, StoreError};

/// The most that are kept. The one that was not heard of for longest goes first.
const KEPT: usize = 4_096;
/// How long one is kept after it was last heard of: as long as Kubernetes keeps its own.
const KEPT_FOR: Duration = Duration::from_hours(1);
/// The most events that anybody has the store tell in one go.
pub const MAX_TOLD: usize = 4_096;
/// How many changes a watcher may be behind: all of a telling, and as many again, as tellings come in one go.
const BEHIND: usize = 2 * MAX_TOLD;
/// The number before the first one's. Not 0, which clients of Kubernetes understand as "any".
pub(super) const NONE_YET: Revision = 1;

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// The resource that something happened to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Tells it from others that had its name.
    pub uid: String,
}

/// One thing that happened, once or again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Comes of what it says, so that the same has the same.
    pub name: String,
    /// Where the resource is.
    pub namespace: String,
    /// Which resource.
    pub about: About,
    /// Whether somebody should look.
    pub severity: Severity,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// When it was first said.
    pub first: Time,
    /// When it was last said.
    pub last: Time,
    /// How often.
    pub count: u64,
    /// The number of its last telling, which the store gives it.
    #[serde(skip)]
    pub revision: Revision,
}

impl Event {
    /// `reason` in one word, `message` in a sentence, said of `about` at `now`.
    #[must_use]
    pub fn new(about: &Document, severity: Severity, reason: &str, message: &str, now: Time) -> Self {
        let (kind, meta) = (about.kind().as_str(), about.meta());
        let mut hash = Sha256::new();
        for part in [kind, &meta.namespace, &meta.name, &meta.uid, severity.as_str(), reason, message] {
            hash.update(part);
            hash.update([0]);
        }
        let digest: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self {
            name: format!("{}.{digest}", meta.name),
            namespace: meta.namespace.clone(),
            about: About { kind: kind.to_owned(), name: meta.name.clone(), uid: meta.uid.clone() },
            severity,
            reason: reason.to_owned(),
            message: message.to_owned(),
            first: now,
            last: now,
            count: 1,
            revision: 0,
        }
    }

    /// This, and that it was said again as `later` has it.
    #[must_use]
    pub fn and(&self, later: &Self) -> Self {
        Self {
            first: self.first.min(later.first),
            last: self.last.max(later.last),
            count: self.count.saturating_add(later.count),
            ..self.clone()
        }
    }
}

/// What happened of late, and what is told from there on.
#[derive(Debug)]
pub struct Telling {
    /// In the order of their names.
    pub events: Vec<Arc<Event>>,
    /// The number of the latest telling.
    pub revision: Revision,
    /// Each later telling, in order. Ends or complains where the listener falls too far behind.
    pub later: broadcast::Receiver<Told>,
}

/// A telling of one event.
#[derive(Debug, Clone)]
pub struct Told {
    /// As it is now.
    pub event: Arc<Event>,
    /// As it was, where it was kept before: how often it was said does not tell, for it may be said several times before it is first told.
    pub before: Option<Arc<Event>>,
}

/// The events that are kept.
#[derive(Debug)]
pub(super) struct Chronicle {
    by_name: BTreeMap<String, Arc<Event>>,
    /// Names in the order in which they were last told.
    by_age: BTreeSet<(Revision, String)>,
    revision: Revision,
    /// Up to this one all that are kept no more were told.
    oldest: Revision,
    listeners: broadcast::Sender<Told>,
}

impl Default for Chronicle {
    fn default() -> Self {
        let (by_name, by_age) = (BTreeMap::new(), BTreeSet::new());
        Self { by_name, by_age, revision: NONE_YET, oldest: 0, listeners: broadcast::Sender::new(BEHIND) }
    }
}

impl Chronicle {
    /// What is kept, where the latest telling was `revision`.
    pub(super) fn new(revision: Revision, events: impl IntoIterator<Item = Arc<Event>>, now: Time) -> Self {
        let mut chronicle = Self::default();
        chronicle.take(events, now);
        chronicle.revision = revision;
        chronicle
    }

    /// The latest telling.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Up to this telling, none is kept that was not told again.
    pub(super) fn oldest(&self) -> Revision {
        self.oldest
    }

    /// What becomes of those that `said` tells of. Nothing of it has happened yet.
    pub(super) fn decide<'a>(&self, said: impl IntoIterator<Item = &'a Event>) -> Vec<Arc<Event>> {
        let mut told: BTreeMap<&str, Event> = BTreeMap::new();
        for event in said {
            let before = told.get(event.name.as_str()).or_else(|| self.by_name.get(&event.name).map(|event| &**event));
            let now = before.map_or_else(|| event.clone(), |before| before.and(event));
            told.insert(&event.name, now);
        }
        told.into_values().zip(self.revision + 1..).map(|(event, revision)| Arc::new(Event { revision, ..event })).collect()
    }

    /// Takes in what was told, in order, and tells it to those who listen; lets go of what is too old or too much.
    pub(super) fn take(&mut self, told: impl IntoIterator<Item = Arc<Event>>, now: Time) {
        for event in told {
            if event.revision <= self.revision {
                continue;
            }
            self.revision = event.revision;
            self.by_age.insert((event.revision, event.name.clone()));
            let before = self.by_name.insert(event.name.clone(), Arc::clone(&event));
            if let Some(before) = &before {
                self.by_age.remove(&(before.revision, before.name.clone()));
            }
            let before = before.filter(|before| !is_old(before, now));
            // Nobody may listen.
            drop(self.listeners.send(Told { event, before }));
        }
        while let Some((revision, name)) = self.by_age.first() {
            let old = self.by_name.get(name).is_none_or(|event| is_old(event, now));
            if !old && self.by_name.len() <= KEPT {
                break;
            }
            self.oldest = *revision;
            self.by_name.remove(name);
            self.by_age.pop_first();
        }
    }

    /// What is kept at `now`, and what comes after.
    pub(super) fn telling(&self, now: Time) -> Telling {
        let events = self.by_name.values().filter(|event| !is_old(event, now)).cloned().collect();
        Telling { events, revision: self.revision, later: self.listeners.subscribe() }
    }
}

fn is_old(event: &Event, now: Time) -> bool {
    event.last.elapsed(now) > KEPT_FOR
}

/// An event as it stands in a database: JSON.
pub(super) fn write(event: &Event) -> Result<String, StoreError> {
    serde_json::to_string(event).map_err(|error| StoreError::Failed(format!("an event cannot be written: {error}")))
}

/// The event that was written as `text`, by the telling `revision`.
pub(super) fn read(revision: Revision, text: &str) -> Result<Arc<Event>, StoreError> {
    let event: Event =
        serde_json::from_str(text).map_err(|error| StoreError::Failed(format!("what is stored as an event is none: {error}")))?;
    Ok(Arc::new(Event { revision, ..event }))
}

#[cfg(test)]
mod tests {
    use fleet::resource::{Meta, Module};

    use super::*;

    fn event(message: &str, now: u64) -> Event {
        let metadata = Meta { name: "shop".to_owned(), namespace: "default".to_owned(), ..Meta::default() };
        Event::new(&Document::Module(Module { metadata, ..Module::default() }), Severity::Normal, "Installed", message, Time(now))
    }

    fn tell(chronicle: &mut Chronicle, said: &[Event]) {
        let now = said.iter().map(|event| event.last).max().unwrap();
        chronicle.take(chronicle.decide(said), now);
    }

    fn kept(chronicle: &Chronicle, now: u64) -> Vec<(String, u64)> {
        chronicle.telling(Time(now)).events.iter().map(|event| (event.message.clone(), event.count)).collect()
    }

    #[test]
    fn what_is_said_again_is_counted_in_one_telling_and_over_several() {
        let mut chronicle = Chronicle::default();
        tell(&mut chronicle, &[event("it runs", 1), event("it runs", 2)]);
        tell(&mut chronicle, &[event("it runs", 3)]);
        let telling = chronicle.telling(Time(3));
        let [event] = telling.events.as_slice() else { panic!("{telling:?}") };
        assert_eq!((event.count, event.first, event.last, event.revision, telling.revision), (3, Time(1), Time(3), 3, 3));
    }

    #[test]
    fn no_more_are_kept_than_is_said_and_those_not_heard_of_for_longest_go() {
        let mut chronicle = Chronicle::default();
        for number in 0..KEPT {
            tell(&mut chronicle, &[event(&number.to_string(), 0)]);
        }
        tell(&mut chronicle, &[event("0", 1)]);
        tell(&mut chronicle, &[event("one more", 1)]);
        let kept = kept(&chronicle, 1);
        assert_eq!(kept.len(), KEPT);
        assert!(kept.contains(&("0".to_owned(), 2)) && !kept.iter().any(|(message, _)| message == "1"));
        assert_eq!(chronicle.oldest(), 3, "the second one's telling");
    }

    #[test]
    fn an_event_is_kept_for_an_hour_after_it_was_last_said() {
        let hour = u64::try_from(KEPT_FOR.as_millis()).unwrap();
        let mut chronicle = Chronicle::default();
        tell(&mut chronicle, &[event("old", 0)]);
        assert_eq!((kept(&chronicle, hour).len(), kept(&chronicle, hour + 1).len()), (1, 0));
        tell(&mut chronicle, &[event("young", hour + 1)]);
        assert_eq!((kept(&chronicle, 0), chronicle.oldest()), (vec![("young".to_owned(), 1)], 2));
    }

    #[test]
    fn who_listens_is_told_each_once() {
        let mut chronicle = Chronicle::default();
        let mut later = chronicle.telling(Time(0)).later;
        let told = chronicle.decide(&[event("a", 0), event("b", 0)]);
        chronicle.take(told.clone(), Time(0));
        chronicle.take(told, Time(0));
        let heard: Vec<_> = std::iter::from_fn(|| later.try_recv().ok()).map(|told| told.event.revision).collect();
        assert_eq!(heard, [2, 3]);
    }

    #[test]
    fn who_listens_is_told_whether_it_was_kept_before_however_often_it_was_said() {
        let hour = u64::try_from(KEPT_FOR.as_millis()).unwrap();
        let mut chronicle = Chronicle::default();
        let mut later = chronicle.telling(Time(0)).later;
        tell(&mut chronicle, &[event("a", 0), event("a", 0), event("a", 0)]);
        tell(&mut chronicle, &[event("a", 1)]);
        tell(&mut chronicle, &[event("a", hour + 2)]);
        let heard: Vec<_> =
            std::iter::from_fn(|| later.try_recv().ok()).map(|told| (told.event.count, told.before.map(|before| before.count))).collect();
        assert_eq!(heard, [(3, None), (4, Some(3)), (5, None)], "the last time it had been too old to be shown");
    }

    #[test]
    fn the_largest_telling_leaves_nobody_behind_who_listens() {
        let mut chronicle = Chronicle::default();
        let mut later = chronicle.telling(Time(0)).later;
        tell(&mut chronicle, &[event("it runs", 0)]);
        tell(&mut chronicle, &(0..MAX_TOLD).map(|number| event(&number.to_string(), 0)).collect::<Vec<_>>());
        assert_eq!(std::iter::from_fn(|| later.try_recv().ok()).count(), 1 + MAX_TOLD);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let event = Event { revision: 7, ..event("it \0 runs", 5) };
        let text = write(&event).unwrap();
        assert!(!text.contains('\0'), "databases have no such text");
        assert_eq!(*read(7, &text).unwrap(), event);
    }
}
