//! What happens to modules, told to listeners in order.

use std::{panic::AssertUnwindSafe, sync::Arc};

use ark_model::{Failure, ModuleId, Reason, VerdictState};

/// Something that happens to a module.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It is about to start. A listener's failure keeps it from starting.
    BeforeStart(Arc<ModuleId>),
    /// It started and answered its probe; it has no traffic yet.
    AfterStart(Arc<ModuleId>),
    /// It did not start.
    StartFailed(Arc<ModuleId>, Failure),
    /// Traffic is about to move from the first to the second.
    BeforeSwitch(Vec<ModuleId>, Arc<ModuleId>),
    /// Traffic has moved.
    AfterSwitch(Vec<ModuleId>, Arc<ModuleId>),
    /// It is about to lose its traffic, drain and stop. A listener's failure keeps it running.
    BeforeStop(Arc<ModuleId>),
    /// It has stopped.
    AfterStop(Arc<ModuleId>),
    /// It could not be stopped cleanly.
    StopFailed(Arc<ModuleId>, Failure),
    /// It ran, has ended, and will not be back by itself.
    Failed(Arc<ModuleId>, Failure),
    /// Its resources are about to be given back.
    BeforeRecycle(Arc<ModuleId>),
    /// This is known of what it gave back. A later one on the same module takes the place of this.
    Verdict(Arc<ModuleId>, VerdictState),
    /// All that the base had to bring up is up.
    Ready,
}

/// Whoever wants to know. Called on the thread of the operation, which waits: be quick.
pub trait Listener: Send + Sync + 'static {
    /// Smaller is told first; equals in the order in which they were added.
    fn priority(&self) -> i32 {
        100
    }

    /// Takes notice.
    ///
    /// # Errors
    /// A reason to refuse a [`Event::BeforeStart`] or [`Event::BeforeStop`]. After any other event it is only logged.
    fn on(&self, event: &Event) -> Result<(), Failure>;
}

/// All listeners, in the order in which they are told.
pub(crate) struct Listeners(Vec<Box<dyn Listener>>);

impl Listeners {
    pub(crate) fn new(mut listeners: Vec<Box<dyn Listener>>) -> Self {
        listeners.sort_by_key(|listener| listener.priority());
        Self(listeners)
    }

    /// Asks all; the first that refuses ends it. A listener that panics has refused.
    pub(crate) fn ask(&self, event: &Event) -> Result<(), Failure> {
        self.0.iter().try_for_each(|listener| {
            std::panic::catch_unwind(AssertUnwindSafe(|| listener.on(event))).unwrap_or_else(|_| Err(panicked(event)))
        })
    }

    /// Tells all, whatever they say.
    pub(crate) fn tell(&self, event: &Event) {
        for listener in &self.0 {
            let told = std::panic::catch_unwind(AssertUnwindSafe(|| listener.on(event))).unwrap_or_else(|_| Err(panicked(event)));
            if let Err(failure) = told {
                tracing::warn!(?event, %failure, "a listener failed");
            }
        }
    }
}

fn panicked(event: &Event) -> Failure {
    Failure::new(Reason::Internal, format!("a listener panicked on {event:?}; see the base's log"))
}
