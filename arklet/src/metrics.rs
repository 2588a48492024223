//! What Prometheus sees: the data path's metrics, and those of the agent.

use std::sync::Mutex;

use ark_model::{Failure, Timing, api::ModuleView};
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
    resident: Gauge,
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
        let resident = Gauge::<i64>::default();
        registry.register("ark_installs", "Installs that ended, by outcome: ok, or the reason", installs.clone());
        registry.register_with_unit("ark_step_duration", "How long the steps of installs and removals took", Unit::Seconds, steps.clone());
        registry.register("ark_modules", "Modules by state", modules.clone());
        registry.register_with_unit("process_resident_memory", "Resident memory of the base", Unit::Bytes, resident.clone());
        if let Some(exporter) = exporter {
            registry.register("ark_spans_dropped", "Spans that no collector will see", exporter.dropped.clone());
        }
        Self { registry: Mutex::new(registry), installs, steps, modules, resident }
    }

    pub(crate) fn installed(&self, outcome: Result<(), &Failure>) {
        let outcome = outcome.map_or_else(|failure| failure.reason.as_str(), |()| "ok").to_owned();
        self.installs.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn step(&self, timing: &Timing) {
        self.steps.get_or_create(&StepLabel { step: timing.step.as_str() }).observe(timing.ms / 1_000.0);
    }

    /// All metrics as OpenMetrics text.
    pub(crate) fn text(&self, modules: &[ModuleView], resident_bytes: u64) -> String {
        for state in STATES {
            let count = modules.iter().filter(|module| module.state == state).count();
            self.modules.get_or_create(&StateLabel { state: state.as_str() }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.resident.set(i64::try_from(resident_bytes).unwrap_or(i64::MAX));
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
