//! How a module goes: out of the routes, drain, stop, reclaim, verdict.

use std::{sync::Arc, time::Duration};

use ark_model::{
    Failure, Fence, ModuleId, Reason, State, Step, Timing, Verdict, VerdictState, api::Retired, lifecycle::Event as Change, order::Resource,
};
use futures_util::{FutureExt, future};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    base::{Durable, NameLock, Pending, Shared},
    event::Event,
    journal::Entry,
    operation::millis,
    registry::{Command, Live, Module, Registry, not_installed},
    runtime::{ModuleSpec, Reclaimed},
};

/// What a runtime may take beyond its patience, before the container goes on without it.
const GRACE: Duration = Duration::from_secs(5);

/// A module that was taken out and has to drain. It must [`go`](Self::go).
pub(crate) struct Leaving<E> {
    spec: Arc<ModuleSpec>,
    /// Whether another instance of the same module has its place.
    is_replaced: bool,
    live: Option<Live<E>>,
    done: watch::Sender<Option<Retired>>,
}

/// Marks a module as leaving and takes its running part. The caller changes the routes under the same lock.
pub(crate) fn take_out<E: Clone>(registry: &mut Registry<E>, id: &ModuleId, now: u64) -> Option<Leaving<E>> {
    let module = registry.modules.get_mut(id).filter(|module| module.retiring.is_none())?;
    module.history.apply(Change::StopBegan, now, String::new()).ok()?;
    let (done, retiring) = watch::channel(None);
    module.retiring = Some(retiring);
    let leaving = Leaving { spec: Arc::clone(&module.spec), is_replaced: false, live: module.live.take(), done };
    registry.changed();
    Some(leaving)
}

/// Puts `successor` in the place of `module`, whose instance leaves. The caller changes the routes under the same lock.
pub(crate) fn take_instance<E>(module: &mut Module<E>, mut successor: Module<E>) -> Leaving<E> {
    let (done, leaving) = watch::channel(None);
    successor.replaced = Some(leaving);
    let old = std::mem::replace(module, successor);
    Leaving { spec: old.spec, is_replaced: true, live: old.live, done }
}

/// Waits until a leaving module is gone.
pub(crate) async fn gone(mut leaving: watch::Receiver<Option<Retired>>) {
    // An error means that whoever saw it off is gone too; then so is the module.
    let _ = leaving.wait_for(Option::is_some).await;
}

impl<E: Clone + Send + Sync + 'static> Leaving<E> {
    pub(crate) fn id(&self) -> &Arc<ModuleId> {
        &self.spec.id
    }

    /// Sees it off, also where the caller does not wait for the end.
    pub(crate) fn go(self, shared: &Arc<Shared<E>>) -> impl Future<Output = Retired> + use<E> {
        let id = Arc::clone(self.id());
        let task = tokio::spawn(self.see_off(Arc::clone(shared)));
        async move {
            task.await.unwrap_or_else(|error| {
                tracing::error!(module = %id, %error, "seeing a module off panicked");
                Retired { id: ModuleId::clone(&id), timings: Vec::new(), verdict: Verdict::default(), at: 0 }
            })
        }
    }

    async fn see_off(mut self, shared: Arc<Shared<E>>) -> Retired {
        let id = Arc::clone(self.id());
        let (mut timings, mut verdict, mut failure) = (Vec::new(), Verdict { state: VerdictState::Unloaded, ..Verdict::default() }, None);
        let mut later = None;
        if let Some(live) = self.live.take() {
            let deadline = Duration::from_millis(self.spec.limits.drain_deadline_ms);
            let drained = timed(&mut timings, Step::Drain, shared.traffic.drain(live.instance, deadline)).await;
            let (reclaimed, stopped) = end(&shared, &id, live, &mut timings).await;
            (verdict, later, failure) = (reclaimed.verdict, reclaimed.later, stopped);
            verdict.cut_requests = drained.cut;
        }
        let retired = Retired { id: ModuleId::clone(&id), timings, verdict, at: shared.now() };
        let mut registry = shared.registry();
        if !self.is_replaced {
            if let Some(failure) = failure {
                let _ = registry.step(&id, Change::StopFailed, retired.at, format!("{}: {failure}", failure.reason));
            }
            let _ = registry.step(&id, Change::StopEnded, retired.at, String::new());
            registry.modules.remove(&id);
            registry.changed();
        }
        registry.keep_verdict(retired.clone());
        drop(registry);
        self.spec.log.close();
        if !self.is_replaced {
            shared.listeners.tell(&Event::AfterStop(Arc::clone(&id)));
        }
        shared.listeners.tell(&Event::Verdict(Arc::clone(&id), retired.verdict.state));
        if let Some(mut later) = later {
            let (at, cut_requests) = (retired.at, retired.verdict.cut_requests);
            tokio::spawn(async move {
                while let Some(verdict) = later.recv().await {
                    let state = verdict.state;
                    tracing::info!(module = %id, %state, "more is known of a module that was removed");
                    shared.registry().correct_verdict(&id, at, Verdict { cut_requests, ..verdict });
                    shared.listeners.tell(&Event::Verdict(Arc::clone(&id), state));
                }
            });
        }
        self.done.send_replace(Some(retired.clone()));
        retired
    }
}

/// Stops what was drained and gives its resources back.
pub(crate) async fn end<E: 'static>(
    shared: &Shared<E>,
    id: &Arc<ModuleId>,
    live: Live<E>,
    timings: &mut Vec<Timing>,
) -> (Reclaimed, Option<Failure>) {
    let Live { running, refining, .. } = live;
    drop(refining);
    let patience = shared.settings.stop_patience;
    let stopped = timed(timings, Step::Stop, tokio::time::timeout(patience + GRACE, running.stop(patience))).await;
    let failure = stopped
        .unwrap_or_else(|_| Err(Failure::new(Reason::Internal, format!("{id} did not stop within {} ms", (patience + GRACE).as_millis()))))
        .err();
    if let Some(failure) = &failure {
        shared.listeners.tell(&Event::StopFailed(Arc::clone(id), failure.clone()));
    }
    shared.listeners.tell(&Event::BeforeRecycle(Arc::clone(id)));
    let reclaimed = timed(timings, Step::Reclaim, tokio::time::timeout(GRACE, running.reclaim())).await;
    let mut reclaimed = reclaimed.unwrap_or_else(|_| {
        let what = format!("everything of {id}: its runtime did not answer");
        Verdict { held: vec![Resource::new(what, 1, "modules")], ..Verdict::default() }.into()
    });
    if failure.is_some() {
        reclaimed.verdict.state = reclaimed.verdict.state.max(VerdictState::Pending);
    }
    (reclaimed, failure)
}

async fn timed<T>(timings: &mut Vec<Timing>, step: Step, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let value = work.await;
    timings.push(Timing { step, ms: millis(began.elapsed()) });
    value
}

pub(crate) fn uninstall<E: Clone + Send + Sync + 'static>(
    shared: &Arc<Shared<E>>,
    id: &ModuleId,
    fence: Option<Fence>,
) -> Result<Pending<Retired>, Failure> {
    let (fenced, found) = {
        let mut registry = shared.registry();
        (shared.admit(&mut registry, id.name(), fence)?, find(shared, &mut registry, id))
    };
    let known: Pending<Retired> = match found {
        Ok(Found::Running(lock)) => return Ok(remove(shared, id, lock, fenced)),
        Ok(Found::Leaving(leaving)) => already_leaving(id.clone(), leaving),
        Ok(Found::Gone(retired)) => future::ready(Ok(retired)).boxed(),
        Err(failure) if fence.is_none() => return Err(failure),
        Err(failure) => future::ready(Err(failure)).boxed(),
    };
    // Also that there is nothing to do is an answer that older orders must not undo.
    Ok(async move {
        fenced.await?;
        known.await
    }
    .boxed())
}

/// What an uninstall finds.
enum Found<E> {
    Running(NameLock<E>),
    Leaving(watch::Receiver<Option<Retired>>),
    Gone(Retired),
}

fn find<E: Clone>(shared: &Arc<Shared<E>>, registry: &mut Registry<E>, id: &ModuleId) -> Result<Found<E>, Failure> {
    match registry.modules.get(id).map(|module| module.retiring.clone()) {
        Some(Some(leaving)) => Ok(Found::Leaving(leaving)),
        Some(None) => NameLock::take(shared, registry, id, Command::Uninstall, CancellationToken::new()).map(Found::Running),
        None if registry.replaced.contains(id) => {
            let verdict = registry.verdicts.iter().rev().find(|retired| retired.id == *id).cloned();
            let fallback = || Retired {
                id: id.clone(),
                timings: Vec::new(),
                verdict: Verdict { state: VerdictState::Unloaded, ..Verdict::default() },
                at: shared.now(),
            };
            Ok(Found::Gone(verdict.unwrap_or_else(fallback)))
        }
        None => Err(not_installed(id)),
    }
}

fn remove<E: Clone + Send + Sync + 'static>(
    shared: &Arc<Shared<E>>,
    id: &ModuleId,
    lock: NameLock<E>,
    fenced: Durable,
) -> Pending<Retired> {
    let (shared, id) = (Arc::clone(shared), id.clone());
    let task = tokio::spawn(async move {
        let _lock = lock;
        fenced.await?;
        shared.listeners.ask(&Event::BeforeStop(Arc::new(id.clone()))).map_err(|failure| failure.in_step(Step::Stop))?;
        shared.journal.record(Entry::Removed { id: id.clone() }).await?;
        let leaving = {
            let mut registry = shared.registry();
            let leaving = take_out(&mut registry, &id, shared.now());
            shared.traffic.route(id.name(), registry.targets(id.name()));
            leaving
        };
        match leaving {
            Some(leaving) => Ok(leaving.go(&shared).await),
            None => Err(not_installed(&id)),
        }
    });
    finished(task)
}

fn already_leaving(id: ModuleId, mut leaving: watch::Receiver<Option<Retired>>) -> Pending<Retired> {
    Box::pin(async move {
        let retired = leaving.wait_for(Option::is_some).await.ok().and_then(|retired| retired.clone());
        retired.ok_or_else(|| Failure::new(Reason::Internal, format!("{id} left without a verdict; see the base's log")))
    })
}

/// The outcome of a task that may have panicked.
pub(crate) fn finished<T: Send + 'static>(task: tokio::task::JoinHandle<Result<T, Failure>>) -> Pending<T> {
    task.map(|joined| joined.unwrap_or_else(|error| Err(Failure::new(Reason::Internal, format!("the operation broke off: {error}")))))
        .boxed()
}

/// Sees every module off. Names that are busy lose their modules too: whatever is under way has lost its base.
pub(crate) async fn all<E: Clone + Send + Sync + 'static>(shared: &Arc<Shared<E>>) {
    let leaving: Vec<Leaving<E>> = {
        let mut registry = shared.registry();
        for busy in registry.busy.values() {
            busy.cancel.cancel();
        }
        let ids: Vec<ModuleId> =
            registry.modules.iter().filter(|(_, module)| module.history.state() != State::Resolved).map(|(id, _)| id.clone()).collect();
        let now = shared.now();
        let leaving = ids.iter().filter_map(|id| take_out(&mut registry, id, now)).collect();
        for id in &ids {
            shared.traffic.route(id.name(), registry.targets(id.name()));
        }
        leaving
    };
    future::join_all(leaving.into_iter().map(|leaving| leaving.go(shared))).await;
}
