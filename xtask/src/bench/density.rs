//! W4: what an idle module costs in memory.

use std::{path::Path, time::Duration};

use harness::{Error, base::Base, samples};
use serde_json::{Value, json};

use super::{Measured, rounded, say};

const DISTINCT: usize = 1_000;
const SAME: [usize; 2] = [1_000, 5_000];
/// The number of the module that is there before the others.
const FIRST: usize = 1_000_000;
/// Orders under way at a time.
const AT_A_TIME: usize = 8;

pub(super) fn measure() -> Result<Measured, Error> {
    let hello = samples::sample("hello", 1)?;
    let folder = tempfile::tempdir()?;
    let plain = folder.path().join("plain.wasm");
    samples::remade(&hello, &plain, |manifest| *manifest = ark_model::Manifest::default())?;
    let mut figures = serde_json::Map::new();

    // What the first module costs is the engine's: its compilers have run once.
    let base = Base::start(&[])?;
    order(&base, FIRST, &plain)?;
    let before = settled(&base)?;
    let mut same = Vec::new();
    let mut there = 0;
    for count in SAME {
        install(&base, there..count, |_| Ok(plain.clone()))?;
        there = count;
        let kib = (settled(&base)? - before) / count as f64;
        say(&format!("  {count} names of one package: {kib:.1} KiB each"));
        figures.insert(format!("same{count}KibEach"), json!(rounded(kib)));
        same.push(kib);
    }
    drop(base);

    let base = Base::start(&[])?;
    order(&base, FIRST, &plain)?;
    let before = settled(&base)?;
    install(&base, 0..DISTINCT, |number| {
        let path = folder.path().join(format!("{number}.wasm"));
        samples::remade(&plain, &path, |manifest| manifest.priority = Some(number as i32))?;
        Ok(path)
    })?;
    let distinct = (settled(&base)? - before) / DISTINCT as f64;
    say(&format!("  {DISTINCT} distinct packages: {distinct:.1} KiB each"));
    figures.insert(format!("distinct{DISTINCT}KibEach"), json!(rounded(distinct)));
    let most = same.iter().copied().fold(0.0, f64::max);
    Ok(Measured {
        figures: Value::Object(figures),
        ratio: json!({"distinctTo300Kib": rounded(distinct / 300.0), "sameTo20Kib": rounded(most / 20.0)}),
        holds: distinct <= 300.0 && most <= 20.0,
    })
}

fn install(
    base: &Base,
    numbers: std::ops::Range<usize>,
    package: impl Fn(usize) -> Result<std::path::PathBuf, Error> + Sync,
) -> Result<(), Error> {
    let numbers = std::sync::Mutex::new(numbers);
    let worker = || -> Result<(), Error> {
        loop {
            let next = numbers.lock().map_err(|_| "a worker panicked")?.next();
            let Some(number) = next else { return Ok(()) };
            order(base, number, &package(number)?)?;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
    })
}

fn order(base: &Base, number: usize, package: &Path) -> Result<(), Error> {
    let id = json!({"name": format!("m{number}"), "version": "1"});
    let installed = base.api.install(&json!({"id": id, "url": format!("file://{}", package.display())}))?;
    installed.map(drop).map_err(|refused| refused.error.message.into())
}

/// Resident memory in KiB, once every module has its optimised build and nothing changes any more.
fn settled(base: &Base) -> Result<f64, Error> {
    while base.api.modules()?.iter().any(|module| module.build != "optimised") {
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut before = 0;
    loop {
        let now = base.memory_kib("VmRSS:")?;
        if now.abs_diff(before) * 200 <= now {
            return Ok(now as f64);
        }
        before = now;
        std::thread::sleep(Duration::from_secs(1));
    }
}
