//! `arkctl top`: requests, times and memory by module, again and again.

use std::{
    io::IsTerminal as _,
    thread,
    time::{Duration, Instant},
};

use ark_model::{ModuleId, State, api::ModuleView};
use serde::Serialize;

use crate::{
    client::Client,
    context::Context,
    error::Error,
    humanise, style,
    table::{Table, cell, figure},
};

const EVERY: Duration = Duration::from_secs(1);
/// To the upper left, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[2J";

#[derive(Debug, clap::Args)]
#[command(after_help = "On a terminal the table is renewed every second until Ctrl-C; elsewhere, and with --once or --output json, one
sample over a second is printed. Requests/s are those of that second; times are those since the install.

Examples:
  arkctl top
  arkctl top --once --output json | jq '.modules[] | {name, requestsPerSecond}'")]
pub(crate) struct Args {
    /// Print one sample.
    #[arg(long)]
    once: bool,
}

/// What the modules did in a while.
#[derive(Debug, Serialize)]
struct Sample {
    /// Busiest first.
    modules: Vec<Row>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(flatten)]
    id: ModuleId,
    state: State,
    requests_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    in_flight: u64,
    queued: u64,
    refused: u64,
    peak_memory_bytes: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let (client, output) = (context.client()?, context.output);
    let live = !args.once && !output.is_for_programs() && std::io::stdout().is_terminal();
    let mut before = look(&client)?;
    loop {
        thread::sleep(EVERY);
        let now = look(&client)?;
        let sample = sample(&before.0, &now.0, now.1.duration_since(before.1));
        if !live {
            return output.result(&sample, render);
        }
        output.print(&format!("{CLEAR}{}\n{}", style::paint(style::FAINT, client.url()), render(&sample)))?;
        before = now;
    }
}

fn look(client: &Client) -> Result<(Vec<ModuleView>, Instant), Error> {
    Ok((client.modules()?, Instant::now()))
}

/// The difference of two looks. A module that was not there before counts from nothing.
fn sample(before: &[ModuleView], now: &[ModuleView], elapsed: Duration) -> Sample {
    let rate = |module: &ModuleView| {
        let earlier = before.iter().find(|other| other.id == module.id).map_or(0, |other| other.traffic.requests);
        // After a reinstall the count begins anew, below the earlier one.
        let since = module.traffic.requests.checked_sub(earlier).unwrap_or(module.traffic.requests);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = since as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
        rate
    };
    let row = |module: &ModuleView| Row {
        id: module.id.clone(),
        state: module.state,
        requests_per_second: rate(module),
        p50_ms: module.traffic.p50_ms,
        p99_ms: module.traffic.p99_ms,
        in_flight: module.traffic.in_flight,
        queued: module.traffic.queued,
        refused: module.traffic.refused,
        peak_memory_bytes: module.traffic.peak_memory_bytes,
    };
    let mut modules: Vec<Row> = now.iter().map(row).collect();
    modules.sort_by(|a, b| b.requests_per_second.total_cmp(&a.requests_per_second).then_with(|| a.id.cmp(&b.id)));
    Sample { modules }
}

fn render(sample: &Sample) -> String {
    let mut table = Table::new(&["MODULE", "STATE", "REQUESTS/S", "P50", "P99", "IN FLIGHT", "QUEUED", "REFUSED", "PEAK MEMORY"]);
    for row in &sample.modules {
        table.row([
            cell(row.id.to_string()),
            cell(row.state.as_str()).in_style(style::state(row.state)),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is not negative, and saturates")]
            figure(humanise::count(row.requests_per_second.round() as u64)),
            figure(humanise::ms(row.p50_ms)),
            figure(humanise::ms(row.p99_ms)),
            figure(humanise::count(row.in_flight)),
            figure(humanise::count(row.queued)),
            figure(humanise::count(row.refused)),
            // Where modules share the memory of the process, nobody can say.
            figure(if row.peak_memory_bytes > 0 { humanise::size(row.peak_memory_bytes) } else { String::new() }),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{support::module_json, table::plain};

    fn module(version: &str, requests: u64) -> ModuleView {
        let mut module: ModuleView = serde_json::from_str(&module_json(version, "activated")).unwrap();
        module.traffic.requests = requests;
        module
    }

    #[test]
    fn a_rate_is_what_came_between_two_looks_and_the_busiest_is_first() {
        let before = [module("1", 100), module("2", 500)];
        let now = [module("1", 110), module("2", 3500), module("3", 40), module("4", 0)];
        let sample = sample(&before, &now, Duration::from_secs(2));
        let rates: Vec<_> = sample.modules.iter().map(|row| (row.id.version(), row.requests_per_second)).collect();
        assert_eq!(rates, [("2", 1500.0), ("3", 20.0), ("1", 5.0), ("4", 0.0)]);
    }

    #[test]
    fn a_count_that_began_anew_makes_no_negative_rate() {
        let sample = sample(&[module("1", 1000)], &[module("1", 6)], Duration::from_secs(1));
        assert_eq!(sample.modules[0].requests_per_second, 6.0);
    }

    #[test]
    fn people_see_a_row_for_each_module() {
        let sample = sample(&[module("1", 0)], &[module("1", 12_345)], Duration::from_secs(1));
        insta::assert_snapshot!(plain(&render(&sample)), @"
        MODULE    STATE      REQUESTS/S      P50      P99  IN FLIGHT  QUEUED  REFUSED  PEAK MEMORY
        orders:1  activated      12,345  0.40 ms  12.3 ms          3       4        2      1.0 MiB
        ");
    }
}
