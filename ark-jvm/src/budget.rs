//! Whether a JVM has room for one more module: decided before anything of it is loaded.
//!
//! A full metaspace or heap does not only fail the module that fills it: it takes the base and all its neighbours with it.

use std::fmt;

/// Up to which share of a space, in percent, modules are taken in.
pub const THRESHOLD_PERCENT: u64 = 90;

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
    /// In use; of the heap, what was so after the last collection.
    pub used: u64,
    /// The most there can be; none where only the machine bounds it.
    pub max: Option<u64>,
    /// What the module will take of it, as far as that is known from its last install.
    pub predicted: u64,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the JVM has {used} of {max} bytes of {space} in use and the module will take about {predicted}: more than {THRESHOLD_PERCENT} %; \
     remove modules, or start the base with a larger {option}"
)]
pub struct Full {
    /// Which space.
    pub space: Space,
    used: u64,
    max: u64,
    predicted: u64,
    option: &'static str,
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
            let option = match fill.space {
                Space::Metaspace => "-XX:MaxMetaspaceSize",
                Space::ClassSpace => "-XX:CompressedClassSpaceSize",
                Space::Heap => "-Xmx",
            };
            return Err(Full { space: fill.space, used: fill.used, max, predicted: fill.predicted, option });
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
