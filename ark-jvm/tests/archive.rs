//! Archives: sound ones are read in place, wrong ones are refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::{borrow::Cow, collections::BTreeMap};

use ark_jvm::{Archive, Fault, Limits};
use proptest::prelude::*;
use support::{Hand, HandEntry, Keep, jar, open, open_within};

fn fault(bytes: Vec<u8>) -> Fault {
    open(bytes).unwrap_err().fault
}

fn read(archive: &Archive, name: &str) -> Vec<u8> {
    archive.entry(name).unwrap().bytes().unwrap().into_owned()
}

/// Opens `bytes` and reads everything in it, jars inside included, as far as that goes.
fn read_all(bytes: Vec<u8>) -> BTreeMap<String, Result<Vec<u8>, String>> {
    let mut found = BTreeMap::new();
    let Ok(archive) = open(bytes) else { return found };
    for entry in archive.entries() {
        let bytes = entry.bytes().map(Cow::into_owned).map_err(|error| error.to_string());
        found.insert(entry.name().to_owned(), bytes);
        if entry.name().ends_with(".jar")
            && let Ok(inner) = entry.blob().and_then(|blob| Archive::of(blob, &Limits::default()))
        {
            for entry in inner.entries() {
                let bytes = entry.bytes().map(Cow::into_owned).map_err(|error| error.to_string());
                found.insert(format!("inner/{}", entry.name()), bytes);
            }
        }
    }
    found
}

fn sample() -> Vec<u8> {
    let inner = jar(Keep::Deflated, &[("org/example/", b""), ("org/example/A.class", &[1; 50]), ("x", b"")]);
    Hand::of([
        HandEntry::stored("META-INF/MANIFEST.MF", b"Main-Class: a.B\n"),
        HandEntry::stored("lib/a.jar", &inner),
        HandEntry { method: 8, size: Some(60), crc: Some(crc32fast::hash(&[b'z'; 60])), ..HandEntry::stored("z", &deflate(&[b'z'; 60])) },
    ])
    .bytes()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
    let mut out = vec![0; compressor.deflate_compress_bound(bytes.len())];
    let length = compressor.deflate_compress(bytes, &mut out).unwrap();
    out.truncate(length);
    out
}

#[test]
fn a_stored_entry_is_borrowed_and_a_deflated_one_unpacked() {
    let archive = open(jar(Keep::Stored, &[("a", b"hello")])).unwrap();
    assert!(matches!(archive.entry("a").unwrap().bytes().unwrap(), Cow::Borrowed(b"hello")));
    let archive = open(jar(Keep::Deflated, &[("a", &[9; 5000]), ("empty", b""), ("d/", b"")])).unwrap();
    assert_eq!(read(&archive, "a"), [9; 5000]);
    assert_eq!(read(&archive, "empty"), b"");
    assert!(archive.entry("d/").unwrap().is_directory() && archive.entry("d").is_none());
    assert_eq!((archive.entry_count(), archive.total_bytes()), (3, 5000));
}

#[test]
fn a_stored_jar_inside_is_read_where_it_lies_and_a_deflated_one_is_unpacked() {
    for keep in [Keep::Stored, Keep::Deflated] {
        let inner = jar(Keep::Deflated, &[("A.class", b"code")]);
        let outer = open(jar(keep, &[("lib/a.jar", &inner)])).unwrap();
        let blob = outer.entry("lib/a.jar").unwrap().blob().unwrap();
        assert_eq!(blob.allocated() == 0, keep == Keep::Stored);
        assert_eq!(blob.bytes(), inner);
        let archive = Archive::of(blob, &Limits::default()).unwrap();
        assert_eq!(read(&archive, "A.class"), b"code");
        assert_eq!(archive.origin().to_string(), "test.jar!/lib/a.jar");
        assert_eq!(archive.origin().file_name(), "a.jar");
    }
}

#[test]
fn a_jar_behind_a_start_script_is_read() {
    for zip64 in [false, true] {
        let mut hand = Hand::of([HandEntry::stored("a", b"content"), HandEntry::stored("b", b"other")]);
        hand.prefix = b"#!/bin/sh\nexec java -jar \"$0\"\n".to_vec();
        hand.zip64 = zip64;
        let archive = open(hand.bytes()).unwrap();
        assert_eq!((read(&archive, "a"), read(&archive, "b")), (b"content".to_vec(), b"other".to_vec()));
    }
}

#[test]
fn an_archive_in_zip64_form_with_a_comment_is_read() {
    let mut hand = Hand::of([HandEntry::stored("a", b"content")]);
    (hand.zip64, hand.comment) = (true, b"a comment, PK\x05\x06 in it".to_vec());
    assert_eq!(read(&open(hand.bytes()).unwrap(), "a"), b"content");
}

#[test]
fn an_archive_without_entries_is_one() {
    assert_eq!(open(Hand::default().bytes()).unwrap().entry_count(), 0);
}

#[test]
fn a_file_is_mapped_and_a_missing_one_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jar");
    std::fs::write(&path, jar(Keep::Stored, &[("a", b"x")])).unwrap();
    let archive = Archive::open(&path, &Limits::default()).unwrap();
    assert_eq!((read(&archive, "a"), archive.blob().allocated()), (b"x".to_vec(), 0));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read(&archive, "a"), b"x", "a removed name does not take the bytes away");

    let error = Archive::open(&path, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()) && matches!(error.fault, Fault::Io(_)), "{error}");
    assert!(matches!(Archive::open(folder.path(), &Limits::default()).unwrap_err().fault, Fault::Io(_)));
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(Archive::open(&path, &Limits::default()).unwrap_err().fault, Fault::NotAnArchive { bytes: 0 }));
}

#[test]
fn what_is_no_archive_is_told_from_one_that_is_cut_off() {
    assert!(matches!(fault(b"<html>not found</html>, sent in place of a jar".to_vec()), Fault::NotAnArchive { bytes: 46 }));
    let mut bytes = sample();
    bytes.truncate(bytes.len() - 1);
    assert!(matches!(fault(bytes.clone()), Fault::Truncated { .. }));
    let script = [b"#!/bin/sh\n".to_vec(), bytes].concat();
    assert!(matches!(fault(script), Fault::Truncated { .. }));
}

#[test]
fn an_archive_cut_off_anywhere_is_refused() {
    let whole = sample();
    for length in 0..whole.len() {
        let fault = fault(whole[..length].to_vec());
        assert!(matches!(fault, Fault::Truncated { .. } | Fault::NotAnArchive { .. }), "{length}: {fault}");
    }
}

#[test]
fn an_archive_whose_begin_is_missing_is_refused_or_gives_no_wrong_bytes() {
    let whole = sample();
    let right = read_all(whole.clone());
    for start in 1..whole.len() {
        for (name, bytes) in read_all(whole[start..].to_vec()) {
            assert!(bytes.is_err() || right.get(&name) == Some(&bytes), "{start} {name}");
        }
    }
}

#[test]
fn an_archive_with_any_byte_changed_gives_right_bytes_or_an_error() {
    let whole = sample();
    let right = read_all(whole.clone());
    assert!(right.len() == 6 && right.values().all(Result::is_ok), "{right:?}");
    for at in 0..whole.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            for (name, read) in read_all(bytes) {
                // The outer checksum of a stored jar inside is compared when it is read as an entry only.
                assert!(read.is_err() || right.get(&name) == Some(&read), "{name:?} with byte {at} changed by {change:#x}");
            }
        }
    }
}

#[test]
fn a_name_that_leads_out_of_a_folder_is_refused() {
    for name in ["../a", "a/../b", "a/..", "..", "/a", "a\\b", "a\0b", "C:/a", ""] {
        let fault = fault(Hand::of([HandEntry::stored(name, b"x")]).bytes());
        assert!(matches!(&fault, Fault::UnsafeName { entry, .. } if entry == name), "{name:?}: {fault}");
    }
    for name in ["a..b/c", "...", "a/.../b", "a:b"] {
        let safe = open(Hand::of([HandEntry::stored(name, b"x")]).bytes());
        assert_eq!(safe.is_ok(), name != "a:b", "{name}");
    }
}

#[test]
fn a_name_that_is_not_utf_8_is_refused() {
    assert!(matches!(fault(Hand::of([HandEntry::stored(b"caf\xe9", b"x")]).bytes()), Fault::NameNotUtf8 { .. }));
    assert_eq!(read(&open(Hand::of([HandEntry::stored("café", b"x")]).bytes()).unwrap(), "café"), b"x");
}

#[test]
fn two_entries_of_one_name_are_refused() {
    let hand = Hand::of([HandEntry::stored("a", b"x"), HandEntry::stored("b", b"x"), HandEntry::stored("a", b"y")]);
    assert!(matches!(fault(hand.bytes()), Fault::Duplicate { entry } if entry == "a"));
}

#[test]
fn an_encrypted_entry_is_refused() {
    let hand = Hand::of([HandEntry { flags: 1, ..HandEntry::stored("a", b"x") }]);
    assert!(matches!(fault(hand.bytes()), Fault::Encrypted { entry } if entry == "a"));
}

#[test]
fn a_method_that_jars_do_not_have_is_refused() {
    let hand = Hand::of([HandEntry { method: 93, ..HandEntry::stored("a", b"x") }]);
    assert!(matches!(fault(hand.bytes()), Fault::Method { method: 93, .. }));
}

#[test]
fn an_entry_outside_of_the_file_is_refused() {
    for displaced in [100, u64::from(u32::MAX) - 1] {
        let hand = Hand::of([HandEntry { displaced, ..HandEntry::stored("a", b"x") }]);
        assert!(matches!(fault(hand.bytes()), Fault::OutsideOfFile { entry } if entry == "a"));
    }
    let mut hand = Hand::of([HandEntry { displaced: u64::MAX - 5, ..HandEntry::stored("a", b"x") }]);
    hand.zip64 = true;
    assert!(matches!(fault(hand.bytes()), Fault::OutsideOfFile { .. }));
}

#[test]
fn a_local_header_that_says_something_else_is_refused_when_its_entry_is_read() {
    let hand = Hand::of([HandEntry { local_name: Some(b"b".to_vec()), ..HandEntry::stored("a", b"x") }]);
    let archive = open(hand.bytes()).unwrap();
    assert!(matches!(archive.entry("a").unwrap().bytes().unwrap_err().fault, Fault::LocalHeader { .. }));
}

#[test]
fn a_directory_that_contradicts_its_end_record_is_refused() {
    let mut hand = Hand::of([HandEntry::stored("a", b"x")]);
    hand.more_entries = 1;
    assert!(matches!(fault(hand.bytes()), Fault::Directory { .. }));
    let mut hand = Hand::of([HandEntry::stored("a", b"x"), HandEntry::stored("b", b"x")]);
    hand.more_entries = u64::from(u16::MAX);
    assert!(matches!(fault(hand.bytes()), Fault::Directory { .. }));
    let mut hand = Hand::of([HandEntry::stored("a", b"x")]);
    hand.disk = 1;
    assert!(matches!(fault(hand.bytes()), Fault::SeveralDisks));
}

#[test]
fn an_entry_that_does_not_unpack_to_its_declared_size_or_checksum_is_refused() {
    let data = deflate(&[5; 1000]);
    let entry = |size| HandEntry { method: 8, size: Some(size), crc: Some(crc32fast::hash(&[5; 1000])), ..HandEntry::stored("a", &data) };
    let read = |entry| open(Hand::of([entry]).bytes()).unwrap().entry("a").unwrap().bytes().map(Cow::into_owned);
    assert_eq!(read(entry(1000)).unwrap(), [5; 1000]);
    for size in [0, 999, 1001] {
        assert!(matches!(read(entry(size)).unwrap_err().fault, Fault::Data { .. }), "{size}");
    }
    let other_checksum = HandEntry { crc: Some(1), ..entry(1000) };
    assert!(matches!(read(other_checksum).unwrap_err().fault, Fault::Data { .. }));
    let stored = HandEntry { crc: Some(1), ..HandEntry::stored("a", b"x") };
    assert!(matches!(read(stored).unwrap_err().fault, Fault::Data { .. }));
    let garbage = HandEntry { method: 8, size: Some(9), ..HandEntry::stored("a", &[0xff; 9]) };
    assert!(matches!(read(garbage).unwrap_err().fault, Fault::Data { .. }));
}

#[test]
fn what_would_grow_too_much_is_refused_before_it_is_unpacked() {
    let bomb = jar(Keep::Deflated, &[("zeros", &vec![0; 3 << 20])]);
    assert!(matches!(fault(bomb), Fault::Ratio { .. }));
    let small = jar(Keep::Deflated, &[("zeros", &vec![0; 1 << 20])]);
    assert!(open(small).is_ok(), "a small file of zeros is no bomb");

    let two = || jar(Keep::Stored, &[("a", &[0; 100]), ("b", &[0; 100])]);
    let within = |limits| open_within(two(), &limits).map(|_| ()).map_err(|error| error.fault);
    assert!(matches!(within(Limits { entries: 1, ..Limits::default() }), Err(Fault::TooManyEntries { limit: 1 })));
    assert!(matches!(within(Limits { entry_bytes: 99, ..Limits::default() }), Err(Fault::EntryTooLarge { bytes: 100, .. })));
    assert!(matches!(within(Limits { total_bytes: 199, ..Limits::default() }), Err(Fault::TotalTooLarge { limit: 199 })));
    assert!(within(Limits { entries: 2, entry_bytes: 100, total_bytes: 200, ..Limits::default() }).is_ok());
}

#[test]
fn an_error_says_which_archive_and_what_to_do() {
    let error = open(Hand::of([HandEntry::stored("../a", b"x")]).bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the archive test.jar: entry \"../a\" has an unsafe name: it has `..` as a part; build the archive with names relative to its root"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = read_all(bytes);
    }

    #[test]
    fn any_bytes_before_an_end_record_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..300), entries in 0..5_u16, size in 0..300_u32, offset in 0..300_u32,
    ) {
        let mut bytes = bytes;
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend(entries.to_le_bytes());
        bytes.extend(entries.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes.extend([0, 0]);
        let _ = read_all(bytes);
    }

    #[test]
    fn many_changed_bytes_give_right_bytes_or_an_error(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..12)) {
        let mut bytes = sample();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        let right = read_all(sample());
        for (name, read) in read_all(bytes) {
            // A name changed in both its places is another name with the same bytes.
            prop_assert!(read.is_err() || right.values().any(|other| *other == read), "{}", name);
        }
    }

    #[test]
    fn what_was_put_in_comes_out(entries in proptest::collection::btree_map("[a-z]{1,8}(/[a-z]{1,8}){0,3}", proptest::collection::vec(any::<u8>(), 0..300), 0..20), stored: bool, zip64: bool) {
        let hand = || Hand { zip64, ..Hand::of(entries.iter().map(|(name, data)| HandEntry::stored(name, data))) };
        let list: Vec<(&str, &[u8])> = entries.iter().map(|(name, data)| (&**name, &**data)).collect();
        let bytes = if stored { hand().bytes() } else { jar(Keep::Deflated, &list) };
        let archive = open(bytes).unwrap();
        let read: BTreeMap<String, Vec<u8>> =
            archive.entries().map(|entry| (entry.name().to_owned(), entry.bytes().unwrap().into_owned())).collect();
        prop_assert_eq!(read, entries);
    }
}
