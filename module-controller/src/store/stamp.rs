//! What a write makes of a document: uid, creation time, generation, resource version, and whether it goes.

use fleet::resource::{Document, Time, Write};

use super::{Change, Revision, StoreError, Stored};

/// What all writes of one commit have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// The commit.
    pub(super) revision: Revision,
    /// When it is made.
    pub(super) now: Time,
}

/// What `write` comes to where `before` is there; `uid` is of use to a new document only.
pub(super) fn apply(write: Write, before: Option<Stored>, stamp: Stamp, uid: impl FnOnce() -> String) -> Result<Change, StoreError> {
    let (after, removed) = match write {
        Write::Create(mut document) => {
            if before.is_some() {
                return Err(StoreError::Exists { kind: document.kind(), key: document.key() });
            }
            let meta = document.meta_mut();
            meta.uid = uid();
            meta.creation_timestamp = Some(stamp.now);
            meta.deletion_timestamp = None;
            meta.deletion_grace_period_seconds = None;
            meta.generation = 1;
            (document, false)
        }
        Write::Update(document) => {
            let (kind, key) = (document.kind(), document.key());
            let seen = |before: &Stored| {
                let (old, new) = (before.meta(), document.meta());
                old.resource_version == new.resource_version && (new.uid.is_empty() || new.uid == old.uid)
            };
            let Some(old) = before.as_ref().filter(|before| seen(before)) else { return Err(StoreError::Conflict { kind, key }) };
            update(document, old)
        }
        Write::Delete { kind, key, resource_version } => {
            let Some(old) = before.as_ref().filter(|before| before.meta().resource_version == resource_version) else {
                return Err(StoreError::Conflict { kind, key });
            };
            let document = Document::clone(old);
            if old.meta().finalizers.is_empty() { (document, true) } else { update(begin_deletion(document, stamp.now), old) }
        }
    };
    let mut after = after;
    after.meta_mut().resource_version = stamp.revision.to_string();
    Ok(Change { revision: stamp.revision, before, after: Stored::new(after), removed })
}

/// What a later version becomes in the place of an earlier one, and whether it goes.
fn update(mut document: Document, old: &Document) -> (Document, bool) {
    let (changed, was) = (!document.wants_the_same(old), old.meta());
    let meta = document.meta_mut();
    meta.uid.clone_from(&was.uid);
    meta.creation_timestamp = was.creation_timestamp;
    // Who is to go does not come back.
    if was.is_going() {
        meta.deletion_timestamp = was.deletion_timestamp;
        meta.deletion_grace_period_seconds = was.deletion_grace_period_seconds;
    }
    let begins = meta.is_going() && !was.is_going();
    meta.generation = was.generation + i64::from(changed || begins);
    let gone = meta.is_going() && meta.finalizers.is_empty();
    (document, gone)
}

fn begin_deletion(mut document: Document, now: Time) -> Document {
    document.meta_mut().deletion_timestamp.get_or_insert(now);
    document
}

/// A random uid (UUID version 4).
pub(super) fn uid(random: u128) -> String {
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let mut text = String::with_capacity(36);
    for (place, digit) in hex.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fleet::resource::{Base, BaseSpec, BaseStatus, Kind, Meta};

    use super::*;

    const NOW: Stamp = Stamp { revision: 7, now: Time(5_000) };

    fn base(change: impl FnOnce(&mut Base)) -> Document {
        let mut base = Base { metadata: Meta { name: "b".into(), namespace: "ns".into(), ..Meta::default() }, ..Base::default() };
        change(&mut base);
        Document::Base(base)
    }

    fn stored(change: impl FnOnce(&mut Base)) -> Stored {
        Arc::new(base(|base| {
            let meta = &mut base.metadata;
            (meta.uid, meta.generation, meta.resource_version) = ("u".into(), 3, "6".into());
            meta.creation_timestamp = Some(Time(1_000));
            change(base);
        }))
    }

    fn of(write: Write, before: Option<Stored>) -> Result<Change, StoreError> {
        apply(write, before, NOW, || "new".to_owned())
    }

    fn again(stored: &Stored, change: impl FnOnce(&mut Base)) -> Write {
        let mut document = Document::clone(stored);
        if let Document::Base(base) = &mut document {
            change(base);
        }
        Write::Update(document)
    }

    fn delete(resource_version: &str) -> Write {
        Write::Delete { kind: Kind::Base, key: base(|_| {}).key(), resource_version: resource_version.into() }
    }

    #[test]
    fn a_new_document_gets_its_names_from_the_store_alone() {
        let change = of(
            Write::Create(base(|base| {
                base.metadata.uid = "mine".into();
                base.metadata.generation = 9;
                base.metadata.deletion_timestamp = Some(Time(1));
            })),
            None,
        );
        let change = change.unwrap();
        let meta = change.after.meta();
        assert_eq!((meta.uid.as_str(), meta.generation, meta.resource_version.as_str()), ("new", 1, "7"));
        assert_eq!((meta.creation_timestamp, meta.deletion_timestamp), (Some(Time(5_000)), None));
        assert!(change.before.is_none() && !change.removed && change.revision == 7);
        assert!(matches!(of(Write::Create(base(|_| {})), Some(stored(|_| {}))), Err(StoreError::Exists { .. })));
    }

    #[test]
    fn a_generation_rises_with_what_is_wanted_alone() {
        let old = stored(|_| {});
        let wanted = of(again(&old, |base| base.spec = BaseSpec { drain: true, ..BaseSpec::default() }), Some(old.clone())).unwrap();
        assert_eq!(wanted.after.meta().generation, 4);
        let said = of(
            again(&old, |base| {
                base.status = BaseStatus { modules: 1, ..BaseStatus::default() };
                base.metadata.generation = 50;
                base.metadata.creation_timestamp = None;
                base.metadata.labels.insert("a".into(), "b".into());
            }),
            Some(old),
        )
        .unwrap();
        let meta = said.after.meta();
        assert_eq!((meta.generation, meta.creation_timestamp, meta.uid.as_str()), (3, Some(Time(1_000)), "u"));
    }

    #[test]
    fn a_document_that_changed_since_it_was_read_is_not_overwritten() {
        let old = stored(|_| {});
        let stale = |base: &mut Base| base.metadata.resource_version = "5".into();
        assert!(matches!(of(again(&old, stale), Some(old.clone())), Err(StoreError::Conflict { .. })));
        assert!(matches!(of(again(&old, |base| base.metadata.uid = "other".into()), Some(old.clone())), Err(StoreError::Conflict { .. })));
        assert!(matches!(of(again(&old, |_| {}), None), Err(StoreError::Conflict { .. })));
        assert!(matches!(of(delete("5"), Some(old.clone())), Err(StoreError::Conflict { .. })));
        assert!(matches!(of(delete("6"), None), Err(StoreError::Conflict { .. })));
        assert!(of(again(&old, |base| base.metadata.uid.clear()), Some(old)).is_ok());
    }

    #[test]
    fn what_nobody_holds_goes_at_once_and_is_given_as_it_was() {
        let old = stored(|base| base.spec.drain = true);
        let change = of(delete("6"), Some(old.clone())).unwrap();
        assert!(change.removed);
        let mut expected = Document::clone(&old);
        expected.meta_mut().resource_version = "7".into();
        assert_eq!(*change.after, expected);
    }

    #[test]
    fn what_has_finalizers_is_marked_and_goes_with_the_last_of_them() {
        let old = stored(|base| base.metadata.finalizers = vec!["f".into()]);
        let marked = of(delete("6"), Some(old)).unwrap();
        let meta = marked.after.meta();
        assert!(!marked.removed);
        assert_eq!((meta.generation, meta.deletion_timestamp), (4, Some(Time(5_000))));

        let back = of(again(&marked.after, |base| base.metadata.deletion_timestamp = None), Some(marked.after.clone())).unwrap();
        assert_eq!((back.after.meta().generation, back.after.meta().deletion_timestamp), (4, Some(Time(5_000))));

        let gone = of(again(&marked.after, |base| base.metadata.finalizers.clear()), Some(marked.after.clone())).unwrap();
        assert!(gone.removed);
    }

    #[test]
    fn a_uid_is_one_of_version_4() {
        assert_eq!(uid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
