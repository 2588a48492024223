//! What a rollout promises, one sentence at a time: safety (S), liveness (L), and what the documents say. What went wrong in the systems of
//! others: `peers.rs`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use ark_model::Reason;
use common::{condition, progress, running};
use fleet::{
    Command,
    resource::{
        BatchProgress, CanaryStep, IntOrPercent, ModuleDeployment, Phase, Progress, RollbackTo, SchedulingPolicy, Truth, UpgradePolicy,
    },
};
use fleet_sim::Scenario;

/// What brings a rollout into a state.
type Reach = fn(&mut Scenario);

#[test]
fn s1_no_more_instances_are_away_than_may_be() {
    for (most, fewest) in [(None, 6), (Some(IntOrPercent::Int(1)), 7), (Some(IntOrPercent::Percent("50%".into())), 4)] {
        let mut scenario = running(8, UpgradePolicy::UninstallThenInstall, 1);
        scenario.change("shop", |shop| shop.spec.operation_strategy.max_unavailable = most);
        scenario.watch("shop");
        scenario.upgrade("shop", "2.0.0", "v2");
        assert_eq!(scenario.count("shop:2.0.0"), 8);
        assert!(scenario.seen().0 >= fewest, "{} of 8 served, and {fewest} should", scenario.seen().0);
    }
}

#[test]
fn s1_a_version_that_takes_over_beside_the_old_one_is_never_away() {
    let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 2);
    scenario.watch("shop");
    scenario.upgrade("shop", "2.0.0", "v2");
    assert_eq!((scenario.count("shop:2.0.0"), scenario.count("shop:1.0.0"), scenario.seen().0), (4, 0, 4));
}

#[test]
fn s1_other_content_under_the_same_version_is_never_away_either() {
    let mut scenario = running(3, UpgradePolicy::InstallThenUninstall, 1);
    scenario.watch("shop");
    scenario.change("shop", |shop| shop.spec.restarted_at = "now".into());
    assert_eq!((progress(&scenario, "shop"), scenario.seen().0), (Progress::Completed, 3));
    let installs = scenario.orders.iter().filter(|(_, command)| matches!(command, Command::Install(order) if order.replace)).count();
    assert_eq!(installs, 3);
}

#[test]
fn s1_what_is_ended_beside_another_on_its_base_stands_in_for_none_that_is_away() {
    let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 1);
    scenario.change("shop", |shop| shop.spec.operation_strategy.canary = vec![CanaryStep { weight: 10, seconds: 1_000 }]);
    scenario.upgrade("shop", "2.0.0", "v2");
    assert_eq!((scenario.count("shop:1.0.0"), scenario.count("shop:2.0.0")), (4, 4));
    scenario.cut_off(3, true);
    scenario.pass(45);
    scenario.watch("shop");
    scenario.edit("shop", |shop| {
        shop.spec.operation_strategy.canary.clear();
        shop.spec.operation_strategy.upgrade_policy = Some(UpgradePolicy::UninstallThenInstall);
        shop.spec.operation_strategy.max_unavailable = Some(IntOrPercent::Int(1));
    });
    scenario.upgrade("shop", "3.0.0", "v3");
    // The one on the silent base is away already.
    assert!((0..3).all(|base| scenario.serving(base) == ["shop:1.0.0"]), "the canaries are gone, and nothing else");
    assert_eq!(scenario.seen().0, 4);
}

#[test]
fn s2_there_are_never_more_instances_beside_the_old_ones_than_a_batch_has() {
    let mut scenario = Scenario::new(6, 10);
    let mut deployment = Scenario::deployment("shop", 3, "v1");
    deployment.spec.operation_strategy.upgrade_policy = Some(UpgradePolicy::ScaleupThenScaledown);
    deployment.spec.operation_strategy.batch_count = 3;
    scenario.create(deployment);
    scenario.watch("shop");
    scenario.upgrade("shop", "2.0.0", "v2");
    assert_eq!(scenario.count("shop:2.0.0"), 3);
    assert_eq!(scenario.seen(), (3, 4));
}

#[test]
fn s2_a_canary_that_is_overtaken_by_another_goes_before_that_one_comes() {
    let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 4);
    scenario.change("shop", canary_of_half);
    scenario.upgrade("shop", "2.0.0", "v2");
    scenario.watch("shop");
    scenario.upgrade("shop", "3.0.0", "v3");
    assert_eq!(["1", "2", "3"].map(|version| scenario.count(&format!("shop:{version}.0.0"))), [4, 0, 1]);
    assert_eq!(scenario.seen(), (4, 5), "every base serves, and one has two versions");
    scenario.pass(20);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:3.0.0")), (Progress::Completed, 4));
}

#[test]
fn s3_a_canary_has_its_share_beside_the_old_version_and_takes_over_at_the_end() {
    let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 2);
    scenario.change("shop", |shop| {
        shop.spec.operation_strategy.canary = vec![CanaryStep { weight: 10, seconds: 5 }, CanaryStep { weight: 50, seconds: 5 }];
    });
    scenario.upgrade("shop", "2.0.0", "v2");
    assert_eq!((scenario.count("shop:1.0.0"), scenario.count("shop:2.0.0")), (4, 2), "both serve on the bases of the first batch");
    let weights = |scenario: &Scenario| -> Vec<u32> {
        let of = |command: &Command| match command {
            Command::Install(order) => order.weight,
            Command::Activate(_) | Command::Uninstall { .. } => None,
        };
        scenario.orders.iter().filter_map(|(_, command)| of(command)).collect()
    };
    assert_eq!(weights(&scenario), [12, 12], "to the old version's 100");
    scenario.pass(6);
    assert_eq!(weights(&scenario), [12, 12, 100, 100]);
    scenario.pass(10);
    assert_eq!((scenario.count("shop:1.0.0"), scenario.count("shop:2.0.0")), (0, 4));
    assert_eq!(progress(&scenario, "shop"), Progress::Completed);
}

/// That no version gets a larger share of the requests than it has of what answers them: `most` of the requests on a base go to it.
fn assert_shares_fit(scenario: &Scenario, canary: &str, most: f64) {
    for moment in &scenario.moments {
        for (version, (bases, share)) in &moment.versions {
            let capacity = *bases as f64 / moment.serving as f64;
            let alone = moment.there == moment.serving;
            let bound = if version == canary && !alone { capacity * most } else { capacity };
            assert!(*share <= bound + 1e-9, "{version} serves on {bases} of {} bases and gets {share}: {moment:?}", moment.serving);
        }
        let all: f64 = moment.versions.values().map(|(_, share)| share).sum();
        assert!((all - 1.0).abs() < 1e-9, "{moment:?}");
    }
}

fn canary_of_half(shop: &mut ModuleDeployment) {
    shop.spec.operation_strategy.canary = vec![CanaryStep { weight: 10, seconds: 5 }, CanaryStep { weight: 50, seconds: 5 }];
}

#[test]
fn s3_no_version_gets_more_of_the_traffic_than_it_has_of_what_is_ready() {
    let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 4);
    scenario.change("shop", canary_of_half);
    scenario.watch("shop");
    scenario.upgrade("shop", "2.0.0", "v2");
    scenario.pass(20);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 4));
    assert_shares_fit(&scenario, "shop:2.0.0", 0.5);
    let first: Vec<f64> = scenario.moments.iter().filter_map(|moment| moment.versions.get("shop:2.0.0")).map(|(_, share)| *share).collect();
    // Bases take whole numbers for weights: 10 % of the traffic are 12 to 100.
    assert!(first.first().is_some_and(|share| *share < 0.11 / 4.0), "{first:?}");
    assert!(first.is_sorted(), "the new version never loses a share that it had: {first:?}");
}

/// <https://github.com/argoproj/argo-rollouts/pull/4612>: a rollback gave 70 % of the traffic to a version with 5 % of the capacity.
#[test]
fn s3_a_canary_that_is_given_up_gives_its_traffic_to_what_is_ready_at_every_moment() {
    for abort in [true, false] {
        let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 4);
        scenario.change("shop", canary_of_half);
        scenario.upgrade("shop", "2.0.0", "v2");
        scenario.pass(6);
        scenario.watch("shop");
        scenario.change("shop", |shop| match abort {
            true => shop.spec.abort = true,
            false => shop.spec.rollback_to = Some(RollbackTo { revision: 1 }),
        });
        scenario.pass(20);
        assert_eq!((scenario.count("shop:1.0.0"), scenario.count("shop:2.0.0")), (4, 0));
        assert_eq!(scenario.seen().0, 4, "every base serves all the while");
        assert_shares_fit(&scenario, "shop:2.0.0", 0.5);
    }
}

#[test]
fn s4_an_order_that_was_overtaken_by_a_later_one_is_refused() {
    let mut scenario = running(2, UpgradePolicy::InstallThenUninstall, 1);
    scenario.hold_back();
    scenario.upgrade("shop", "2.0.0", "v2");
    assert_eq!(scenario.count("shop:2.0.0"), 0);
    scenario.edit("shop", |shop| shop.spec.template.spec.module.version = "3.0.0".into());
    scenario.lose_patience();
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:3.0.0")), (Progress::Completed, 2));
    let said = scenario.let_through();
    assert_eq!(said.len(), 2);
    assert!(said.iter().all(|said| said.as_ref().is_err_and(|failure| failure.reason == Reason::OrderStale)), "{said:?}");
    assert_eq!((scenario.count("shop:2.0.0"), scenario.count("shop:3.0.0")), (0, 2));
}

#[test]
fn s5_no_base_is_given_more_than_it_takes() {
    let mut scenario = Scenario::new(2, 2);
    for name in ["a", "b", "c"] {
        scenario.create(Scenario::deployment(name, 2, "v1"));
    }
    assert!((0..2).all(|base| scenario.serving(base).len() == 2));
    let (_, _, message) = condition(&scenario, "c", "Progressing");
    assert!(message.contains("2 of 2 instances have no base") && message.contains("2 has its 2 modules"), "{message}");
    scenario.change("a", |a| a.metadata.deletion_timestamp = Some(fleet::resource::Time(1)));
    assert_eq!(scenario.count("c:1.0.0"), 2, "what waits for room comes when there is some");
}

#[test]
fn s6_what_is_wanted_is_not_removed_by_a_controller_that_begins_anew() {
    let mut scenario = running(3, UpgradePolicy::InstallThenUninstall, 1);
    scenario.orders.clear();
    scenario.restart();
    scenario.pass(30);
    assert!(scenario.orders.is_empty(), "{:?}", scenario.orders);
}

/// What the store itself keeps through a crash is looked at where the store is; here, that whoever begins anew acts on all of it.
#[test]
fn s7_what_was_accepted_while_nobody_reigned_comes_about() {
    let mut scenario = running(2, UpgradePolicy::InstallThenUninstall, 1);
    scenario.edit("shop", |shop| shop.spec.template.spec.module.version = "2.0.0".into());
    scenario.restart();
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 2));
}

#[test]
fn s8_a_controller_that_was_replaced_and_does_not_know_it_is_refused_by_the_bases() {
    let mut scenario = running(3, UpgradePolicy::InstallThenUninstall, 1);
    scenario.hold_back();
    scenario.upgrade("shop", "2.0.0", "v2");
    scenario.restart();
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 3));
    scenario.upgrade("shop", "3.0.0", "v3");
    let said = scenario.let_through();
    assert_eq!(said.len(), 3);
    assert!(said.iter().all(|said| said.as_ref().is_err_and(|failure| failure.reason == Reason::OrderStale)), "{said:?}");
    scenario.pass(10);
    assert_eq!(scenario.unrest(Progress::Completed), None);
    assert_eq!(scenario.count("shop:3.0.0"), 3);
}

#[test]
fn s9_an_order_carries_the_digest_of_the_document() {
    let mut scenario = Scenario::new(1, 10);
    let mut deployment = Scenario::deployment("shop", 1, "v1");
    deployment.spec.template.spec.module.sha256 = Some("ab".repeat(32));
    scenario.create(deployment);
    let Some((_, Command::Install(order))) = scenario.orders.first() else { panic!("{:?}", scenario.orders) };
    assert_eq!(order.sha256, Some("ab".repeat(32)));
}

#[test]
fn l1_a_rollout_takes_no_more_orders_than_instances_that_change_and_then_none() {
    let mut scenario = running(8, UpgradePolicy::InstallThenUninstall, 4);
    scenario.orders.clear();
    scenario.upgrade("shop", "2.0.0", "v2");
    assert_eq!((scenario.unrest(Progress::Completed), scenario.orders.len()), (None, 8), "{:?}", scenario.orders);
    scenario.pass(300);
    assert_eq!(scenario.orders.len(), 8, "{:?}", scenario.orders);
}

/// A plan that finds something to write each time it is made would be made for ever.
#[test]
fn l1_a_deployment_at_rest_is_not_written_however_often_it_is_looked_at() {
    let states: [(Progress, Reach); 5] = [
        (Progress::Completed, |scenario| scenario.upgrade("shop", "2.0.0", "v2")),
        (Progress::Failed, |scenario| scenario.upgrade("shop", "2.0.0", "wrong")),
        (Progress::Paused, |scenario| {
            scenario.change("shop", |shop| shop.spec.paused = true);
            scenario.upgrade("shop", "2.0.0", "v2");
        }),
        (Progress::WaitingForConfirmation, |scenario| {
            scenario.change("shop", |shop| shop.spec.operation_strategy.need_confirm = true);
            scenario.upgrade("shop", "2.0.0", "v2");
        }),
        (Progress::Aborted, |scenario| {
            scenario.upgrade("shop", "2.0.0", "wrong");
            scenario.change("shop", |shop| shop.spec.abort = true);
        }),
    ];
    for (state, reach) in states {
        let mut scenario = running(3, UpgradePolicy::InstallThenUninstall, 3);
        reach(&mut scenario);
        assert_eq!(progress(&scenario, "shop"), state);
        let before = scenario.get("shop").metadata.resource_version;
        scenario.restart();
        scenario.pass(3);
        assert_eq!(scenario.get("shop").metadata.resource_version, before, "{state:?}");
    }
}

#[test]
fn l2_a_rollout_without_progress_fails_at_its_deadline_and_says_why() {
    let mut scenario = Scenario::new(1, 10);
    let mut deployment = Scenario::deployment("shop", 2, "v1");
    deployment.spec.progress_deadline_seconds = Some(20);
    scenario.create(deployment);
    scenario.pass(21);
    assert_eq!(progress(&scenario, "shop"), Progress::Failed);
    let (status, _, message) = condition(&scenario, "shop", "Progressing");
    assert!(status == Truth::False && message.contains("have no base"), "{message}");
}

#[test]
fn l3_a_rollout_can_be_given_up_from_every_state() {
    let states: [(&str, Reach); 5] = [
        ("a canary", |scenario| {
            scenario.change("shop", canary_of_half);
            scenario.upgrade("shop", "2.0.0", "v2");
        }),
        ("failed", |scenario| scenario.upgrade("shop", "2.0.0", "wrong")),
        ("waiting to be told", |scenario| {
            scenario.change("shop", |shop| shop.spec.operation_strategy.need_confirm = true);
            scenario.upgrade("shop", "2.0.0", "v2");
        }),
        ("held", |scenario| {
            scenario.change("shop", |shop| shop.spec.paused = true);
            scenario.upgrade("shop", "2.0.0", "v2");
        }),
        ("waiting for its time", |scenario| {
            scenario.change("shop", |shop| shop.spec.operation_strategy.gray_time_between_batch_seconds = 1_000);
            scenario.upgrade("shop", "2.0.0", "v2");
        }),
    ];
    for (state, reach) in states {
        let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 4);
        reach(&mut scenario);
        assert_ne!(progress(&scenario, "shop"), Progress::Completed, "{state}");
        scenario.watch("shop");
        scenario.change("shop", |shop| shop.spec.abort = true);
        assert_eq!(
            (progress(&scenario, "shop"), scenario.count("shop:1.0.0"), scenario.count("shop:2.0.0")),
            (Progress::Aborted, 4, 0),
            "{state}"
        );
        assert!(!scenario.get("shop").spec.abort);
    }
}

#[test]
fn l4_from_none_to_one_the_order_goes_out_at_once() {
    let mut scenario = Scenario::new(2, 10);
    scenario.create(Scenario::deployment("shop", 0, "v1"));
    assert_eq!((progress(&scenario, "shop"), scenario.orders.len()), (Progress::Completed, 0));
    // No time passes here.
    scenario.change("shop", |shop| shop.spec.replicas = 1);
    assert_eq!((scenario.orders.len(), scenario.count("shop:1.0.0")), (1, 1));
}

/// At every single boundary: `boundaries.rs`.
#[test]
fn l5_a_controller_that_begins_anew_goes_on_where_the_rollout_was() {
    let mut scenario = running(3, UpgradePolicy::InstallThenUninstall, 3);
    scenario.change("shop", |shop| shop.spec.operation_strategy.need_confirm = true);
    scenario.upgrade("shop", "2.0.0", "v2");
    let before = scenario.get("shop").status.release_status;
    scenario.restart();
    assert_eq!(scenario.get("shop").status.release_status, before);
    scenario.change("shop", |shop| shop.spec.confirm_batch_num = 1);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::WaitingForConfirmation, 2));
}

#[test]
fn a_failing_rollout_returns_by_itself_where_it_was_told_to() {
    let mut scenario = running(3, UpgradePolicy::InstallThenUninstall, 3);
    scenario.change("shop", |shop| shop.spec.operation_strategy.auto_revert = true);
    scenario.upgrade("shop", "2.0.0", "bad");
    scenario.pass(20);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:1.0.0"), scenario.modules().len()), (Progress::Aborted, 3, 3));
    assert!(scenario.told.iter().any(|(reason, message)| *reason == "RolloutReverted" && message.contains("it does not start")));
    scenario.upgrade("shop", "3.0.0", "v3");
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:3.0.0")), (Progress::Completed, 3));
}

#[test]
fn a_rollout_that_failed_says_why_as_long_as_it_is_retried_and_tells_it_once() {
    let mut scenario = running(2, UpgradePolicy::InstallThenUninstall, 2);
    scenario.upgrade("shop", "2.0.0", "bad");
    scenario.pass(10);
    let said = |scenario: &Scenario| (progress(scenario, "shop"), condition(scenario, "shop", "Progressing").2);
    let failed = said(&scenario);
    assert!(failed.0 == Progress::Failed && failed.1.contains("it does not start"), "{failed:?}");
    for paused in [false, true, false] {
        scenario.change("shop", |shop| shop.spec.paused = paused);
        scenario.hold_back();
        scenario.pass(61);
        assert!(scenario.modules().iter().any(|module| module.status.status == Phase::Upgrading), "it is being retried");
        assert_eq!(said(&scenario), failed, "paused: {paused}");
        scenario.lose_patience();
        scenario.let_through();
        assert_eq!(said(&scenario), failed, "paused: {paused}");
    }
    assert_eq!(scenario.told.iter().filter(|(reason, _)| *reason == "RolloutFailed").count(), 1);
    scenario.mend();
    scenario.pass(61);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 2));
    assert_eq!(scenario.get("shop").status.release_status.failure_message, "");
}

#[test]
fn batches_wait_to_be_told_and_more_than_the_number_of_the_batch_is_enough() {
    let mut scenario = running(3, UpgradePolicy::InstallThenUninstall, 3);
    scenario.change("shop", |shop| shop.spec.operation_strategy.need_confirm = true);
    scenario.upgrade("shop", "2.0.0", "v2");
    let release = scenario.get("shop").status.release_status;
    assert_eq!(
        (release.progress, release.current_batch, release.batch_progress),
        (Progress::WaitingForConfirmation, 1, Some(BatchProgress::Completed))
    );
    scenario.change("shop", |shop| shop.spec.confirm_batch_num = 1);
    assert_eq!((scenario.count("shop:2.0.0"), progress(&scenario, "shop")), (2, Progress::WaitingForConfirmation));
    scenario.change("shop", |shop| shop.spec.confirm_batch_num = 7);
    let shop = scenario.get("shop");
    assert_eq!((shop.status.release_status.progress, shop.spec.confirm_batch_num), (Progress::Completed, 0));
}

#[test]
fn a_gray_interval_passes_by_itself() {
    let mut scenario = running(2, UpgradePolicy::InstallThenUninstall, 2);
    scenario.change("shop", |shop| shop.spec.operation_strategy.gray_time_between_batch_seconds = 5);
    scenario.upgrade("shop", "2.0.0", "v2");
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Paused, 1));
    scenario.pass(4);
    assert_eq!(scenario.count("shop:2.0.0"), 1);
    scenario.pass(2);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 2));
}

#[test]
fn a_beta_is_one_instance_and_waits_to_be_told() {
    let mut scenario = running(4, UpgradePolicy::InstallThenUninstall, 2);
    scenario.change("shop", |shop| shop.spec.operation_strategy.use_beta = true);
    scenario.upgrade("shop", "2.0.0", "v2");
    let shop = scenario.get("shop");
    assert_eq!((scenario.count("shop:2.0.0"), shop.status.release_status.real_batch_count), (1, 3));
    scenario.change("shop", |shop| shop.spec.confirm_batch_num = 1);
    assert_eq!((progress(&scenario, "shop"), scenario.count("shop:2.0.0")), (Progress::Completed, 4));
}

#[test]
fn peers_follow_bases_as_they_come_and_go() {
    let mut scenario = running(3, UpgradePolicy::InstallThenUninstall, 1);
    scenario.change_base("base-1", |base| base.drain = true);
    assert_eq!((scenario.count("shop:1.0.0"), scenario.get("shop").status.desired_replicas), (2, 2));
    scenario.change_base("base-1", |base| base.drain = false);
    let shop = scenario.get("shop");
    assert_eq!((scenario.count("shop:1.0.0"), shop.spec.replicas, shop.status.desired_replicas), (3, -1, 3));
}

#[test]
fn a_base_that_drains_is_left_only_once_its_instance_serves_elsewhere() {
    let mut scenario = Scenario::new(3, 10);
    scenario.create(Scenario::deployment("shop", 2, "v1"));
    let from = scenario.modules().first().unwrap().spec.base_name.clone();
    scenario.watch("shop");
    scenario.change_base(&from, |base| base.drain = true);
    assert_eq!((scenario.count("shop:1.0.0"), scenario.seen().0), (2, 2));
    assert!(scenario.modules().iter().all(|module| module.spec.base_name != from));
}

#[test]
fn instances_of_a_base_that_stays_silent_are_made_anew_and_the_base_gives_up_its_own_when_it_is_back() {
    let mut scenario = Scenario::new(2, 10);
    scenario.create(Scenario::deployment("shop", 1, "v1"));
    let from: usize = scenario.modules().first().unwrap().spec.base_name.trim_start_matches("base-").parse().unwrap();
    scenario.cut_off(from, true);
    scenario.pass(60);
    assert_eq!(scenario.serving(1 - from), [""; 0], "it may come back");
    scenario.pass(60);
    assert_eq!(scenario.serving(1 - from), ["shop:1.0.0"]);
    scenario.cut_off(from, false);
    scenario.pass(1);
    assert_eq!(scenario.serving(from), [""; 0], "what it has is not wanted there any more");
}

#[test]
fn a_base_that_lost_everything_is_given_it_again() {
    let mut scenario = running(2, UpgradePolicy::InstallThenUninstall, 1);
    scenario.wipe(0);
    scenario.settle();
    assert_eq!(scenario.serving(0), ["shop:1.0.0"]);
}

#[test]
fn an_earlier_revision_is_returned_to_by_its_number_and_has_the_highest_from_then_on() {
    let mut scenario = running(2, UpgradePolicy::InstallThenUninstall, 1);
    scenario.upgrade("shop", "2.0.0", "v2");
    scenario.upgrade("shop", "3.0.0", "v3");
    scenario.change("shop", |shop| shop.spec.rollback_to = Some(RollbackTo { revision: 1 }));
    assert_eq!((scenario.count("shop:1.0.0"), scenario.get("shop").spec.template.spec.module.version.as_str()), (2, "1.0.0"));
    scenario.change("shop", |shop| shop.spec.rollback_to = Some(RollbackTo { revision: 0 }));
    assert_eq!(scenario.count("shop:3.0.0"), 2, "the one before was the third");
    scenario.change("shop", |shop| shop.spec.rollback_to = Some(RollbackTo { revision: 99 }));
    assert!(scenario.told.iter().any(|(reason, _)| *reason == "RollbackRevisionNotFound"));
}

#[test]
fn two_deployments_of_one_module_name_leave_each_other_alone() {
    let mut scenario = Scenario::new(2, 10);
    scenario.create(Scenario::deployment("shop", 1, "v1"));
    let mut other = Scenario::deployment("shop", 2, "v1");
    other.metadata.name = "other".into();
    scenario.create(other);
    assert_eq!((scenario.get("shop").status.available_replicas, scenario.get("other").status.available_replicas), (1, 1));
    let (_, _, message) = condition(&scenario, "other", "Progressing");
    assert!(message.contains("has it already, by shop"), "{message}");
}

#[test]
fn scaling_goes_in_batches_too_and_to_nothing() {
    let mut scenario = Scenario::new(3, 10);
    let mut deployment = Scenario::deployment("shop", 3, "v1");
    deployment.spec.operation_strategy.batch_count = 3;
    scenario.create(deployment);
    scenario.change("shop", |shop| {
        shop.spec.operation_strategy.need_confirm = true;
        shop.spec.replicas = 0;
    });
    assert_eq!(scenario.count("shop:1.0.0"), 2);
    scenario.change("shop", |shop| shop.spec.confirm_batch_num = 1);
    assert_eq!(scenario.count("shop:1.0.0"), 1);
    scenario.change("shop", |shop| shop.spec.confirm_batch_num = 2);
    assert_eq!((scenario.count("shop:1.0.0"), progress(&scenario, "shop")), (0, Progress::Completed));
}

#[test]
fn instances_move_to_bases_that_suit_better_only_where_that_is_asked_for() {
    let mut scenario = Scenario::new(3, 10);
    for base in ["base-1", "base-2"] {
        scenario.change_base(base, |base| base.unschedulable = true);
    }
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        scenario.create(Scenario::deployment(name, 1, "v1"));
    }
    for base in ["base-1", "base-2"] {
        scenario.change_base(base, |base| base.unschedulable = false);
    }
    scenario.pass(600);
    let on = |scenario: &Scenario| [0, 1, 2].map(|base| scenario.serving(base).len());
    assert_eq!(on(&scenario), [6, 0, 0], "nothing moves by itself");
    for name in names {
        scenario.watch(name);
        scenario.change(name, |deployment| deployment.spec.rebalanced_at = "now".into());
        let status = scenario.get(name).status;
        assert_eq!((status.rebalanced_at.as_str(), status.release_status.progress), ("now", Progress::Completed));
        assert_eq!(scenario.seen().0, 1, "{name} serves all the while");
    }
    assert_eq!(on(&scenario), [2, 2, 2]);
    // Asked for again, it finds nothing to do; a policy that packs moves all of one deployment together with others.
    for name in names {
        scenario.change(name, |deployment| deployment.spec.rebalanced_at = "again".into());
    }
    assert_eq!(on(&scenario), [2, 2, 2]);
    for name in names {
        scenario.change(name, |deployment| {
            deployment.spec.scheduling_strategy.scheduling_policy = SchedulingPolicy::Stacking;
            deployment.spec.rebalanced_at = "packed".into();
        });
    }
    let mut packed = on(&scenario);
    packed.sort_unstable();
    assert_eq!(packed, [0, 0, 6]);
}

#[test]
fn an_instance_that_nothing_takes_after_all_stays_where_it_is() {
    let mut scenario = Scenario::new(2, 10);
    scenario.change_base("base-1", |base| base.unschedulable = true);
    for name in ["a", "b", "c"] {
        scenario.create(Scenario::deployment(name, 1, "v1"));
    }
    scenario.change_base("base-1", |base| base.unschedulable = false);
    // The base goes in the very moment in which the instance is to move there.
    scenario.edit("a", |deployment| deployment.spec.rebalanced_at = "now".into());
    scenario.edit_base("base-1", |base| base.unschedulable = true);
    scenario.settle();
    assert_eq!((scenario.serving(0).len(), scenario.get("a").status.rebalanced_at.as_str()), (3, "now"));
}
