//! What keeps a process from running.

use std::fmt;

/// Anything that keeps a process from running, in words for whoever started it.
#[derive(Debug)]
pub struct Problem(String);

impl Problem {
    /// The problem that `error` tells of.
    pub fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self(problem)
    }
}
