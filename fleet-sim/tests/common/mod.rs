//! Where most tests begin, and how they look.

use fleet::resource::{Progress, Truth, UpgradePolicy};
use fleet_sim::Scenario;

pub(crate) fn progress(scenario: &Scenario, name: &str) -> Progress {
    scenario.get(name).status.release_status.progress
}

pub(crate) fn condition(scenario: &Scenario, name: &str, kind: &str) -> (Truth, String, String) {
    let conditions = scenario.get(name).status.conditions;
    let said = conditions.into_iter().find(|condition| condition.kind == kind).unwrap();
    (said.status, said.reason, said.message)
}

/// `name` in its first version on `bases` bases, one instance on each.
pub(crate) fn running(bases: usize, policy: UpgradePolicy, batches: u32) -> Scenario {
    let mut scenario = Scenario::new(bases, 10);
    let mut deployment = Scenario::deployment("shop", -1, "v1");
    deployment.spec.operation_strategy.upgrade_policy = Some(policy);
    deployment.spec.operation_strategy.batch_count = batches;
    scenario.create(deployment);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:1.0.0")), (Progress::Completed, bases));
    scenario
}
