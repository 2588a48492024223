//! What Prometheus sees of the API and the store.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use fleet::resource::{Key, Kind, Write};
use futures_util::future::BoxFuture;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::call::{Call, Target};
use crate::store::{Change, Event, Listing, Reign, Revision, Store, StoreError, Stored, Telling, Watch};

/// The controller's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<Answered, Counter>,
    durations: Family<Asked, Histogram, fn() -> Histogram>,
    watches: Family<Watched, Gauge>,
    commits: Family<Committed, Counter>,
    commit_durations: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    verb: &'static str,
    resource: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    verb: &'static str,
    resource: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Watched {
    resource: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Committed {
    outcome: &'static str,
}

/// From a millisecond to a long list.
fn histogram() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Answered, Counter>::default();
        let durations = Family::<Asked, Histogram, fn() -> Histogram>::new_with_constructor(histogram);
        let (watches, commits, commit_durations) =
            (Family::<Watched, Gauge>::default(), Family::<Committed, Counter>::default(), histogram());
        registry.register("fleet_api_requests", "Requests that were answered", requests.clone());
        let what = "How long requests took to be answered; of watches, to begin";
        registry.register_with_unit("fleet_api_request_duration", what, Unit::Seconds, durations.clone());
        registry.register("fleet_api_watches", "Watches that are open", watches.clone());
        registry.register("fleet_store_commits", "Commits that ended, by outcome: ok, or what kept them from it", commits.clone());
        let what = "How long commits took until they were durable, or refused";
        registry.register_with_unit("fleet_store_commit_duration", what, Unit::Seconds, commit_durations.clone());
        Self { registry: Mutex::new(registry), requests, durations, watches, commits, commit_durations }
    }
}

impl Metrics {
    /// Registers what others measure.
    pub fn register<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn answered(&self, call: &Call, code: u16, took: Duration) {
        let (verb, resource) = (call.verb.as_str(), call.target.plural());
        self.requests.get_or_create(&Answered { verb, resource, code }).inc();
        self.durations.get_or_create(&Asked { verb, resource }).observe(took.as_secs_f64());
    }

    pub(crate) fn watch_opened(&self, target: Target) -> Open {
        let gauge = self.watches.get_or_create_owned(&Watched { resource: target.plural() });
        gauge.inc();
        Open { gauge }
    }

    /// All metrics as OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner)) {
            tracing::error!(%error, "the metrics could not be written");
        }
        text
    }

    fn committed(&self, error: Option<&StoreError>, took: Duration) {
        let outcome = match error {
            None => "ok",
            Some(StoreError::Exists { .. }) => "exists",
            Some(StoreError::Conflict { .. }) => "conflict",
            Some(StoreError::Compacted { .. }) => "compacted",
            Some(StoreError::NotLeading) => "not_leading",
            Some(StoreError::TooLarge(_)) => "too_large",
            Some(StoreError::Failed(_)) => "failed",
        };
        self.commits.get_or_create(&Committed { outcome }).inc();
        self.commit_durations.observe(took.as_secs_f64());
    }
}

/// A watch that counts as open while this lives.
#[derive(Debug)]
pub(crate) struct Open {
    gauge: Gauge,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// A store whose commits are counted and timed, whoever makes them.
pub struct Metered {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl Metered {
    /// `store`, measured in `metrics`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }
}

impl Store for Metered {
    fn commit(&self, writes: Vec<Write>, reign: Option<Reign>) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        Box::pin(async move {
            let since = Instant::now();
            let done = self.store.commit(writes, reign).await;
            self.metrics.committed(done.as_ref().err(), since.elapsed());
            done
        })
    }

    fn get(&self, kind: Kind, key: Key) -> BoxFuture<'_, Result<Option<Stored>, StoreError>> {
        self.store.get(kind, key)
    }

    fn list(&self, kinds: BTreeSet<Kind>, namespace: Option<String>) -> BoxFuture<'_, Result<Listing, StoreError>> {
        self.store.list(kinds, namespace)
    }

    fn watch(&self, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>> {
        self.store.watch(after)
    }

    fn tell(&self, said: Vec<Event>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.tell(said)
    }

    fn telling(&self) -> BoxFuture<'_, Result<Telling, StoreError>> {
        self.store.telling()
    }

    fn lead(&self, holder: String, address: String) -> BoxFuture<'_, Result<Option<Reign>, StoreError>> {
        self.store.lead(holder, address)
    }

    fn resign(&self, reign: Reign) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.resign(reign)
    }

    fn leader(&self) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        self.store.leader()
    }
}
