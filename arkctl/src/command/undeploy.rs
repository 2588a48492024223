//! `arkctl undeploy`: a module is removed, with a verdict.

use ark_model::{VerdictState, api::Retired};

use crate::{
    context::Context,
    error::Error,
    humanise,
    progress::Live,
    reference::{Reference, reference},
    style,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Requests under way end first, up to the module's drain deadline. A name alone means its only version.

Examples:
  arkctl undeploy orders
  arkctl undeploy orders:1.0.0")]
pub(crate) struct Args {
    /// The module.
    #[arg(value_name = "NAME[:VERSION]", value_parser = reference)]
    module: Reference,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let client = context.client()?;
    let id = args.module.only(|| client.modules())?;
    let retired = {
        let _live = Live::spinner(context.output, &format!("{id} drains"));
        client.remove(&id)?
    };
    context.output.result(&retired, render)
}

/// A removal for people: its steps and its verdict.
pub(crate) fn render(retired: &Retired) -> String {
    let steps: Vec<String> = retired.timings.iter().map(|timing| format!("{} {}", timing.step, humanise::ms(timing.ms))).collect();
    let mut text = format!("{} {}", style::paint(style::FAINT, "removed"), retired.id);
    if !steps.is_empty() {
        text.push_str(&format!(" ({})", steps.join(", ")));
    }
    text.push('\n');
    let verdict = &retired.verdict;
    let (style, hint) = match verdict.state {
        VerdictState::Unloaded => (style::GOOD, String::new()),
        VerdictState::Pending => (style::FAINT, "; `arkctl verdicts` shows what came of it".to_owned()),
        VerdictState::Leaking => (style::BAD, format!("; `arkctl leaks {}` shows what holds it", retired.id)),
    };
    text.push_str(&format!("  {}{hint}\n", style::paint(style, verdict.state)));
    if verdict.cut_requests > 0 {
        let cut = format!("{} requests were cut off at the drain deadline", humanise::count(verdict.cut_requests));
        text.push_str(&format!("  {}\n", style::paint(style::BAD, cut)));
    }
    for (word, style, resources) in [("gave back", style::GOOD, &verdict.given_back), ("still held", style::BAD, &verdict.held)] {
        for resource in resources {
            let (what, amount) = (humanise::printable(&resource.what), humanise::amount(resource));
            text.push_str(&format!("  {} {what}: {amount}\n", style::paint(style, word)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{support::retired_json, table::plain};

    #[test]
    fn people_see_the_steps_and_the_verdict() {
        let mut retired: Retired = serde_json::from_str(&retired_json("1.0.0")).unwrap();
        retired.verdict.cut_requests = 2;
        retired.verdict.held = vec![ark_model::Resource { what: "instances".to_owned(), amount: 1, unit: "instances".to_owned() }];
        insta::assert_snapshot!(plain(&render(&retired)), @"
        removed orders:1.0.0 (drain 3.50 ms, stop 0.20 ms)
          unloaded
          2 requests were cut off at the drain deadline
          gave back compiled code: 5.3 MiB
          still held instances: 1 instances
        ");
    }
}
