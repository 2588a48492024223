//! The log of one module: bounded in lines, bytes and rate, and followed without holding anything up.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use ark_model::{Limits, api::LogLine};
use tokio::sync::Notify;

/// The most lines a log keeps; the oldest go first.
pub const MAX_LINES: usize = 2_000;
/// The most bytes of text a log keeps.
pub const MAX_BYTES: usize = 256 << 10;

/// The lines one module wrote. Writing never waits and never fails.
#[derive(Debug)]
pub struct LogBook {
    line_bytes: usize,
    lines_per_second: u64,
    pages: Mutex<Pages>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct Pages {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// The number of the first line in `lines`, counted from the module's first line.
    first: u64,
    second: u64,
    in_second: u64,
    dropped: u64,
    closed: bool,
}

impl LogBook {
    /// An empty log with the log bounds of `limits`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            line_bytes: usize::try_from(limits.log_line_bytes).unwrap_or(usize::MAX),
            lines_per_second: limits.log_lines_per_second,
            pages: Mutex::default(),
            grown: Notify::new(),
        }
    }

    /// The longest line it keeps whole, in bytes. A writer need not buffer more of a line than this.
    #[must_use]
    pub fn line_bytes(&self) -> usize {
        self.line_bytes
    }

    /// Adds a line written at `at` (milliseconds since the Unix epoch). A longer line is cut; lines beyond the rate
    /// are dropped, and a line says how many once the second is over.
    pub fn write(&self, at: u64, stream: &str, request_id: Option<&str>, text: &str) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if at / 1_000 != pages.second {
            if pages.dropped > 0 {
                let text = format!("{} lines dropped: more than {} in a second", pages.dropped, self.lines_per_second);
                pages.push(LogLine { at, stream: "log".to_owned(), request_id: None, text });
            }
            (pages.second, pages.in_second, pages.dropped) = (at / 1_000, 0, 0);
        }
        if pages.in_second >= self.lines_per_second {
            pages.dropped += 1;
            return;
        }
        pages.in_second += 1;
        let text = cut(text, self.line_bytes).to_owned();
        pages.push(LogLine { at, stream: stream.to_owned(), request_id: request_id.map(str::to_owned), text });
        drop(pages);
        self.grown.notify_waiters();
    }

    /// The number that the next line will have.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).end()
    }

    /// The lines from number `from` on that are still kept, and the number to go on from.
    #[must_use]
    pub fn read(&self, from: u64) -> (Vec<LogLine>, u64) {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = usize::try_from(from.saturating_sub(pages.first)).unwrap_or(usize::MAX);
        (pages.lines.iter().skip(skip).cloned().collect(), pages.end())
    }

    /// Waits until there is a line with the number `from` or a later one. Says `false` where there will be none: the log is closed.
    pub async fn grown(&self, from: u64) -> bool {
        loop {
            let mut grown = std::pin::pin!(self.grown.notified());
            grown.as_mut().enable();
            {
                let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
                if pages.end() > from {
                    return true;
                }
                if pages.closed {
                    return false;
                }
            }
            grown.await;
        }
    }

    /// Its module is gone: whoever follows it comes to an end. What an instance still writes on its way out is kept, and followed
    /// by nobody who has come to the end.
    pub fn close(&self) {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.grown.notify_waiters();
    }
}

impl Pages {
    fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    fn push(&mut self, line: LogLine) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some(gone) = self.lines.pop_front() else { break };
            self.bytes -= gone.text.len();
            self.first += 1;
        }
    }
}

/// The longest prefix of `text` that has at most `most` bytes and ends at a character.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_off_and_counted() {
        let log = LogBook::new(&Limits { log_lines_per_second: 10, ..Limits::default() });
        for _ in 0..1_000 {
            log.write(5_000, "stdout", None, "again");
        }
        log.write(6_000, "stdout", None, "after");
        let (lines, next) = log.read(0);
        assert_eq!((lines.len(), next), (12, 12));
        assert_eq!(lines[10].text, "990 lines dropped: more than 10 in a second");
        assert_eq!(lines[11].text, "after");
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let log = LogBook::new(&Limits { log_line_bytes: 5, ..Limits::default() });
        log.write(0, "stderr", Some("r1"), "ääää");
        assert_eq!(log.read(0).0[0].text, "ää");
    }

    #[tokio::test]
    async fn whoever_follows_a_closed_log_reads_to_its_end() {
        let log = LogBook::new(&Limits::default());
        log.write(0, "stdout", None, "last");
        log.close();
        assert!(log.grown(0).await);
        assert!(!log.grown(1).await);
    }

    #[test]
    fn a_log_is_bounded_in_bytes_and_a_reader_goes_on_where_it_was() {
        let log = LogBook::new(&Limits::default());
        let line = "x".repeat(8 << 10);
        for second in 0..100 {
            log.write(second * 1_000, "stdout", None, &line);
        }
        let (lines, next) = log.read(0);
        assert_eq!((lines.len(), next), (32, 100));
        log.write(0, "stdout", None, "new");
        assert_eq!(log.read(next).0.len(), 1);
    }
}
