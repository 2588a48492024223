//! The states of a module, and every legal step between them.
//!
//! [`State::after`] is the only place that knows which step is legal; [`History`] is the only way to
//! take one, so a module's present state is always the last record of its history.

use serde::{Deserialize, Serialize};

/// Where a module stands. The names are those the wire has always used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not known to the base. Only ever reported, never stored.
    Unresolved,
    /// Its package was parsed and admitted; it does not run yet.
    Resolved,
    /// It runs, and requests are routed to it.
    Activated,
    /// It runs (or ends its last requests), and no new request is routed to it.
    Deactivated,
    /// It failed to start or to stop, or ended while it was wanted; the last record says why.
    Broken,
    /// It ended and is no longer registered.
    Stopped,
}

/// What can happen to a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Start and probe succeeded, and it gets traffic.
    StartedActive,
    /// Start and probe succeeded, and another version keeps the traffic.
    StartedInactive,
    /// Prepare, start or probe failed, or the install was cancelled.
    StartFailed,
    /// Traffic is switched to it.
    Activate,
    /// Traffic is switched to another version.
    Deactivate,
    /// It is taken out of the route table for good; its last requests drain.
    StopBegan,
    /// Nothing of it runs any more.
    StopEnded,
    /// It could not be stopped cleanly.
    StopFailed,
    /// It ran, has ended, and will not be back by itself.
    Failed,
}

impl State {
    /// The state that follows `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] when `event` cannot happen in this state; nothing changes then.
    pub fn after(self, event: Event) -> Result<Self, IllegalTransition> {
        use Event as E;
        use State as S;
        let refused = Err(IllegalTransition { from: self, event });
        match self {
            S::Unresolved | S::Stopped => refused,
            // Resolved → Activated or Deactivated or Broken. It cannot be stopped: an install is cancelled.
            S::Resolved => match event {
                E::StartedActive => Ok(S::Activated),
                E::StartedInactive => Ok(S::Deactivated),
                E::StartFailed => Ok(S::Broken),
                E::Activate | E::Deactivate | E::StopBegan | E::StopEnded | E::StopFailed | E::Failed => refused,
            },
            // Activated → Deactivated or Broken. Nothing stops while it still gets requests.
            S::Activated => match event {
                E::Deactivate | E::StopBegan => Ok(S::Deactivated),
                E::Failed => Ok(S::Broken),
                E::StartedActive | E::StartedInactive | E::StartFailed | E::Activate | E::StopEnded | E::StopFailed => refused,
            },
            // Deactivated → Activated or Stopped or Broken.
            S::Deactivated => match event {
                E::Activate => Ok(S::Activated),
                E::StopBegan => Ok(S::Deactivated),
                E::StopEnded => Ok(S::Stopped),
                E::StopFailed | E::Failed => Ok(S::Broken),
                E::StartedActive | E::StartedInactive | E::StartFailed | E::Deactivate => refused,
            },
            // Broken → Stopped, or Broken once more.
            S::Broken => match event {
                E::StopBegan | E::StopFailed => Ok(S::Broken),
                E::StopEnded => Ok(S::Stopped),
                E::StartedActive | E::StartedInactive | E::StartFailed | E::Activate | E::Deactivate | E::Failed => refused,
            },
        }
    }

    /// The lower-case word used over HTTP.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Resolved => "resolved",
            Self::Activated => "activated",
            Self::Deactivated => "deactivated",
            Self::Broken => "broken",
            Self::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A step that [`State::after`] refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to a module that is {from}")]
pub struct IllegalTransition {
    /// The state the module is in, and stays in.
    pub from: State,
    /// What was asked of it.
    pub event: Event,
}

/// Why a state changed, in the words that clients of the wire know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Change {
    /// Parsed and registered.
    Created,
    /// Start succeeded.
    Started,
    /// Start failed.
    #[serde(rename = "Install Failed")]
    InstallFailed,
    /// Stop failed.
    #[serde(rename = "Uninstall Failed")]
    UninstallFailed,
    /// Traffic moved between versions.
    Switched,
    /// Stop began.
    Killing,
    /// Stop ended.
    Stopped,
    /// What the wire has no word for: it ended while it was wanted.
    Undefine,
}

impl Change {
    fn of(event: Event) -> Self {
        match event {
            Event::StartedActive | Event::StartedInactive => Self::Started,
            Event::StartFailed => Self::InstallFailed,
            Event::Activate | Event::Deactivate => Self::Switched,
            Event::StopBegan => Self::Killing,
            Event::StopEnded => Self::Stopped,
            Event::StopFailed => Self::UninstallFailed,
            Event::Failed => Self::Undefine,
        }
    }
}

/// One change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When, in milliseconds since the Unix epoch.
    pub change_time: u64,
    /// The state from then on.
    pub state: State,
    /// Why.
    pub reason: Change,
    /// Details for people; may be empty.
    pub message: String,
}

/// The most records one module keeps. The first (`Created`) always stays; the oldest after it go first.
pub const MAX_RECORDS: usize = 64;

/// A module's changes of state, oldest first. Never empty, never longer than [`MAX_RECORDS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    state: State,
    records: Vec<Record>,
}

impl History {
    /// Begins a history: resolved at `now` (milliseconds since the Unix epoch).
    #[must_use]
    pub fn created(now: u64) -> Self {
        let first = Record { change_time: now, state: State::Resolved, reason: Change::Created, message: String::new() };
        Self { state: State::Resolved, records: vec![first] }
    }

    /// The present state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// All records, oldest first.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Takes one step. Times never run backwards in a history, even where the clock does: clients take
    /// the record with the greatest time as the latest.
    ///
    /// # Errors
    /// [`IllegalTransition`]; the history is unchanged then.
    pub fn apply(&mut self, event: Event, now: u64, message: impl Into<String>) -> Result<State, IllegalTransition> {
        let state = self.state.after(event)?;
        let latest = self.records.last().map_or(0, |record| record.change_time);
        self.records.push(Record { change_time: now.max(latest), state, reason: Change::of(event), message: message.into() });
        if self.records.len() > MAX_RECORDS {
            self.records.remove(1);
        }
        self.state = state;
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 6] = [State::Unresolved, State::Resolved, State::Activated, State::Deactivated, State::Broken, State::Stopped];
    const EVENTS: [Event; 9] = [
        Event::StartedActive,
        Event::StartedInactive,
        Event::StartFailed,
        Event::Activate,
        Event::Deactivate,
        Event::StopBegan,
        Event::StopEnded,
        Event::StopFailed,
        Event::Failed,
    ];

    #[test]
    fn exactly_the_listed_steps_are_legal() {
        let legal: Vec<String> = STATES
            .iter()
            .flat_map(|from| EVENTS.iter().map(move |event| (from, event)))
            .filter_map(|(from, event)| from.after(*event).ok().map(|to| format!("{from} {event:?} {to}")))
            .collect();
        assert_eq!(
            legal,
            [
                "resolved StartedActive activated",
                "resolved StartedInactive deactivated",
                "resolved StartFailed broken",
                "activated Deactivate deactivated",
                "activated StopBegan deactivated",
                "activated Failed broken",
                "deactivated Activate activated",
                "deactivated StopBegan deactivated",
                "deactivated StopEnded stopped",
                "deactivated StopFailed broken",
                "deactivated Failed broken",
                "broken StopBegan broken",
                "broken StopEnded stopped",
                "broken StopFailed broken",
            ]
        );
    }

    #[test]
    fn a_refused_step_says_state_and_event_and_changes_nothing() {
        let mut history = History::created(1);
        let before = history.clone();
        let error = history.apply(Event::StopBegan, 2, "").unwrap_err();
        assert_eq!(error.to_string(), "StopBegan cannot happen to a module that is resolved");
        assert_eq!(history, before);
    }

    #[test]
    fn a_history_is_bounded_and_keeps_its_first_and_latest_record() {
        let mut history = History::created(1);
        history.apply(Event::StartedActive, 2, "").unwrap();
        for round in 0..1_000 {
            history.apply(Event::Deactivate, round, "").unwrap();
            history.apply(Event::Activate, round, format!("{round}")).unwrap();
        }
        assert_eq!(history.records().len(), MAX_RECORDS);
        assert_eq!(history.records()[0].reason, Change::Created);
        assert_eq!(history.records()[MAX_RECORDS - 1].message, "999");
    }

    #[test]
    fn a_clock_that_runs_backwards_does_not_reorder_a_history() {
        let mut history = History::created(1_000);
        history.apply(Event::StartedActive, 10, "").unwrap();
        assert_eq!(history.records()[1].change_time, 1_000);
    }
}
