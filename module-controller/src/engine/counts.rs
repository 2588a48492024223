//! What the engine counts.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Figures of the engine, in Prometheus' text form by [`Counts::text`].
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) leads: AtomicU64,
    pub(super) epoch: AtomicU64,
    pub(super) tunnels: AtomicU64,
    pub(super) plans: AtomicU64,
    pub(super) plan_nanos: AtomicU64,
    pub(super) refused_plans: AtomicU64,
    pub(super) conflicts: AtomicU64,
    /// By command and outcome.
    orders: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Counts {
    pub(super) fn planned(&self, took: Duration) {
        self.plans.fetch_add(1, Ordering::Relaxed);
        self.plan_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn ordered(&self, command: &'static str, outcome: &'static str) {
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner).entry((command, outcome)).or_default() += 1;
    }

    /// The figures in Prometheus' text form, without an end mark.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let seconds = Duration::from_nanos(get(&self.plan_nanos)).as_secs_f64();
        let mut figure = |name: &str, kind: &str, help: &str, value: String| {
            let family = name.strip_suffix("_total").unwrap_or(name);
            let _ = writeln!(text, "# HELP {family} {help}\n# TYPE {family} {kind}\n{name} {value}");
        };
        figure("module_controller_leads", "gauge", "Whether this controller leads.", get(&self.leads).to_string());
        figure("module_controller_epoch", "gauge", "The number of its reign.", get(&self.epoch).to_string());
        figure("module_controller_tunnels", "gauge", "Bases that hold a tunnel open.", get(&self.tunnels).to_string());
        figure("module_controller_plans_total", "counter", "Plans that were made.", get(&self.plans).to_string());
        figure("module_controller_plan_seconds_total", "counter", "Time that plans took.", seconds.to_string());
        figure("module_controller_refused_plans_total", "counter", "Plans that were not carried out, since they would do harm.", get(&self.refused_plans).to_string());
        figure("module_controller_conflicts_total", "counter", "Plans that were overtaken by another change.", get(&self.conflicts).to_string());
        let _ = writeln!(text, "# HELP module_controller_orders Orders that were sent to bases, by what came of them.\n# TYPE module_controller_orders counter");
        for ((command, outcome), count) in &*self.orders.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = writeln!(text, "module_controller_orders_total{{command=\"{command}\",outcome=\"{outcome}\"}} {count}");
        }
        text
    }
}
