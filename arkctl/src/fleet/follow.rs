//! Following what is there: all of it, then each change, over the ends of watches and pauses of the server.

use std::{
    thread,
    time::{Duration, Instant},
};

use fleet::resource::Kind;
use serde_json::Value;

use super::{
    client::{Change, End, Fleet, Form},
    resource::{Resource, encoded},
};
use crate::error::Error;

/// How long a server may be away that answered before: a restart, or another one that takes over.
const AWAY: Duration = Duration::from_secs(60);
/// How long it is left alone after it failed, or ended a watch.
const PAUSE: Duration = Duration::from_millis(500);

/// What a follower sees.
#[derive(Debug)]
pub(super) enum Seen<'a> {
    /// All that is there: a list, or a table. It comes first, and again where changes were missed.
    All(&'a Value),
    /// What changed.
    Change(&'a Change),
    /// Nothing, for a while.
    Quiet,
}

/// Tells all that `path` (with its query) lists, and what changes of it, until `told` says `false`.
///
/// # Errors
/// What `told` says, the server's refusals, and a server that stays away.
pub(super) fn follow(fleet: &Fleet, path: &str, form: Form, mut told: impl FnMut(Seen<'_>) -> Result<bool, Error>) -> Result<(), Error> {
    let mut away: Option<Instant> = None;
    let mut answered = false;
    loop {
        let list: Value = match fleet.get_as(path, form) {
            Ok(list) => list,
            Err(error) if answered && is_passing(&error) && away.is_none_or(|since| since.elapsed() < AWAY) => {
                away.get_or_insert_with(Instant::now);
                thread::sleep(PAUSE);
                if !told(Seen::Quiet)? {
                    return Ok(());
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        (answered, away) = (true, None);
        if !told(Seen::All(&list))? {
            return Ok(());
        }
        let mut since = list.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        loop {
            let watch = fleet.watch(path, form, &since, |change| match &change {
                Some(change) => told(Seen::Change(change)),
                None => told(Seen::Quiet),
            });
            match watch {
                Ok(End::Told) => return Ok(()),
                Ok(End::Over(version)) => since = version,
                Ok(End::Expired) => break,
                Err(error) if is_passing(&error) => break,
                Err(error) => return Err(error),
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Whether another try may help, though nothing is done here.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::NoController { .. } => true,
        Error::Api(refusal) => refusal.reason == "ProtocolError" || refusal.code == 429 || refusal.code >= 500,
        _ => false,
    }
}

/// Tells the resource of a kind and name in the fleet's namespace whenever it changes, and again when it was quiet; none while it is
/// not there. Ends when `told` says `false`.
pub(super) fn one(fleet: &Fleet, kind: Kind, name: &str, mut told: impl FnMut(Option<&Value>) -> Result<bool, Error>) -> Result<(), Error> {
    let path = format!("{}?fieldSelector=metadata.name%3D{}", Resource::Fleet(kind).all(Some(fleet.namespace())), encoded(name));
    let mut last: Option<Value> = None;
    follow(fleet, &path, Form::Documents, |seen| {
        match seen {
            Seen::All(list) => last = list.pointer("/items/0").cloned(),
            Seen::Change(change) if change.what == "DELETED" => last = None,
            Seen::Change(change) => last = Some(change.object.clone()),
            Seen::Quiet => {}
        }
        told(last.as_ref())
    })
}

/// A bound on how long is waited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    since: Instant,
    timeout: Option<Duration>,
}

impl Deadline {
    /// From now on.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self { since: Instant::now(), timeout }
    }

    /// # Errors
    /// [`Error::TimedOut`] once it is over; `last` is what was seen last.
    pub(super) fn check(self, what: &str, last: &str) -> Result<(), Error> {
        match self.timeout {
            Some(timeout) if self.since.elapsed() >= timeout => {
                let after = humantime::format_duration(timeout).to_string();
                Err(Error::TimedOut { what: what.to_owned(), after, last: last.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_is_over_says_what_was_seen_last() {
        let error = Deadline::new(Some(Duration::ZERO)).check("the rollout of shop", "batch 1 of 3").unwrap_err();
        assert_eq!(error.to_string(), "the rollout of shop is not done after 0s: batch 1 of 3");
        assert!(Deadline::new(None).check("", "").is_ok());
    }
}
