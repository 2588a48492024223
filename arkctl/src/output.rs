//! Where words go: results to standard output, all else to standard error.

use std::io::{IsTerminal as _, Write as _};

use anstream::ColorChoice;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    cli::{Colour, Format, Global},
    command::logs,
    error::{Cause, Error},
    humanise::printable,
    style,
};

/// How to speak.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
    verbose: bool,
}

impl Output {
    /// Reads the options, and sets the colours of the process.
    pub(crate) fn new(global: &Global) -> Self {
        match global.color {
            // Colours on request of CLICOLOR_FORCE, on a terminal otherwise; none where NO_COLOR is set.
            Colour::Auto => ColorChoice::Auto,
            Colour::Always => ColorChoice::Always,
            Colour::Never => ColorChoice::Never,
        }
        .write_global();
        Self { format: global.output, quiet: global.quiet, verbose: global.verbose }
    }

    /// Says nothing on the way.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self { format: Format::Table, quiet: true, verbose: false }
    }

    /// Whether programs read standard output.
    pub(crate) fn is_for_programs(self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml)
    }

    /// Whether tables are to have all their columns.
    pub(crate) fn is_wide(self) -> bool {
        self.format == Format::Wide
    }

    /// Whether nothing but results and failures is wanted.
    pub(crate) fn is_quiet(self) -> bool {
        self.quiet
    }

    /// Whether something that moves may be drawn on standard error: not between the lines of `--verbose`.
    pub(crate) fn is_live(self) -> bool {
        !self.quiet && !self.verbose && std::io::stderr().is_terminal()
    }

    /// Prints a result: as a value for programs, or what `text` makes of it.
    pub(crate) fn result<T: Serialize + ?Sized>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Error> {
        if self.is_for_programs() { self.value(value) } else { self.print(&text(value)) }
    }

    /// Prints a value for programs: its JSON on one line, or where YAML is wanted a document of it, begun by `---`.
    pub(crate) fn value<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        let failed = |problem: String| Error::System { doing: "write the result", problem };
        self.print(&match self.format {
            Format::Yaml => format!("---\n{}\n", serde_saphyr::to_string(&value).map_err(|error| failed(error.to_string()))?.trim_end()),
            Format::Json | Format::Table | Format::Wide => {
                format!("{}\n", serde_json::to_string(value).map_err(|error| failed(error.to_string()))?)
            }
        })
    }

    /// Prints to standard output.
    pub(crate) fn print(self, text: &str) -> Result<(), Error> {
        let mut stdout = anstream::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Error::OutputClosed,
            _ => Error::System { doing: "write to standard output", problem: error.to_string() },
        })
    }

    /// Says something on the way, on standard error.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            to_stderr(&format!("{text}\n"));
        }
    }

    /// Says what only those want who look closely.
    pub(crate) fn detail(self, text: &str) {
        if self.verbose {
            to_stderr(&format!("{}\n", style::paint(style::FAINT, text)));
        }
    }

    /// Says what failed, why, and what to try.
    pub(crate) fn failure(self, error: &Error) {
        if matches!(error, Error::Told | Error::OutputClosed) {
            return;
        }
        to_stderr(&render_failure(error));
        if self.is_for_programs() {
            // When standard output is gone too, nobody is left to be told.
            let _ = self.value(&failure_value(error));
        }
    }
}

fn to_stderr(text: &str) {
    // There is no other place to say that standard error cannot be written.
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

fn render_failure(error: &Error) -> String {
    let mut text = format!("{} {}\n", style::paint(style::BAD, "error:"), printable(&error.to_string()));
    if let Error::Refused(refusal) = error {
        let step = refusal.failure.step.map(|step| format!(" in {step}")).unwrap_or_default();
        text.push_str(&format!("  {}\n", style::paint(style::FAINT, format!("{}{step}", refusal.failure.reason))));
        if !refusal.logs.is_empty() {
            text.push_str(&format!("\n{}\n", style::paint(style::HEADING, "the last it wrote:")));
            refusal.logs.iter().for_each(|line| text.push_str(&format!("  {}", logs::render_line(line))));
        }
    }
    if let Error::Api(refusal) = error {
        text.push_str(&format!("  {}\n", style::paint(style::FAINT, printable(&refusal.reason))));
        for Cause { field, message } in &refusal.causes {
            text.push_str(&format!("  {}: {}\n", style::paint(style::REFERENCE, printable(field)), printable(message)));
        }
    }
    if let Error::Build { said, .. } = error
        && !said.is_empty()
    {
        said.iter().for_each(|line| text.push_str(&format!("  {}\n", printable(line))));
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("{} {hint}\n", style::paint(style::REFERENCE, "hint:")));
    }
    text
}

fn failure_value(error: &Error) -> Value {
    let mut value = json!({ "error": { "reason": error.reason(), "message": error.to_string() } });
    let mut put = |pointer: &str, key: &str, field: Value| {
        if let Some(object) = value.pointer_mut(pointer).and_then(Value::as_object_mut) {
            object.insert(key.to_owned(), field);
        }
    };
    if let Error::Refused(refusal) = error {
        if let Some(step) = refusal.failure.step {
            put("/error", "step", json!(step));
        }
        if let Some(module) = &refusal.module {
            put("", "module", json!(module));
        }
        put("", "logs", json!(refusal.logs));
    }
    if let Error::Api(refusal) = error
        && !refusal.causes.is_empty()
    {
        put("/error", "causes", json!(refusal.causes));
    }
    if let Error::Build { said, .. } = error {
        put("", "said", json!(said));
    }
    if let Some(hint) = error.hint() {
        put("", "hint", json!(hint));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::{ApiRefusal, Refusal},
        table::plain,
    };
    use ark_model::{Failure, ModuleId, Reason, Step, api::LogLine};

    fn refused() -> Error {
        let logs = vec![LogLine { at: 1000, stream: "stderr".to_owned(), request_id: None, text: "no database".to_owned() }];
        let failure = Failure::new(Reason::ProbeFailed, "/health answered 503").in_step(Step::Probe);
        Error::Refused(Box::new(Refusal { failure, module: ModuleId::new("orders", "1.0.0").ok(), logs }))
    }

    #[test]
    fn a_failure_shows_reason_step_log_and_hint() {
        insta::assert_snapshot!(plain(&render_failure(&refused())), @"
        error: /health answered 503
          ProbeFailed in probe

        the last it wrote:
          00:00:01.000 stderr no database
        hint: `arkctl logs orders:1.0.0` shows what it wrote, `arkctl inspect orders:1.0.0` how far it came
        ");
    }

    #[test]
    fn a_failure_for_programs_has_the_same() {
        insta::assert_snapshot!(failure_value(&refused()).to_string(), @r#"{"error":{"message":"/health answered 503","reason":"ProbeFailed","step":"probe"},"hint":"`arkctl logs orders:1.0.0` shows what it wrote, `arkctl inspect orders:1.0.0` how far it came","logs":[{"at":1000,"stream":"stderr","text":"no database"}],"module":{"name":"orders","version":"1.0.0"}}"#);
    }

    #[test]
    fn a_refusal_of_a_controller_lists_the_fields_that_are_to_blame() {
        let cause = Cause { field: "spec.replicas".to_owned(), message: "Invalid value: it is below -1".to_owned() };
        let (reason, message) = ("Invalid".to_owned(), "ModuleDeployment \"shop\" is invalid".to_owned());
        let hint = Some("correct these fields and try again".to_owned());
        let error = Error::Api(Box::new(ApiRefusal { reason, message, causes: vec![cause], hint, ..ApiRefusal::default() }));
        insta::assert_snapshot!(plain(&render_failure(&error)), @"
        error: ModuleDeployment \"shop\" is invalid
          Invalid
          spec.replicas: Invalid value: it is below -1
        hint: correct these fields and try again
        ");
        assert_eq!(failure_value(&error)["error"]["causes"][0]["field"], "spec.replicas");
    }
}
