//! In which steps a rollout goes.

/// How many instances of the new revision there are to be after each batch; the last is `to`. Empty where there is nothing to do.
///
/// With `beta`, one more batch than `batches` comes first, of a single instance. There are never more batches than instances that change.
#[must_use]
pub fn targets(from: u32, to: u32, batches: u32, beta: bool) -> Vec<u32> {
    let all = from.abs_diff(to);
    let first = u32::from(beta && all > 1 && to > from);
    let rest = all.saturating_sub(first);
    let batches = batches.clamp(1, rest.max(1));
    let after = |changed: u32| if to >= from { from.saturating_add(changed) } else { from.saturating_sub(changed) };
    let mut targets: Vec<u32> = (0..first).map(|_| after(1)).collect();
    if rest > 0 {
        targets.extend((1..=batches).map(|batch| {
            let changed = (u64::from(rest) * u64::from(batch)).div_ceil(u64::from(batches));
            after(first.saturating_add(u32::try_from(changed).unwrap_or(u32::MAX)))
        }));
    }
    targets.dedup();
    targets
}

#[cfg(test)]
mod tests {
    use super::targets;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_system_before_come_out_the_same() {
        assert_eq!(targets(0, 3, 3, false), [1, 2, 3]);
        assert_eq!(targets(0, 4, 2, true), [1, 3, 4]);
        assert_eq!(targets(3, 0, 3, false), [2, 1, 0]);
    }

    #[test]
    fn a_beta_adds_one_instance_and_does_not_come_down_to_one() {
        assert_eq!(targets(5, 9, 2, true), [6, 8, 9]);
    }

    #[test]
    fn there_are_never_more_batches_than_instances() {
        assert_eq!(targets(0, 2, 10, false), [1, 2]);
        assert_eq!(targets(0, 1, 3, true), [1]);
        assert!(targets(4, 4, 3, true).is_empty());
    }

    proptest! {
        #[test]
        fn batches_go_one_way_and_end_where_they_are_to(from in 0u32..200, to in 0u32..200, batches in 0u32..300, beta: bool) {
            let targets = targets(from, to, batches, beta);
            prop_assert_eq!(targets.last().copied().unwrap_or(to), to);
            let mut before = from;
            for target in targets {
                let further = if to > from { target > before } else { target < before };
                prop_assert!(further);
                before = target;
            }
        }
    }
}
