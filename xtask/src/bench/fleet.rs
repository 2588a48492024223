//! C1 and C2: how fast the controller decides, and that it decides right whatever goes wrong. On one core, without a store or a network:
//! what is measured is the planner.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use ::fleet::{
    Controller, Settings,
    resource::{Document, Key, Kind, ModuleDeployment, Phase, Time, Write},
};
use ark_model::report::{BaseReport, Room, Share};
use harness::Error;
use serde_json::json;

use super::{Measured, median, quantile, say};

const BASES: usize = 1_000;
const MODULES: usize = 100;
/// Changes, one after the other.
const CHANGES: usize = 300;
const SEEDS: u64 = 10_000;
/// What schedulers of others place in a second: the threshold of kube-scheduler's own tests, Nomad's million containers.
const KUBE_SCHEDULER: f64 = 810.0;
const NOMAD: f64 = 3_750.0;

/// A store that only gives versions.
struct Versions(u64);

impl Versions {
    /// Takes `writes` as done, and tells the controller.
    fn commit(&mut self, controller: &mut Controller, writes: Vec<Write>) {
        self.0 += 1;
        for write in writes {
            match write {
                Write::Create(mut document) => {
                    document.meta_mut().generation = 1;
                    document.meta_mut().uid = self.0.to_string();
                    self.tell(controller, document);
                }
                Write::Update(mut document) => {
                    document.meta_mut().generation += 1;
                    self.tell(controller, document);
                }
                Write::Delete { kind, key, .. } => controller.removed(kind, &key, self.0),
            }
        }
    }

    fn tell(&self, controller: &mut Controller, mut document: Document) {
        document.meta_mut().resource_version = self.0.to_string();
        let gone = document.meta().is_going() && document.meta().finalizers.is_empty();
        if gone {
            controller.removed(document.kind(), &document.key(), self.0);
        } else {
            controller.stored(Arc::new(document));
        }
    }
}

fn deployment(number: usize, version: &str) -> ModuleDeployment {
    let mut deployment = ModuleDeployment::default();
    deployment.metadata.name = format!("module-{number}");
    deployment.metadata.namespace = "default".to_owned();
    deployment.spec.base_deployment_name = "default".to_owned();
    deployment.spec.replicas = -1;
    deployment.spec.operation_strategy.batch_count = 1;
    let module = &mut deployment.spec.template.spec.module;
    module.name = format!("module-{number}");
    module.version = version.to_owned();
    module.url = format!("http://packages/module-{number}/{version}.wasm");
    deployment
}

/// Plans all there is to plan; how many instances were placed, and how long planning alone took, in seconds.
fn plan_all(controller: &mut Controller, versions: &mut Versions) -> Result<(usize, f64), Error> {
    let (mut placed, mut seconds) = (0, 0.0);
    loop {
        let begun = Instant::now();
        let planned = controller.plan(Time(1_000));
        seconds += begun.elapsed().as_secs_f64();
        let Some((key, planned)) = planned else { return Ok((placed, seconds)) };
        let plan = planned.map_err(|faults| format!("the plan for {key} must not be carried out: {faults:?}"))?;
        placed += plan.writes.iter().filter(|write| matches!(write, Write::Create(Document::Module(_)))).count();
        versions.commit(controller, plan.writes);
    }
}

pub(super) fn plan() -> Result<Measured, Error> {
    let (mut controller, mut versions) = (Controller::new(Settings::default(), Time(1_000)), Versions(0));
    for number in 0..BASES {
        let name = format!("base-{number:04}");
        let report = BaseReport {
            identity: name.clone(),
            deployment: "default".to_owned(),
            kinds: vec!["wasm".to_owned()],
            ready: true,
            room: BTreeMap::from([(Room::Modules, Share { total: 1_000, used: 0 })]),
            ..BaseReport::default()
        };
        let writes = controller.reported(&Key::new("default", name), Arc::new(report), "", Time(1_000));
        versions.commit(&mut controller, writes);
    }
    for number in 0..MODULES {
        versions.commit(&mut controller, vec![Write::Create(Document::ModuleDeployment(deployment(number, "1.0.0")))]);
    }
    let (placed, placing) = plan_all(&mut controller, &mut versions)?;
    if placed != BASES * MODULES {
        return Err(format!("{placed} instances were placed, and not {}", BASES * MODULES).into());
    }
    // All of them come up.
    let ready: Vec<_> = controller.world().modules().cloned().collect();
    for mut module in ready {
        module.status.status = Phase::Available;
        module.status.ready_since = Some(Time(1_000));
        versions.commit(&mut controller, vec![Write::Update(Document::Module(module))]);
    }
    plan_all(&mut controller, &mut versions)?;
    // Everything is looked at anew, as a controller does that has just taken the lead.
    for number in 0..MODULES {
        controller.again(Key::new("default", format!("module-{number}")));
    }
    let begun = Instant::now();
    let (anew, _) = plan_all(&mut controller, &mut versions)?;
    let full_seconds = begun.elapsed().as_secs_f64();
    if anew > 0 {
        return Err(format!("{anew} instances were placed again where nothing had changed").into());
    }
    // One change after the other: an instance that fails and comes up again.
    let mut changes = Vec::with_capacity(CHANGES);
    let instances: Vec<Key> = controller.world().modules().map(|module| module.metadata.key()).collect();
    for number in 0..CHANGES {
        let Some(key) = instances.get(number * 317 % instances.len()) else { continue };
        let Some(Document::Module(module)) = controller.world().document(Kind::Module, key).map(|document| &**document) else { continue };
        let mut module = module.clone();
        module.status.status = if number % 2 == 0 { Phase::Prepare } else { Phase::Available };
        module.status.ready_since = (number % 2 != 0).then_some(Time(1_000));
        versions.commit(&mut controller, vec![Write::Update(Document::Module(module))]);
        let (_, seconds) = plan_all(&mut controller, &mut versions)?;
        changes.push(seconds * 1_000.0);
    }
    let (p50, p99) = (median(changes.clone()), quantile(changes, 0.99));
    let per_second = placed as f64 / placing;
    let figures = json!({
        "bases": BASES, "modules": MODULES, "placed": placed, "placements_per_second": per_second, "full_plan_seconds": full_seconds,
        "one_change_p50_ms": p50, "one_change_p99_ms": p99,
    });
    let ratio = json!({"placements_to_kube_scheduler": per_second / KUBE_SCHEDULER, "placements_to_nomad": per_second / NOMAD});
    Ok(Measured { figures, ratio, holds: full_seconds <= 1.0 && p99 <= 20.0 && per_second >= 5_000.0 })
}

pub(super) fn faults() -> Result<Measured, Error> {
    let (mut violations, mut orders, mut stale, mut faults, mut conflicts) = (Vec::new(), 0, 0, 0, 0);
    let mut rest = Vec::new();
    for seed in 0..SEEDS {
        match fleet_sim::run(seed) {
            Ok(summary) => {
                orders += summary.orders;
                stale += summary.stale;
                faults += summary.faults;
                conflicts += summary.conflicts;
                rest.push(summary.rest_ms as f64 / 1_000.0);
            }
            Err(violation) => {
                say(&format!("  {violation}"));
                violations.push(violation.seed);
            }
        }
    }
    let figures = json!({
        "seeds": SEEDS, "violations": violations, "orders": orders, "stale_orders_refused": stale, "faults": faults, "conflicts": conflicts,
        "rest_p50_seconds": median(rest.clone()), "rest_p99_seconds": quantile(rest, 0.99),
    });
    Ok(Measured { figures, ratio: json!({"violations_per_seed": violations.len() as f64 / SEEDS as f64}), holds: violations.is_empty() })
}
