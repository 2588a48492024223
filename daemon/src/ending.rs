//! The end of a process.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::Problem;

/// Cancelled when somebody asks the process to end, by `SIGINT` or `SIGTERM`; asked twice, it ends at once.
///
/// # Errors
/// Where signals cannot be listened for.
pub fn ending() -> Result<CancellationToken, Problem> {
    let listen = |kind| signal(kind).map_err(|error| Problem::from(format!("could not listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let ending = CancellationToken::new();
    let asked = ending.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked.is_cancelled() {
                std::process::exit(130);
            }
            asked.cancel();
        }
    });
    Ok(ending)
}
