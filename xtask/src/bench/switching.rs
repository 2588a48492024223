//! W3: versions replaced under full load.

use std::time::{Duration, Instant};

use harness::{Error, base::Base, load::Load, samples};
use serde_json::json;

use super::{Measured, rounded};

const SWITCHES: usize = 1_000;
const CONNECTIONS: usize = 16;
const BODIES: [&str; 2] = ["hello from v1\n", "hello from v2\n"];

pub(super) fn measure() -> Result<Measured, Error> {
    let base = Base::start(&[])?;
    let packages = [samples::sample("hello", 1)?, samples::sample("hello", 2)?];
    for package in &packages {
        base.api.install_file(package)?;
        while base.api.modules()?.iter().any(|module| module.build != "optimised") {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let load = || Load::new(base.gateway, "/hello/", CONNECTIONS, &BODIES);
    let began = Instant::now();
    let with = load().start()?;
    for package in packages.iter().cycle().take(SWITCHES) {
        base.api.install_file(package)?;
    }
    let with = with.stop()?;
    // As long as the switches took, so that both see the same of the machine's moods.
    let without = load().run(began.elapsed())?;
    let ratio = with.quantile_ms(0.99) / without.quantile_ms(0.99);
    Ok(Measured {
        figures: json!({
            "switches": SWITCHES,
            "seconds": rounded(with.elapsed.as_secs_f64()),
            "requests": with.right + with.lost,
            "lost": with.lost,
            "p50Ms": with.quantile_ms(0.5),
            "p99Ms": with.quantile_ms(0.99),
            "p50WithoutSwitchesMs": without.quantile_ms(0.5),
            "p99WithoutSwitchesMs": without.quantile_ms(0.99),
            "perSecond": with.per_second().round(),
            "perSecondWithoutSwitches": without.per_second().round(),
        }),
        ratio: json!({"p99ToP99WithoutSwitches": rounded(ratio)}),
        holds: with.lost == 0 && without.lost == 0 && with.bodies.len() == 2 && ratio <= 2.0,
    })
}
