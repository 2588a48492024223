//! What people and programs see: data on stdout, everything else on stderr.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use ark_model::{State, api::LogLine};
use serde::Serialize;

use crate::error::Error;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(colour.into()))
}

/// How data is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables, for people
    Table,
    /// JSON, for programs
    Json,
}

/// Prints data: `table` for people, `data` as one JSON document for programs.
pub(crate) fn data<T: Serialize>(format: Format, data: &T, table: impl FnOnce() -> String) {
    let text = match format {
        Format::Table => table(),
        Format::Json => serde_json::to_string(data).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")),
    };
    let mut out = anstream::stdout().lock();
    // A reader that has gone, as `head` does, is no failure.
    let _ = writeln!(out, "{}", text.trim_end());
}

/// Says something beside the data.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{DIM}{text}{DIM:#}");
}

/// Says what went wrong, and what to do.
pub(crate) fn complain(error: &Error) {
    let mut out = anstream::stderr().lock();
    let red = colour(AnsiColor::Red).bold();
    let reason = error.reason().map_or_else(String::new, |reason| format!(" ({reason})"));
    let _ = writeln!(out, "{red}error{red:#}{reason}: {error}");
    if let Error::Deploy { log, .. } = error {
        for line in log {
            let _ = writeln!(out, "  {DIM}{:>6}{DIM:#} {}", line.stream, line.text);
        }
    }
    if let Some(hint) = error.hint() {
        let _ = writeln!(out, "{BOLD}hint{BOLD:#}: {hint}");
    }
}

/// One line of a module's log.
pub(crate) fn log_line(format: Format, line: &LogLine) {
    data(format, line, || {
        let request = line.request_id.as_deref().map_or_else(String::new, |id| format!(" {DIM}{}{DIM:#}", id.get(..8).unwrap_or(id)));
        format!("{DIM}{}{DIM:#} {:>6}{request} {}", clock(line.at), line.stream, line.text)
    });
}

/// The time of day in UTC.
pub(crate) fn clock(at: u64) -> String {
    let (seconds, ms) = (at / 1_000, at % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}

/// A state in its colour.
pub(crate) fn state(state: State) -> String {
    let style = match state {
        State::Activated => colour(AnsiColor::Green),
        State::Broken => colour(AnsiColor::Red),
        State::Deactivated | State::Resolved | State::Unresolved | State::Stopped => colour(AnsiColor::Yellow),
    };
    format!("{style}{state}{style:#}")
}

/// Whether somebody watches.
pub(crate) fn watched() -> bool {
    std::io::stderr().is_terminal()
}
