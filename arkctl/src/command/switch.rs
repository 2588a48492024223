//! `arkctl switch`: a version gets the traffic of its name.

use ark_model::{ModuleId, api::ModuleView};

use crate::{context::Context, error::Error, reference::identity, style};

#[derive(Debug, clap::Args)]
#[command(after_help = "The version has to run already: deploy it by `arkctl deploy --activation keep`. No request is lost.

Example:
  arkctl switch orders:2.0.0")]
pub(crate) struct Args {
    /// The version that is to have the traffic.
    #[arg(value_name = "NAME:VERSION", value_parser = identity)]
    module: ModuleId,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    context.output.result(&context.client()?.activate(&args.module)?, render)
}

fn render(module: &ModuleView) -> String {
    format!("{} has the traffic: {}\n", module.id, style::paint(style::state(module.state), module.state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{support::module_json, table::plain};

    #[test]
    fn people_see_who_has_the_traffic() {
        let module = serde_json::from_str(&module_json("1.0.0", "activated")).unwrap();
        insta::assert_snapshot!(plain(&render(&module)), @"orders:1.0.0 has the traffic: activated");
    }
}
