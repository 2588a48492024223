//! Whatever goes wrong at any single boundary between the controller and its surroundings, everything comes to what was asked for, and
//! nothing is done on the way that must not be. Every boundary is tried, none is drawn by lot: the controller is gone there, what goes over
//! it is lost, or what comes is old ([`Disturbance`]); or somebody wants something else just then.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use fleet::resource::{CanaryStep, ModuleDeployment, Progress, RollbackTo, Time, UpgradePolicy};
use fleet_sim::{Disturbance, Scenario};

/// Seconds in which everything comes to rest once nothing goes wrong any more.
const REST: u64 = 30;

/// Something that a fleet does.
struct Case {
    name: &'static str,
    /// A fleet at rest.
    begin: fn() -> Scenario,
    /// What is asked of it.
    act: fn(&mut Scenario),
    /// Where its rollout ends.
    end: Progress,
    /// Whether it is as it was asked for.
    holds: fn(&Scenario) -> bool,
}

type Change = fn(&mut ModuleDeployment);

fn canary(shop: &mut ModuleDeployment) {
    shop.spec.operation_strategy.canary = vec![CanaryStep { weight: 10, seconds: 2 }, CanaryStep { weight: 50, seconds: 2 }];
}

fn running(bases: usize, replicas: i32, change: Change) -> Scenario {
    let mut scenario = Scenario::new(bases, 3);
    let mut shop = Scenario::deployment("shop", replicas, "v1");
    shop.spec.operation_strategy.batch_count = 2;
    change(&mut shop);
    scenario.create(shop);
    assert_eq!(scenario.unrest(Progress::Completed), None);
    scenario.watch("shop");
    scenario
}

fn counts(scenario: &Scenario) -> (usize, usize) {
    (scenario.count("shop:1.0.0"), scenario.count("shop:2.0.0"))
}

fn upgrade(scenario: &mut Scenario) {
    scenario.upgrade("shop", "2.0.0", "v2");
}

const UPGRADE: Case = Case {
    name: "an upgrade in batches, beside the version before",
    begin: || running(4, -1, |_| {}),
    act: upgrade,
    end: Progress::Completed,
    holds: |scenario| counts(scenario) == (0, 4),
};

const CASES: [Case; 12] = [
    Case {
        name: "a first install",
        begin: || Scenario::new(3, 3),
        act: |scenario| scenario.create(Scenario::deployment("shop", -1, "v1")),
        end: Progress::Completed,
        holds: |scenario| counts(scenario) == (3, 0),
    },
    UPGRADE,
    Case {
        name: "an upgrade in batches, in place of the version before",
        begin: || running(4, -1, |shop| shop.spec.operation_strategy.upgrade_policy = Some(UpgradePolicy::UninstallThenInstall)),
        ..UPGRADE
    },
    Case {
        name: "an upgrade in batches, on other bases than the version before",
        begin: || running(5, 3, |shop| shop.spec.operation_strategy.upgrade_policy = Some(UpgradePolicy::ScaleupThenScaledown)),
        holds: |scenario| counts(scenario) == (0, 3),
        ..UPGRADE
    },
    Case {
        name: "other content under the same version",
        act: |scenario| scenario.change("shop", |shop| shop.spec.restarted_at = "now".into()),
        holds: |scenario| counts(scenario) == (4, 0),
        ..UPGRADE
    },
    Case {
        name: "a canary",
        begin: || running(4, -1, canary),
        act: |scenario| {
            upgrade(scenario);
            scenario.pass(6);
        },
        ..UPGRADE
    },
    Case {
        name: "more instances",
        begin: || running(4, 1, |_| {}),
        act: |scenario| scenario.change("shop", |shop| shop.spec.replicas = 4),
        end: Progress::Completed,
        holds: |scenario| counts(scenario) == (4, 0),
    },
    Case {
        name: "fewer instances",
        begin: || running(4, 4, |_| {}),
        act: |scenario| scenario.change("shop", |shop| shop.spec.replicas = 1),
        end: Progress::Completed,
        holds: |scenario| counts(scenario) == (1, 0),
    },
    Case {
        name: "a rollout that is given up",
        begin: || running(4, -1, |_| {}),
        act: |scenario| {
            scenario.change("shop", |shop| shop.spec.operation_strategy.use_beta = true);
            upgrade(scenario);
            scenario.change("shop", |shop| shop.spec.abort = true);
        },
        end: Progress::Aborted,
        holds: |scenario| counts(scenario) == (4, 0),
    },
    Case {
        name: "a base that is lost, and comes back",
        begin: || running(3, 2, |_| {}),
        act: |scenario| {
            let base = (0..3).find(|base| !scenario.serving(*base).is_empty()).unwrap();
            scenario.cut_off(base, true);
            scenario.pass(105);
            scenario.cut_off(base, false);
            scenario.pass(1);
        },
        end: Progress::Completed,
        holds: |scenario| counts(scenario) == (2, 0),
    },
    Case {
        name: "a base that gives its modules away",
        begin: || running(4, 2, |_| {}),
        act: |scenario| {
            let base = scenario.modules().first().unwrap().spec.base_name.clone();
            scenario.change_base(&base, |base| base.drain = true);
        },
        end: Progress::Completed,
        holds: |scenario| counts(scenario) == (2, 0),
    },
    Case {
        name: "a removal",
        begin: || running(3, -1, |_| {}),
        act: |scenario| scenario.change("shop", |shop| shop.metadata.deletion_timestamp = Some(Time(1))),
        end: Progress::Completed,
        holds: |scenario| counts(scenario) == (0, 0) && scenario.modules().is_empty(),
    },
];

/// Runs `case` once for each boundary and each of `disturbances` there.
///
/// Each run has to come to what was asked for, with never fewer bases that serve and never more instances than in the run without any.
fn at_every_boundary(case: &Case, disturbances: &[Disturbance]) {
    let mut scenario = (case.begin)();
    let first = scenario.boundaries() + 1;
    (case.act)(&mut scenario);
    let last = scenario.boundaries();
    assert!(last > first, "{}: it met nobody", case.name);
    scenario.pass(REST);
    assert!(scenario.unrest(case.end).is_none() && (case.holds)(&scenario), "{}: {:?}", case.name, scenario.unrest(case.end));
    let (fewest, most) = scenario.seen();
    for at in first..=last {
        for disturbance in disturbances {
            let what = format!("{}, {disturbance:?} at {at} of {first}..={last}", case.name);
            println!("{what}");
            let mut scenario = (case.begin)();
            scenario.disturb(at, *disturbance);
            (case.act)(&mut scenario);
            scenario.pass(REST);
            assert_eq!(scenario.unrest(case.end), None, "{what}");
            assert!((case.holds)(&scenario), "{what}: {:?}", counts(&scenario));
            let seen = scenario.seen();
            assert!(seen.0 >= fewest && seen.1 <= most, "{what}: {seen:?} was seen, and at least {fewest}, at most {most} should");
        }
    }
}

/// Something that somebody wants while a fleet is being upgraded to 2.0.0.
struct Wish {
    name: &'static str,
    act: fn(&mut Scenario),
    end: Progress,
    /// How many instances of 1.0.0, 2.0.0 and 3.0.0 serve in the end.
    counts: [usize; 3],
}

const WISHES: [Wish; 8] = [
    Wish {
        name: "another version",
        act: |scenario| scenario.edit("shop", |shop| shop.spec.template.spec.module.version = "3.0.0".into()),
        end: Progress::Completed,
        counts: [0, 0, 4],
    },
    Wish {
        name: "the version before, by its document",
        act: |scenario| {
            scenario.edit("shop", |shop| {
                let module = &mut shop.spec.template.spec.module;
                (module.version, module.url) = ("1.0.0".into(), "http://packages/v1".into());
            });
        },
        end: Progress::Completed,
        counts: [4, 0, 0],
    },
    Wish {
        name: "the version before, by its number",
        act: |scenario| scenario.edit("shop", |shop| shop.spec.rollback_to = Some(RollbackTo { revision: 1 })),
        end: Progress::Completed,
        counts: [4, 0, 0],
    },
    Wish {
        name: "two instances",
        act: |scenario| scenario.edit("shop", |shop| shop.spec.replicas = 2),
        end: Progress::Completed,
        counts: [0, 2, 0],
    },
    Wish {
        name: "a base without modules",
        act: |scenario| scenario.edit_base("base-1", |base| base.drain = true),
        end: Progress::Completed,
        counts: [0, 3, 0],
    },
    Wish {
        name: "a pause",
        act: |scenario| {
            scenario.edit("shop", |shop| shop.spec.paused = true);
            scenario.meanwhile(scenario.boundaries() + 5, |scenario| scenario.edit("shop", |shop| shop.spec.paused = false));
        },
        end: Progress::Completed,
        counts: [0, 4, 0],
    },
    Wish { name: "what a base has that loses everything", act: |scenario| scenario.wipe(2), end: Progress::Completed, counts: [0, 4, 0] },
    Wish {
        name: "nothing of it",
        act: |scenario| scenario.edit("shop", |shop| shop.metadata.deletion_timestamp = Some(Time(1))),
        end: Progress::Completed,
        counts: [0, 0, 0],
    },
];

#[test]
fn whatever_somebody_wants_at_any_boundary_of_an_upgrade_comes_about_however_late_it_is_heard() {
    let ways: [(&str, Change); 4] = [
        ("beside", |_| {}),
        ("in place", |shop| shop.spec.operation_strategy.upgrade_policy = Some(UpgradePolicy::UninstallThenInstall)),
        ("elsewhere", |shop| shop.spec.operation_strategy.upgrade_policy = Some(UpgradePolicy::ScaleupThenScaledown)),
        ("as a canary", canary),
    ];
    for (way, change) in ways {
        let begin = || running(4, -1, change);
        let act = |scenario: &mut Scenario| {
            upgrade(scenario);
            scenario.pass(5);
        };
        let mut scenario = begin();
        let first = scenario.boundaries() + 1;
        act(&mut scenario);
        let last = scenario.boundaries();
        for wish in &WISHES {
            for (at, lag) in (first..=last).flat_map(|at| [0, 2, 1_000].map(|lag| (at, lag))) {
                let what = format!("{way}, {} heard {lag} later, at {at} of {first}..={last}", wish.name);
                println!("{what}");
                let mut scenario = begin();
                let wanted = wish.act;
                scenario.meanwhile(at, move |scenario| {
                    scenario.disturb(scenario.boundaries() + 1, Disturbance::Lag(lag));
                    wanted(scenario);
                });
                act(&mut scenario);
                scenario.pass(REST);
                assert_eq!(scenario.unrest(wish.end), None, "{what}");
                let counts = ["1", "2", "3"].map(|version| scenario.count(&format!("shop:{version}.0.0")));
                assert_eq!(counts, wish.counts, "{what}");
            }
        }
    }
}

/// S7 and L5, and Sieve's intermediate states.
#[test]
fn l5_a_controller_that_is_gone_at_any_boundary_loses_nothing_that_was_written() {
    CASES.iter().for_each(|case| at_every_boundary(case, &[Disturbance::Crash]));
}

/// Sieve's unobserved states.
#[test]
fn an_order_a_report_or_a_change_that_is_lost_at_any_boundary_is_made_up_for() {
    CASES.iter().for_each(|case| at_every_boundary(case, &[Disturbance::Loss]));
}

/// Sieve's stale states.
#[test]
fn what_is_heard_late_at_any_boundary_undoes_nothing() {
    CASES.iter().for_each(|case| at_every_boundary(case, &[1, 2, 3].map(Disturbance::Lag)));
}
