//! Who leads, and until when. Pure: the clock is whichever the store goes by.

use super::{LEASE, Reign};

/// The lead as it was last taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lease {
    /// The reign it was taken for; rises with each.
    pub(super) epoch: u64,
    /// Who took it.
    pub(super) holder: String,
    /// Where it is reached.
    pub(super) address: String,
    /// When it ends, in milliseconds.
    pub(super) until: i64,
}

impl Lease {
    /// The lead in the hands of `holder`; none while another has it.
    pub(super) fn taken(&self, holder: &str, address: &str, now: i64) -> Option<Self> {
        let held = now < self.until;
        if held && self.holder != holder {
            return None;
        }
        let span = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
        Some(Self {
            epoch: self.epoch + u64::from(!held),
            holder: holder.to_owned(),
            address: address.to_owned(),
            until: now.saturating_add(span),
        })
    }

    /// Whether `reign` is the one that lasts at `now`.
    pub(super) fn lasts(&self, reign: Reign, now: i64) -> bool {
        self.epoch == reign.epoch && now < self.until
    }

    /// The lead without its holder, where `reign` has it.
    pub(super) fn resigned(&self, reign: Reign) -> Option<Self> {
        (self.epoch == reign.epoch).then(|| Self { epoch: self.epoch, ..Self::default() })
    }

    /// Where the one who leads is reached.
    pub(super) fn leader(&self, now: i64) -> Option<String> {
        (now < self.until).then(|| self.address.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_kept_while_it_is_renewed_and_taken_after_it_lapsed() {
        let first = Lease::default().taken("a", "at-a", 0).unwrap();
        assert_eq!((first.epoch, first.leader(14_999).as_deref(), first.leader(15_000)), (1, Some("at-a"), None));
        assert_eq!(first.taken("b", "at-b", 14_999), None);
        let kept = first.taken("a", "at-a", 14_999).unwrap();
        assert_eq!((kept.epoch, kept.until), (1, 29_999));
        let next = kept.taken("b", "at-b", 29_999).unwrap();
        assert_eq!(next.epoch, 2);
        assert!(!next.lasts(Reign { epoch: 1 }, 29_999) && next.lasts(Reign { epoch: 2 }, 29_999));
    }

    #[test]
    fn who_lost_the_lead_and_takes_it_again_reigns_anew() {
        let first = Lease::default().taken("a", "", 0).unwrap();
        assert!(!first.lasts(Reign { epoch: 1 }, 15_000));
        assert_eq!(first.taken("a", "", 15_000).unwrap().epoch, 2);
    }

    #[test]
    fn a_lead_given_back_is_free_at_once_and_only_its_holder_gives_it() {
        let first = Lease::default().taken("a", "", 0).unwrap();
        assert_eq!(first.resigned(Reign { epoch: 0 }), None);
        let free = first.resigned(Reign { epoch: 1 }).unwrap();
        assert_eq!((free.leader(1), free.taken("b", "", 1).unwrap().epoch), (None, 2));
    }
}
