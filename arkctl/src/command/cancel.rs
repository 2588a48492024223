//! `arkctl cancel`: the operation under way on a module ends.

use serde::Serialize;

use crate::{context::Context, error::Error, reference::name};

#[derive(Debug, clap::Args)]
#[command(after_help = "A version that serves goes on serving.

Example:
  arkctl cancel orders")]
pub(crate) struct Args {
    /// The module's name.
    #[arg(value_parser = name)]
    name: String,
}

#[derive(Serialize)]
struct Cancelled<'a> {
    cancelled: &'a str,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    context.client()?.cancel(&args.name)?;
    context.output.result(&Cancelled { cancelled: &args.name }, |told| format!("the operation on {} is being ended\n", told.cancelled))
}
