//! What moves while one waits: a bar for an upload, a spinner for the steps of an install.

use std::{io::Read, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Output;

/// A line at the end of the terminal that says what happens now. Gone when it is dropped; never there where nobody watches.
pub(crate) struct Live {
    bar: ProgressBar,
}

impl Live {
    /// A spinner that says `doing`.
    pub(crate) fn spinner(output: Output, doing: &str) -> Self {
        let bar = if output.is_live() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.enable_steady_tick(Duration::from_millis(100));
        let live = Self { bar };
        live.say(doing);
        live
    }

    /// A bar for `bytes`.
    pub(crate) fn bar(output: Output, doing: &str, bytes: u64) -> Self {
        let bar = if output.is_live() { ProgressBar::new(bytes) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {binary_bytes}/{binary_total_bytes}") {
            bar.set_style(style);
        }
        let live = Self { bar };
        live.say(doing);
        live
    }

    /// Whether anybody sees it.
    pub(crate) fn is_seen(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Says something that stays, above the line that moves.
    pub(crate) fn note(&self, output: Output, text: &str) {
        self.bar.suspend(|| output.note(text));
    }

    /// Says what happens now.
    pub(crate) fn say(&self, doing: &str) {
        self.bar.set_message(doing.to_owned());
    }

    /// `reader`, whose bytes move the bar.
    pub(crate) fn count<R: Read>(&self, reader: R) -> impl Read {
        self.bar.wrap_read(reader)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
