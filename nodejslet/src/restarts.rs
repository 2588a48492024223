//! How often, and after which pauses, what has ended is started again.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// So many starts in so long, and no more.
pub(crate) const AT_MOST: usize = 5;
const WITHIN: Duration = Duration::from_secs(60);
/// The pause before the second restart of late; each further one takes twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// The restarts of late.
#[derive(Debug, Default)]
pub(crate) struct Restarts(VecDeque<Instant>);

impl Restarts {
    /// The pause before a restart that becomes necessary `now`; none where there were too many of late.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Duration> {
        while self.0.front().is_some_and(|began| now.duration_since(*began) > WITHIN) {
            self.0.pop_front();
        }
        if self.0.len() >= AT_MOST {
            return None;
        }
        let doublings = u32::try_from(self.0.len()).unwrap_or(u32::MAX).checked_sub(1);
        self.0.push_back(now);
        Some(doublings.map_or(Duration::ZERO, |doublings| PAUSE * 2_u32.saturating_pow(doublings)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_the_sixth_restart_in_a_minute_does_not_come() {
        let (mut restarts, now) = (Restarts::default(), Instant::now());
        let pauses: Vec<Option<u128>> = (0..6).map(|_| restarts.next(now).map(|pause| pause.as_millis())).collect();
        assert_eq!(pauses, [Some(0), Some(200), Some(400), Some(800), Some(1_600), None]);
        // What is long ago does not count.
        assert_eq!(restarts.next(now + WITHIN + PAUSE), Some(Duration::ZERO));
    }
}
