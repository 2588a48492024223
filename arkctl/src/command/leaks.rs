//! `arkctl leaks`: what holds a module that was removed.

use ark_model::{
    ModuleId,
    api::{HolderPath, Holders, SearchCost},
};

use crate::{context::Context, error::Error, humanise, progress::Live, reference::identity, style};

#[derive(Debug, clap::Args)]
#[command(after_help = "For modules whose verdict is `leaking`, or stays `pending`: see `arkctl verdicts`.

The base follows every reference of its heap, and everything in it stands still meanwhile. What that takes
is said before; a heap of more than a million objects is looked at only with --objects.

Each path begins at something that always lives, a running thread or a static field, and ends at the first
object of the module. Cut it at the first step that is yours.

Examples:
  arkctl leaks orders:1.0.0 --cost
  arkctl leaks orders:1.0.0
  arkctl leaks orders:1.0.0 --objects 5000000")]
pub(crate) struct Args {
    /// The module.
    #[arg(value_name = "NAME:VERSION", value_parser = identity)]
    module: ModuleId,
    /// Say only what it would take.
    #[arg(long, conflicts_with = "objects")]
    cost: bool,
    /// Look at so many objects at most.
    #[arg(long, value_name = "COUNT")]
    objects: Option<u64>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let client = context.client()?;
    let cost = client.cost_of_holders(&args.module)?;
    if args.cost {
        return context.output.result(&cost, |cost| format!("{}\n", told(cost)));
    }
    context.output.note(&told(&cost));
    let holders = {
        let _live = Live::spinner(context.output, &format!("looking for what holds {}", args.module));
        client.holders(&args.module, args.objects)?
    };
    context.output.result(&holders, render)
}

fn told(cost: &SearchCost) -> String {
    let (objects, heap) = (humanise::count(cost.objects), humanise::size(cost.heap_bytes));
    format!("about {objects} objects in {heap} of heap; the base stands still for about {}", humanise::ms(cost.stopped_ms))
}

fn render(holders: &Holders) -> String {
    let mut text = match holders.paths.len() {
        0 => format!("nothing holds {}; it goes with the next collections of garbage\n", holders.id),
        1 => format!("{} is held by\n", holders.id),
        several => format!("{} is held by {several} paths\n", holders.id),
    };
    for path in &holders.paths {
        text.push('\n');
        text.push_str(&lines(path));
    }
    let (objects, references) = (humanise::count(holders.objects), humanise::count(holders.references));
    let stood = humanise::ms(holders.stopped_ms);
    let looked = format!("{objects} objects and {references} references; the base stood still for {stood}");
    text.push_str(&format!("\n{}\n", style::paint(style::FAINT, looked)));
    text
}

fn lines(path: &HolderPath) -> String {
    let mut text = String::new();
    if path.soft {
        text.push_str(&format!("  {}\n", style::paint(style::WAITING, "softly: it goes when memory runs short")));
    }
    for (at, step) in path.steps.iter().enumerate() {
        let by = style::paint(if at == 0 { style::BAD } else { style::FAINT }, humanise::printable(&step.by));
        text.push_str(&format!("  {by} {}\n", humanise::printable(&step.to)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::plain;

    #[test]
    fn people_see_each_path_from_what_always_lives_to_the_module() {
        let holders = r#"{"name":"orders","version":"1.0.0","objects":231000,"references":600000,"stoppedMs":180.5,"totalMs":400,"paths":[
            {"soft":false,"steps":[{"by":"running thread","to":"java.lang.Thread \"timer\""},{"by":".target","to":"shop.Task"}]},
            {"soft":true,"steps":[{"by":"static .CACHE","to":"java.util.HashMap"},{"by":"[3]","to":"class shop.Item"}]}]}"#;
        let holders = serde_json::from_str(holders).unwrap();
        insta::assert_snapshot!(plain(&render(&holders)), @r#"
        orders:1.0.0 is held by 2 paths

          running thread java.lang.Thread "timer"
          .target shop.Task

          softly: it goes when memory runs short
          static .CACHE java.util.HashMap
          [3] class shop.Item

        231,000 objects and 600,000 references; the base stood still for 180.5 ms
        "#);
    }
}
