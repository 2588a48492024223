//! `arkctl logs`: what a module wrote.

use ark_model::api::LogLine;

use crate::{
    context::Context,
    error::Error,
    humanise,
    reference::{Reference, reference},
    style,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "A name alone means its only version, or the only one with traffic. Times are UTC. With `--output json`, each
line is one JSON object.

Examples:
  arkctl logs orders
  arkctl logs orders:1.0.0 --follow --tail 20")]
pub(crate) struct Args {
    /// The module.
    #[arg(value_name = "NAME[:VERSION]", value_parser = reference)]
    module: Reference,
    /// Go on with each line as it comes, until Ctrl-C.
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
    client.log_follow(&id, args.tail, |line| match line {
        Some(line) => context.output.result(line, render_line).map(|()| true),
        None => Ok(true),
    })
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
