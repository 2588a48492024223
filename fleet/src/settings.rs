//! The habits of the controller.

use std::time::Duration;

/// Times and bounds that hold for the whole fleet.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a base may be silent before it counts as not ready. Default: 40 s, four of its reports.
    pub silence: Duration,
    /// How long it may stay so before its instances are made anew elsewhere. Default: 60 s.
    pub patience: Duration,
    /// How long it may stay so, with no instance on it, before it is forgotten. Default: 24 h.
    pub absence: Duration,
    /// How often an install may fail, one time after the other, before its rollout counts as failed. Default 3.
    pub attempts: u32,
    /// The pause after the first failed install; it doubles with each. Default 1 s.
    pub first_pause: Duration,
    /// The longest such pause. Default 60 s.
    pub longest_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(40),
            patience: Duration::from_secs(60),
            absence: Duration::from_hours(24),
            attempts: 3,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// The pause after so many failures.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(self.longest_pause)
    }
}
