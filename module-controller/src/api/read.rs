//! Getting and listing.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};
use fleet::resource::{Key, Kind};
use serde_json::{Value, json};

use super::{
    Api,
    call::{Call, Target},
    events,
    item::Item,
    reply::{self, Form},
    select::Choice,
    status::Refusal,
    table,
};

/// How many lists may be under way, given out a page at a time.
const PAGED: usize = 64;
/// How long one may take.
const PAGED_FOR: Duration = Duration::from_secs(300);

/// Lists that were begun and not given out whole: each stays as it was when it was begun.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    kept: Mutex<VecDeque<Paged>>,
}

#[derive(Debug)]
struct Paged {
    id: u64,
    since: Instant,
    target: Target,
    namespace: Option<String>,
    revision: u64,
    items: Vec<Item>,
}

impl Pages {
    fn keep(&self, call: &Call, items: Vec<Item>, revision: u64) -> u64 {
        let id = fastrand::u64(..);
        let paged = Paged { id, since: Instant::now(), target: call.target, namespace: call.namespace.clone(), revision, items };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|paged| paged.since.elapsed() < PAGED_FOR);
        if kept.len() >= PAGED {
            kept.pop_front();
        }
        kept.push_back(paged);
        id
    }

    /// The page after `token`: its items, how many follow, the revision, and the list's own number.
    fn next(&self, call: &Call, token: &str, limit: usize) -> Option<(Vec<Item>, usize, u64, u64)> {
        let (id, done) = token.split_once('.')?;
        let (id, done): (u64, usize) = (u64::from_str_radix(id, 16).ok()?, done.parse().ok()?);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let paged = kept.iter().find(|paged| paged.id == id && paged.since.elapsed() < PAGED_FOR)?;
        (paged.target == call.target && paged.namespace == call.namespace).then_some(())?;
        let page: Vec<Item> = paged.items.iter().skip(done).take(limit).cloned().collect();
        let left = paged.items.len().saturating_sub(done).saturating_sub(page.len());
        Some((page, left, paged.revision, id))
    }
}

impl Api {
    /// All there is of `target`, and the revision at which that was all.
    pub(super) async fn all(&self, target: Target, namespace: Option<&str>) -> Result<(Vec<Item>, u64), Refusal> {
        match target {
            Target::Fleet(kind, _) => {
                let listing = self.store.list([kind].into(), namespace.map(str::to_owned)).await;
                let listing = listing.map_err(|error| Refusal::of_store(&error, target, ""))?;
                Ok((listing.documents.into_iter().map(Item::Document).collect(), listing.revision))
            }
            Target::Events => {
                let telling = self.store.telling().await.map_err(|error| Refusal::of_store(&error, target, ""))?;
                Ok((telling.events.into_iter().map(Item::Event).collect(), telling.revision))
            }
            Target::Namespaces => {
                let listing = self.store.list(Kind::ALL.into(), None).await;
                let listing = listing.map_err(|error| Refusal::of_store(&error, target, ""))?;
                let mut names: BTreeSet<String> = listing.documents.iter().map(|document| document.meta().namespace.clone()).collect();
                names.extend(self.namespaces());
                Ok((names.into_iter().map(Item::Namespace).collect(), listing.revision))
            }
            Target::Review(_) | Target::Path => Err(Refusal::no_such_path()),
        }
    }

    pub(super) async fn one(&self, call: &Call) -> Result<Item, Refusal> {
        let name = call.name.as_deref().unwrap_or_default();
        let found = match call.target {
            Target::Fleet(kind, _) => {
                let key = Key::new(call.namespace.as_deref().unwrap_or_default(), name);
                let found = self.store.get(kind, key).await.map_err(|error| Refusal::of_store(&error, call.target, name))?;
                found.map(Item::Document)
            }
            Target::Events | Target::Namespaces => {
                let (items, _) = self.all(call.target, call.namespace.as_deref()).await?;
                items
                    .into_iter()
                    .find(|item| item.name() == name && call.namespace.as_deref().is_none_or(|namespace| item.namespace() == namespace))
            }
            Target::Review(_) | Target::Path => None,
        };
        found.ok_or_else(|| Refusal::not_found(call.target, name))
    }

    pub(super) async fn get(&self, call: &Call, headers: &HeaderMap) -> Result<Response, Refusal> {
        let form = Form::of(call, headers)?;
        let item = self.one(call).await?;
        let value = match form {
            Form::Documents => item.write(call.target),
            Form::Metadata => table::partial(&item.write(call.target)),
            Form::Table(include) => {
                let version = item.write(call.target).pointer("/metadata/resourceVersion").cloned();
                table::table(call.target, &[item], &json!({"resourceVersion": version}), true, include, events::now())
            }
        };
        Ok(reply::json(StatusCode::OK, &value, headers))
    }

    pub(super) async fn list(&self, call: &Call, headers: &HeaderMap) -> Result<Response, Refusal> {
        let form = Form::of(call, headers)?;
        let choice = Choice::of(call)?;
        let limit = match call.parameter("limit").map(str::parse::<usize>) {
            None | Some(Ok(0)) => usize::MAX,
            Some(Ok(limit)) => limit,
            Some(Err(_)) => return Err(Refusal::bad_request("limit is no number")),
        };
        let (items, left, revision, id) = match call.parameter("continue") {
            Some(token) => {
                let gone = || Refusal::expired("the continue token is not known any more: list again from the start");
                self.pages.next(call, token, limit).ok_or_else(gone)?
            }
            None => {
                let (mut items, revision) = self.all(call.target, call.namespace.as_deref()).await?;
                check_version(call, revision)?;
                items.retain(|item| choice.takes(item));
                if items.len() > limit {
                    let (page, left) = (items.iter().take(limit).cloned().collect(), items.len() - limit);
                    (page, left, revision, self.pages.keep(call, items, revision))
                } else {
                    (items, 0, revision, 0)
                }
            }
        };
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if left > 0
            && let Value::Object(fields) = &mut metadata
        {
            let done = call.parameter("continue").and_then(|token| token.split_once('.')?.1.parse::<usize>().ok()).unwrap_or(0);
            fields.insert("continue".to_owned(), format!("{id:016x}.{}", done.saturating_add(items.len())).into());
            if choice.is_all() {
                fields.insert("remainingItemCount".to_owned(), left.into());
            }
        }
        let value = match form {
            Form::Table(include) => table::table(call.target, &items, &metadata, true, include, events::now()),
            Form::Documents => {
                let items: Vec<Value> = items.iter().map(|item| item.write(call.target)).collect();
                json!({"kind": format!("{}List", call.target.kind()), "apiVersion": call.target.api_version(), "metadata": metadata, "items": items})
            }
            Form::Metadata => {
                let items: Vec<Value> = items.iter().map(|item| table::partial(&item.write(call.target))).collect();
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
            }
        };
        Ok(reply::json(StatusCode::OK, &value, headers))
    }
}

/// Whether a list of `revision` answers what was asked.
fn check_version(call: &Call, revision: u64) -> Result<(), Refusal> {
    let Some(asked) = call.parameter("resourceVersion") else { return Ok(()) };
    let asked: u64 = asked.parse().map_err(|_| Refusal::bad_request(format!("resourceVersion {asked:?} is no number")))?;
    match call.parameter("resourceVersionMatch") {
        Some("Exact") if asked < revision => {
            Err(Refusal::expired(format!("the state at resource version {asked} is not kept, only the current one, {revision}")))
        }
        _ if asked > revision => Err(Refusal::too_new(asked, revision)),
        _ => Ok(()),
    }
}
