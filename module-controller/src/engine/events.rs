//! What the engine has to tell people, gathered: so that one write to the store takes all of a second.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::store::{Event, MAX_TOLD, Store};

/// How long events are gathered; what was said since is lost with a process that is killed.
const GATHERED: Duration = Duration::from_secs(1);
/// The most that wait while the store does not take them, as they are all told at once; what comes beyond that is only in the log.
const WAITING: usize = MAX_TOLD;

/// Where the engine says what happens. Clones say it in the same place.
#[derive(Debug, Clone, Default)]
pub(super) struct Events {
    /// By name: what is said again meanwhile is counted here.
    waiting: Arc<Mutex<BTreeMap<String, Event>>>,
    said: Arc<Notify>,
}

impl Events {
    /// Says it. The store has it soon.
    pub(super) fn say(&self, event: Event) {
        self.gather([event]);
        self.said.notify_one();
    }

    fn gather(&self, events: impl IntoIterator<Item = Event>) {
        let mut waiting = self.waiting();
        for event in events {
            let room = waiting.len() < WAITING;
            match waiting.entry(event.name.clone()) {
                Entry::Occupied(mut before) => *before.get_mut() = before.get().and(&event),
                Entry::Vacant(place) if room => _ = place.insert(event),
                Entry::Vacant(_) => tracing::warn!(about = event.about.name, reason = event.reason, "not told: {}", event.message),
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<String, Event>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the store keep what was said, and what is said until `end`: at once, and then once in a while.
    pub(super) async fn keep(self, store: Arc<dyn Store>, end: CancellationToken) {
        while end.run_until_cancelled(self.said.notified()).await.is_some() {
            self.flush(&*store).await;
            if end.run_until_cancelled(sleep(GATHERED)).await.is_none() {
                break;
            }
        }
        self.flush(&*store).await;
    }

    async fn flush(&self, store: &dyn Store) {
        let said: Vec<_> = mem::take(&mut *self.waiting()).into_values().collect();
        if said.is_empty() {
            return;
        }
        if let Err(error) = store.tell(said.clone()).await {
            tracing::warn!(%error, events = said.len(), "what happened could not be told yet");
            self.gather(said);
            self.said.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use fleet::resource::{Base, Document, Time};

    use super::*;
    use crate::store::{Memory, Severity};

    fn event(message: &str, now: u64) -> Event {
        Event::new(&Document::Base(Base::default()), Severity::Normal, "Joined", message, Time(now))
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_is_kept_at_once_and_those_of_a_second_together() {
        let store: Arc<dyn Store> = Arc::new(Memory::simulated(1, || Time(0)));
        let (events, end) = (Events::default(), CancellationToken::new());
        let keeping = tokio::spawn(events.clone().keep(Arc::clone(&store), end.clone()));
        let mut later = store.telling().await.unwrap().later;
        events.say(event("first", 0));
        assert_eq!(later.recv().await.unwrap().event.message, "first");
        let begun = tokio::time::Instant::now();
        for _ in 0..3 {
            events.say(event("again", 0));
        }
        let again = later.recv().await.unwrap().event;
        assert_eq!((again.message.as_str(), again.count, begun.elapsed() >= GATHERED), ("again", 3, true));
        events.say(event("last", 0));
        end.cancel();
        keeping.await.unwrap();
        assert_eq!(later.try_recv().unwrap().event.message, "last");
    }

    #[test]
    fn no_more_wait_than_are_bounded() {
        let events = Events::default();
        for number in 0..WAITING + 5 {
            events.say(event(&number.to_string(), 0));
        }
        assert_eq!(events.waiting().len(), WAITING);
    }
}
