//! Install: fetch, verify, parse, admit, prepare, start, probe, activate; then the old versions go.
//!
//! Whatever fails before *activate* leaves the versions before as they were.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use ark_model::{
    Activation, DEFAULT_PRIORITY, Failure, Fence, InstallOrder, Manifest, ModuleId, Reason, State, Step,
    api::{Installed, ModuleView, Progress},
    lifecycle::{Event as Change, History},
};
use futures_util::{FutureExt, future};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    activation::{self, Plan},
    base::{Durable, NameLock, Shared},
    event::Event,
    journal::{Entry, Wanted},
    log::LogBook,
    operation::{Accepted, Install, Steps},
    registry::{Command, Live, Module},
    retire::{self, Leaving},
    runtime::{ModuleSpec, Package, Prepared, Running, Runtime, Started},
};

/// The longest mark of an order, in characters.
const MAX_MARK: usize = 256;

/// Where an order comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Somebody asks for it; it is in the journal already where a base before this one accepted it.
    Ordered { seq: u64, recorded: bool },
    /// The journal says that it ran, with or without traffic.
    Restored { active: bool },
    /// It stands among the files that the base is started with.
    Static,
}

/// Begins an install; a conflict is told at once.
pub(crate) fn begin<E: Clone + Send + Sync + 'static>(
    shared: &Arc<Shared<E>>,
    order: InstallOrder,
    fence: Option<Fence>,
    origin: Origin,
) -> Result<Install, Failure> {
    if order.mark.as_ref().is_some_and(|mark| mark.chars().count() > MAX_MARK) {
        return Err(Failure::new(Reason::InvalidRequest, format!("the order's mark is longer than {MAX_MARK} characters")));
    }
    let permit = shared.permit()?;
    let cancel = CancellationToken::new();
    let (events, receiver) = mpsc::unbounded_channel();
    let (lock, fenced) = match (&order.id, fence) {
        (None, None) => (None, future::ready(Ok(())).boxed()),
        (None, Some(_)) => {
            let message = "an order with a fence has to say what it is about; add `id`, the module's name and version";
            return Err(Failure::new(Reason::InvalidRequest, message));
        }
        (Some(id), fence) => {
            let mut registry = shared.registry();
            let fenced = shared.admit(&mut registry, id.name(), fence)?;
            let lock = NameLock::take(shared, &mut registry, id, Command::Install, cancel.clone())?;
            let mut same = fence.and_then(|_| registry.same(&order));
            if same.is_some() && registry.weigh(&order) {
                shared.traffic.route(id.name(), registry.targets(id.name()));
                same = registry.same(&order);
            }
            drop(registry);
            if let Some(module) = same {
                return Ok(done_already(module, fenced, (events, receiver)));
            }
            (Some(lock), fenced)
        }
    };
    let ordered = match origin {
        Origin::Ordered { seq, recorded: false } => shared.journal.record(Entry::Ordered { seq, order: Box::new(order.clone()) }),
        Origin::Ordered { .. } | Origin::Restored { .. } | Origin::Static => Box::pin(future::ready(Ok(()))),
    };
    let accepted: Accepted = async { future::try_join(fenced, ordered).await.map(drop) }.boxed().shared();
    let deadline = Instant::now() + shared.time_for(&order);
    let installing = Installing {
        shared: Arc::clone(shared),
        order,
        origin,
        lock,
        accepted: accepted.clone(),
        registered: None,
        steps: Steps { events, cancel, deadline, timings: Vec::new() },
        _permit: permit,
    };
    tokio::spawn(installing.run());
    Ok(Install { events: receiver, accepted })
}

/// The end of an install whose order came a second time.
fn done_already(
    module: ModuleView,
    fenced: Durable,
    (events, receiver): (mpsc::UnboundedSender<Progress>, mpsc::UnboundedReceiver<Progress>),
) -> Install {
    let accepted: Accepted = fenced.shared();
    let durable = accepted.clone();
    tokio::spawn(async move {
        // Nobody may listen any more.
        let _ = events.send(match durable.await {
            Ok(()) => Progress::Done(Box::new(Installed { timings: module.timings.clone(), module, retired: Vec::new() })),
            Err(error) => Progress::Failed { error },
        });
    });
    Install { events: receiver, accepted }
}

struct Installing<E> {
    shared: Arc<Shared<E>>,
    order: InstallOrder,
    origin: Origin,
    lock: Option<NameLock<E>>,
    accepted: Accepted,
    /// The module that stands in the registry for this install, from *admit* on.
    registered: Option<Arc<ModuleId>>,
    steps: Steps,
    _permit: OwnedSemaphorePermit,
}

impl<E: Clone + Send + Sync + 'static> Installing<E> {
    async fn run(mut self) {
        let outcome = AssertUnwindSafe(self.pipeline()).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|_| Err(Failure::new(Reason::Internal, "the install panicked; see the base's log")));
        match outcome {
            Ok(installed) => self.steps.tell(Progress::Done(Box::new(installed))),
            Err(failure) => {
                self.give_up(&failure).await;
                self.steps.tell(Progress::Failed { error: failure });
            }
        }
    }

    async fn pipeline(&mut self) -> Result<Installed, Failure> {
        let shared = Arc::clone(&self.shared);
        let order = self.order.clone();
        let Read { package, runtime, manifest, id } = read(&mut self.steps, &shared, &order).await?;
        if self.lock.is_none() {
            let cancel = self.steps.cancel.clone();
            self.lock = Some(NameLock::take(&shared, &mut shared.registry(), &id, Command::Install, cancel)?);
        }
        let (spec, successor) = self.steps.run(Step::Admit, admit(&shared, &order, &id, package, &manifest, runtime.kind())).await?;
        self.registered = successor.is_none().then(|| Arc::clone(&id));
        let prepared = self.steps.run(Step::Prepare, runtime.prepare(&spec)).await?;
        let started = self.start(&spec, prepared).await?;
        let leaving = self.activate(&spec, started, successor).await?;
        // From here on nothing fails, and nobody can give it up. Once that stands in the journal, before whatever comes next on this name,
        // the name is free again: a later operation waits for the drain itself.
        self.registered = None;
        self.record_success(&id, &leaving);
        self.lock = None;
        let view = shared.registry().modules.get(&id).map(|module| module.view());
        let mut module = view.ok_or_else(|| Failure::new(Reason::Cancelled, format!("{id} was removed as soon as it served")))?;
        self.steps.tell(Progress::Serving { module: Box::new(module.clone()) });
        let mut retired = Vec::new();
        for gone in future::join_all(leaving.into_iter().map(|leaving| leaving.go(&shared))).await {
            self.steps.tell(Progress::Retired(gone.clone()));
            retired.push(gone);
        }
        module.timings.clone_from(&self.steps.timings);
        Ok(Installed { module, timings: self.steps.timings.clone(), retired })
    }

    /// Starts and probes, within the module's own deadline for both.
    async fn start(&mut self, spec: &Arc<ModuleSpec>, prepared: Box<dyn Prepared<E>>) -> Result<Started<E>, Failure> {
        let shared = Arc::clone(&self.shared);
        let deadline = Instant::now() + Duration::from_millis(spec.limits.start_deadline_ms);
        shared.listeners.ask(&Event::BeforeStart(Arc::clone(&spec.id))).map_err(|failure| failure.in_step(Step::Start))?;
        let late = |_| {
            let message = format!("{} did not start and answer its probe in {} ms", spec.id, spec.limits.start_deadline_ms);
            Failure::new(Reason::StartTimedOut, format!("{message}; raise its start-deadline-ms, or see its log"))
        };
        let start = async { timeout_at(deadline, prepared.start()).await.map_err(late)? };
        let started = self.steps.run(Step::Start, start).await?;
        let probe = async { timeout_at(deadline, started.running.probe()).await.map_err(late)? };
        if let Err(failure) = self.steps.run(Step::Probe, probe).await {
            dispose(started.running, shared.settings.stop_patience);
            return Err(failure);
        }
        shared.listeners.tell(&Event::AfterStart(Arc::clone(&spec.id)));
        Ok(started)
    }

    /// Changes the routes, once the order is durable and the name has room for one more version.
    async fn activate(
        &mut self,
        spec: &Arc<ModuleSpec>,
        started: Started<E>,
        successor: Option<Module<E>>,
    ) -> Result<Vec<Leaving<E>>, Failure> {
        let shared = Arc::clone(&self.shared);
        let (id, policy, accepted) = (Arc::clone(&spec.id), self.policy(), self.accepted.clone());
        let restored = matches!(self.origin, Origin::Restored { .. });
        // Whoever takes another's place is no further version.
        let adds = policy == Activation::Together && successor.is_none();
        let room = async {
            accepted.await?;
            if restored { Ok(()) } else { room(&shared, &id, adds).await }
        };
        if let Err(failure) = self.steps.run(Step::Activate, room).await {
            dispose(started.running, shared.settings.stop_patience);
            return Err(failure);
        }
        if let Some(successor) = successor {
            return self.take_place(spec, successor, started).map(|leaving| vec![leaving]);
        }
        let from: Vec<ModuleId> =
            shared.registry().others(&id).into_iter().filter(|other| other.state == State::Activated).map(|other| other.id).collect();
        let moves = policy == Activation::Switch && !from.is_empty();
        if moves {
            shared.listeners.tell(&Event::BeforeSwitch(from.clone(), Arc::clone(&id)));
        }
        let leaving = self.change_routes(spec, policy, started)?;
        if moves {
            shared.listeners.tell(&Event::AfterSwitch(from, Arc::clone(&id)));
        }
        Ok(leaving)
    }

    /// One change, seen by everybody at once: histories, routes, who leaves.
    fn change_routes(&mut self, spec: &Arc<ModuleSpec>, policy: Activation, started: Started<E>) -> Result<Vec<Leaving<E>>, Failure> {
        let shared = &self.shared;
        let id = &spec.id;
        let now = shared.now();
        let mut registry = shared.registry();
        let plan = match self.origin {
            Origin::Restored { active } => Plan { activate: active, ..Plan::default() },
            Origin::Ordered { .. } | Origin::Static => activation::on_install(policy, &registry.others(id)),
        };
        let (event, message) = match (plan.activate, plan.retire.first()) {
            (false, _) => (Change::StartedInactive, "start but is deactivated".to_owned()),
            (true, Some(old)) => (Change::StartedActive, format!("switch from old biz: {old}")),
            (true, None) => (Change::StartedActive, String::new()),
        };
        registry.step(id, event, now, message)?;
        let mut failed = None;
        if let Some(module) = registry.modules.get_mut(id) {
            failed = module.live.replace(Live::new(shared, id, started));
            module.timings.clone_from(&self.steps.timings);
        }
        let mut leaving = Vec::new();
        for old in &plan.retire {
            if registry.modules.get(old).is_some_and(|module| module.history.state() == State::Activated) {
                registry.step(old, Change::Deactivate, now, format!("switch to new biz {id}"))?;
            }
            leaving.extend(retire::take_out(&mut registry, old, now));
            registry.remember_replaced(old.clone());
        }
        registry.replaced.retain(|other| *other != **id);
        shared.traffic.route(id.name(), registry.targets(id.name()));
        if let Some(failed) = failed {
            retire::dispose(shared, spec, failed);
        }
        Ok(leaving)
    }

    /// Puts `successor` in the place of the instance that runs: the same state, other content.
    fn take_place(&self, spec: &Arc<ModuleSpec>, mut successor: Module<E>, started: Started<E>) -> Result<Leaving<E>, Failure> {
        let (shared, id) = (&self.shared, &spec.id);
        let mut registry = shared.registry();
        let Some(module) = registry.modules.get_mut(id.as_ref()).filter(|module| module.stays()) else {
            dispose(started.running, shared.settings.stop_patience);
            return Err(Failure::new(Reason::Cancelled, format!("{id} is on its way out; nothing takes its place")));
        };
        successor.live = Some(Live::new(shared, id, started));
        successor.history = module.history.clone();
        successor.timings.clone_from(&self.steps.timings);
        let leaving = retire::take_instance(module, successor);
        shared.traffic.route(id.name(), registry.targets(id.name()));
        registry.changed();
        Ok(leaving)
    }

    fn policy(&self) -> Activation {
        self.order.activation.unwrap_or(self.shared.settings.activation)
    }

    fn record_success(&self, id: &ModuleId, leaving: &[Leaving<E>]) {
        let Origin::Ordered { seq, .. } = self.origin else { return };
        let wanted = self.shared.registry().modules.get(id).map(|module| Wanted {
            id: id.clone(),
            order: InstallOrder { id: Some(id.clone()), sha256: Some(module.spec.package.sha256.to_string()), ..self.order.clone() },
            priority: module.priority,
            active: module.history.state() == State::Activated,
        });
        if let Some(wanted) = wanted {
            let removed = leaving.iter().map(|leaving| ModuleId::clone(leaving.id())).filter(|removed| removed != id).collect();
            // Not waited for: until it is durable, the order itself is, and comes to the same.
            drop(self.shared.journal.record(Entry::Installed { seq, wanted: Box::new(wanted), removed }));
        }
    }

    async fn give_up(&mut self, failure: &Failure) {
        let shared = Arc::clone(&self.shared);
        if let Some(id) = self.registered.take() {
            shared.listeners.tell(&Event::StartFailed(Arc::clone(&id), failure.clone()));
            let mut registry = shared.registry();
            if shared.settings.remove_broken {
                if let Some(mut removed) = registry.modules.remove(&id) {
                    removed.spec.log.close();
                    if let Some(failed) = removed.live.take() {
                        shared.traffic.route(id.name(), registry.targets(id.name()));
                        retire::dispose(&shared, &removed.spec, failed);
                    }
                }
            } else if let Some(module) = registry.modules.get_mut(&id) {
                let message = format!("{}: {failure}", failure.reason);
                if let Err(illegal) = module.history.apply(Change::StartFailed, shared.now(), message) {
                    tracing::error!(module = %id, %illegal, "a failed install left its module in an unexpected state");
                }
                module.failure = Some(failure.clone());
                module.timings.clone_from(&self.steps.timings);
            }
            registry.changed();
        }
        if let Origin::Ordered { seq, .. } = self.origin
            && let Err(journal) = shared.journal.record(Entry::Failed { seq }).await
        {
            tracing::error!(%journal, "could not record that an install failed; it will be tried again at the next start");
        }
        self.lock = None;
    }
}

/// Ends a module that never got traffic, in the background: nobody waits for it.
fn dispose<E: 'static>(running: Box<dyn Running<E>>, patience: Duration) {
    tokio::spawn(async move {
        if let Err(failure) = running.stop(patience).await {
            tracing::warn!(%failure, "a module that did not get traffic could not be stopped");
        }
        running.reclaim().await;
    });
}

/// What an order is about.
pub(crate) struct Read<E> {
    pub(crate) package: Package,
    pub(crate) runtime: Arc<dyn Runtime<E>>,
    pub(crate) manifest: Manifest,
    pub(crate) id: Arc<ModuleId>,
}

/// The first steps, which change nothing but that the package is here.
pub(crate) async fn read<E: 'static>(steps: &mut Steps, shared: &Shared<E>, order: &InstallOrder) -> Result<Read<E>, Failure> {
    let package = steps.run(Step::Fetch, shared.packages.fetch(order)).await?;
    steps.run(Step::Verify, shared.packages.verify(order, &package)).await?;
    let (runtime, manifest) = steps.run(Step::Parse, parse(shared, &package)).await?;
    let id = Arc::new(identity(order, &manifest, runtime.packages_name_modules())?);
    Ok(Read { package, runtime, manifest, id })
}

/// Finds the package's kind and reads its manifest.
pub(crate) async fn parse<E: 'static>(shared: &Shared<E>, package: &Package) -> Result<(Arc<dyn Runtime<E>>, Manifest), Failure> {
    let runtime = shared.runtimes.iter().find(|runtime| runtime.recognises(package)).ok_or_else(|| {
        let kinds: Vec<&str> = shared.runtimes.iter().map(|runtime| runtime.kind()).collect();
        let message = format!(
            "{} bytes that begin with {:02x?} are no package of a kind that this base runs ({})",
            package.size,
            package.head,
            kinds.join(", ")
        );
        Failure::new(Reason::PackageInvalid, message)
    })?;
    let manifest = runtime.parse(package).await?;
    Ok((Arc::clone(runtime), manifest))
}

/// Order and package together have to say both parts. Where both speak they have to agree, if what the package says is `binding`;
/// else the order decides.
pub(crate) fn identity(order: &InstallOrder, manifest: &Manifest, binding: bool) -> Result<ModuleId, Failure> {
    let part = |what: &str, asked: Option<&str>, said: Option<&str>| match (asked, said) {
        (Some(asked), Some(said)) if binding && asked != said => Err(Failure::new(
            Reason::IdentityMismatch,
            format!("the order says {what} {asked:?} and the package says {said:?}; order what the package is, or build it anew"),
        )),
        (Some(part), _) | (None, Some(part)) => Ok(part.to_owned()),
        (None, None) => Err(Failure::new(
            Reason::InvalidRequest,
            format!("neither the order nor the package gives a {what}; add one to the order, or build the package with `arkctl build`"),
        )),
    };
    let asked = order.id.as_ref();
    let name = part("name", asked.map(ModuleId::name), manifest.name.as_deref())?;
    let version = part("version", asked.map(ModuleId::version), manifest.version.as_deref())?;
    ModuleId::new(name, version).map_err(|invalid| Failure::new(Reason::InvalidRequest, invalid.to_string()))
}

/// What order and package together make of the module `id`.
pub(crate) fn spec<E>(
    shared: &Shared<E>,
    order: &InstallOrder,
    id: &Arc<ModuleId>,
    package: Package,
    manifest: &Manifest,
) -> Result<Arc<ModuleSpec>, Failure> {
    let asked = Manifest { context_path: order.context_path.clone(), ..Manifest::default() };
    let says = if asked.context_path.is_some() { &asked } else { manifest };
    let context_path: Arc<str> =
        says.context_path_of(id.name()).map_err(|invalid| Failure::new(Reason::InvalidRequest, invalid.to_string()))?.into();
    if !manifest.grants.directories.is_empty() {
        let message = format!("{id} grants itself directories; only an install order can grant a directory");
        return Err(Failure::new(Reason::InvalidRequest, message));
    }
    let limits = shared.settings.limits.with(&manifest.limits).with(&order.limits);
    Ok(Arc::new(ModuleSpec {
        id: Arc::clone(id),
        package,
        context_path,
        limits,
        grants: manifest.grants.clone().and(&order.grants),
        args: order.args.clone(),
        probe_path: manifest.probe_path.clone(),
        reuse: manifest.reuse.unwrap_or(1).max(1),
        options: order.options.clone(),
        log: Arc::new(LogBook::new(&limits)),
    }))
}

/// Checks the new module against the base and its neighbours, and registers it as resolved; where it is to take the place of one that runs,
/// hands it on instead.
async fn admit<E: Clone>(
    shared: &Shared<E>,
    order: &InstallOrder,
    id: &Arc<ModuleId>,
    package: Package,
    manifest: &Manifest,
    kind: &'static str,
) -> Result<(Arc<ModuleSpec>, Option<Module<E>>), Failure> {
    let spec = spec(shared, order, id, package, manifest)?;
    let context_path = Arc::clone(&spec.context_path);
    let hosts: Arc<[String]> = manifest.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    // The same identity may still be draining: after a switch there and back, for instance.
    let leaving = shared.registry().modules.get(id.as_ref()).and_then(|module| module.retiring.clone());
    if let Some(leaving) = leaving {
        retire::gone(leaving).await;
    }
    let mut registry = shared.registry();
    let standing = registry.modules.get(id.as_ref()).filter(|module| module.history.state() != State::Broken);
    let replaces = standing.is_some_and(|standing| order.replace && order.mark != standing.order.mark && standing.stays());
    if let Some(standing) = standing.filter(|_| !replaces) {
        let message = format!("{id} is installed already and {}; undeploy it first, or deploy another version", standing.history.state());
        return Err(Failure::new(Reason::AlreadyInstalled, message));
    }
    let overlaps = |module: &Module<E>| {
        module.context_path == context_path
            && (module.history.state() != State::Broken || module.live.is_some())
            && (module.hosts.is_empty() || hosts.is_empty() || module.hosts.iter().any(|host| hosts.contains(host)))
    };
    if let Some((other, _)) = registry.modules.iter().find(|(other, module)| other.name() != id.name() && overlaps(module)) {
        let message = format!("{id} would answer at {context_path}, where {other} answers; give one of them another context-path");
        return Err(Failure::new(Reason::ContextPathTaken, message));
    }
    if registry.modules.len() >= shared.settings.max_modules && !registry.modules.contains_key(id.as_ref()) {
        let message = format!("this base has {} modules, as many as it allows; undeploy some first", registry.modules.len());
        return Err(Failure::new(Reason::BudgetExceeded, message));
    }
    let mut module = Module {
        history: History::created(shared.now()),
        spec: Arc::clone(&spec),
        kind,
        manifest: manifest.clone(),
        order: order.clone(),
        context_path,
        hosts,
        weight: order.weight.unwrap_or(100),
        priority: manifest.priority.unwrap_or(DEFAULT_PRIORITY),
        failure: None,
        timings: Vec::new(),
        live: None,
        retiring: None,
        replaced: None,
    };
    if replaces {
        return Ok((spec, Some(module)));
    }
    // A broken one that it replaces is gone; what that still answers, it answers until this one serves.
    if let Some(replaced) = registry.modules.remove(id) {
        replaced.spec.log.close();
        module.live = replaced.live;
    }
    registry.modules.insert(ModuleId::clone(id), module);
    registry.changed();
    Ok((spec, None))
}

/// Waits until one more instance of the name may serve; refused where it `adds` a version beyond those that may serve together.
async fn room<E: Clone>(shared: &Shared<E>, id: &ModuleId, adds: bool) -> Result<(), Failure> {
    loop {
        let (serving, draining) = {
            let registry = shared.registry();
            let serving = registry.versions(id.name()).filter(|(_, module)| module.history.state() == State::Activated).count();
            let draining = registry.versions(id.name()).find_map(|(_, module)| module.draining().cloned());
            (serving, draining)
        };
        let most = shared.settings.versions_per_name.max(1);
        match draining {
            Some(leaving) if serving + 1 >= most => retire::gone(leaving).await,
            None if adds && serving >= most => {
                let message = format!("{serving} versions of {} serve, as many as this base allows; undeploy one first", id.name());
                return Err(Failure::new(Reason::BudgetExceeded, message));
            }
            Some(_) | None => return Ok(()),
        }
    }
}
