//! `arkctl events`: what happened of late.

use super::{
    Where,
    get::{self, Which},
    resource::Resource,
};
use crate::{context::Context, error::Error};

#[derive(Debug, clap::Args)]
#[command(after_help = "Oldest first. What happens again and again is one event with a count (--output wide).

Examples:
  arkctl events
  arkctl events --for shop --watch
  arkctl events -A -o wide")]
pub(crate) struct Args {
    /// Only what happened to the resource of this name.
    #[arg(long = "for", value_name = "NAME")]
    about: Option<String>,
    /// Of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Go on telling what happens.
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    asked: Where,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    let about = args.about.as_deref().map(|name| ("involvedObject.name", name));
    let which = Which { all_namespaces: args.all_namespaces, selector: None, watch: args.watch };
    get::show(&fleet, Resource::Events, None, about.as_slice(), &which, context.output)
}
