//! `arkctl delete`: what is no longer wanted goes.

use std::{path::PathBuf, time::Duration};

use clap::ValueHint;
use serde::Serialize;
use serde_json::Value;

use super::{
    Fleet, Where,
    client::Form,
    documents, duration,
    follow::{Deadline, Seen, follow},
    resource::{Resource, encoded},
};
use crate::{context::Context, error::Error, humanise::printable, progress::Live};

#[derive(Debug, clap::Args)]
#[command(after_help = "A deployment goes once its instances are removed from their bases, each with its requests under way ended
first. A module that is deleted is made anew where its deployment wants one; a base is forgotten until it
reports again.

Examples:
  arkctl delete deployment shop
  arkctl delete -f shop.yaml --timeout 2m
  arkctl delete deployments shop orders --no-wait")]
pub(crate) struct Args {
    /// What kind.
    #[arg(value_parser = Resource::named, required_unless_present = "files", requires = "names")]
    resource: Option<Resource>,
    /// Which ones.
    names: Vec<String>,
    /// A file with the documents that are to go; again for each.
    #[arg(short = 'f', long = "filename", value_name = "FILE", value_hint = ValueHint::AnyPath, conflicts_with = "resource")]
    files: Vec<PathBuf>,
    /// Say what would go, and delete nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not wait until they are gone.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait; for ever where nobody says.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, Serialize)]
struct Deleted {
    deleted: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    let going: Vec<(String, String)> = match args.resource {
        Some(resource) => {
            let place = |name: &String| (format!("{}/{name}", resource.plural()), resource.one(fleet.namespace(), name));
            args.names.iter().map(place).collect()
        }
        None => {
            let documents = documents::read(&args.files, fleet.namespace(), args.asked.namespace.as_deref())?;
            documents.into_iter().map(|document| (document.name, document.path)).collect()
        }
    };
    for (_, path) in &going {
        fleet.delete(path, args.dry_run)?;
    }
    if !args.no_wait && !args.dry_run {
        let deadline = Deadline::new(args.timeout);
        for (name, path) in &going {
            let live = Live::spinner(context.output, &format!("{name} goes"));
            gone(&fleet, path, name, deadline)?;
            drop(live);
        }
    }
    let deleted = Deleted { deleted: going.into_iter().map(|(name, _)| name).collect() };
    let what = if args.dry_run {
        "would be deleted"
    } else if args.no_wait {
        "is being deleted"
    } else {
        "deleted"
    };
    context.output.result(&deleted, |told| told.deleted.iter().map(|name| format!("{} {what}\n", printable(name))).collect())
}

/// Waits until nothing of the one at `path` is there any more.
fn gone(fleet: &Fleet, path: &str, what: &str, deadline: Deadline) -> Result<(), Error> {
    let Some(found) = fleet.find(path)? else { return Ok(()) };
    let uid = found.pointer("/metadata/uid").cloned();
    let Some((all, name)) = path.rsplit_once('/') else { return Ok(()) };
    let path = format!("{all}?fieldSelector={}", encoded(&format!("metadata.name={name}")));
    follow(fleet, &path, Form::Documents, |seen| {
        let is_it = |object: &Value| object.pointer("/metadata/uid") == uid.as_ref();
        match seen {
            Seen::All(list) => {
                if !list.get("items").and_then(Value::as_array).into_iter().flatten().any(is_it) {
                    return Ok(false);
                }
            }
            Seen::Change(change) if change.what == "DELETED" || !is_it(&change.object) => return Ok(false),
            Seen::Change(_) | Seen::Quiet => {}
        }
        deadline.check(&format!("the removal of {what}"), "it is still there")?;
        Ok(true)
    })
}
