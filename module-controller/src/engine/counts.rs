//! What the engine counts.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Figures of the engine.
#[derive(Debug, Clone)]
pub struct Counts {
    pub(super) leads: Gauge,
    pub(super) epoch: Gauge,
    pub(super) tunnels: Gauge,
    pub(super) refused_plans: Counter,
    pub(super) conflicts: Counter,
    plans: Histogram,
    orders: Family<Ordered, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ordered {
    command: &'static str,
    outcome: &'static str,
}

impl Counts {
    /// Figures that are shown by `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let plans = Histogram::new([0.000_01, 0.000_1, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0]);
        let counts = Self {
            leads: Gauge::default(),
            epoch: Gauge::default(),
            tunnels: Gauge::default(),
            refused_plans: Counter::default(),
            conflicts: Counter::default(),
            plans,
            orders: Family::default(),
        };
        registry.register("fleet_leads", "Whether this controller leads", counts.leads.clone());
        registry.register("fleet_epoch", "The number of its last reign", counts.epoch.clone());
        registry.register("fleet_tunnels", "Bases that hold a tunnel open", counts.tunnels.clone());
        registry.register("fleet_refused_plans", "Plans that were not carried out since they would do harm", counts.refused_plans.clone());
        registry.register("fleet_conflicts", "Writes that were overtaken by another change", counts.conflicts.clone());
        registry.register_with_unit("fleet_plan_duration", "How long plans took to be made", Unit::Seconds, counts.plans.clone());
        registry.register("fleet_orders", "Orders to bases, by what came of them", counts.orders.clone());
        counts
    }

    pub(super) fn planned(&self, took: Duration) {
        self.plans.observe(took.as_secs_f64());
    }

    pub(super) fn ordered(&self, command: &'static str, outcome: &'static str) {
        self.orders.get_or_create(&Ordered { command, outcome }).inc();
    }
}
