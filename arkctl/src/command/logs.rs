//! `arkctl logs`: what a module wrote.

use ark_model::{
    ModuleId, State,
    api::{LogLine, ModuleView},
};

use crate::{
    context::Context,
    error::Error,
    humanise,
    reference::{Reference, reference},
    style,
};

/// All lines that a base keeps of one module, and more.
pub(crate) const MOST_LINES: usize = 100_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "A name alone means its only version, or the only one with traffic. With --follow it goes on with the version
that took over once the one before is gone, and ends when there is none; NAME:VERSION ends with that version.
Times are UTC. With `--output json`, each line is one JSON object.

Examples:
  arkctl logs orders
  arkctl logs orders:1.0.0 --follow --tail 20")]
pub(crate) struct Args {
    /// The module.
    #[arg(value_name = "NAME[:VERSION]", value_parser = reference)]
    module: Reference,
    /// Go on with each line as it comes, until the module is gone or Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// How many of the latest lines.
    #[arg(long, value_name = "N", default_value_t = 100)]
    tail: usize,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let client = context.client()?;
    let id = args.module.look_up(|| client.modules())?;
    if !args.follow {
        return client.log_tail(&id, args.tail)?.iter().try_for_each(|line| context.output.result(line, render_line));
    }
    let follow = |id: &ModuleId, tail| {
        client.log_follow(id, tail, |line| match line {
            Some(line) => context.output.result(line, render_line).map(|()| true),
            None => Ok(true),
        })
    };
    follow(&id, args.tail)?;
    let mut gone = id;
    while let Reference::Name(name) = &args.module {
        let modules = client.modules()?;
        let Some(next) = successor(&modules, name) else { break };
        context.output.note(&format!("{gone} is gone; {next} goes on"));
        follow(&next, MOST_LINES)?;
        gone = next;
    }
    context.output.note(&format!("{gone} is gone"));
    Ok(())
}

/// Who has the traffic of `name`; of several, the one that was installed last.
fn successor(modules: &[ModuleView], name: &str) -> Option<ModuleId> {
    let active = modules.iter().filter(|module| module.id.name() == name && module.state == State::Activated);
    active.max_by_key(|module| module.history.first().map(|record| record.change_time)).map(|module| module.id.clone())
}

/// A line for people, with its end. It cannot drive the terminal.
pub(crate) fn render_line(line: &LogLine) -> String {
    let style = match line.stream.as_str() {
        "stderr" | "error" | "critical" => style::BAD,
        "warn" => style::WAITING,
        _ => style::FAINT,
    };
    // Enough of a request's identity to tell two apart.
    let request: String = line.request_id.iter().flat_map(|id| id.chars().take(8)).collect();
    let request = if request.is_empty() { request } else { format!(" {}", style::paint(style::FAINT, humanise::printable(&request))) };
    let stream = style::paint(style, format!("{:<6}", humanise::printable(&line.stream)));
    format!(
        "{} {stream}{request} {}\n",
        style::paint(style::FAINT, humanise::clock(line.at)),
        humanise::printable(&line.text).replace('\n', " ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::plain;

    #[test]
    fn a_line_shows_when_where_and_for_which_request() {
        let line = LogLine {
            at: 1_700_000_000_123,
            stream: "stdout".to_owned(),
            request_id: Some("0123456789ab".to_owned()),
            text: "a\u{7}".to_owned(),
        };
        let other = LogLine { request_id: None, stream: "warn".to_owned(), ..line.clone() };
        insta::assert_snapshot!(plain(&(render_line(&line) + &render_line(&other))), @"
        22:13:20.123 stdout 01234567 a�
        22:13:20.123 warn   a�
        ");
    }
}
