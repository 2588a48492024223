//! When a base that does not report any more is given up.

use std::time::Duration;

use crate::{
    plan::Note,
    resource::{Base, Kind, Time, Truth, Write},
    world::World,
};

/// What to write about a base that has been silent for `limit`, and what to tell: its document is removed, cordoned or not, once no instance
/// is on it any more. One that reports again after that joins anew, as it is then.
///
/// Its silence counts from when a controller noticed it, and not from before this one began at `began`, so that nothing is given up for the
/// time in which no controller ran.
#[must_use]
pub(crate) fn given_up(world: &World, base: &Base, began: Time, limit: Duration, now: Time) -> Option<(Write, Note)> {
    let ready = base.ready().filter(|ready| ready.status == Truth::Unknown)?;
    let since = ready.last_transition_time.filter(|since| began.max(*since).elapsed(now) >= limit)?;
    let key = base.metadata.key();
    if world.count_on(&key) > 0 {
        return None;
    }
    let last = base.status.last_heard_time.unwrap_or(since);
    let message = format!("the base was last heard at {last}, and no module is on it any more: it is forgotten until it reports again");
    let note = Note { kind: Kind::Base, key: key.clone(), warning: false, reason: "BaseForgotten", message };
    Some((Write::Delete { kind: Kind::Base, key, resource_version: base.metadata.resource_version.clone() }, note))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ark_model::report::BaseReport;

    use super::*;
    use crate::{
        Controller, Settings,
        resource::{Document, Key, Meta, Module},
    };

    const DAY: u64 = 24 * 60 * 60 * 1_000;

    fn key() -> Key {
        Key::new("default", "a")
    }

    /// What a store would do, without any bounds.
    struct Fleet(Controller, u64);

    impl Fleet {
        fn new(now: u64) -> Self {
            Self(Controller::new(Settings::default(), Time(now)), 0)
        }

        fn write(&mut self, writes: Vec<Write>) {
            for write in writes {
                self.1 += 1;
                match write {
                    Write::Create(mut document) | Write::Update(mut document) => {
                        document.meta_mut().resource_version = self.1.to_string();
                        self.0.stored(Arc::new(document));
                    }
                    Write::Delete { kind, key, .. } => self.0.removed(kind, &key, self.1),
                }
            }
        }

        fn hear(&mut self, now: u64) {
            let report = BaseReport { ready: true, ..BaseReport::default() };
            let writes = self.0.reported(&key(), Arc::new(report), "", Time(now));
            self.write(writes);
        }

        fn notice(&mut self, now: u64) {
            let writes = self.0.silent(Time(now));
            self.write(writes);
        }

        fn overdue(&self, now: u64) -> Vec<(Write, Note)> {
            self.0.overdue(Time(now))
        }

        fn change(&mut self, change: impl FnOnce(&mut Base)) {
            let mut base = self.0.world().base(&key()).unwrap().clone();
            change(&mut base);
            self.write(vec![Write::Update(Document::Base(base))]);
        }

        fn put_instance(&mut self) {
            let metadata = Meta { namespace: "default".to_owned(), name: "shop-1".to_owned(), ..Meta::default() };
            let mut module = Module { metadata, ..Module::default() };
            "a".clone_into(&mut module.spec.base_name);
            self.write(vec![Write::Create(Document::Module(module))]);
        }
    }

    /// A base that was heard at 0 and whose silence was noticed at 40 s.
    fn silent() -> Fleet {
        let mut fleet = Fleet::new(0);
        fleet.hear(0);
        fleet.notice(40_000);
        fleet
    }

    #[test]
    fn a_base_that_was_silent_for_long_is_forgotten_and_the_event_says_since_when() {
        let mut fleet = silent();
        assert_eq!(fleet.overdue(DAY), []);
        let overdue = fleet.overdue(DAY + 40_000);
        let [(write, note)] = overdue.as_slice() else { panic!("{overdue:?}") };
        assert_eq!((note.reason, &note.key, note.kind), ("BaseForgotten", &key(), Kind::Base));
        assert!(note.message.contains("1970-01-01T00:00:00Z"), "{}", note.message);
        fleet.write(vec![write.clone()]);
        assert!(fleet.0.world().base(&key()).is_none());
        assert_eq!(fleet.overdue(2 * DAY), []);
    }

    #[test]
    fn a_cordoned_base_is_forgotten_like_any_other() {
        let mut fleet = silent();
        fleet.change(|base| (base.spec.unschedulable, base.spec.drain) = (true, true));
        assert_eq!(fleet.overdue(DAY + 40_000).len(), 1);
    }

    #[test]
    fn a_base_with_an_instance_is_not_forgotten() {
        let mut fleet = silent();
        fleet.put_instance();
        assert_eq!(fleet.overdue(9 * DAY), []);
    }

    #[test]
    fn a_base_that_reports_is_not_forgotten_and_one_that_comes_back_joins_anew() {
        let mut fleet = silent();
        fleet.change(|base| _ = base.metadata.labels.insert("disk".to_owned(), "mine".to_owned()));
        fleet.hear(DAY);
        assert_eq!(fleet.overdue(DAY + 40_000), []);
        fleet.notice(DAY + 40_000);
        let writes = fleet.overdue(2 * DAY + 40_000).into_iter().map(|(write, _)| write).collect();
        fleet.write(writes);
        fleet.hear(3 * DAY);
        let base = fleet.0.world().base(&key()).unwrap();
        assert!(base.is_ready() && base.metadata.labels.is_empty(), "{base:?}");
    }

    #[test]
    fn the_time_in_which_no_controller_ran_does_not_count() {
        // Ready when the last controller ended, and yet to be noticed by the next one.
        let mut before = Fleet::new(0);
        before.hear(0);
        let base = before.0.world().base(&key()).unwrap().clone();
        let mut after = Fleet::new(5 * DAY);
        after.write(vec![Write::Create(Document::Base(base))]);
        assert_eq!(after.overdue(5 * DAY + 40_000), []);
        after.notice(5 * DAY + 40_000);
        assert_eq!(after.overdue(5 * DAY + 40_000), []);

        // Noticed as silent before: it has the whole time again to be heard by the next one.
        let known = silent().0.world().base(&key()).unwrap().clone();
        let mut after = Fleet::new(5 * DAY);
        after.write(vec![Write::Create(Document::Base(known))]);
        assert_eq!(after.overdue(6 * DAY - 1), []);
        assert_eq!(after.overdue(6 * DAY).len(), 1);
    }
}
