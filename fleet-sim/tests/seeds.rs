//! The worlds of a few hundred seeds, or of as many as `ARK_SIM_SEEDS` says.
//! One seed again: `ARK_SIM_SEED=17 cargo test --release -p fleet-sim one_seed -- --nocapture`.
#![allow(clippy::panic, missing_docs)]

use std::env;

use fleet_sim::run;

const SEEDS: u64 = 300;

fn said<T: std::str::FromStr>(variable: &str) -> Option<T> {
    env::var(variable).ok()?.parse().ok()
}

/// S1 and S5 of every plan, by its lint; S2, S4, S6 and S8 of every order that acts; and L1 at the end, within 20 simulated minutes.
#[test]
fn whatever_goes_wrong_nothing_unsafe_is_done_and_everything_comes_to_what_was_asked_for() {
    let seeds = said("ARK_SIM_SEEDS").unwrap_or(SEEDS);
    let failed: Vec<_> = (0..seeds).filter_map(|seed| run(seed).err()).collect();
    assert!(
        failed.is_empty(),
        "{} of {seeds} seeds:\n{}",
        failed.len(),
        failed.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn one_seed() {
    let seed = said("ARK_SIM_SEED").unwrap_or(1);
    let first = run(seed).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{first:?}");
    assert_eq!(run(seed), Ok(first), "one seed has one course");
}
