//! J3: an application that came and went 500 times has left nothing behind.

use std::time::{Duration, Instant};

use harness::{
    Error,
    jvm::{JvmBase, Usage, sample},
};
use serde_json::{Map, Value, json};

use super::{
    super::{Measured, rounded, say},
    LOADER, mib,
};

const CYCLES: usize = 500;
/// The first that the last is compared with.
const WARM: usize = 100;
/// From here on the slope is taken: what grows without end grows in the second half too, and what the JVM compiles and caches for good,
/// which goes on beyond the first, does not.
const SETTLED: usize = 250;
/// How often it is looked at.
const EVERY: usize = 50;
/// Longer than a layer is kept for its next module.
const PATIENCE: Duration = Duration::from_secs(150);
const POLL: Duration = Duration::from_secs(2);

/// What may be more after a cycle than before it, in KiB by the slope of the second half. One lost version of this module
/// is 8,000 KiB of heap, or 25,000 of metaspace, where nothing is shared; 2,600 and 200 in a layer.
const HEAP: f64 = 4.0;
const METASPACE: f64 = 8.0;
const RESIDENT: f64 = 64.0;
/// How many more threads and descriptors there may be at the end: the JVM's own compiler threads come and go.
const THREADS: u64 = 2;
const DESCRIPTORS: u64 = 2;

struct Sample {
    cycle: usize,
    usage: Usage,
    /// Loaders of modules and layers that are alive.
    loaders: u64,
}

pub(crate) fn measure() -> Result<Measured, Error> {
    let (mut figures, mut ratio, mut holds) = (Map::new(), Map::new(), true);
    // A layer may hold one module: libraries keep whose thread used them first.
    for (share, loaders) in [("module", 2), ("none", 0)] {
        let measured = run(share, loaders)?;
        figures.insert(share.to_owned(), measured.figures);
        ratio.insert(share.to_owned(), measured.ratio);
        holds &= measured.holds;
    }
    Ok(Measured { figures: figures.into(), ratio: ratio.into(), holds })
}

/// Runs the cycles, after which at most `loaders` may be alive.
fn run(share: &str, loaders: u64) -> Result<Measured, Error> {
    let versions = [(sample("catalog-v1")?, "1.0.0", "v1"), (sample("catalog-v2")?, "2.0.0", "v2")];
    let base = JvmBase::start(&sample("base")?, &[&format!("share={share}")], &["-Xmx512m"])?;
    let mut samples = Vec::new();
    let began = Instant::now();
    for (number, (package, version, answer)) in (1..=CYCLES).zip(versions.iter().cycle()) {
        base.api.install_file(package)?;
        for (path, expected) in [("/catalog/version", *answer), ("/catalog/items", "[{\"sku\":\"CUP-1\"")] {
            let body = ureq::get(format!("http://{}{path}", base.gateway)).call()?.body_mut().read_to_string()?;
            if !body.starts_with(expected) {
                return Err(format!("cycle {number}: {path} answered {body:?}").into());
            }
        }
        base.api.uninstall("catalog", version)?.map_err(|refused| refused.error.message)?;
        if number % EVERY == 0 {
            base.jvm.collect_garbage()?;
            let sample = Sample { cycle: number, usage: base.jvm.usage()?, loaders: base.jvm.instances(LOADER)? };
            say(&format!(
                "  share={share}, cycle {number:>3} after {:>4.0} s: heap {:.1}, metaspace {:.1}, resident {:.0} MiB, {} classes, \
                 {} threads, {} descriptors, {} loaders",
                began.elapsed().as_secs_f64(),
                mib(sample.usage.heap),
                mib(sample.usage.metaspace),
                mib(sample.usage.resident),
                sample.usage.classes,
                sample.usage.threads,
                sample.usage.descriptors,
                sample.loaders
            ));
            samples.push(sample);
        }
    }
    let left = loaders_left(&base)?;
    samples.retain(|sample| sample.cycle >= WARM);
    let (Some(warm), Some(last)) = (samples.first(), samples.last()) else { return Err("there are no samples".into()) };
    let settled = samples.iter().filter(|sample| sample.cycle >= SETTLED);
    let per_cycle = |figure: fn(&Usage) -> u64| slope(settled.clone().map(|s| (s.cycle as f64, figure(&s.usage) as f64 / 1_024.0)));
    let (heap, metaspace) = (per_cycle(|usage| usage.heap), per_cycle(|usage| usage.metaspace));
    let resident = per_cycle(|usage| usage.resident);
    let threads = last.usage.threads.saturating_sub(warm.usage.threads);
    let descriptors = last.usage.descriptors.saturating_sub(warm.usage.descriptors);
    let most = samples.iter().map(|sample| sample.loaders).max().unwrap_or_default();
    let flat = heap <= HEAP && metaspace <= METASPACE && resident <= RESIDENT && threads <= THREADS && descriptors <= DESCRIPTORS;
    Ok(Measured {
        figures: json!({
            "cycles": CYCLES,
            "secondsPerCycle": rounded(began.elapsed().as_secs_f64() / CYCLES as f64),
            format!("at{}", warm.cycle): told(warm),
            format!("at{}", last.cycle): told(last),
            "heapKibPerCycle": rounded(heap),
            "metaspaceKibPerCycle": rounded(metaspace),
            "residentKibPerCycle": rounded(resident),
            "mostLoadersAlive": most,
            "loadersAfterItsLayerWent": left,
        }),
        ratio: json!({
            "heapToTolerance": rounded(heap / HEAP),
            "metaspaceToTolerance": rounded(metaspace / METASPACE),
            "residentToTolerance": rounded(resident / RESIDENT),
        }),
        holds: flat && most <= loaders && left == 0,
    })
}

fn told(sample: &Sample) -> Value {
    json!({
        "heapMib": rounded(mib(sample.usage.heap)),
        "metaspaceMib": rounded(mib(sample.usage.metaspace)),
        "residentMib": rounded(mib(sample.usage.resident)),
        "classes": sample.usage.classes,
        "threads": sample.usage.threads,
        "descriptors": sample.usage.descriptors,
        "loaders": sample.loaders,
    })
}

/// How many loaders are alive once the layer was dropped, which happens a while after its last module went.
fn loaders_left(base: &JvmBase) -> Result<u64, Error> {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = base.jvm.instances(LOADER)?;
        if left == 0 || Instant::now() > end {
            return Ok(left);
        }
        std::thread::sleep(POLL);
    }
}

/// The slope of the straight line nearest to some points, by least squares.
fn slope(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let count = points.clone().count() as f64;
    let (x, y) = points.clone().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x, y) = (x / count, y / count);
    let above: f64 = points.clone().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.map(|point| (point.0 - x).powi(2)).sum();
    above / below
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn the_slope_of_points_on_a_line_is_that_of_the_line() {
        let points = [(100.0, 7.0), (150.0, 8.0), (200.0, 9.0)];
        assert!((slope(points.into_iter()) - 0.02).abs() < 1e-9);
    }

    #[test]
    fn points_that_scatter_around_a_level_have_no_slope() {
        let points = [(0.0, 5.0), (1.0, 6.0), (2.0, 6.0), (3.0, 5.0)];
        assert!(slope(points.into_iter()).abs() < 1e-9);
    }
}
