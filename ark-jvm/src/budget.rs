//! Whether a JVM has room for one more module: decided before anything of it is loaded.
//!
//! A full metaspace or heap does not only fail the module that fills it: it takes the base and all its neighbours with it.

use std::{collections::HashMap, fmt};

/// Up to which share of a space, in percent, modules are taken in.
pub const THRESHOLD_PERCENT: u64 = 90;
/// Of how many contents it is remembered what they took.
const REMEMBERED: usize = 4_096;

/// A space of the JVM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// What classes take.
    Metaspace,
    /// The part of it that is addressed by short pointers, 1 GiB unless set otherwise.
    ClassSpace,
    /// Objects.
    Heap,
}

/// How full a space is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Which.
    pub space: Space,
    /// In use.
    pub used: u64,
    /// The most there can be; none where only the machine bounds it.
    pub max: Option<u64>,
    /// What the module will take of it, as far as that is known from when the same content was here last.
    pub predicted: u64,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct Full {
    /// Which space.
    pub space: Space,
    used: u64,
    max: u64,
    predicted: u64,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { space, used, max, predicted } = self;
        write!(f, "the JVM has {used} of {max} bytes of {space} in use")?;
        if *predicted > 0 {
            write!(f, " and the module will take about {predicted}")?;
        }
        let option = match space {
            Space::Metaspace => "-XX:MaxMetaspaceSize",
            Space::ClassSpace => "-XX:CompressedClassSpaceSize",
            Space::Heap => "-Xmx",
        };
        write!(f, ": more than {THRESHOLD_PERCENT} %; remove modules, or start the base with a larger {option}")
    }
}

/// Whether all of `spaces` have room.
///
/// # Errors
/// The first that has not.
pub fn admit(spaces: &[Fill]) -> Result<(), Full> {
    for fill in spaces {
        let Some(max) = fill.max.filter(|max| *max > 0) else { continue };
        // In parts of a hundred without overflow: no space has more bytes than 2^57.
        if fill.used.saturating_add(fill.predicted).saturating_mul(100) > max.saturating_mul(THRESHOLD_PERCENT) {
            return Err(Full { space: fill.space, used: fill.used, max, predicted: fill.predicted });
        }
    }
    Ok(())
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metaspace => "metaspace",
            Self::ClassSpace => "class space",
            Self::Heap => "heap",
        })
    }
}

/// What modules, or their layers, took when they were here last, in bytes. Nothing where that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Took {
    /// Of the metaspace: the JVM counts it loader by loader, so that is exact.
    pub metaspace: u64,
    /// Of the heap: what was alive before the module went and no longer after. Nobody counts that by module, so it has in it what the base
    /// came to hold or let go of in that time, which is a second or so; what stays in a layer that others use is not in it.
    pub heap: u64,
}

/// What is known of modules that were here, by the contents of their packages and layers.
#[derive(Debug, Default)]
pub struct Memory {
    metaspace: HashMap<String, u64>,
    heap: HashMap<String, u64>,
    /// How often a module began to come or go, or had.
    changes: u64,
}

/// The live heap before a module goes.
#[derive(Debug, Clone, Copy)]
pub struct Weighing {
    live: u64,
    changes: u64,
}

impl Weighing {
    /// So many bytes are live.
    #[must_use]
    pub fn found(self, live: u64) -> Self {
        Self { live, ..self }
    }
}

impl Memory {
    /// What a module of these `parts` will take together. Parts that are not known count as nothing.
    pub fn predict<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Took {
        let mut sum = Took::default();
        for part in parts {
            let of = |known: &HashMap<String, u64>| known.get(part).copied().unwrap_or(0);
            sum.metaspace = sum.metaspace.saturating_add(of(&self.metaspace));
            sum.heap = sum.heap.saturating_add(of(&self.heap));
        }
        sum
    }

    /// A module begins to come or go, or has. Whose weight is taken in the meantime is not that of the module alone.
    pub fn change(&mut self) {
        self.changes = self.changes.wrapping_add(1);
    }

    /// Whether it is known what a content takes of the heap.
    #[must_use]
    pub fn knows_heap(&self, content: &str) -> bool {
        self.heap.contains_key(content)
    }

    /// Whether it is known what a content takes of the metaspace.
    #[must_use]
    pub fn knows_metaspace(&self, content: &str) -> bool {
        self.metaspace.contains_key(content)
    }

    /// Remembers what `content` took of the metaspace.
    pub fn learn_metaspace(&mut self, content: String, bytes: u64) {
        remember(&mut self.metaspace, content, bytes);
    }

    /// A module is about to go, and how much heap is live is being found out.
    #[must_use]
    pub fn weigh(&self) -> Weighing {
        Weighing { live: 0, changes: self.changes }
    }

    /// Remembers what `content` took of the heap, of which `live` bytes are left now that it has gone. Nothing is learned where any other
    /// module came or went since `before`, nor from one that had more than half of the heap's `max` bytes: that is an accident, and not what the
    /// next will need.
    pub fn learn_heap(&mut self, content: &str, before: Weighing, live: u64, max: Option<u64>) {
        let took = before.live.saturating_sub(live);
        if before.changes == self.changes && max.is_none_or(|max| took <= max / 2) {
            remember(&mut self.heap, content.to_owned(), took);
        }
    }
}

/// One that was not asked for any more may have to go for it, whichever: it is learned again.
fn remember(known: &mut HashMap<String, u64>, content: String, bytes: u64) {
    if known.len() >= REMEMBERED
        && !known.contains_key(&content)
        && let Some(other) = known.keys().next().cloned()
    {
        known.remove(&other);
    }
    known.insert(content, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_filled_the_heap_is_no_measure_for_the_next() {
        let mut memory = Memory::default();
        memory.learn_heap("app", memory.weigh().found(900), 100, Some(1_000));
        assert!(!memory.knows_heap("app"));
        memory.learn_heap("app", memory.weigh().found(500), 100, Some(1_000));
        assert_eq!(memory.predict(["app"]).heap, 400);
    }

    fn fill(used: u64, max: Option<u64>, predicted: u64) -> Fill {
        Fill { space: Space::Metaspace, used, max, predicted }
    }

    #[test]
    fn a_module_that_fits_below_the_threshold_is_taken() {
        assert_eq!(admit(&[fill(60, Some(100), 30)]), Ok(()));
        assert_eq!(admit(&[fill(60, None, 1_000_000), fill(60, Some(0), 1_000_000)]), Ok(()));
    }

    #[test]
    fn one_that_would_go_beyond_it_is_refused_with_the_figures() {
        let full = admit(&[fill(1, None, 1), fill(60, Some(100), 31)]).unwrap_err();
        assert_eq!(
            full.to_string(),
            "the JVM has 60 of 100 bytes of metaspace in use and the module will take about 31: more than 90 %; \
             remove modules, or start the base with a larger -XX:MaxMetaspaceSize"
        );
        assert!(admit(&[fill(u64::MAX, Some(u64::MAX), u64::MAX)]).is_ok(), "out of every range is no panic");
    }
    #[test]
    fn what_is_full_already_is_told_without_a_module() {
        let full = admit(&[Fill { space: Space::Heap, used: 91, max: Some(100), predicted: 0 }]).unwrap_err();
        assert_eq!(
            full.to_string(),
            "the JVM has 91 of 100 bytes of heap in use: more than 90 %; remove modules, or start the base with a larger -Xmx"
        );
    }

    #[test]
    fn a_content_takes_what_it_took_when_it_was_here_last() {
        let mut memory = Memory::default();
        assert_eq!(memory.predict(["app", "layer"]), Took::default());
        assert!(!memory.knows_metaspace("app"));
        memory.learn_metaspace("app".into(), 1);
        memory.learn_metaspace("app".into(), 3);
        assert!(memory.knows_metaspace("app") && !memory.knows_metaspace("layer"));
        memory.learn_metaspace("layer".into(), 20);
        let before = memory.weigh().found(500);
        memory.learn_heap("app", before, 400, None);
        assert!(memory.knows_heap("app") && !memory.knows_heap("layer"));
        assert_eq!(memory.predict(["app", "layer"]), Took { metaspace: 23, heap: 100 });
        assert_eq!(memory.predict(["app"]), Took { metaspace: 3, heap: 100 });
        memory.learn_heap("app", memory.weigh().found(500), 600, None);
        assert_eq!(memory.predict(["app"]).heap, 0, "the base came to hold more than the module did");
    }

    #[test]
    fn nothing_is_learned_of_a_weight_that_is_not_one_modules_alone() {
        let mut memory = Memory::default();
        let before = memory.weigh().found(500);
        memory.change();
        memory.learn_heap("app", before, 400, None);
        assert!(!memory.knows_heap("app"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut memory = Memory::default();
        for number in 0..=REMEMBERED {
            memory.learn_metaspace(number.to_string(), 1);
        }
        assert_eq!(memory.metaspace.len(), REMEMBERED);
        assert_eq!(memory.predict([REMEMBERED.to_string().as_str()]).metaspace, 1);
    }
}
