//! The two engines: one for the baseline build of a module, one for the optimised.

use std::{sync::Weak, thread};

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, RegallocAlgorithm, Strategy};

use crate::{compile::Compiler, settings::Settings};

/// The largest memory that a module's limits can allow one instance.
const MAX_MEMORY: usize = 1 << 30;

/// Which compiler made a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    Baseline,
    Optimised,
}

impl Build {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Optimised => "optimised",
        }
    }
}

/// An engine for one kind of build.
pub(crate) fn engine(settings: &Settings, build: Build) -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(settings.instances)
        .total_core_instances(settings.instances.saturating_mul(4))
        .total_memories(settings.instances)
        .total_tables(settings.instances.saturating_mul(4))
        .total_stacks(settings.instances.saturating_mul(2))
        .max_memory_size(MAX_MEMORY)
        .max_core_instances_per_component(50)
        .max_memories_per_component(4)
        .max_tables_per_component(20)
        .table_elements(60_000)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        .linear_memory_keep_resident(settings.memory_keep_resident)
        .table_keep_resident(settings.table_keep_resident)
        .async_stack_keep_resident(settings.table_keep_resident)
        .max_unused_warm_slots(settings.warm_slots)
        // Needs a recent kernel; without it, what stays resident is cleared by hand.
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .strategy(match build {
            Build::Baseline => Strategy::Winch,
            Build::Optimised => Strategy::Cranelift,
        })
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .memory_init_cow(true)
        // Neither is needed to run: they serve backtraces and native debuggers, and cost compile time and size.
        .generate_address_map(false)
        .native_unwind_info(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    if build == Build::Baseline {
        // The baseline compiler leaves the trampolines to the other one, which need not try hard either.
        config.cranelift_opt_level(OptLevel::None).cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    }
    Engine::new(&config)
}

/// Advances the engines' epochs until `compilers` is gone.
pub(crate) fn tick(settings: &Settings, compilers: Vec<Weak<Compiler>>) -> std::io::Result<()> {
    let period = settings.tick;
    thread::Builder::new().name("wasm-tick".to_owned()).spawn(move || {
        loop {
            thread::sleep(period);
            let alive = compilers.iter().filter_map(Weak::upgrade).inspect(|compiler| compiler.engine().increment_epoch()).count();
            if alive == 0 {
                return;
            }
        }
    })?;
    Ok(())
}
