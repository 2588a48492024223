//! Which orders come too late. A plain decision: the fences that were seen, and an order's, in; taken or refused, out.

use std::collections::{BTreeMap, HashSet};

use ark_model::{Failure, Fence, Reason};
use serde::{Deserialize, Serialize};

/// The highest fences that a base has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Fences {
    /// The highest epoch, on whatever name.
    epoch: u64,
    by_name: BTreeMap<String, Seen>,
    /// How many orders were taken.
    taken: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    fence: Fence,
    /// The number of the order that had it.
    at: u64,
}

impl Fences {
    /// Names without a module whose fence is remembered. Of those that went before, only the epoch is.
    pub const MAX_GONE: usize = 1_024;

    /// Takes an order on `name`, and remembers its fence.
    ///
    /// # Errors
    /// [`Reason::OrderStale`], with nothing changed, where an order with a higher fence was taken on the name, or one of a later epoch
    /// on any. An equal one is the same order again, and is taken.
    pub fn take(&mut self, name: &str, fence: Fence) -> Result<(), Failure> {
        let stale = |why: String| Err(Failure::new(Reason::OrderStale, format!("the order {fence} on {name} comes too late: {why}")));
        if fence.epoch < self.epoch {
            return stale(format!("a controller of epoch {} orders here by now", self.epoch));
        }
        let seen = self.of(name);
        if fence < seen {
            return stale(format!("{seen} was taken before"));
        }
        self.epoch = fence.epoch;
        self.taken += 1;
        self.by_name.insert(name.to_owned(), Seen { fence, at: self.taken });
        Ok(())
    }

    /// The highest fence that was seen on `name`; zero where none was, or none is remembered.
    #[must_use]
    pub fn of(&self, name: &str) -> Fence {
        self.by_name.get(name).map(|seen| seen.fence).unwrap_or_default()
    }

    /// Forgets the name that was ordered on longest ago, of those that have no module, where more than [`MAX_GONE`](Self::MAX_GONE) are remembered beside
    /// the names of `modules` modules. Those names are asked for only then.
    pub fn forget<'a>(&mut self, modules: usize, names: impl FnOnce() -> HashSet<&'a str>) {
        if self.by_name.len() <= modules + Self::MAX_GONE {
            return;
        }
        let installed = names();
        let gone = self.by_name.iter().filter(|(name, _)| !installed.contains(name.as_str()));
        if let Some(oldest) = gone.min_by_key(|(_, seen)| seen.at).map(|(name, _)| name.clone()) {
            self.by_name.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fence(epoch: u64, generation: u64) -> Fence {
        Fence { epoch, generation }
    }

    #[test]
    fn an_order_below_the_highest_on_its_name_is_refused_and_an_equal_one_is_the_same_again() {
        let mut fences = Fences::default();
        fences.take("a", fence(3, 7)).unwrap();
        assert_eq!(fences.take("a", fence(3, 6)).unwrap_err().reason, Reason::OrderStale);
        assert_eq!(fences.take("a", fence(3, 7)), Ok(()));
        assert_eq!(fences.take("a", fence(3, 8)), Ok(()));
        assert_eq!(fences.take("b", fence(3, 1)), Ok(()), "each name has generations of its own");
    }

    #[test]
    fn no_order_of_an_earlier_epoch_is_taken_on_any_name() {
        let mut fences = Fences::default();
        fences.take("a", fence(4, 1)).unwrap();
        assert_eq!(fences.take("b", fence(3, 99)).unwrap_err().reason, Reason::OrderStale);
        assert_eq!(fences.of("b"), Fence::default());
    }

    #[test]
    fn of_names_long_gone_only_the_epoch_is_remembered_and_those_installed_stay() {
        let mut fences = Fences::default();
        for number in 0..=Fences::MAX_GONE + 9 {
            fences.take(&format!("m{number}"), fence(2, 5)).unwrap();
            fences.forget(1, || HashSet::from(["m0"]));
        }
        assert_eq!(fences.by_name.len(), Fences::MAX_GONE + 1);
        assert_eq!((fences.of("m0"), fences.of("m1")), (fence(2, 5), Fence::default()));
        assert_eq!(fences.take("m1", fence(1, 9)).unwrap_err().reason, Reason::OrderStale);
    }

    proptest! {
        #[test]
        fn no_interleaving_of_orders_lets_an_older_one_be_taken_after_a_newer(
            orders in proptest::collection::vec((0..3_usize, 0..4_u64, 0..4_u64), 1..60),
        ) {
            let names = ["a", "b", "c"];
            let (mut fences, mut replayed) = (Fences::default(), Fences::default());
            let (mut epoch, mut highest) = (0, [Fence::default(); 3]);
            for (name, of_epoch, generation) in orders {
                let order = fence(of_epoch, generation);
                let before = fences.clone();
                let late = order < highest[name] || of_epoch < epoch;
                prop_assert_eq!(fences.take(names[name], order).is_err(), late);
                if late {
                    prop_assert_eq!(&fences, &before, "a refusal changes nothing");
                } else {
                    (epoch, highest[name]) = (of_epoch, order);
                    prop_assert_eq!(replayed.take(names[name], order), Ok(()));
                }
                prop_assert_eq!(&replayed, &fences, "what was taken comes to the same after a restart");
                prop_assert_eq!(fences.of(names[name]), highest[name]);
            }
        }
    }
}
