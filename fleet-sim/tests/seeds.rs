//! The world of a few hundred seeds. One seed again: `ARK_SIM_SEED=17 cargo test --release -p fleet-sim one_seed -- --nocapture`.

use std::env;

use fleet_sim::run;

const SEEDS: u64 = 300;

#[test]
fn whatever_goes_wrong_nothing_unsafe_is_done_and_everything_comes_to_what_was_asked_for() {
    let failed: Vec<_> = (0..SEEDS).filter_map(|seed| run(seed).err()).collect();
    assert!(
        failed.is_empty(),
        "{} of {SEEDS} seeds:\n{}",
        failed.len(),
        failed.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn one_seed() {
    let seed = env::var("ARK_SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let first = run(seed).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{first:?}");
    assert_eq!(run(seed), Ok(first), "one seed has one course");
}
