//! A module: prepared, started, running, ended.

use std::{
    cell::Cell,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use ark::{Facts, ModuleSpec, Prepared, Reclaimed, Running, Started};
use ark_model::{Failure, Reason, Verdict, VerdictState, order::Resource};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use gateway::{Body, Endpoint, RequestId, Upstream, UpstreamError};
use http_body::Body as _;
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use tokio_util::sync::CancellationToken;
use wasmtime::PoolConcurrencyLimitError;
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::{
    Error as HttpError, WasiBody,
    handler::{ExpirationError, InstantiationError, ProxyHandler},
};

use crate::{
    compile::{Code, Compiler},
    host, logging,
    meter::Usage,
    outgoing::Allowed,
    settings::Settings,
    worker::{CurrentRequest, Ticket, TicketShared, Workers, one_line},
};

/// How many threads get instances of their own; beyond, two threads share theirs.
const LANES: usize = 64;
/// How long threads that are just done with the module may take to let go of it.
const LETTING_GO: Duration = Duration::from_secs(1);
/// How much of an answer to a probe is shown when it fails.
const SHOWN: usize = 200;

/// All that the instances of one build of a module share.
pub(crate) struct Inner {
    pub(crate) spec: Arc<ModuleSpec>,
    pub(crate) code: Code,
    pub(crate) config: WasiConfigVariables,
    pub(crate) allowed: Arc<Allowed>,
    pub(crate) usage: Arc<Usage>,
    pub(crate) deadline: Duration,
    pub(crate) idle: Duration,
    pub(crate) p3_concurrency: usize,
    /// Cancelled when no instance may take another request.
    pub(crate) ends: CancellationToken,
}

impl Inner {
    pub(crate) fn new(spec: &ModuleSpec, code: Code, settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            config: spec.grants.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            allowed: Arc::new(Allowed::new(&spec.grants.outgoing_hosts)),
            usage: Arc::default(),
            deadline: Duration::from_millis(spec.limits.request_deadline_ms),
            idle: settings.idle,
            p3_concurrency: settings.p3_concurrency,
            ends: CancellationToken::new(),
            spec: Arc::new(spec.clone()),
            code,
        })
    }
}

/// A module whose code is there.
pub(crate) struct Ready {
    pub(crate) module: Arc<Inner>,
    /// Where the code is only the baseline build: who makes the optimised one.
    pub(crate) optimiser: Option<Arc<Compiler>>,
    pub(crate) settings: Arc<Settings>,
}

impl Prepared<Endpoint> for Ready {
    fn start(self: Box<Self>) -> BoxFuture<'static, Result<Started<Endpoint>, Failure>> {
        Box::pin(async move {
            trial(&self.module).await?;
            self.module.code.rest();
            let spec = Arc::clone(&self.module.spec);
            let running = Box::new(Served::new(self.module));
            let (optimiser, settings) = (self.optimiser, self.settings);
            let refined = optimiser.map(|optimiser| -> ark::Refined<Endpoint> {
                Box::pin(async move {
                    let code = optimiser.compile(&spec.id, &spec.package.sha256, &spec.package.path).await?;
                    code.rest();
                    Ok(Box::new(Served::new(Inner::new(&spec, code, &settings))) as Box<dyn Running<Endpoint>>)
                })
            });
            Ok(Started { running, refined })
        })
    }

    /// The optimised build is in the cache then, and the start begins with it. Without one it begins with what there is.
    fn keep(self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            let Some(optimiser) = self.optimiser else { return Ok(()) };
            let spec = &self.module.spec;
            if let Err(failure) = optimiser.compile(&spec.id, &spec.package.sha256, &spec.package.path).await {
                tracing::warn!(module = %spec.id, %failure, "there is no optimised build");
            }
            Ok(())
        })
    }
}

/// Brings one instance up and lets it go: what cannot be instantiated shows now, not at the first request.
async fn trial(module: &Arc<Inner>) -> Result<(), Failure> {
    let failed = |error: wasmtime::Error| {
        let reason = if error.is::<PoolConcurrencyLimitError>() { Reason::BudgetExceeded } else { Reason::StartFailed };
        Failure::new(reason, format!("{} could not be instantiated: {}", module.spec.id, one_line(&error)))
    };
    let mut store = host::store(module, &Arc::<CurrentRequest>::default()).map_err(failed)?;
    module.code.pre.instantiate_async(&mut store).await.map_err(failed)?;
    Ok(())
}

/// A module that answers.
pub(crate) struct Served {
    module: Arc<Inner>,
    endpoint: Arc<Lanes>,
}

impl Served {
    fn new(module: Arc<Inner>) -> Self {
        let endpoint = Arc::new(Lanes { module: Arc::clone(&module), lanes: (0..LANES).map(|_| OnceLock::new()).collect() });
        Self { module, endpoint }
    }
}

impl Running<Endpoint> for Served {
    fn endpoint(&self) -> Endpoint {
        Arc::clone(&self.endpoint) as Endpoint
    }

    fn facts(&self) -> Facts {
        Facts { build: self.module.code.build.as_str(), peak_memory_bytes: self.module.usage.peak_memory() }
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            let Some(path) = &self.module.spec.probe_path else { return Ok(()) };
            let failed = |problem: String| {
                let message = format!("{} did not answer its probe at {path}: {problem}", self.module.spec.id);
                Failure::new(Reason::ProbeFailed, message)
            };
            let answer = gateway::probe(&*self.endpoint, http::Request::get(path)).await.map_err(failed)?;
            if answer.status().as_u16() < 400 {
                return Ok(());
            }
            let status = answer.status();
            Err(failed(format!("status {status} {}", beginning(answer.into_body()).await)))
        })
    }

    fn stop(&self, patience: Duration) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            self.module.ends.cancel();
            tokio::time::timeout(patience, self.module.usage.none_live()).await.map_err(|_| {
                let message =
                    format!("{} instances of {} did not end in {} ms", self.module.usage.live(), self.module.spec.id, patience.as_millis());
                Failure::new(Reason::Internal, message)
            })
        })
    }

    fn reclaim(self: Box<Self>) -> BoxFuture<'static, Reclaimed> {
        Box::pin(async move {
            let Self { module, endpoint } = *self;
            let (code, shared) = (module.code.bytes, module.code.is_shared());
            drop(endpoint);
            let end = tokio::time::Instant::now() + LETTING_GO;
            while Arc::strong_count(&module) > 1 && tokio::time::Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (live, held) = (module.usage.live(), Arc::strong_count(&module) - 1);
            let state = if live == 0 && held == 0 { VerdictState::Unloaded } else { VerdictState::Pending };
            let mut verdict = Verdict { state, ..Verdict::default() };
            if state == VerdictState::Unloaded && shared {
                verdict.given_back.push(Resource::new("compiled code, but for what other modules share", 0, "bytes"));
            } else if state == VerdictState::Unloaded {
                verdict.given_back.push(Resource::new("compiled code", code, "bytes"));
            } else {
                verdict.held.push(Resource::new(format!("compiled code, by {held} references to the module"), code, "bytes"));
                verdict.held.push(Resource::new("instances that have not ended", live, "instances"));
            }
            verdict.into()
        })
    }
}

/// The first bytes of a text.
async fn beginning(mut body: Body) -> String {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() >= SHOWN {
            break;
        }
    }
    bytes.truncate(SHOWN);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where requests come in: each thread has instances of its own, so a request stays on the thread that accepted it.
struct Lanes {
    module: Arc<Inner>,
    lanes: Box<[OnceLock<ProxyHandler<Workers>>]>,
}

impl Lanes {
    fn handler(&self) -> Option<ProxyHandler<Workers>> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static LANE: Cell<Option<usize>> = const { Cell::new(None) });
        let lane = LANE.get().unwrap_or_else(|| {
            let lane = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
            LANE.set(Some(lane));
            lane
        });
        let handler = self.lanes.get(lane)?.get_or_init(|| ProxyHandler::new(Workers(Arc::clone(&self.module))));
        Some(handler.clone())
    }
}

impl Upstream for Lanes {
    fn call(&self, mut request: http::Request<Body>, id: &RequestId) -> BoxFuture<'static, Result<http::Response<Body>, UpstreamError>> {
        let (handler, module) = (self.handler(), Arc::clone(&self.module));
        let ticket = Ticket::new(id.clone());
        if request.uri().authority().is_none() && !request.headers().contains_key(http::header::HOST) {
            request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("localhost"));
        }
        let head_only = request.method() == http::Method::HEAD;
        let request = request.map(|body| {
            if body.is_end_stream() {
                return http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
            }
            body.map_err(|error| HttpError::InternalError(Some(error.to_string()))).boxed_unsync()
        });
        Box::pin(async move {
            let answered = match handler {
                Some(handler) => handler.handle(Arc::clone(&ticket.shared), request).await,
                None => Err(wasmtime::Error::msg("no lane")),
            };
            match answered {
                Ok(response) => {
                    ticket.streams();
                    let left = if head_only { Some(0) } else { length_of(&response) };
                    Ok(response.map(|body| Answer::new(body, left, ticket).boxed_unsync()))
                }
                Err(error) => Err(failed(&module, &ticket, &error)),
            }
        })
    }
}

/// Says to the caller which kind of failure it was, and to the module's log everything.
fn failed(module: &Inner, ticket: &Ticket, error: &wasmtime::Error) -> UpstreamError {
    let deadline = module.spec.limits.request_deadline_ms;
    let (reason, message) = match error.downcast_ref::<InstantiationError<Arc<TicketShared>>>() {
        Some(instantiation) if instantiation.error.is::<PoolConcurrencyLimitError>() => {
            (Reason::BudgetExceeded, "the base has no room for another instance".to_owned())
        }
        Some(instantiation) => (Reason::ModuleFailed, format!("no instance could be made: {}", one_line(&instantiation.error))),
        None if error.is::<ExpirationError>() || ticket.timed_out() => {
            (Reason::RequestTimedOut, format!("no answer within request-deadline-ms ({deadline})"))
        }
        None if ticket.denied_memory() => {
            let limit = module.spec.limits.memory_bytes;
            (
                Reason::ModuleFailed,
                format!("it wanted more than its memory-bytes ({limit}): {}", ticket.failure().unwrap_or_else(|| one_line(error))),
            )
        }
        None => (Reason::ModuleFailed, ticket.failure().unwrap_or_else(|| one_line(error))),
    };
    module.spec.log.write(logging::now(), "ark", Some(ticket.id()), &format!("{reason}: {message}"));
    UpstreamError { reason, message }
}

/// How many bytes of a body there will be, where that is known: whoever sends it does not ask for more then, not even for its end.
fn length_of<B>(response: &http::Response<B>) -> Option<u64> {
    if matches!(response.status(), http::StatusCode::NO_CONTENT | http::StatusCode::NOT_MODIFIED) {
        return Some(0);
    }
    response.headers().get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pin_project! {
    /// An answer's body: when it has ended, or all of it has been taken, so has the request.
    struct Answer {
        #[pin]
        body: WasiBody,
        left: Option<u64>,
        ticket: Option<Ticket>,
    }
}

impl Answer {
    fn new(body: WasiBody, left: Option<u64>, ticket: Ticket) -> Self {
        let mut ticket = Some(ticket);
        if left == Some(0)
            && let Some(ticket) = ticket.take()
        {
            ticket.finish();
        }
        Self { body, left, ticket }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = gateway::BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        let frame = std::task::ready!(this.body.poll_frame(context));
        if let (Some(Ok(frame)), Some(left)) = (&frame, this.left.as_mut()) {
            *left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        if (frame.is_none() || *this.left == Some(0))
            && let Some(ticket) = this.ticket.take()
        {
            ticket.finish();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| error.to_string().into())))
    }

    fn is_end_stream(&self) -> bool {
        self.ticket.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
