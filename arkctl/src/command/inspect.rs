//! `arkctl inspect`: all that a base knows of a module.

use ark_model::api::ModuleView;
use serde::Serialize;
use serde_json::Value;

use crate::{
    context::Context,
    error::Error,
    humanise,
    reference::{Reference, reference},
    style,
    table::{Table, cell, figure},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "A name alone means its only version, or the only one with traffic.

Examples:
  arkctl inspect orders
  arkctl inspect orders:1.0.0 --output json | jq .history")]
pub(crate) struct Args {
    /// The module.
    #[arg(value_name = "NAME[:VERSION]", value_parser = reference)]
    module: Reference,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let client = context.client()?;
    let id = args.module.look_up(|| client.modules())?;
    context.output.result(&client.module(&id)?, render)
}

fn render(module: &ModuleView) -> String {
    let traffic = &module.traffic;
    let any = |texts: &[String]| if texts.is_empty() { "any".to_owned() } else { texts.join(", ") };
    let mut facts = Table::new(&[]);
    let mut fact = |name: &str, value: String| facts.row([cell(name), cell(value)]);
    fact("kind", module.kind.clone());
    fact("context path", module.context_path.clone());
    fact("hosts", any(&module.hosts));
    fact("weight", module.weight.to_string());
    fact("priority", module.priority.to_string());
    fact("package", format!("{}, {}", module.url, humanise::size(module.package_bytes)));
    fact("sha256", module.sha256.clone());
    if !module.build.is_empty() {
        fact("build", module.build.clone());
    }
    fact("requests", format!("{} ({} failed, {} refused)", humanise::count(traffic.requests), traffic.failures, traffic.refused));
    fact("now", format!("{} in flight, {} queued", traffic.in_flight, traffic.queued));
    fact("times", format!("p50 {}, p99 {}", humanise::ms(traffic.p50_ms), humanise::ms(traffic.p99_ms)));
    // Where modules share the memory of the process, nobody can say.
    if traffic.peak_memory_bytes > 0 {
        fact("peak memory", humanise::size(traffic.peak_memory_bytes));
    }
    let mut text = format!("{} {}\n", style::paint(style::HEADING, &module.id), style::paint(style::state(module.state), module.state));
    if let Some(failure) = &module.failure {
        let step = failure.step.map(|step| format!(" in {step}")).unwrap_or_default();
        text.push_str(&format!("{}{step}: {}\n", style::paint(style::BAD, failure.reason), humanise::printable(&failure.message)));
    }
    text.push_str(&facts.render());
    let mut now = Table::new(&[]);
    for (topic, note) in &module.inspection.notes {
        now.row([cell(topic), cell(humanise::printable(note))]);
    }
    for resource in &module.inspection.uses {
        now.row([cell(&resource.what), cell(humanise::amount(resource))]);
    }
    section(&mut text, "now", &now);
    section(&mut text, "manifest", &keys(&module.manifest));
    section(&mut text, "limits", &keys(&module.limits));
    let mut steps = Table::new(&[]);
    module.timings.iter().for_each(|timing| steps.row([cell(timing.step.as_str()), figure(humanise::ms(timing.ms))]));
    section(&mut text, "install", &steps);
    let mut history = Table::new(&[]);
    for record in &module.history {
        let reason = serde_json::to_value(record.reason).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        let state = cell(record.state.as_str()).in_style(style::state(record.state));
        history.row([cell(humanise::moment(record.change_time)), state, cell(reason), cell(&record.message)]);
    }
    section(&mut text, "history", &history);
    text
}

fn section(text: &mut String, name: &str, table: &Table) {
    let body = table.render();
    if !body.is_empty() {
        text.push_str(&format!("\n{}\n{body}", style::paint(style::HEADING, name)));
    }
}

/// The keys of a value, as they stand in a manifest.
fn keys(value: &impl Serialize) -> Table {
    let mut table = Table::new(&[]);
    if let Ok(value) = serde_json::to_value(value) {
        flatten("", &value, &mut |key, value| table.row([cell(key), cell(value)]));
    }
    table
}

fn flatten(key: &str, value: &Value, told: &mut impl FnMut(&str, String)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                flatten(&if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, member, told);
            }
        }
        Value::String(text) => told(key, text.clone()),
        other => told(key, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        support::{jvm_module_json, module_json},
        table::plain,
    };

    #[test]
    fn people_see_all_of_a_module() {
        let module = serde_json::from_str(&module_json("1.0.0", "activated")).unwrap();
        insta::assert_snapshot!(plain(&render(&module)), @"
        orders:1.0.0 activated
        kind          wasm
        context path  /orders
        hosts         any
        weight        100
        priority      100
        package       sha256:ab, 60.0 KiB
        sha256        abcd
        build         optimised
        requests      1,234 (1 failed, 2 refused)
        now           3 in flight, 4 queued
        times         p50 0.40 ms, p99 12.3 ms
        peak memory   1.0 MiB

        manifest
        name     orders
        version  1.0.0

        limits
        concurrency           128
        drain-deadline-ms     30000
        log-line-bytes        8192
        log-lines-per-second  1000
        memory-bytes          67108864
        queue                 256
        queue-wait-ms         1000
        request-body-bytes    10485760
        request-deadline-ms   30000
        response-body-bytes   1073741824
        start-deadline-ms     10000

        install
        fetch  1.50 ms

        history
        2023-11-14 22:13:20.000Z  resolved   Created
        2023-11-14 22:13:20.500Z  activated  Started
        ");
    }

    #[test]
    fn of_a_java_module_nothing_is_shown_that_it_does_not_have() {
        let text = plain(&render(&serde_json::from_str(&jvm_module_json()).unwrap()));
        assert!(text.contains("kind          jvm"), "{text}");
        assert!(!text.contains("build") && !text.contains("peak memory"), "{text}");
    }
}
