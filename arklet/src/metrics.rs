//! What Prometheus sees: the data path's metrics, and those of the agent.

use std::sync::{Mutex, atomic::AtomicU64};

use ark_model::{
    Failure, Timing, VerdictState,
    api::{ModuleView, Retired},
};
use gateway::Gateway;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::otlp::Exporter;

/// The agent's metrics.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    installs: Family<Outcome, Counter>,
    steps: Family<StepLabel, Histogram, fn() -> Histogram>,
    modules: Family<StateLabel, Gauge>,
    verdicts: Family<StateLabel, Counter>,
    lingering: Gauge,
    resident: Gauge,
    /// What modules use, by the name it has in what is known of them.
    uses: [(&'static str, Family<ModuleLabel, Gauge>); 3],
    cpu: Family<ModuleLabel, Gauge<f64, AtomicU64>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModuleLabel {
    module: String,
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    step: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

const STATES: [ark_model::State; 4] =
    [ark_model::State::Resolved, ark_model::State::Activated, ark_model::State::Deactivated, ark_model::State::Broken];

impl Metrics {
    pub(crate) fn new(gateway: &std::sync::Arc<Gateway>, exporter: Option<&Exporter>) -> Self {
        let mut registry = Registry::default();
        gateway.register(&mut registry);
        let installs = Family::<Outcome, Counter>::default();
        let steps = Family::<StepLabel, Histogram, fn() -> Histogram>::new_with_constructor(step_histogram);
        let modules = Family::<StateLabel, Gauge>::default();
        let (verdicts, lingering) = (Family::<StateLabel, Counter>::default(), Gauge::<i64>::default());
        let resident = Gauge::<i64>::default();
        registry.register("ark_installs", "Installs that ended, by outcome: ok, or the reason", installs.clone());
        registry.register_with_unit("ark_step_duration", "How long the steps of installs and removals took", Unit::Seconds, steps.clone());
        registry.register("ark_modules", "Modules by state", modules.clone());
        let what = "What was said of modules that were removed, by state: one that is gone only later counts as pending and as unloaded";
        registry.register("ark_verdicts", what, verdicts.clone());
        registry.register("ark_removed_modules_not_unloaded", "Removed modules that something of is left", lingering.clone());
        registry.register_with_unit("process_resident_memory", "Resident memory of the base", Unit::Bytes, resident.clone());
        let uses = ["classes", "metaspace", "threads"].map(|what| (what, Family::default()));
        let [(_, classes), (_, metaspace), (_, threads)] = &uses;
        let cpu = Family::<ModuleLabel, Gauge<f64, AtomicU64>>::default();
        registry.register("ark_module_classes", "Classes that a module's own loader has", classes.clone());
        registry.register_with_unit("ark_module_metaspace", "Metaspace of a module's own loader", Unit::Bytes, metaspace.clone());
        registry.register("ark_module_threads", "Threads of a module", threads.clone());
        registry.register_with_unit("ark_module_cpu", "Processor time of a module's live threads", Unit::Seconds, cpu.clone());
        if let Some(exporter) = exporter {
            registry.register("ark_spans_dropped", "Spans that no collector will see", exporter.dropped.clone());
        }
        Self { registry: Mutex::new(registry), installs, steps, modules, verdicts, lingering, resident, uses, cpu }
    }

    pub(crate) fn installed(&self, outcome: Result<(), &Failure>) {
        let outcome = outcome.map_or_else(|failure| failure.reason.as_str(), |()| "ok").to_owned();
        self.installs.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn step(&self, timing: &Timing) {
        self.steps.get_or_create(&StepLabel { step: timing.step.as_str() }).observe(timing.ms / 1_000.0);
    }

    pub(crate) fn verdict(&self, state: VerdictState) {
        self.verdicts.get_or_create(&StateLabel { state: state.as_str() }).inc();
    }

    /// All metrics as OpenMetrics text.
    pub(crate) fn text(&self, modules: &[ModuleView], removed: &[Retired], resident_bytes: u64) -> String {
        let lingering = removed.iter().filter(|retired| retired.verdict.state != VerdictState::Unloaded).count();
        self.lingering.set(i64::try_from(lingering).unwrap_or(i64::MAX));
        for state in STATES {
            let count = modules.iter().filter(|module| module.state == state).count();
            self.modules.get_or_create(&StateLabel { state: state.as_str() }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.resident.set(i64::try_from(resident_bytes).unwrap_or(i64::MAX));
        self.uses.iter().for_each(|(_, family)| family.clear());
        self.cpu.clear();
        for module in modules {
            let label = ModuleLabel { module: module.id.name().to_owned(), version: module.id.version().to_owned() };
            let used = |what: &str| module.inspection.uses.iter().find(|used| used.what == what).map(|used| used.amount);
            for (what, family) in &self.uses {
                if let Some(amount) = used(what) {
                    family.get_or_create(&label).set(i64::try_from(amount).unwrap_or(i64::MAX));
                }
            }
            if let Some(ms) = used("cpu of its live threads") {
                self.cpu.get_or_create(&label).set(ms as f64 / 1_000.0);
            }
        }
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = encode(&mut text, &registry) {
            tracing::error!(%error, "the metrics could not be written");
        }
        text
    }
}

/// From half a millisecond, a cached install's step, to half a minute, a long drain.
fn step_histogram() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}
