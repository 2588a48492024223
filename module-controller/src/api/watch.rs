//! Watching: one line for each change, as long as the client keeps up.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast, mpsc},
    time::{Instant, interval_at, sleep, timeout},
};

use super::{
    Api,
    call::{Call, Target},
    events,
    item::Item,
    metrics::Open,
    reply::Form,
    select::Choice,
    status::Refusal,
    table,
};
use crate::store::{Told, Watch};

/// How long a client may leave a full buffer alone.
const SLOW: Duration = Duration::from_secs(60);
/// How many commits wait for a client.
const BUFFER: usize = 64;
/// How often a client that wants bookmarks gets one.
const BOOKMARK: Duration = Duration::from_secs(30);
/// How long a watch lasts where the client does not say, and at most as long again.
const LASTS: Duration = Duration::from_secs(1_800);

/// Where changes come from.
enum Source {
    Store(Watch),
    Events(broadcast::Receiver<Told>),
    /// Nothing changes there.
    Still,
}

struct Delta {
    revision: u64,
    before: Option<Item>,
    after: Item,
    removed: bool,
}

impl Source {
    /// The changes of the next commit; none where this watcher has fallen behind.
    async fn next(&mut self, target: Target) -> Option<Vec<Delta>> {
        match self {
            Self::Store(watch) => {
                let changes = watch.recv().await?;
                let of_target = changes.iter().filter(|change| matches!(target, Target::Fleet(kind, _) if kind == change.after.kind()));
                let delta = of_target.map(|change| Delta {
                    revision: change.revision,
                    before: change.before.clone().map(Item::Document),
                    after: Item::Document(Arc::clone(&change.after)),
                    removed: change.removed,
                });
                Some(delta.collect())
            }
            Self::Events(events) => {
                let Told { event, before } = events.recv().await.ok()?;
                let before = before.map(Item::Event);
                Some(vec![Delta { revision: event.revision, before, after: Item::Event(event), removed: false }])
            }
            Self::Still => std::future::pending().await,
        }
    }
}

impl Api {
    pub(super) async fn watch(self: &Arc<Self>, call: &Call, headers: &HeaderMap) -> Result<Response, Refusal> {
        let form = Form::of(call, headers)?;
        let choice = Choice::of(call)?;
        let too_many = |_| Refusal::too_many("there are as many watches as this controller serves; try again later");
        let permit = Arc::clone(&self.watches).try_acquire_owned().map_err(too_many)?;
        let lasts = match call.parameter("timeoutSeconds").map(str::parse::<u64>) {
            None | Some(Ok(0)) => LASTS.mul_f64(1.0 + fastrand::f64()),
            Some(Ok(seconds)) => Duration::from_secs(seconds).min(LASTS * 2),
            Some(Err(_)) => return Err(Refusal::bad_request("timeoutSeconds is no number")),
        };
        let asked = match call.parameter("resourceVersion") {
            None | Some("0") => None,
            Some(text) => Some(text.parse::<u64>().map_err(|_| Refusal::bad_request(format!("resourceVersion {text:?} is no number")))?),
        };
        let wants_initial = call.flag("sendInitialEvents");
        let mut feed = Feed {
            target: call.target,
            form,
            choice,
            columns_sent: false,
            revision: 0,
            bookmarks: call.flag("allowWatchBookmarks"),
            out: Vec::new(),
        };
        let source = match (asked, wants_initial) {
            (Some(after), false) => self.changes_after(call, after).await.map(|source| (source, Vec::new(), after)),
            _ => self.changes_and_all(call).await,
        };
        let (sink, mut lines) = mpsc::channel::<Bytes>(BUFFER);
        match source {
            Ok((source, initial, revision)) => {
                feed.revision = revision;
                for item in initial.iter().filter(|item| feed.choice.takes(item)).cloned().collect::<Vec<_>>() {
                    feed.event("ADDED", item);
                }
                if wants_initial && feed.bookmarks {
                    feed.bookmark(true);
                }
                let open = self.metrics.watch_opened(call.target);
                tokio::spawn(Arc::clone(self).pump(source, feed, sink, lasts, (permit, open)));
            }
            // Told in the stream, where every client looks for it.
            Err(refusal) if refusal.code() == axum::http::StatusCode::GONE => {
                let line = line("ERROR", &refusal.document());
                drop(sink.try_send(line.into()));
            }
            Err(refusal) => return Err(refusal),
        }
        let lines = stream::poll_fn(move |context| lines.poll_recv(context).map(|line| line.map(Ok::<_, std::convert::Infallible>)));
        let mut response = Response::new(Body::from_stream(lines));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    async fn changes_after(&self, call: &Call, after: u64) -> Result<Source, Refusal> {
        match call.target {
            Target::Fleet(..) => {
                let watch = self.store.watch(after).await;
                watch.map(Source::Store).map_err(|error| Refusal::of_store(&error, call.target, ""))
            }
            Target::Events => {
                let gone = || Refusal::expired(format!("the events after resource version {after} are not kept one by one; list again"));
                let telling = self.store.telling().await.map_err(|error| Refusal::of_store(&error, call.target, ""))?;
                // Those between are not kept, only what they came to.
                if after == telling.revision { Ok(Source::Events(telling.later)) } else { Err(gone()) }
            }
            Target::Namespaces => Ok(Source::Still),
            Target::Review(_) | Target::Path => Err(Refusal::no_such_path()),
        }
    }

    async fn changes_and_all(&self, call: &Call) -> Result<(Source, Vec<Item>, u64), Refusal> {
        if call.target == Target::Events {
            let telling = self.store.telling().await.map_err(|error| Refusal::of_store(&error, call.target, ""))?;
            return Ok((Source::Events(telling.later), telling.events.into_iter().map(Item::Event).collect(), telling.revision));
        }
        let (items, revision) = self.all(call.target, call.namespace.as_deref()).await?;
        Ok((self.changes_after(call, revision).await?, items, revision))
    }

    /// Passes changes on until the watch is over, the client is gone or too slow, or the controller ends.
    async fn pump(
        self: Arc<Self>,
        mut source: Source,
        mut feed: Feed,
        sink: mpsc::Sender<Bytes>,
        lasts: Duration,
        held: (OwnedSemaphorePermit, Open),
    ) {
        let over = sleep(lasts);
        tokio::pin!(over);
        let mut bookmark = interval_at(Instant::now() + BOOKMARK, BOOKMARK);
        let mut goes_on = true;
        loop {
            let out = std::mem::take(&mut feed.out);
            if !out.is_empty() {
                match timeout(SLOW, sink.send(out.into())).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => break,
                    Err(_) => {
                        tracing::info!(resource = feed.target.plural(), "a watcher was too slow, and has to list again");
                        break;
                    }
                }
            }
            if !goes_on {
                break;
            }
            tokio::select! {
                () = sink.closed() => break,
                () = self.end.cancelled() => break,
                () = &mut over => {
                    feed.bookmark(false);
                    goes_on = false;
                }
                _ = bookmark.tick() => feed.bookmark(false),
                deltas = source.next(feed.target) => match deltas {
                    Some(deltas) => deltas.into_iter().for_each(|delta| feed.delta(delta)),
                    None => {
                        feed.out.extend(line("ERROR", &Refusal::expired("this watcher fell too far behind; list again").document()));
                        goes_on = false;
                    }
                }
            }
        }
        drop(held);
    }
}

/// The lines for one client.
struct Feed {
    target: Target,
    form: Form,
    choice: Choice,
    columns_sent: bool,
    revision: u64,
    bookmarks: bool,
    out: Vec<u8>,
}

impl Feed {
    fn delta(&mut self, Delta { revision, before, after, removed }: Delta) {
        self.revision = self.revision.max(revision);
        let is = self.choice.takes(&after);
        let was = before.as_ref().map_or(removed && is, |before| self.choice.takes(before));
        match (was, is && !removed) {
            (false, true) => self.event("ADDED", after),
            (true, true) => self.event("MODIFIED", after),
            (true, false) => self.event("DELETED", after),
            (false, false) => {}
        }
    }

    fn event(&mut self, what: &str, item: Item) {
        let object = match self.form {
            Form::Documents => item.write(self.target),
            Form::Metadata => table::partial(&item.write(self.target)),
            Form::Table(include) => {
                let version = item.write(self.target).pointer("/metadata/resourceVersion").cloned();
                let with_columns = !std::mem::replace(&mut self.columns_sent, true);
                table::table(self.target, &[item], &json!({"resourceVersion": version}), with_columns, include, events::now())
            }
        };
        self.out.extend(line(what, &object));
    }

    /// Tells a client that wants to know how far it is; `initial` marks the end of what there was at the beginning.
    fn bookmark(&mut self, initial: bool) {
        if !self.bookmarks {
            return;
        }
        let mut metadata = json!({"resourceVersion": self.revision.to_string(), "creationTimestamp": null});
        if let (true, Value::Object(fields)) = (initial, &mut metadata) {
            fields.insert("annotations".to_owned(), json!({"k8s.io/initial-events-end": "true"}));
        }
        let object = match self.form {
            Form::Documents => json!({"kind": self.target.kind(), "apiVersion": self.target.api_version(), "metadata": metadata}),
            Form::Metadata => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}),
            Form::Table(include) => table::table(self.target, &[], &metadata, false, include, events::now()),
        };
        self.out.extend(line("BOOKMARK", &object));
    }
}

fn line(what: &str, object: &Value) -> Vec<u8> {
    let mut line = serde_json::to_vec(&json!({"type": what, "object": object})).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use fleet::resource::{Base, Document, Time};

    use super::*;
    use crate::store::{Event, Memory, Severity, Store};

    #[tokio::test]
    async fn an_event_is_new_to_watchers_however_often_it_was_said_before_it_was_told() {
        let store = Memory::simulated(1, || Time(0));
        let mut source = Source::Events(store.telling().await.unwrap().later);
        let said = Event::new(&Document::Base(Base::default()), Severity::Normal, "Joined", "it came", Time(0));
        let mut known = Vec::new();
        for times in [3, 1] {
            store.tell(vec![said.clone(); times]).await.unwrap();
            known.extend(source.next(Target::Events).await.unwrap().iter().map(|delta| delta.before.is_some()));
        }
        assert_eq!(known, [false, true]);
    }
}
