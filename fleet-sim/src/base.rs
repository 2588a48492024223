//! A base as far as a controller sees it: what an arklet does with orders, without the modules.

use std::collections::{BTreeMap, BTreeSet};

use ark_model::{
    Activation, Failure, Fence, InstallOrder, ModuleId, Reason, State,
    report::{BaseReport, ModuleReport, Room, Share},
};
use fleet::Command;

/// One base.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) name: String,
    pub(crate) started_at: u64,
    pub(crate) ready: bool,
    /// No message reaches it or comes from it.
    pub(crate) cut_off: bool,
    /// What did not start before does now.
    pub(crate) mended: bool,
    most: u64,
    modules: BTreeMap<ModuleId, Installed>,
    fences: BTreeMap<String, Fence>,
    epoch: u64,
}

#[derive(Debug, Clone)]
struct Installed {
    mark: String,
    state: State,
    weight: u32,
    failure: Option<Failure>,
}

impl Base {
    pub(crate) fn new(name: String, most: u64) -> Self {
        Self {
            name,
            started_at: 1,
            ready: true,
            cut_off: false,
            mended: false,
            most,
            modules: BTreeMap::new(),
            fences: BTreeMap::new(),
            epoch: 0,
        }
    }

    /// Whether an order may act: it is no older than one that did.
    pub(crate) fn admit(&mut self, name: &str, fence: Fence) -> Result<(), Failure> {
        let highest = self.fences.entry(name.to_owned()).or_default();
        if fence < *highest || fence.epoch < self.epoch {
            return Err(Failure::new(Reason::OrderStale, format!("{fence} is below {highest}")));
        }
        *highest = fence;
        self.epoch = fence.epoch;
        Ok(())
    }

    pub(crate) fn execute(&mut self, command: &Command) -> Result<(), Failure> {
        match command {
            Command::Install(order) => {
                let failure = fails(order).filter(|failure| !self.mended || failure.reason != Reason::StartFailed);
                self.install(order, failure)
            }
            Command::Activate(id) => {
                if !self.modules.contains_key(id) {
                    return Err(Failure::new(Reason::NotInstalled, id.to_string()));
                }
                for (other, installed) in &mut self.modules {
                    if other.name() == id.name() {
                        installed.state = if other == id { State::Activated } else { State::Deactivated };
                    }
                }
                Ok(())
            }
            Command::Uninstall { id, mark } => {
                if self.modules.get(id).is_none_or(|installed| installed.mark != *mark) {
                    return Err(Failure::new(Reason::NotInstalled, id.to_string()));
                }
                self.modules.remove(id);
                Ok(())
            }
        }
    }

    fn install(&mut self, order: &InstallOrder, fails: Option<Failure>) -> Result<(), Failure> {
        let (id, mark) = (
            order.id.clone().unwrap_or_else(|| unreachable!("the controller names what it installs")),
            order.mark.clone().unwrap_or_default(),
        );
        if let Some(there) = self.modules.get_mut(&id) {
            if there.mark == mark {
                there.weight = order.weight.unwrap_or(100);
                return Ok(());
            }
            if there.state != State::Broken {
                if !order.replace {
                    return Err(Failure::new(Reason::AlreadyInstalled, id.to_string()));
                }
                // What does not come up takes nobody's place.
                if let Some(failure) = fails {
                    return Err(failure);
                }
                there.mark = mark;
                return Ok(());
            }
            self.modules.remove(&id);
        }
        // A version beside another one of its name is no further module.
        let names: BTreeSet<&str> = self.modules.keys().map(ModuleId::name).chain([id.name()]).collect();
        if names.len() as u64 > self.most {
            return Err(Failure::new(Reason::BudgetExceeded, "full"));
        }
        let broken = fails.is_some();
        let state = if broken { State::Broken } else { State::Activated };
        if order.activation == Some(Activation::Switch) && !broken {
            self.modules.retain(|other, _| other.name() != id.name());
        }
        let failure = fails.clone();
        self.modules.insert(id, Installed { mark, state, weight: order.weight.unwrap_or(100), failure });
        fails.map_or(Ok(()), Err)
    }

    /// Which share of the requests for `name` on this base its versions get.
    pub(crate) fn shares(&self, name: &str) -> Vec<(&ModuleId, f64)> {
        let of_it = || self.modules.iter().filter(|(id, installed)| id.name() == name && installed.state == State::Activated);
        let all: u32 = of_it().map(|(_, installed)| installed.weight).sum();
        of_it().map(|(id, installed)| (id, f64::from(installed.weight) / f64::from(all))).collect()
    }

    /// What somebody does by hand, past the controller.
    pub(crate) fn remove_any(&mut self, rng: &mut fastrand::Rng) {
        if let Some(id) = rng.choice(self.modules.keys().cloned().collect::<Vec<_>>()) {
            self.modules.remove(&id);
        }
    }

    pub(crate) fn lose_everything(&mut self) {
        self.modules.clear();
        self.fences.clear();
        self.epoch = 0;
    }

    pub(crate) fn report(&self) -> BaseReport {
        let modules = self.modules.iter().map(|(id, installed)| ModuleReport {
            id: id.clone(),
            state: installed.state,
            failure: installed.failure.clone(),
            mark: installed.mark.clone(),
            fence: self.fences.get(id.name()).copied().unwrap_or_default(),
            weight: installed.weight,
            requests: 100,
            failures: 0,
            in_flight: 0,
            p99_ms: 1.0,
        });
        let used = self.modules.len() as u64;
        BaseReport {
            identity: self.name.clone(),
            name: "base".to_owned(),
            version: "1".to_owned(),
            deployment: "default".to_owned(),
            kinds: vec!["wasm".to_owned()],
            ready: self.ready,
            started_at: self.started_at,
            room: BTreeMap::from([(Room::Modules, Share { total: self.most, used })]),
            modules: if self.ready { modules.collect() } else { Vec::new() },
            ..BaseReport::default()
        }
    }

    /// Which modules get traffic: their marks.
    pub(crate) fn serving(&self) -> impl Iterator<Item = (&ModuleId, &str)> {
        self.modules
            .iter()
            .filter(|(_, installed)| installed.state == State::Activated)
            .map(|(id, installed)| (id, installed.mark.as_str()))
    }
}

/// Packages whose URL ends with `bad` do not start; with `wrong`, they are no packages.
fn fails(order: &InstallOrder) -> Option<Failure> {
    if order.url.ends_with("bad") {
        Some(Failure::new(Reason::StartFailed, "it does not start"))
    } else if order.url.ends_with("wrong") {
        Some(Failure::new(Reason::PackageInvalid, "it is no package"))
    } else {
        None
    }
}
