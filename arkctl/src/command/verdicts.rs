//! `arkctl verdicts`: the latest removals.

use ark_model::api::VerdictList;

use super::undeploy;
use crate::{context::Context, error::Error, humanise, style};

#[derive(Debug, clap::Args)]
#[command(after_help = "Newest first. After every removal a base says what it got back, and what still holds the rest.

Example:
  arkctl verdicts --output json | jq '.verdicts[] | select(.verdict.state != \"unloaded\")'")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, context: &Context) -> Result<(), Error> {
    let verdicts = context.client()?.verdicts()?;
    if verdicts.verdicts.is_empty() {
        context.output.note("no module has been removed since the base started");
    }
    context.output.result(&verdicts, render)
}

fn render(list: &VerdictList) -> String {
    let at = |at: u64| style::paint(style::FAINT, humanise::moment(at));
    list.verdicts.iter().map(|retired| format!("{} {}", at(retired.at), undeploy::render(retired))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{support::retired_json, table::plain};

    #[test]
    fn people_see_when_each_was_removed() {
        let list = serde_json::from_str(&format!(r#"{{"verdicts":[{}]}}"#, retired_json("1.0.0"))).unwrap();
        insta::assert_snapshot!(plain(&render(&list)), @"
        2023-11-14 22:13:21.000Z removed orders:1.0.0 (drain 3.50 ms, stop 0.20 ms)
          unloaded
          gave back compiled code: 5.3 MiB
        ");
    }
}
