//! The log of a process on its standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Logs what passes `filter` to standard error, in colours where a person may be looking and has not said no.
///
/// # Panics
/// Where this process logs already.
pub fn to_stderr(filter: &str) {
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(io::stderr).with_ansi(colours).init();
}
