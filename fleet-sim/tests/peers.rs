//! What went wrong in rollouts of other systems, and does not here: each test says where it was told.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use common::{condition, progress, running};
use fleet::{
    Command,
    resource::{CanaryStep, ModuleDeployment, Progress, UpgradePolicy},
};
use fleet_sim::Scenario;

fn canary(shop: &mut ModuleDeployment) {
    shop.spec.operation_strategy.canary = vec![CanaryStep { weight: 10, seconds: 5 }, CanaryStep { weight: 50, seconds: 5 }];
}

/// <https://github.com/argoproj/argo-rollouts/issues/1774>: nothing could follow a stable version that does not run.
#[test]
fn a_bad_stable_version_is_followed_by_a_good_one() {
    for policy in [UpgradePolicy::InstallThenUninstall, UpgradePolicy::UninstallThenInstall, UpgradePolicy::ScaleupThenScaledown] {
        let mut scenario = Scenario::new(2, 10);
        let mut deployment = Scenario::deployment("shop", 2, "bad");
        deployment.spec.operation_strategy.upgrade_policy = Some(policy);
        scenario.create(deployment);
        scenario.pass(10);
        assert_eq!(progress(&scenario, "shop"), Progress::Failed);
        scenario.upgrade("shop", "2.0.0", "v2");
        assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 2), "{policy:?}");
    }
}

/// <https://github.com/hashicorp/nomad/issues/10465>: a canary that could never start stalled for ever, despite its deadlines.
#[test]
fn a_package_that_is_wrong_fails_the_rollout_at_once() {
    let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 4);
    scenario.upgrade("shop", "2.0.0", "wrong");
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:1.0.0")), (Progress::Failed, 4));
    assert_eq!(condition(&scenario, "shop", "ReplicaFailure").1, "PackageInvalid");
    assert_eq!(scenario.get("shop").status.updated_replicas, 1, "no further batch has begun");
}

/// <https://github.com/hashicorp/nomad/issues/20295>: a change of the count in the middle lost the state of the rollout.
#[test]
fn a_change_of_the_number_in_the_middle_of_a_rollout_does_not_end_it() {
    let mut scenario = Scenario::new(6, 10);
    let mut deployment = Scenario::deployment("shop", 4, "v1");
    deployment.spec.operation_strategy.batch_count = 2;
    scenario.create(deployment);
    scenario.change("shop", |shop| shop.spec.operation_strategy.need_confirm = true);
    scenario.upgrade("shop", "2.0.0", "v2");
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::WaitingForConfirmation, 2));
    scenario.change("shop", |shop| shop.spec.replicas = 6);
    assert!(scenario.count("shop:2.0.0") <= 3, "the second batch was not confirmed");
    scenario.change("shop", |shop| shop.spec.confirm_batch_num = 1);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 6));
}

/// <https://github.com/argoproj/argo-rollouts/issues/941>: instances of a canary were left over after it was given up.
#[test]
fn a_rollout_that_is_given_up_leaves_nothing_of_it() {
    let mut scenario = Scenario::new(3, 10);
    let mut deployment = Scenario::deployment("shop", 2, "v1");
    deployment.spec.operation_strategy.need_confirm = true;
    deployment.spec.operation_strategy.batch_count = 2;
    scenario.create(deployment);
    assert_eq!(scenario.count("shop:1.0.0"), 1);
    scenario.change("shop", |shop| shop.spec.abort = true);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:1.0.0"), scenario.modules().len()), (Progress::Aborted, 0, 0));
}

/// <https://github.com/hashicorp/nomad/issues/20295>, of a canary.
#[test]
fn a_change_of_the_number_during_a_canary_leaves_it_its_share() {
    let mut scenario = Scenario::new(6, 10);
    let mut deployment = Scenario::deployment("shop", 4, "v1");
    deployment.spec.operation_strategy.batch_count = 4;
    canary(&mut deployment);
    scenario.create(deployment);
    scenario.upgrade("shop", "2.0.0", "v2");
    scenario.watch("shop");
    scenario.change("shop", |shop| shop.spec.replicas = 6);
    assert_eq!(scenario.get("shop").status.release_status.canary_step, 1);
    scenario.pass(2);
    let share = |moment: &fleet_sim::Moment| moment.versions.get("shop:2.0.0").map_or(0.0, |(_, share)| *share);
    assert!(scenario.moments.iter().all(|moment| share(moment) < 0.11), "{:?}", scenario.moments);
    scenario.pass(20);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 6));
}

/// <https://github.com/hashicorp/nomad/issues/26885>: nodes that a system job cannot go to were counted, and its deployment never ended.
#[test]
fn bases_that_a_module_cannot_go_to_are_none_that_its_rollout_waits_for() {
    let mut scenario = Scenario::new(5, 10);
    let mut noisy = Scenario::deployment("noisy", 1, "v1");
    noisy.spec.operation_strategy.batch_count = 1;
    scenario.create(noisy);
    let beside = scenario.modules().first().unwrap().spec.base_name.clone();
    let cordoned = (0..5).map(|base| format!("base-{base}")).find(|base| *base != beside).unwrap();
    scenario.change_base(&cordoned, |base| base.unschedulable = true);
    let mut deployment = Scenario::deployment("shop", -1, "v1");
    deployment.spec.scheduling_strategy.apart_from = vec!["noisy".into()];
    deployment.spec.operation_strategy.batch_count = 3;
    canary(&mut deployment);
    scenario.create(deployment);
    assert_eq!((progress(&scenario, "shop"), scenario.get("shop").status.desired_replicas), (Progress::Completed, 3));
    scenario.upgrade("shop", "2.0.0", "v2");
    scenario.pass(15);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 3));
    scenario.change("noisy", |noisy| noisy.spec.replicas = 0);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 4));
}

/// <https://github.com/hashicorp/nomad/issues/6936>: a canary that failed was made again as no canary, and healthy instances were stopped for it.
#[test]
fn a_canary_that_fails_is_tried_again_as_a_canary_and_costs_no_instance_that_serves() {
    let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 4);
    scenario.change("shop", canary);
    scenario.watch("shop");
    scenario.upgrade("shop", "2.0.0", "bad");
    scenario.pass(60);
    assert_eq!((progress(&scenario, "shop"), scenario.seen(), scenario.count("shop:1.0.0")), (Progress::Failed, (4, 4), 4));
    let new: Vec<_> = scenario.modules().into_iter().filter(|module| module.spec.template.module.version == "2.0.0").collect();
    assert_eq!(new.iter().map(|module| module.spec.weight).collect::<Vec<_>>(), [Some(10)]);
    let tried = scenario.orders.iter().filter(|(_, command)| matches!(command, Command::Install(order) if order.url.ends_with("bad")));
    assert!(tried.clone().count() >= 3 && tried.clone().all(|(base, _)| *base == new[0].spec.base_name));
}

/// <https://github.com/hashicorp/nomad/issues/17842>, <https://github.com/hashicorp/nomad/pull/25726>: to drain a node with a canary on it,
/// before it was promoted or even healthy, left a deployment that could neither go on nor be promoted.
#[test]
fn a_base_that_drains_with_the_first_batch_on_it_does_not_end_the_rollout() {
    for (replicas, soak) in [(3, 0), (3, 30), (-1, 0), (-1, 30)] {
        let mut scenario = Scenario::new(5, 10);
        let mut deployment = Scenario::deployment("shop", replicas, "v1");
        deployment.spec.operation_strategy.batch_count = 2;
        scenario.create(deployment);
        scenario.change("shop", |shop| {
            shop.spec.operation_strategy.need_confirm = true;
            shop.spec.min_ready_seconds = soak;
        });
        scenario.upgrade("shop", "2.0.0", "v2");
        let first: Vec<String> = scenario
            .modules()
            .iter()
            .filter(|module| module.spec.template.module.version == "2.0.0")
            .map(|module| module.spec.base_name.clone())
            .collect();
        assert!(first.len() >= 2, "{first:?}");
        scenario.watch("shop");
        for base in &first[..2] {
            scenario.change_base(base, |base| base.drain = true);
        }
        scenario.pass(100);
        let (desired, gone) = (scenario.get("shop").status.desired_replicas as usize, &first[..2]);
        assert!(scenario.modules().iter().all(|module| !gone.contains(&module.spec.base_name)), "{replicas} {soak}");
        assert!(scenario.seen().0 >= desired, "{replicas} {soak}: {:?} of {desired}", scenario.seen());
        assert_eq!(progress(&scenario, "shop"), Progress::WaitingForConfirmation, "{replicas} {soak}");
        scenario.change("shop", |shop| shop.spec.confirm_batch_num = 1);
        scenario.pass(40);
        assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, desired), "{replicas} {soak}");
    }
}

/// <https://github.com/hashicorp/nomad/issues/20308>: where an instance found no place at first, the rollout waited to be promoted by hand for ever.
#[test]
fn a_rollout_that_finds_no_base_at_first_goes_on_by_itself_once_there_is_one() {
    for waited in [10, 100] {
        let mut scenario = Scenario::new(3, 10);
        let mut deployment = Scenario::deployment("shop", 2, "v1");
        deployment.spec.operation_strategy.upgrade_policy = Some(UpgradePolicy::ScaleupThenScaledown);
        deployment.spec.operation_strategy.batch_count = 2;
        deployment.spec.progress_deadline_seconds = Some(60);
        scenario.create(deployment);
        let spare = (0..3).find(|base| scenario.serving(*base).is_empty()).unwrap();
        scenario.change_base(&format!("base-{spare}"), |base| base.unschedulable = true);
        scenario.upgrade("shop", "2.0.0", "v2");
        scenario.pass(waited);
        assert_eq!((scenario.count("shop:1.0.0"), scenario.count("shop:2.0.0")), (2, 0));
        assert_eq!(progress(&scenario, "shop"), if waited > 60 { Progress::Failed } else { Progress::Executing });
        scenario.change_base(&format!("base-{spare}"), |base| base.unschedulable = false);
        scenario.pass(1);
        assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 2), "after {waited} s");
    }
}

/// <https://github.com/hashicorp/nomad/issues/6407>: canaries that had failed and been replaced were counted still, and nothing could be promoted.
#[test]
fn an_instance_that_failed_and_was_made_again_counts_once() {
    let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 2);
    scenario.change("shop", |shop| shop.spec.operation_strategy.need_confirm = true);
    scenario.upgrade("shop", "2.0.0", "v2");
    for _ in 0..5 {
        let base = (0..4).find(|base| scenario.serving(*base) == ["shop:2.0.0"]).unwrap();
        scenario.wipe(base);
        scenario.settle();
    }
    let status = scenario.get("shop").status;
    assert_eq!((status.replicas, status.updated_replicas, status.updated_available_replicas), (4, 2, 2));
    scenario.change("shop", |shop| shop.spec.confirm_batch_num = 1);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 4));
}

/// <https://github.com/argoproj/argo-rollouts/issues/4461>: once a rollout was told to go through to its end, it could not be given up any more.
#[test]
fn a_rollout_that_was_told_to_go_through_can_be_given_up() {
    let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 4);
    scenario.change("shop", |shop| shop.spec.operation_strategy.need_confirm = true);
    scenario.upgrade("shop", "2.0.0", "bad");
    scenario.change("shop", |shop| shop.spec.confirm_batch_num = 99);
    assert_ne!(progress(&scenario, "shop"), Progress::Completed);
    scenario.change("shop", |shop| shop.spec.abort = true);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:1.0.0"), scenario.modules().len()), (Progress::Aborted, 4, 4));
}

/// <https://github.com/argoproj/argo-rollouts/issues/3120>: a canary that was given up and tried again did not come up any more.
#[test]
fn a_canary_that_was_given_up_can_be_tried_again() {
    let again: [fn(&mut Scenario); 2] = [
        |scenario| scenario.change("shop", |shop| shop.spec.restarted_at = "again".into()),
        |scenario| {
            scenario.upgrade("shop", "1.0.0", "v1");
            scenario.upgrade("shop", "2.0.0", "v2");
        },
    ];
    for again in again {
        let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 4);
        scenario.change("shop", canary);
        scenario.upgrade("shop", "2.0.0", "v2");
        scenario.pass(6);
        scenario.change("shop", |shop| shop.spec.abort = true);
        assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Aborted, 0));
        scenario.pass(10);
        again(&mut scenario);
        assert_eq!((scenario.count("shop:1.0.0"), scenario.count("shop:2.0.0")), (4, 1));
        assert_eq!(scenario.get("shop").status.release_status.canary_step, 1, "from its first step");
        scenario.pass(20);
        assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 4));
    }
}

/// <https://github.com/argoproj/argo-rollouts/issues/3078>: after a canary was given up its traffic went to and fro between the versions.
#[test]
fn a_canary_that_is_given_up_loses_its_traffic_once_and_for_all() {
    let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 2);
    scenario.change("shop", canary);
    scenario.upgrade("shop", "2.0.0", "v2");
    scenario.orders.clear();
    scenario.watch("shop");
    scenario.change("shop", |shop| shop.spec.abort = true);
    let share: Vec<f64> =
        scenario.moments.iter().map(|moment| moment.versions.get("shop:2.0.0").map_or(0.0, |(_, share)| *share)).collect();
    assert!(share.is_sorted_by(|before, after| before >= after) && share.last() == Some(&0.0), "{share:?}");
    let orders = scenario.orders.len();
    assert!(orders <= 4, "two for each base of the batch at most: {:?}", scenario.orders);
    scenario.pass(120);
    assert_eq!((scenario.orders.len(), scenario.seen().0), (orders, 4));
}

/// <https://github.com/openkruise/kruise/issues/263>, <https://github.com/openkruise/kruise/issues/2369>: instances were made elsewhere first, though
/// each could be followed where it was.
#[test]
fn what_is_followed_on_its_base_takes_no_other_base() {
    let changes: [fn(&mut ModuleDeployment); 2] = [
        |shop| shop.spec.template.spec.module.version = "2.0.0".into(),
        |shop| shop.spec.template.metadata.labels = [("tracking".into(), "two".into())].into(),
    ];
    for change in changes {
        for policy in [UpgradePolicy::InstallThenUninstall, UpgradePolicy::UninstallThenInstall] {
            let mut scenario = Scenario::new(6, 10);
            let mut deployment = Scenario::deployment("shop", 3, "v1");
            deployment.spec.operation_strategy.upgrade_policy = Some(policy);
            scenario.create(deployment);
            let on = |scenario: &Scenario| (0..6).filter(|base| !scenario.serving(*base).is_empty()).collect::<Vec<_>>();
            let before = on(&scenario);
            scenario.orders.clear();
            scenario.change("shop", change);
            assert_eq!((progress(&scenario, "shop"), on(&scenario)), (Progress::Completed, before.clone()));
            let ordered: Vec<usize> = scenario.orders.iter().map(|(base, _)| base.trim_start_matches("base-").parse().unwrap()).collect();
            assert!(ordered.iter().all(|base| before.contains(base)), "{policy:?}: {:?}", scenario.orders);
        }
    }
}

/// <https://github.com/openkruise/kruise/issues/463>: what was said of a set of instances was not what there was of them.
#[test]
fn what_is_said_of_a_deployment_is_what_its_bases_say() {
    let changes: [fn(&mut Scenario); 6] = [
        |scenario| scenario.upgrade("shop", "2.0.0", "v2"),
        |scenario| scenario.change("shop", |shop| shop.spec.confirm_batch_num = 1),
        |scenario| scenario.wipe(0),
        |scenario| scenario.change_base("base-1", |base| base.drain = true),
        |scenario| scenario.change("shop", |shop| shop.spec.replicas = 2),
        |scenario| scenario.change("shop", |shop| shop.spec.abort = true),
    ];
    let mut scenario = running(5, UpgradePolicy::InstallThenUninstall, 3);
    scenario.change("shop", |shop| shop.spec.operation_strategy.need_confirm = true);
    for (number, change) in changes.into_iter().enumerate() {
        change(&mut scenario);
        for _ in 0..3 {
            scenario.pass(1);
            let status = scenario.get("shop").status;
            let serving = (0..5).filter(|base| !scenario.serving(*base).is_empty()).count() as u32;
            assert_eq!(status.ready_replicas, serving, "after change {number}: {status:?}");
            assert_eq!(status.replicas as usize, scenario.modules().len(), "after change {number}: {status:?}");
            let updated =
                scenario.modules().iter().filter(|module| module.metadata.name.starts_with(&status.release_status.update_revision)).count();
            assert_eq!(status.updated_replicas as usize, updated, "after change {number}: {status:?}");
        }
    }
}
