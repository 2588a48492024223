//! `arkctl why`: where a module gets a class from.

use ark_model::api::Origin;

use crate::{
    context::Context,
    error::Error,
    humanise,
    reference::{Reference, reference},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "The answer names the loader, the jar and the rule; for a class that is not found, who else has it.

Examples:
  arkctl why org.slf4j.LoggerFactory --module catalog
  arkctl why com.example.Order --module orders:1.0.0 --output json")]
pub(crate) struct Args {
    /// The class, as Java writes it.
    #[arg(value_name = "CLASS")]
    class: String,
    /// The module that asks for it.
    #[arg(long, value_name = "NAME[:VERSION]", value_parser = reference)]
    module: Reference,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let client = context.client()?;
    let id = args.module.look_up(|| client.modules())?;
    context.output.result(&client.why(&id, &args.class)?, render)
}

fn render(origin: &Origin) -> String {
    origin.text.lines().map(|line| format!("{}\n", humanise::printable(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_every_line_of_the_answer() {
        let origin = Origin { class: "a.B".to_owned(), found: true, text: "a.B comes from x.jar\n  also in y.jar".to_owned() };
        assert_eq!(render(&origin), "a.B comes from x.jar\n  also in y.jar\n");
    }
}
