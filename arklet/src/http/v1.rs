//! The typed API under `/v1`. Its table of calls stands with its types, in `ark_model::api`.

use std::{convert::Infallible, sync::Arc};

use ark_model::{
    Failure, InstallOrder, ModuleId, Reason,
    api::{
        BaseView, ErrorBody, Holders, Installed, LogLine, ModuleList, ModuleView, Origin, PackageView, Prepared, Progress, Retired,
        RouteList, SearchCost, VerdictList,
    },
    report::{BaseReport, MARK_HEADER},
};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, Request, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{delete, get, post, put},
};
use futures_util::stream;
use http_body_util::BodyExt;
use serde::Deserialize;

use super::{Refusal, fence};
use crate::{agent::Agent, otlp::Operation, report::Reports};

type Shared = State<Arc<Agent>>;

/// How many objects are looked at, unless told: about a second in which the process stands still.
const OBJECTS: u64 = 1_000_000;

pub(super) fn router() -> Router<Arc<Agent>> {
    Router::new()
        .route("/base", get(base))
        .route("/report", get(report))
        .route("/modules", get(list).post(install))
        .route("/modules/{name}/{version}", get(module).delete(uninstall))
        .route("/modules/{name}/{version}/activate", post(activate))
        .route("/modules/{name}/{version}/why", get(why))
        .route("/modules/{name}/{version}/logs", get(logs))
        .route("/operations/{name}", delete(cancel))
        .route("/prepare", post(prepare))
        .route("/packages", put(upload))
        .route("/routes", get(routes))
        .route("/verdicts", get(verdicts))
        .route("/verdicts/{name}/{version}/holders", get(cost_of_holders).post(holders))
        .fallback(|| async { Refusal(Failure::new(Reason::NotInstalled, "there is no such call; see /openapi.json")) })
}

fn id((name, version): (String, String)) -> Result<ModuleId, Refusal> {
    ModuleId::new(name, version).map_err(|invalid| Refusal(Failure::new(Reason::InvalidRequest, invalid.to_string())))
}

/// Who the base is.
#[utoipa::path(get, path = "/v1/base", tag = "base", responses((status = 200, body = BaseView)))]
pub(super) async fn base(State(agent): Shared) -> Json<BaseView> {
    Json(agent.view())
}

/// What a controller has to know of the base: at once, at every change of a module or of readiness, and every ten seconds; one JSON object a line.
#[utoipa::path(get, path = "/v1/report", tag = "base", responses((status = 200, content_type = "application/x-ndjson", body = BaseReport)))]
pub(super) async fn report(State(agent): Shared) -> Response {
    let reports = stream::unfold(Reports::of(agent), |mut reports| async {
        let report = reports.next().await;
        Some((Ok::<_, Infallible>(ndjson(&[report])), reports))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(reports)).into_response()
}

/// Who answers where.
#[utoipa::path(get, path = "/v1/routes", tag = "base", responses((status = 200, body = RouteList)))]
pub(super) async fn routes(State(agent): Shared) -> Json<RouteList> {
    Json(agent.gateway.routes())
}

/// The latest removals, and what was given back.
#[utoipa::path(get, path = "/v1/verdicts", tag = "base", responses((status = 200, body = VerdictList)))]
pub(super) async fn verdicts(State(agent): Shared) -> Json<VerdictList> {
    Json(VerdictList { verdicts: agent.base.verdicts() })
}

/// What it takes to look for what holds a removed module.
#[utoipa::path(get, path = "/v1/verdicts/{name}/{version}/holders", tag = "base", params(("name" = String, Path, description = "The module's name"), ("version" = String, Path, description = "Its version")), responses((status = 200, body = SearchCost), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn cost_of_holders(State(agent): Shared, Path(path): Path<(String, String)>) -> Result<Json<SearchCost>, Refusal> {
    Ok(Json(agent.base.cost_of_holders(&id(path)?).await?))
}

#[derive(Debug, Deserialize)]
pub(super) struct HoldersQuery {
    objects: Option<u64>,
}

/// Looks for what holds a removed module. The whole process stands still meanwhile: ask for the cost before.
#[utoipa::path(post, path = "/v1/verdicts/{name}/{version}/holders", tag = "base", params(("name" = String, Path, description = "The module's name"), ("version" = String, Path, description = "Its version"), ("objects" = Option<u64>, Query, description = "Look at so many objects at most, a million unless told; refused where there are more")), responses((status = 200, body = Holders), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn holders(
    State(agent): Shared,
    Path(path): Path<(String, String)>,
    Query(query): Query<HoldersQuery>,
) -> Result<Json<Holders>, Refusal> {
    Ok(Json(agent.base.holders(&id(path)?, query.objects.unwrap_or(OBJECTS)).await?))
}

/// All modules.
#[utoipa::path(get, path = "/v1/modules", tag = "modules", responses((status = 200, body = ModuleList)))]
pub(super) async fn list(State(agent): Shared) -> Json<ModuleList> {
    Json(ModuleList { modules: agent.modules() })
}

/// All that is known of one module.
#[utoipa::path(get, path = "/v1/modules/{name}/{version}", tag = "modules", params(("name" = String, Path, description = "The module's name"), ("version" = String, Path, description = "Its version")), responses((status = 200, body = ModuleView), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn module(State(agent): Shared, Path(path): Path<(String, String)>) -> Result<Json<ModuleView>, Refusal> {
    Ok(Json(agent.inspect(&id(path)?).await?))
}

#[derive(Debug, Deserialize)]
pub(super) struct WhyQuery {
    class: String,
}

/// Where a module gets a class from, and by which rule.
#[utoipa::path(get, path = "/v1/modules/{name}/{version}/why", tag = "modules", params(("name" = String, Path, description = "The module's name"), ("version" = String, Path, description = "Its version"), ("class" = String, Query, description = "The class, e.g. org.example.Order")), responses((status = 200, body = Origin), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn why(
    State(agent): Shared,
    Path(path): Path<(String, String)>,
    Query(query): Query<WhyQuery>,
) -> Result<Json<Origin>, Refusal> {
    Ok(Json(agent.base.why(&id(path)?, query.class).await?))
}

/// Installs a module. With `Accept: text/event-stream` the answer is a stream of `Progress` events, and its status is 200 also where the install fails.
#[utoipa::path(post, path = "/v1/modules", tag = "modules", params(("ark-fence" = Option<String>, Header, description = "Refused where it is below the highest fence seen on the name: `<epoch>.<generation>`")), request_body = InstallOrder, responses((status = 200, body = Installed), (status = 200, content_type = "text/event-stream", body = Progress), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn install(
    State(agent): Shared,
    headers: HeaderMap,
    order: Result<Json<InstallOrder>, JsonRejection>,
) -> Result<Response, Refusal> {
    let (order, fence) = (read(order)?, fence(&headers)?);
    let trace = agent.operation("install", Some(&headers));
    let mut operation = agent.base.install(order, fence).inspect_err(|failure| {
        agent.metrics.installed(Err(failure));
        trace.end(None, Some(failure));
    })?;
    let streams =
        headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/event-stream"));
    if streams {
        let events = stream::unfold((operation, agent, trace), |(mut operation, agent, trace)| async {
            let event = told(&agent, &trace, operation.next().await?);
            let event = Event::default().json_data(&event).unwrap_or_default();
            Some((Ok::<_, Infallible>(event), (operation, agent, trace)))
        });
        return Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response());
    }
    while let Some(event) = operation.next().await {
        match told(&agent, &trace, event) {
            Progress::Done(installed) => return Ok(Json::<Installed>(*installed).into_response()),
            Progress::Failed { error } => return Err(error.into()),
            Progress::Begun { .. } | Progress::Ended(_) | Progress::Serving { .. } | Progress::Retired(_) => {}
        }
    }
    Err(Failure::new(Reason::Internal, "the install ended without a word; see the base's log").into())
}

fn read(order: Result<Json<InstallOrder>, JsonRejection>) -> Result<InstallOrder, Failure> {
    let unreadable =
        |rejection: JsonRejection| Failure::new(Reason::InvalidRequest, format!("the order cannot be read: {}", rejection.body_text()));
    order.map(|Json(order)| order).map_err(unreadable)
}

/// Does what an install does before it starts anything, for an install that comes later: fetch, verify, compile or unpack, load libraries. Nothing of the module runs.
#[utoipa::path(post, path = "/v1/prepare", tag = "modules", request_body = InstallOrder, responses((status = 200, body = Prepared), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn prepare(
    State(agent): Shared,
    headers: HeaderMap,
    order: Result<Json<InstallOrder>, JsonRejection>,
) -> Result<Json<Prepared>, Refusal> {
    let order = read(order)?;
    let trace = agent.operation("prepare", Some(&headers));
    let prepared = agent.base.prepare(order).await.inspect_err(|failure| trace.end(None, Some(failure)))?;
    trace.steps(&prepared.timings, None);
    trace.end(Some(&prepared.id), None);
    prepared.timings.iter().for_each(|timing| agent.metrics.step(timing));
    Ok(Json(prepared))
}

/// Counts an event, and fills in what only the data path knows.
fn told(agent: &Agent, trace: &Operation, event: Progress) -> Progress {
    trace.seen(&event);
    match event {
        Progress::Ended(timing) => agent.metrics.step(&timing),
        Progress::Retired(ref retired) => retired.timings.iter().for_each(|timing| agent.metrics.step(timing)),
        Progress::Done(mut installed) => {
            agent.metrics.installed(Ok(()));
            installed.module = agent.with_traffic(installed.module);
            return Progress::Done(installed);
        }
        Progress::Failed { ref error } => agent.metrics.installed(Err(error)),
        Progress::Begun { .. } | Progress::Serving { .. } => {}
    }
    event
}

/// Removes a module: it drains, stops, and gives its resources back.
#[utoipa::path(delete, path = "/v1/modules/{name}/{version}", tag = "modules", params(("name" = String, Path, description = "The module's name"), ("version" = String, Path, description = "Its version"), ("ark-fence" = Option<String>, Header, description = "Refused where it is below the highest fence seen on the name: `<epoch>.<generation>`"), ("ark-mark" = Option<String>, Header, description = "Only if it was installed by an order with this mark")), responses((status = 200, body = Retired), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn uninstall(
    State(agent): Shared,
    headers: HeaderMap,
    Path(path): Path<(String, String)>,
) -> Result<Json<Retired>, Refusal> {
    let (id, fence) = (id(path)?, fence(&headers)?);
    if let Some(mark) = headers.get(MARK_HEADER)
        && agent.base.module(&id)?.mark.as_bytes() != mark.as_bytes()
    {
        let message = format!("{id} is not the one with this mark; it was installed anew, and stays");
        return Err(Failure::new(Reason::NotInstalled, message).into());
    }
    let trace = agent.operation("uninstall", Some(&headers));
    let refused = |failure: &Failure| trace.end(Some(&id), Some(failure));
    let retired = agent.base.uninstall(&id, fence).inspect_err(refused)?.await.inspect_err(refused)?;
    trace.steps(&retired.timings, None);
    trace.end(Some(&id), None);
    retired.timings.iter().for_each(|timing| agent.metrics.step(timing));
    Ok(Json(retired))
}

/// Gives the traffic of a name to this version.
#[utoipa::path(post, path = "/v1/modules/{name}/{version}/activate", tag = "modules", params(("name" = String, Path, description = "The module's name"), ("version" = String, Path, description = "Its version"), ("ark-fence" = Option<String>, Header, description = "Refused where it is below the highest fence seen on the name: `<epoch>.<generation>`")), responses((status = 200, body = ModuleView), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn activate(
    State(agent): Shared,
    headers: HeaderMap,
    Path(path): Path<(String, String)>,
) -> Result<Json<ModuleView>, Refusal> {
    let module = agent.base.activate(&id(path)?, fence(&headers)?)?.await?;
    Ok(Json(agent.with_traffic(module)))
}

/// Gives up the install that is under way on a name.
#[utoipa::path(delete, path = "/v1/operations/{name}", tag = "modules", params(("name" = String, Path, description = "The module's name")), responses((status = 202), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn cancel(State(agent): Shared, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    agent.base.cancel(&name)?;
    Ok(StatusCode::ACCEPTED)
}

/// Keeps a package, for an install with the URL `sha256:<hex>`.
#[utoipa::path(put, path = "/v1/packages", tag = "packages", request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 200, body = PackageView), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn upload(State(agent): Shared, request: Request) -> Result<Json<PackageView>, Refusal> {
    let mut body = request.into_body();
    let store = Arc::clone(&agent.store);
    // A disk may be slow: the bytes are written by a thread that may wait, a few pieces behind.
    let (pieces, mut incoming) = tokio::sync::mpsc::channel::<Bytes>(8);
    let (whole, is_whole) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::task::spawn_blocking(move || {
        let mut package = store.incoming()?;
        while let Some(piece) = incoming.blocking_recv() {
            package.write(&piece)?;
        }
        if is_whole.blocking_recv().is_err() {
            return Err(Failure::new(Reason::FetchFailed, format!("the upload broke off after {} bytes; send it again", package.size())));
        }
        package.finish()
    });
    let mut complete = true;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            complete = false;
            break;
        };
        // Where the writer has given up, it says why.
        if let Ok(data) = frame.into_data()
            && pieces.send(data).await.is_err()
        {
            break;
        }
    }
    drop(pieces);
    if complete {
        // The writer may have failed meanwhile.
        let _ = whole.send(());
    } else {
        drop(whole);
    }
    let package = writer.await.map_err(|error| Failure::new(Reason::Internal, format!("the upload broke off: {error}")))??;
    Ok(Json(PackageView { sha256: package.sha256.to_string(), size: package.size }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LogQuery {
    follow: bool,
    tail: Option<usize>,
}

/// The lines of a module's log, one JSON object a line.
#[utoipa::path(get, path = "/v1/modules/{name}/{version}/logs", tag = "modules", params(("name" = String, Path, description = "The module's name"), ("version" = String, Path, description = "Its version"), ("follow" = Option<bool>, Query, description = "Go on as lines come, until the module is gone"), ("tail" = Option<usize>, Query, description = "How many of the latest lines")), responses((status = 200, content_type = "application/x-ndjson", body = LogLine), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn logs(
    State(agent): Shared,
    Path(path): Path<(String, String)>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Refusal> {
    let log = agent.base.log(&id(path)?)?;
    let (mut lines, next) = log.read(0);
    let skip = query.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
    lines.drain(..skip);
    let first = stream::iter([Ok::<_, Infallible>(ndjson(&lines))]);
    let body = if query.follow {
        // Ends when the client goes, or when the module has gone and its log was read to its end.
        let rest = stream::unfold((log, next), |(log, from)| async move {
            if !log.grown(from).await {
                return None;
            }
            let (lines, next) = log.read(from);
            Some((Ok(ndjson(&lines)), (log, next)))
        });
        Body::from_stream(futures_util::StreamExt::chain(first, rest))
    } else {
        Body::from_stream(first)
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

fn ndjson<T: serde::Serialize>(lines: &[T]) -> Bytes {
    let mut text = Vec::new();
    for line in lines {
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
        }
    }
    text.into()
}
