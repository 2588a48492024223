//! Spans for OpenTelemetry: OTLP over HTTP as JSON, sent by a thread of its own. What does not fit its queue is dropped and counted.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ark_model::{Failure, ModuleId, Reason, Timing, api::Progress};
use gateway::trace::{Observer, Parent, Request, new_span};
use prometheus_client::metrics::counter::Counter;
use serde_json::{Value, json};

use crate::identity::Identity;

/// Spans that wait to be sent.
const QUEUE: usize = 4_096;
/// Spans in one message, and how long the first of them waits for more.
const MOST: usize = 512;
const GATHER: Duration = Duration::from_millis(500);
/// What a collector may take for one message.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kinds of spans, as the protocol counts them.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;

struct Span {
    parent: Parent,
    id: u64,
    name: String,
    kind: u8,
    began: SystemTime,
    took: Duration,
    attributes: Vec<(&'static str, Value)>,
    error: Option<String>,
}

/// Sends spans to a collector, as long as it lives.
pub(crate) struct Exporter {
    queue: SyncSender<Span>,
    /// Spans that no collector will see.
    pub(crate) dropped: Counter,
}

impl Exporter {
    /// Begins to send to the collector at `endpoint`, e.g. `http://127.0.0.1:4318`.
    pub(crate) fn start(endpoint: &str, identity: &Identity) -> Result<Arc<Self>, Failure> {
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            let message = format!("the collector's endpoint {endpoint:?} is no HTTP URL; write it like http://127.0.0.1:4318");
            return Err(Failure::new(Reason::InvalidRequest, message));
        }
        let (queue, spans) = sync_channel(QUEUE);
        let dropped = Counter::default();
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build();
        let sender = Sender {
            agent: config.into(),
            url: format!("{}/v1/traces", endpoint.trim_end_matches('/')),
            resource: json!({"attributes": attributes(&[
                ("service.name", identity.name.as_str().into()),
                ("service.version", identity.version.as_str().into()),
                ("service.instance.id", identity.identity.as_str().into()),
                ("service.namespace", identity.cluster.as_str().into()),
            ])}),
            dropped: dropped.clone(),
        };
        let started = thread::Builder::new().name("otlp".to_owned()).spawn(move || sender.run(&spans));
        started.map_err(|error| Failure::new(Reason::Internal, format!("could not start the thread that sends spans: {error}")))?;
        Ok(Arc::new(Self { queue, dropped }))
    }

    fn send(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.dropped.inc();
        }
    }
}

impl Observer for Exporter {
    fn ended(&self, request: Request) {
        let status = request.status.as_u16();
        self.send(Span {
            parent: request.parent,
            id: request.span,
            name: format!("{} {}", request.method, request.module.name()),
            kind: SERVER,
            began: request.began,
            took: request.took,
            error: request.status.is_server_error().then(|| request.status.to_string()),
            attributes: vec![
                ("http.request.method", request.method.as_str().into()),
                ("url.path", request.path.into()),
                ("http.response.status_code", status.into()),
                ("ark.module", request.module.name().into()),
                ("ark.version", request.module.version().into()),
            ],
        });
    }
}

/// An operation on a module, with its steps.
pub(crate) struct Operation {
    to: Option<(Arc<Exporter>, Parent)>,
    id: u64,
    name: &'static str,
    began: SystemTime,
}

impl Operation {
    /// Begins one below `parent`. Without an exporter, or not sampled, it comes to nothing.
    pub(crate) fn begin(exporter: Option<&Arc<Exporter>>, parent: Option<Parent>, name: &'static str) -> Self {
        Self { to: exporter.cloned().zip(parent), id: new_span(), name, began: SystemTime::now() }
    }

    /// Takes notice of an event of an install.
    pub(crate) fn seen(&self, event: &Progress) {
        match event {
            Progress::Ended(timing) => self.steps(&[*timing], None),
            Progress::Retired(retired) => self.steps(&retired.timings, Some(&retired.id)),
            Progress::Done(installed) => self.end(Some(&installed.module.id), None),
            Progress::Failed { error } => self.end(None, Some(error)),
            Progress::Begun { .. } | Progress::Serving { .. } => {}
        }
    }

    /// Steps that came one after the other, the last of which has just ended.
    pub(crate) fn steps(&self, timings: &[Timing], module: Option<&ModuleId>) {
        let Some((exporter, parent)) = &self.to else { return };
        let mut ended = SystemTime::now();
        for timing in timings.iter().rev() {
            let took = Duration::from_secs_f64(timing.ms.max(0.0) / 1_000.0);
            let began = ended.checked_sub(took).unwrap_or(ended);
            exporter.send(Span {
                parent: Parent { span: self.id, ..*parent },
                id: new_span(),
                name: timing.step.as_str().to_owned(),
                kind: INTERNAL,
                began,
                took,
                attributes: of(module),
                error: None,
            });
            ended = began;
        }
    }

    /// It has ended, well unless there is a `failure`.
    pub(crate) fn end(&self, module: Option<&ModuleId>, failure: Option<&Failure>) {
        let Some((exporter, parent)) = &self.to else { return };
        let mut attributes = of(module);
        attributes.extend(failure.map(|failure| ("error.type", failure.reason.as_str().into())));
        exporter.send(Span {
            parent: *parent,
            id: self.id,
            name: self.name.to_owned(),
            kind: INTERNAL,
            began: self.began,
            took: self.began.elapsed().unwrap_or_default(),
            attributes,
            error: failure.map(ToString::to_string),
        });
    }
}

fn of(module: Option<&ModuleId>) -> Vec<(&'static str, Value)> {
    module.map(|id| vec![("ark.module", id.name().into()), ("ark.version", id.version().into())]).unwrap_or_default()
}

struct Sender {
    agent: ureq::Agent,
    url: String,
    resource: Value,
    dropped: Counter,
}

impl Sender {
    /// Sends until nobody can add any more.
    fn run(&self, spans: &Receiver<Span>) {
        while let Ok(first) = spans.recv() {
            let (mut batch, end, mut goes_on) = (vec![encoded(&first)], Instant::now() + GATHER, true);
            while goes_on && batch.len() < MOST {
                match spans.recv_timeout(end.saturating_duration_since(Instant::now())) {
                    Ok(span) => batch.push(encoded(&span)),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => goes_on = false,
                }
            }
            let count = batch.len() as u64;
            let body =
                json!({"resourceSpans": [{"resource": self.resource, "scopeSpans": [{"scope": {"name": "arklet"}, "spans": batch}]}]});
            if let Err(error) = self.agent.post(&self.url).content_type("application/json").send(body.to_string()) {
                self.dropped.inc_by(count);
                tracing::warn!(%error, spans = count, url = self.url, "the collector did not take the spans");
            }
        }
    }
}

fn encoded(span: &Span) -> Value {
    let began = span.began.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut value = json!({
        "traceId": format!("{:032x}", span.parent.trace),
        "spanId": format!("{:016x}", span.id),
        "name": span.name,
        "kind": span.kind,
        // Integers of 64 bits are strings in the protocol's JSON.
        "startTimeUnixNano": began.as_nanos().to_string(),
        "endTimeUnixNano": (began + span.took).as_nanos().to_string(),
        "attributes": attributes(&span.attributes),
        "status": span.error.as_ref().map_or_else(|| json!({}), |message| json!({"code": 2, "message": message})),
    });
    if let (true, Some(members)) = (span.parent.span != 0, value.as_object_mut()) {
        members.insert("parentSpanId".to_owned(), format!("{:016x}", span.parent.span).into());
    }
    value
}

fn attributes(pairs: &[(&str, Value)]) -> Vec<Value> {
    let value = |value: &Value| match value {
        Value::Number(number) => json!({"intValue": number.to_string()}),
        other => json!({"stringValue": other}),
    };
    pairs.iter().map(|(key, one)| json!({"key": key, "value": value(one)})).collect()
}
