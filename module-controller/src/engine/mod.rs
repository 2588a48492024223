//! Acts on the resources: reads what bases say, writes what [`fleet`] plans, sends what it orders.
//!
//! One controller at a time does, the one that holds the lease of the store (`lead`). In its reign (`reign`) everything is decided by one
//! task, in order; orders are carried out beside it by the bases' links: `tunnel` to bases that dialled, `stock` to arklets of the
//! system before, which are called.

mod counts;
mod events;
mod lead;
mod links;
mod reign;
mod stock;
mod tunnel;

use std::{sync::Arc, time::SystemTime};

use ark_model::report::BaseReport;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use fleet::{
    Order, Outcome, World,
    resource::{Key, Kind, Time},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use counts::Counts;
use events::Events;
use links::Links;

use crate::store::Store;

/// Words for the reign that are not yet read. Whoever has more to say waits.
const INBOX: usize = 1_024;

/// What the reign is told.
enum Word {
    /// What a base says, and where it is asked (empty for a tunnel).
    Report { base: Key, report: Arc<BaseReport>, api: String },
    /// What came of an order, and what the base said right after.
    Ended { base: Key, order: Order, outcome: Outcome, report: Option<Arc<BaseReport>> },
}

/// What all parts of the engine share.
#[derive(Clone)]
struct Engine {
    store: Arc<dyn Store>,
    events: Events,
    counts: Counts,
    links: Links,
    words: mpsc::Sender<Word>,
    leads: watch::Receiver<bool>,
    settings: fleet::Settings,
    end: CancellationToken,
}

/// What an engine is started with.
pub struct Start {
    /// Where resources are kept.
    pub store: Arc<dyn Store>,
    /// Where it counts.
    pub counts: Counts,
    /// Where this controller is reached by others, e.g. `http://10.0.0.7:7777`.
    pub address: String,
    /// Its habits.
    pub settings: fleet::Settings,
    /// Ends it.
    pub end: CancellationToken,
}

/// Starts to act, as soon as this controller leads. Answers with the paths by which bases and people reach it: `/tunnel`, `/heartbeat`,
/// `/queryBaseline`, `/explain/{namespace}/{deployment}`; and with the task, which ends after `end`, once the lead is given back.
pub fn start(start: Start) -> (Router, tokio::task::JoinHandle<()>) {
    let (words, inbox) = mpsc::channel(INBOX);
    let (leading, leads) = watch::channel(false);
    let Start { store, counts, address, settings, end } = start;
    let events = Events::default();
    let engine = Engine { store, events, counts, links: Links::default(), words, leads, settings, end };
    let (acting, said) = (engine.clone(), CancellationToken::new());
    let telling = tokio::spawn(engine.events.clone().keep(Arc::clone(&engine.store), said.clone()));
    let task = tokio::spawn(async move {
        lead::keep(acting, address, leading, inbox).await;
        // What it said last is told as well.
        said.cancel();
        drop(telling.await);
    });
    let router = Router::new()
        .route("/tunnel", get(tunnel::open))
        .route("/heartbeat", post(stock::heartbeat))
        .route("/queryBaseline", post(stock::baseline))
        .route("/explain/{namespace}/{deployment}", get(explain))
        .with_state(engine);
    (router, task)
}

/// The time, as documents have it.
fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Why a deployment is where it is, and what each base has to say to it.
async fn explain(State(engine): State<Engine>, Path((namespace, name)): Path<(String, String)>) -> Response {
    let listing = match engine.store.list(Kind::ALL.into(), Some(namespace.clone())).await {
        Ok(listing) => listing,
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    };
    let mut world = World::default();
    for document in listing.documents {
        world.put(document);
    }
    let key = Key::new(namespace, name);
    match fleet::explain(&world, &key) {
        Some(explanation) => Json(explanation).into_response(),
        None => (StatusCode::NOT_FOUND, format!("there is no module deployment {key}")).into_response(),
    }
}
