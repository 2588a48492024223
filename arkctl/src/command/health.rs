//! `arkctl health`: whether a base is ready, and what it says of its process.

use ark_model::api::BaseView;
use serde::Serialize;
use serde_json::Value;

use crate::{
    context::Context,
    error::Error,
    humanise, style,
    table::{Table, cell},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 0 means ready, 1 not ready, 3 not there: fit for scripts that wait for a base.

Example:
  until arkctl health --quiet > /dev/null 2>&1; do sleep 1; done")]
pub(crate) struct Args {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    ready: bool,
    base: BaseView,
    health_data: Value,
}

pub(crate) fn run(_: &Args, context: &Context) -> Result<(), Error> {
    let client = context.client()?;
    let health = Health { ready: client.is_ready()?, base: client.base()?, health_data: client.health()? };
    context.output.result(&health, render)?;
    if health.ready { Ok(()) } else { Err(Error::Told) }
}

fn render(health: &Health) -> String {
    let base = &health.base;
    let ready = if health.ready { style::paint(style::GOOD, "ready") } else { style::paint(style::BAD, "not ready") };
    let mut facts = Table::new(&[]);
    let mut fact = |name: &str, value: String| facts.row([cell(name), cell(value)]);
    fact("identity", base.identity.clone());
    fact("cluster", base.cluster.clone());
    fact("gateway", base.gateway.clone());
    fact("kinds", base.kinds.join(", "));
    fact("arklet", base.arklet_version.clone());
    fact("up", humanise::span(base.uptime_seconds));
    fact("memory", humanise::size(base.resident_bytes));
    let name = style::paint(style::HEADING, humanise::printable(&format!("{} {}", base.name, base.version)));
    let mut text = format!("{name} {ready}\n{}", facts.render());
    // Sections of plain figures only: the modules are what `arkctl status` shows better.
    for (name, section) in health.health_data.as_object().into_iter().flatten() {
        let figures = section.as_object().into_iter().flatten().filter(|(_, value)| !value.is_object() && !value.is_array());
        let mut table = Table::new(&[]);
        figures.for_each(|(key, value)| table.row([cell(key), cell(shown(value))]));
        let figures = table.render();
        if !figures.is_empty() {
            text.push_str(&format!("\n{}\n{figures}", style::paint(style::HEADING, humanise::printable(name))));
        }
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => format!("{:.1}", number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{support::base_json, table::plain};
    use serde_json::json;

    #[test]
    fn people_see_whether_it_is_ready_and_how_its_process_is() {
        let health = Health {
            ready: true,
            base: serde_json::from_str(&base_json()).unwrap(),
            health_data: json!({"cpu": {"count": 2, "free (%)": 79.85463, "type": "x"}, "bizListInfo": [{"bizName": "a"}], "masterBizInfo": {"bizState": "activated"}}),
        };
        insta::assert_snapshot!(plain(&render(&health)), @"
        demo 1.0.0 ready
        identity  id-1
        cluster   default
        gateway   http://127.0.0.1:8080
        kinds     wasm
        arklet    0.1.0
        up        3 min 5 s
        memory    64.0 MiB

        cpu
        count     2
        free (%)  79.9
        type      x

        masterBizInfo
        bizState  activated
        ");
    }
}
