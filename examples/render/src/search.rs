//! Regular expressions.

use regex::{Regex, RegexBuilder};
use serde::Serialize;

/// The pattern and the text of the example: a day and a month.
pub(crate) const PATTERN: &str = r"(?i)\b(\d{1,2})\s+(\p{L}{3,})\b";
/// See [`PATTERN`].
pub(crate) const TEXT: &str = "Picked on 4 April, dried on 11 April, packed on 2 May.";

/// The most matches that are told.
const MAX_MATCHES: usize = 100;
/// The largest compiled pattern, in bytes: matching takes time in proportion to it.
const MAX_COMPILED: usize = 256 << 10;

/// One match, in bytes of the text.
#[derive(Debug, Serialize)]
pub(crate) struct Match<'t> {
    start: usize,
    end: usize,
    groups: Vec<Option<&'t str>>,
}

/// The first matches of `pattern` in `text`.
pub(crate) fn search<'t>(pattern: &str, text: &'t str) -> Result<Vec<Match<'t>>, regex::Error> {
    let group = |found: regex::Match<'t>| found.as_str();
    let pattern = compiled(pattern)?;
    let matches = pattern.captures_iter(text).take(MAX_MATCHES).filter_map(|captures| {
        let whole = captures.get(0)?;
        Some(Match { start: whole.start(), end: whole.end(), groups: captures.iter().skip(1).map(|found| found.map(group)).collect() })
    });
    Ok(matches.collect())
}

/// `html`, which is the example's text or made of it, with the pattern's matches marked.
pub(crate) fn marked(html: &str) -> Result<String, regex::Error> {
    Ok(compiled(PATTERN)?.replace_all(html, "<mark>$0</mark>").into_owned())
}

fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build()
}
