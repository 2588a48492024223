//! The few colours, and what each means. They are always written; where none are wanted, the stream takes them out.

use anstyle::{AnsiColor, Style};
use ark_model::State;

/// It is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// It needs somebody.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// It waits or goes.
pub(crate) const WAITING: Style = AnsiColor::Yellow.on_default();
/// It can be typed or opened.
pub(crate) const REFERENCE: Style = AnsiColor::Cyan.on_default();
/// It orders the rest.
pub(crate) const HEADING: Style = Style::new().bold();
/// It matters less.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// The style of a state's name.
pub(crate) fn state(state: State) -> Style {
    match state {
        State::Activated => GOOD,
        State::Broken => BAD,
        State::Resolved | State::Deactivated => WAITING,
        State::Stopped | State::Unresolved => FAINT,
    }
}

/// `text` in `style`.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}
