//! C1 and C2: how fast the controller decides, and that it decides right whatever goes wrong. On one core, without a store or a network:
//! what is measured is the planner.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use ::fleet::{
    Controller, Settings,
    resource::{Document, Key, Kind, ModuleDeployment, Phase, Time, Write},
};
use ark_model::report::{BaseReport, Room, Share};
use fleet_sim::Store;
use harness::Error;
use serde_json::json;

use super::{Measured, median, quantile, say};

const BASES: usize = 1_000;
const MODULES: usize = 100;
const NOW: Time = Time(1_000);
/// Changes, one after the other.
const CHANGES: usize = 300;
const SEEDS: u64 = 10_000;
/// What schedulers of others place in a second: the threshold of kube-scheduler's own tests, Nomad's million containers.
const KUBE_SCHEDULER: f64 = 810.0;
const NOMAD: f64 = 3_750.0;

/// Plans for one deployment after which it has to be at rest, whatever happened before: it takes five to come up.
const ENOUGH: usize = 10;

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

/// A controller, and a store that it writes to.
struct Fleet {
    controller: Controller,
    store: Store,
}

impl Fleet {
    fn write(&mut self, writes: Vec<Write>) -> Result<(), Error> {
        let written = self.store.carry_out(writes, &mut self.controller, NOW);
        written.then_some(()).ok_or_else(|| "nobody else writes, and yet something has changed meanwhile".into())
    }

    /// Plans all there is to plan; how many instances were placed, and how long planning alone took, in seconds.
    ///
    /// Time stands still meanwhile, so that a plan which finds something to write each time it is made would never end.
    fn plan_all(&mut self) -> Result<(usize, f64), Error> {
        let (mut placed, mut seconds) = (0, 0.0);
        let mut plans: BTreeMap<Key, usize> = BTreeMap::new();
        loop {
            let begun = Instant::now();
            let planned = self.controller.plan(NOW);
            seconds += begun.elapsed().as_secs_f64();
            let Some((key, planned)) = planned else { return Ok((placed, seconds)) };
            let plan = planned.map_err(|faults| format!("the plan for {key} must not be carried out: {faults:?}"))?;
            let made = plans.entry(key.clone()).or_default();
            *made += 1;
            if *made > ENOUGH {
                return Err(format!("{key} does not come to rest; its last plan would write {:?}", plan.writes.first()).into());
            }
            placed += plan.writes.iter().filter(|write| matches!(write, Write::Create(Document::Module(_)))).count();
            self.write(plan.writes)?;
        }
    }
}

pub(super) fn plan() -> Result<Measured, Error> {
    let mut fleet = Fleet { controller: Controller::new(Settings::default(), NOW), store: Store::default() };
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
        let writes = fleet.controller.reported(&Key::new("default", name), Arc::new(report), "", NOW);
        fleet.write(writes)?;
    }
    for number in 0..MODULES {
        fleet.write(vec![Write::Create(Document::ModuleDeployment(deployment(number, "1.0.0")))])?;
    }
    let (placed, placing) = fleet.plan_all()?;
    if placed != BASES * MODULES {
        return Err(format!("{placed} instances were placed, and not {}", BASES * MODULES).into());
    }
    // All of them come up.
    let ready: Vec<_> = fleet.controller.world().modules().cloned().collect();
    for mut module in ready {
        module.status.status = Phase::Available;
        module.status.ready_since = Some(NOW);
        fleet.write(vec![Write::Update(Document::Module(module))])?;
    }
    fleet.plan_all()?;
    // Everything is looked at anew, as a controller does that has just taken the lead.
    for number in 0..MODULES {
        fleet.controller.again(Key::new("default", format!("module-{number}")));
    }
    let begun = Instant::now();
    let (anew, _) = fleet.plan_all()?;
    let full_seconds = begun.elapsed().as_secs_f64();
    if anew > 0 {
        return Err(format!("{anew} instances were placed again where nothing had changed").into());
    }
    // One change after the other: an instance that fails and comes up again.
    let mut changes = Vec::with_capacity(CHANGES);
    let instances: Vec<Key> = fleet.controller.world().modules().map(|module| module.metadata.key()).collect();
    for number in 0..CHANGES {
        let Some(key) = instances.get(number * 317 % instances.len()) else { continue };
        let Some(Document::Module(module)) = fleet.controller.world().document(Kind::Module, key).map(|document| &**document) else {
            continue;
        };
        let mut module = module.clone();
        module.status.status = if number % 2 == 0 { Phase::Prepare } else { Phase::Available };
        module.status.ready_since = (number % 2 != 0).then_some(NOW);
        fleet.write(vec![Write::Update(Document::Module(module))])?;
        let (_, seconds) = fleet.plan_all()?;
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
