//! How long an instance lives: from its first request to its last, its deadline, its client's departure, or its module's end.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;
use gateway::RequestId;
use pin_project_lite::pin_project;
use tokio_util::sync::WaitForCancellationFutureOwned;
use wasmtime::{Store, StoreContextMut, component::GuestTaskId};
use wasmtime_wasi_http::{
    WasiHttpView,
    handler::{HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus},
};

use crate::{
    host::{self, Host},
    module::Inner,
};

/// The id of the request that an instance works on.
#[derive(Debug, Default)]
pub(crate) struct CurrentRequest(Mutex<Option<RequestId>>);

impl CurrentRequest {
    pub(crate) fn get(&self) -> Option<RequestId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, id: RequestId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    }
}

/// What is known of one instance from outside of its store.
#[derive(Default)]
pub(crate) struct Vital {
    /// Requests it was given and whose answers have not ended.
    active: AtomicUsize,
    /// Of these, how many nobody waits for any more.
    abandoned: AtomicUsize,
    /// Of these, how many have their head sent and stream.
    streaming: AtomicUsize,
    timed_out: AtomicBool,
    denied_memory: AtomicBool,
    /// What ended it before its time.
    failure: Mutex<Option<String>>,
    waker: AtomicWaker,
    request: Arc<CurrentRequest>,
}

/// One request on its way through an instance, as its caller holds it. Dropping it before its end ends an instance that has no other.
pub(crate) struct Ticket {
    pub(crate) shared: Arc<TicketShared>,
    finished: bool,
}

/// The same request as the instance holds it.
pub(crate) struct TicketShared {
    id: RequestId,
    instance: OnceLock<Arc<Vital>>,
    dropped: AtomicBool,
}

impl Ticket {
    pub(crate) fn new(id: RequestId) -> Self {
        let shared = TicketShared { id, instance: OnceLock::new(), dropped: AtomicBool::new(false) };
        Self { shared: Arc::new(shared), finished: false }
    }

    /// The head is there, and the body streams.
    pub(crate) fn streams(&self) {
        if let Some(vital) = self.shared.instance.get() {
            vital.streaming.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The answer has ended.
    pub(crate) fn finish(mut self) {
        self.finished = true;
        if let Some(vital) = self.shared.instance.get() {
            vital.active.fetch_sub(1, Ordering::AcqRel);
            vital.streaming.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn id(&self) -> &str {
        self.shared.id.as_str()
    }

    /// Whether the instance overran the deadline.
    pub(crate) fn timed_out(&self) -> bool {
        self.shared.instance.get().is_some_and(|vital| vital.timed_out.load(Ordering::Acquire))
    }

    /// What ended the instance before its time: it knows more than the call that waited.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.instance.get().and_then(|vital| vital.failure.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Whether the instance was denied memory.
    pub(crate) fn denied_memory(&self) -> bool {
        self.shared.instance.get().is_some_and(|vital| vital.denied_memory.load(Ordering::Acquire))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.finished {
            self.shared.dropped.store(true, Ordering::SeqCst);
            if let Some(vital) = self.shared.instance.get() {
                vital.abandon();
            }
        }
    }
}

impl Vital {
    fn abandon(&self) {
        self.abandoned.fetch_add(1, Ordering::AcqRel);
        self.waker.wake();
    }

    fn is_abandoned(&self) -> bool {
        let active = self.active.load(Ordering::Acquire);
        active > 0 && self.abandoned.load(Ordering::Acquire) >= active
    }
}

pin_project! {
    /// When an instance has to go.
    pub(crate) struct Expiration {
        vital: Arc<Vital>,
        deadline: Duration,
        idle: Duration,
        #[pin]
        sleep: tokio::time::Sleep,
        // Only an instance that is reused can be idle when its module ends.
        #[pin]
        module_ends: Option<WaitForCancellationFutureOwned>,
    }
}

impl WorkerExpiration for Expiration {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>, status: WorkerStatus, since: Instant) -> Poll<()> {
        let mut this = self.project();
        this.vital.waker.register(context.waker());
        if this.vital.is_abandoned() {
            return Poll::Ready(());
        }
        if let (WorkerStatus::Idle, Some(ends)) = (status, this.module_ends.as_mut().as_pin_mut())
            && ends.poll(context).is_ready()
        {
            return Poll::Ready(());
        }
        let until = match status {
            WorkerStatus::Idle => since + *this.idle,
            // While its answer streams, the data path watches it: a pause that is too long ends the request, and so the instance.
            WorkerStatus::Requests | WorkerStatus::PostReturn if this.vital.streaming.load(Ordering::Acquire) > 0 => {
                Instant::now() + *this.deadline
            }
            WorkerStatus::Requests | WorkerStatus::PostReturn => since + *this.deadline,
        };
        let until = tokio::time::Instant::from_std(until);
        if this.sleep.deadline() != until {
            this.sleep.as_mut().reset(until);
        }
        let expired = this.sleep.poll(context).is_ready();
        if expired && status != WorkerStatus::Idle {
            this.vital.timed_out.store(true, Ordering::Release);
        }
        if expired { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// What an instance takes on.
pub(crate) struct Worker {
    vital: Arc<Vital>,
    module: Arc<Inner>,
    at_a_time: usize,
}

impl WorkerState for Worker {
    type StoreData = Host;
    type RequestData = Arc<TicketShared>;

    fn should_accept_request(&self, now: usize, ever: usize) -> ShouldAccept {
        if ever >= self.module.spec.reuse as usize || self.module.ends.is_cancelled() {
            ShouldAccept::Never
        } else if now >= self.at_a_time {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Host>,
        ticket: Arc<TicketShared>,
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        self.vital.request.set(ticket.id.clone());
        self.vital.active.fetch_add(1, Ordering::AcqRel);
        // A ticket is given to one instance, once.
        let _ = ticket.instance.set(Arc::clone(&self.vital));
        if ticket.dropped.load(Ordering::SeqCst) {
            self.vital.abandon();
        }
        Box::pin(tokio::time::sleep(self.module.deadline))
    }

    fn drop(&self, store: Store<Host>, outcome: Result<(), wasmtime::Error>) {
        self.vital.denied_memory.store(store.data().denied_memory(), Ordering::Release);
        let Err(error) = outcome else { return };
        let text = one_line(&error);
        // Before the head is there, whoever called writes the line.
        if self.vital.streaming.load(Ordering::Acquire) > 0 && !self.vital.is_abandoned() {
            store.data().log("ark", &format!("the answer broke off: {text}"));
        }
        *self.vital.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}

/// An error with its causes in one line, the innermost first. Addresses in the guest's code say nothing to its developers.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let mut causes: Vec<String> = error.chain().map(|cause| cause.to_string().replace('\n', " ")).collect();
    causes.retain(|cause| !cause.starts_with("error while executing at wasm backtrace"));
    causes.reverse();
    causes.join("; ")
}

/// Makes instances of a module.
pub(crate) struct Workers(pub(crate) Arc<Inner>);

impl HandlerState for Workers {
    type StoreData = Host;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Host, Expiration, Worker>> {
        let module = &self.0;
        let vital = Arc::<Vital>::default();
        let mut store = host::store(module, &vital.request)?;
        let proxy = tokio::time::timeout(module.deadline, module.code.pre.instantiate_async(&mut store))
            .await
            .map_err(|_| wasmtime::Error::msg("the instance did not come up in time"))??;
        let reuse = module.spec.reuse > 1;
        let at_a_time = if reuse && matches!(module.code.pre, ProxyPre::P3(_)) { module.p3_concurrency } else { 1 };
        let expiration = Expiration {
            vital: Arc::clone(&vital),
            deadline: module.deadline,
            idle: module.idle,
            sleep: tokio::time::sleep(module.deadline),
            module_ends: reuse.then(|| module.ends.clone().cancelled_owned()),
        };
        let state = Worker { vital, module: Arc::clone(module), at_a_time };
        Ok(Instance { store, proxy, view: WasiHttpView::http, expiration, state })
    }
}
