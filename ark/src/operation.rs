//! One install as its caller sees it: events, an end, a way to give it up; and the clockwork of its steps.

use std::time::Duration;

use ark_model::{
    Failure, Reason, Step, Timing,
    api::{Installed, Progress},
};
use futures_util::future::{BoxFuture, Shared};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

/// Whether an order is durable yet.
pub(crate) type Accepted = Shared<BoxFuture<'static, Result<(), Failure>>>;

/// An install under way. It goes on when this is dropped.
pub struct Install {
    pub(crate) events: mpsc::UnboundedReceiver<Progress>,
    pub(crate) accepted: Accepted,
}

impl Install {
    /// Waits until the order would survive the end of the process.
    ///
    /// # Errors
    /// The journal's, e.g. a full disk; the install ends with the same.
    pub async fn accepted(&self) -> Result<(), Failure> {
        self.accepted.clone().await
    }

    /// The next event; none after [`Progress::Done`] or [`Progress::Failed`].
    pub async fn next(&mut self) -> Option<Progress> {
        self.events.recv().await
    }

    /// Waits for the end: the new version serves and those it took over from are gone.
    ///
    /// # Errors
    /// Why it failed. The versions before serve on.
    pub async fn finish(mut self) -> Result<Installed, Failure> {
        while let Some(event) = self.next().await {
            match event {
                Progress::Done(installed) => return Ok(*installed),
                Progress::Failed { error } => return Err(error),
                Progress::Begun { .. } | Progress::Ended(_) | Progress::Serving { .. } | Progress::Retired(_) => {}
            }
        }
        Err(Failure::new(Reason::Internal, "the install ended without a word; see the base's log"))
    }
}

/// Runs the steps of an install: each timed, told, and given up at the deadline or when somebody cancels.
pub(crate) struct Steps {
    /// Nobody may listen any more; that is no failure. Bounded by the number of steps and of old versions.
    pub(crate) events: mpsc::UnboundedSender<Progress>,
    pub(crate) cancel: CancellationToken,
    pub(crate) deadline: Instant,
    pub(crate) timings: Vec<Timing>,
}

impl Steps {
    pub(crate) fn tell(&self, event: Progress) {
        let _ = self.events.send(event);
    }

    pub(crate) async fn run<T>(&mut self, step: Step, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.tell(Progress::Begun { step });
        let began = Instant::now();
        let outcome = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Failure::new(Reason::Cancelled, format!("the install was cancelled in {step}"))),
            outcome = work => outcome,
            () = tokio::time::sleep_until(self.deadline) => Err(overdue(step)),
        };
        let timing = Timing { step, ms: millis(began.elapsed()) };
        self.timings.push(timing);
        self.tell(Progress::Ended(timing));
        outcome.map_err(|failure| failure.in_step(step))
    }
}

fn overdue(step: Step) -> Failure {
    let reason = match step {
        Step::Fetch => Reason::FetchFailed,
        Step::Prepare => Reason::CompileFailed,
        _ => Reason::StartTimedOut,
    };
    Failure::new(reason, format!("the order's deadline passed in {step}; give it more time with a longer one"))
}

/// A duration in milliseconds, with fractions.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
