//! `arkctl cordon`, `arkctl uncordon`, `arkctl drain`: a base is taken out of use, and comes back.

use std::time::Duration;

use fleet::resource::{Base, Kind, Module, label};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Fleet, Where,
    client::Form,
    duration,
    follow::{Deadline, Seen, follow},
    resource::{Resource, encoded},
};
use crate::{context::Context, error::Error, humanise::printable, progress::Live};

#[derive(Debug, clap::Args)]
#[command(after_help = "What runs there goes on running. `arkctl uncordon` lets it take modules again.

Example:
  arkctl cordon base-a")]
pub(crate) struct CordonArgs {
    /// The base.
    base: String,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Ends a cordon, and a drain too: the base takes modules from now on. What went elsewhere stays there.

Example:
  arkctl uncordon base-a")]
pub(crate) struct UncordonArgs {
    /// The base.
    base: String,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "The base takes no modules any more, and gives away those it has: each comes up on another base first, and
then goes from here, with its requests under way ended. Where no other base has room it stays, and `arkctl
explain` of its deployment says so. Modules that run on every base just go.

Examples:
  arkctl drain base-a && systemctl restart base-a && arkctl uncordon base-a
  arkctl drain base-a --timeout 5m")]
pub(crate) struct DrainArgs {
    /// The base.
    base: String,
    /// Do not wait until its modules are gone.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait; for ever where nobody says.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    base: String,
    unschedulable: bool,
    drain: bool,
    changed: bool,
}

pub(crate) fn cordon(args: &CordonArgs, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    let told = set(&fleet, &args.base, &json!({"spec": {"unschedulable": true}}))?;
    context.output.result(&told, |told| format!("{} {}\n", told.base, if told.changed { "cordoned" } else { "is cordoned already" }))
}

pub(crate) fn uncordon(args: &UncordonArgs, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    let told = set(&fleet, &args.base, &json!({"spec": {"unschedulable": null, "drain": null}}))?;
    context
        .output
        .result(&told, |told| format!("{} {}\n", told.base, if told.changed { "takes modules again" } else { "takes modules already" }))
}

pub(crate) fn drain(args: &DrainArgs, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    let told = set(&fleet, &args.base, &json!({"spec": {"unschedulable": true, "drain": true}}))?;
    if !args.no_wait {
        wait(&fleet, args, context)?;
    }
    let what = if args.no_wait { "is being drained" } else { "drained: it has no modules" };
    context.output.result(&told, |told| format!("{} {what}\n", told.base))
}

fn set(fleet: &Fleet, name: &str, patch: &Value) -> Result<Told, Error> {
    let path = Resource::Fleet(Kind::Base).one(fleet.namespace(), name);
    let before: Base = fleet.get(&path)?;
    let after: Base = fleet.merge(&path, patch)?;
    let changed = before.spec != after.spec;
    Ok(Told { base: name.to_owned(), unschedulable: after.spec.unschedulable, drain: after.spec.drain, changed })
}

/// Waits until no instance is on the base; says which ones still are.
fn wait(fleet: &Fleet, args: &DrainArgs, context: &Context) -> Result<(), Error> {
    let selector = encoded(&format!("{}={}", label::BASE_NAME, args.base));
    let path = format!("{}?labelSelector={selector}", Resource::Fleet(Kind::Module).all(Some(fleet.namespace())));
    let live = Live::spinner(context.output, &format!("{} gives its modules away", args.base));
    let deadline = Deadline::new(args.timeout);
    let (mut there, mut told) = (Vec::new(), None);
    follow(fleet, &path, Form::Documents, |seen| {
        match seen {
            Seen::All(list) => {
                let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
                there = items.filter_map(|item| serde_json::from_value(item.clone()).ok()).collect();
            }
            Seen::Change(change) => {
                if let Ok(module) = serde_json::from_value::<Module>(change.object.clone()) {
                    there.retain(|other: &Module| other.metadata.name != module.metadata.name);
                    there.extend((change.what != "DELETED").then_some(module));
                }
            }
            Seen::Quiet => {}
        }
        let left = left(&there);
        if told.as_ref() != Some(&left) {
            live.say(&format!("{}: {left}", args.base));
            if !live.is_seen() {
                context.output.note(&format!("{}: {left}", args.base));
            }
            told = Some(left.clone());
        }
        if there.is_empty() {
            return Ok(false);
        }
        deadline.check(&format!("the drain of {}", args.base), &left)?;
        Ok(true)
    })
}

/// What is still there, in words.
fn left(there: &[Module]) -> String {
    const NAMED: usize = 3;
    let module = |module: &Module| format!("{}:{}", module.spec.template.module.name, module.spec.template.module.version);
    let mut names: Vec<String> = there.iter().map(module).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    match there.len() {
        0 => "it has no modules".to_owned(),
        count => {
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let s = if count == 1 { "" } else { "s" };
            printable(&format!("{count} module{s} left: {}{more}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_what_is_left_of_many_only_the_first() {
        let module = |name: &str| {
            let mut module = Module::default();
            (module.spec.template.module.name, module.spec.template.module.version) = (name.to_owned(), "1".to_owned());
            module
        };
        assert_eq!(left(&[]), "it has no modules");
        assert_eq!(left(&[module("a")]), "1 module left: a:1");
        assert_eq!(left(&["e", "d", "c", "b", "a"].map(module)), "5 modules left: a:1, b:1, c:1 and 2 more");
    }
}
