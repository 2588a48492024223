//! Every setting of the engine in one place, each with its gain, its cost and its default.

use std::{path::PathBuf, time::Duration};

/// Settings of the wasm runtime.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where compiled code is kept, by content.
    /// Gain: a component that was ever seen is ready in a millisecond instead of a compile. Cost: about three times its size on disk.
    pub cache: PathBuf,
    /// Whether a component that is not in the cache is compiled by the baseline compiler first, and replaced by the
    /// optimised build once that is ready.
    /// Gain: it serves after about an eighth of the time. Cost: about twice the CPU for each request until then. Default: yes.
    pub baseline: bool,
    /// Instances alive at a time, over all modules and both builds.
    /// Gain: bounds memory. Cost: 4 GiB of address space each, none of it memory. Default 1,000.
    pub instances: u32,
    /// How much of an instance's memory stays mapped for the next one.
    /// Gain: together with `pagemap_scan` about half the CPU of a fresh instance. Cost: up to this much memory for each warm slot. Default 4 MiB.
    pub memory_keep_resident: usize,
    /// The same for its tables and its stack. Default 64 KiB each.
    pub table_keep_resident: usize,
    /// Slots that stay warm while unused.
    /// Gain: those are the fast ones. Cost: each holds what `*_keep_resident` allow. Default 100.
    pub warm_slots: u32,
    /// How often a running guest is interrupted so that others get the thread, and its deadline is looked at.
    /// Gain: fairness. Cost: nothing that could be measured at 10 ms. Default 10 ms.
    pub tick: Duration,
    /// How long an instance that may be reused waits for its next request.
    /// Gain: saves an instantiation. Cost: its memory meanwhile. Default 5 s.
    pub idle: Duration,
    /// How many requests one WASI 0.3 instance serves at the same time, where its module allows reuse.
    /// Gain: one instance for many waiting requests. Cost: a trap ends all of them. Default 16.
    pub p3_concurrency: usize,
    /// How the baseline compiler ranks against traffic, from 0 (the same) to 19 (only what is left). Default 5:
    /// somebody waits for it.
    pub baseline_nice: i32,
    /// The same for the optimising compiler. Default 19: nobody waits for it.
    pub optimising_nice: i32,
}

impl Settings {
    /// The defaults, with compiled code kept in `cache`.
    #[must_use]
    pub fn new(cache: PathBuf) -> Self {
        Self {
            cache,
            baseline: true,
            instances: 1_000,
            memory_keep_resident: 4 << 20,
            table_keep_resident: 64 << 10,
            warm_slots: 100,
            tick: Duration::from_millis(10),
            idle: Duration::from_secs(5),
            p3_concurrency: 16,
            baseline_nice: 5,
            optimising_nice: 19,
        }
    }
}
