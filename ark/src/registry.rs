//! The modules of a base, and which operation is under way on which name.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    sync::Arc,
};

use ark_model::{
    Failure, Fence, InstallOrder, Manifest, ModuleId, Reason, State, Timing, Verdict,
    api::{Inspection, ModuleView, Retired, TrafficView},
    lifecycle::{Event, History},
    report::ModuleReport,
};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    activation::Standing,
    fence::Fences,
    journal::MAX_REPLACED,
    runtime::{ModuleSpec, Running},
    traffic::{InstanceId, Target},
};

/// How many verdicts are kept.
pub(crate) const MAX_VERDICTS: usize = 1_000;

/// What can be under way on a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// An install.
    Install,
    /// An uninstall.
    Uninstall,
    /// A switch by hand.
    Switch,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Install => "install",
            Self::Uninstall => "uninstall",
            Self::Switch => "switch",
        })
    }
}

/// The operation that holds a name.
pub(crate) struct Busy {
    pub(crate) command: Command,
    pub(crate) version: String,
    pub(crate) cancel: CancellationToken,
}

/// The running part of a module.
pub(crate) struct Live<E> {
    pub(crate) instance: InstanceId,
    pub(crate) running: Box<dyn Running<E>>,
    /// Where a better build is being made: dropping this gives it up.
    pub(crate) refining: Option<DropGuard>,
}

/// A registered module.
pub(crate) struct Module<E> {
    pub(crate) history: History,
    pub(crate) spec: Arc<ModuleSpec>,
    pub(crate) kind: &'static str,
    pub(crate) manifest: Manifest,
    pub(crate) order: InstallOrder,
    pub(crate) context_path: Arc<str>,
    pub(crate) hosts: Arc<[String]>,
    pub(crate) weight: u32,
    pub(crate) priority: i32,
    pub(crate) failure: Option<Failure>,
    pub(crate) timings: Vec<Timing>,
    pub(crate) live: Option<Live<E>>,
    /// Set while it is on its way out; then holds what came of it.
    pub(crate) retiring: Option<watch::Receiver<Option<Retired>>>,
    /// Likewise of the instance whose place it has taken.
    pub(crate) replaced: Option<watch::Receiver<Option<Retired>>>,
}

impl<E: Clone> Module<E> {
    fn target(&self) -> Option<Target<E>> {
        let live = self.live.as_ref().filter(|_| self.history.state() == State::Activated)?;
        Some(Target {
            instance: live.instance,
            module: Arc::clone(&self.spec.id),
            context_path: Arc::clone(&self.context_path),
            hosts: Arc::clone(&self.hosts),
            weight: self.weight,
            limits: self.spec.limits,
            endpoint: live.running.endpoint(),
        })
    }

    /// A closer look, which is taken outside of the registry.
    pub(crate) fn look(&self) -> impl Future<Output = ModuleView> + Send + use<E> {
        let (mut view, inspection) = (self.view(), self.live.as_ref().map(|live| live.running.inspect()));
        async move {
            if let Some(inspection) = inspection {
                view.inspection = inspection.await;
            }
            view
        }
    }

    pub(crate) fn view(&self) -> ModuleView {
        let facts = self.live.as_ref().map(|live| live.running.facts()).unwrap_or_default();
        ModuleView {
            id: ModuleId::clone(&self.spec.id),
            kind: self.kind.to_owned(),
            state: self.history.state(),
            failure: self.failure.clone(),
            context_path: self.context_path.to_string(),
            hosts: self.hosts.to_vec(),
            weight: self.weight,
            priority: self.priority,
            mark: self.order.mark.clone().unwrap_or_default(),
            url: self.order.url.clone(),
            sha256: self.spec.package.sha256.to_string(),
            package_bytes: self.spec.package.size,
            build: facts.build.to_owned(),
            limits: self.spec.limits,
            manifest: self.manifest.clone(),
            history: self.history.records().to_vec(),
            timings: self.timings.clone(),
            traffic: TrafficView { peak_memory_bytes: facts.peak_memory_bytes, ..TrafficView::default() },
            inspection: Inspection::default(),
        }
    }
}

impl<E> Module<E> {
    /// How it stands; what its requests came to is for the data path to fill in.
    fn report(&self, fence: Fence) -> ModuleReport {
        ModuleReport {
            id: ModuleId::clone(&self.spec.id),
            state: self.history.state(),
            failure: self.failure.clone(),
            mark: self.order.mark.clone().unwrap_or_default(),
            fence,
            weight: self.weight,
            requests: 0,
            failures: 0,
            in_flight: 0,
            p99_ms: 0.0,
        }
    }

    /// An instance of it that is on its way out.
    pub(crate) fn draining(&self) -> Option<&watch::Receiver<Option<Retired>>> {
        self.retiring.iter().chain(&self.replaced).find(|leaving| leaving.borrow().is_none())
    }

    /// Whether it runs, and will go on.
    pub(crate) fn stays(&self) -> bool {
        self.retiring.is_none() && matches!(self.history.state(), State::Activated | State::Deactivated)
    }
}

pub(crate) struct Registry<E> {
    pub(crate) modules: BTreeMap<ModuleId, Module<E>>,
    pub(crate) busy: HashMap<String, Busy>,
    pub(crate) replaced: VecDeque<ModuleId>,
    pub(crate) verdicts: VecDeque<Retired>,
    /// The fences of the orders that were taken.
    pub(crate) fences: Fences,
    /// Whether all that the base remembers is up. Before that no fenced order is taken: it could come between an older one and its end.
    pub(crate) is_up: bool,
    /// Told of every change of what is here.
    pub(crate) changes: watch::Sender<()>,
}

impl<E> Default for Registry<E> {
    fn default() -> Self {
        Self {
            modules: BTreeMap::new(),
            busy: HashMap::new(),
            replaced: VecDeque::new(),
            verdicts: VecDeque::new(),
            fences: Fences::default(),
            is_up: false,
            changes: watch::Sender::new(()),
        }
    }
}

impl<E: Clone> Registry<E> {
    /// All versions of `name`.
    pub(crate) fn versions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a ModuleId, &'a Module<E>)> {
        self.modules.iter().filter(move |(id, _)| id.name() == name)
    }

    /// How the versions of `id`'s name stand, without `id` itself.
    pub(crate) fn others(&self, id: &ModuleId) -> Vec<Standing> {
        self.versions(id.name())
            .filter(|(other, _)| *other != id)
            .map(|(other, module)| Standing { id: other.clone(), state: module.history.state(), retiring: module.retiring.is_some() })
            .collect()
    }

    /// Who answers for `name` now.
    pub(crate) fn targets(&self, name: &str) -> Vec<Target<E>> {
        self.versions(name).filter_map(|(_, module)| module.target()).collect()
    }

    /// How all modules stand.
    pub(crate) fn reports(&self) -> Vec<ModuleReport> {
        self.modules.iter().map(|(id, module)| module.report(self.fences.of(id.name()))).collect()
    }

    /// The module that `order` asks for, where it runs already: it has the same identity and the same mark.
    pub(crate) fn same(&self, order: &InstallOrder) -> Option<ModuleView> {
        let module = self.modules.get(order.id.as_ref()?).filter(|module| module.stays())?;
        (order.mark.is_some() && order.mark == module.order.mark).then(|| module.view())
    }

    /// Takes the fence of an order on `name`.
    pub(crate) fn take_fence(&mut self, name: &str, fence: Fence) -> Result<(), Failure> {
        if !self.is_up {
            let message = format!("the base still brings up what it had; order {name} again once it is ready");
            return Err(Failure::new(Reason::Conflict, message));
        }
        self.fences.take(name, fence)?;
        let modules = &self.modules;
        self.fences.forget(modules.len(), || modules.keys().map(ModuleId::name).collect());
        self.changed();
        Ok(())
    }

    /// Tells whoever follows that something here is other than before.
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }

    /// Takes one step in the history of `id`.
    pub(crate) fn step(&mut self, id: &ModuleId, event: Event, now: u64, message: impl Into<String>) -> Result<State, Failure> {
        let module = self.modules.get_mut(id).ok_or_else(|| not_installed(id))?;
        let stepped = module.history.apply(event, now, message);
        self.changed();
        stepped.map_err(|illegal| Failure::new(Reason::IllegalState, format!("{id}: {illegal}")))
    }

    /// Refuses where another operation holds the name of `id`.
    pub(crate) fn take(&mut self, id: &ModuleId, command: Command, cancel: CancellationToken) -> Result<(), Failure> {
        if let Some(busy) = self.busy.get(id.name()) {
            let under_way = format!("{} of {}:{}", busy.command, id.name(), busy.version);
            let message = format!("{command} of {id}: another operation on this name is under way ({under_way}); wait for it or cancel it");
            return Err(Failure::new(Reason::Conflict, message));
        }
        self.busy.insert(id.name().to_owned(), Busy { command, version: id.version().to_owned(), cancel });
        Ok(())
    }

    /// Remembers that `id` went because another version took over.
    pub(crate) fn remember_replaced(&mut self, id: ModuleId) {
        self.replaced.retain(|other| *other != id);
        self.replaced.push_back(id);
        while self.replaced.len() > MAX_REPLACED {
            self.replaced.pop_front();
        }
    }

    /// Puts what is known by now in place of an earlier verdict on the same removal.
    pub(crate) fn correct_verdict(&mut self, id: &ModuleId, at: u64, verdict: Verdict) {
        if let Some(retired) = self.verdicts.iter_mut().rev().find(|retired| retired.id == *id && retired.at == at) {
            retired.verdict = verdict;
        }
    }

    /// Keeps the verdict on a removal.
    pub(crate) fn keep_verdict(&mut self, retired: Retired) {
        self.verdicts.push_back(retired);
        while self.verdicts.len() > MAX_VERDICTS {
            self.verdicts.pop_front();
        }
    }
}

pub(crate) fn not_installed(id: &ModuleId) -> Failure {
    Failure::new(Reason::NotInstalled, format!("{id} is not installed here; list what is with `arkctl status`"))
}
