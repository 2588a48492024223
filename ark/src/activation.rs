//! Which versions of a name get traffic after an operation. Plain functions: who stands how, in; what changes, out.

use ark_model::{Activation, ModuleId, State};

/// One version of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) id: ModuleId,
    pub(crate) state: State,
    /// Whether it is already on its way out.
    pub(crate) retiring: bool,
}

/// What an operation changes among the versions of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Whether the version that the operation is about gets traffic.
    pub(crate) activate: bool,
    /// Versions that lose their traffic and stay.
    pub(crate) deactivate: Vec<ModuleId>,
    /// Versions that go.
    pub(crate) retire: Vec<ModuleId>,
}

/// After `new` has started and answered its probe. `others` are all other versions of its name.
pub(crate) fn on_install(policy: Activation, others: &[Standing]) -> Plan {
    match policy {
        Activation::Switch => Plan {
            activate: true,
            deactivate: Vec::new(),
            retire: others.iter().filter(|other| !other.retiring && other.state != State::Resolved).map(|other| other.id.clone()).collect(),
        },
        Activation::Keep => Plan { activate: !others.iter().any(|other| other.state == State::Activated), ..Plan::default() },
        Activation::Together => Plan { activate: true, ..Plan::default() },
    }
}

/// When traffic is switched by hand to a version that waits.
pub(crate) fn on_activate(others: &[Standing]) -> Plan {
    let active = others.iter().filter(|other| other.state == State::Activated);
    Plan { activate: true, deactivate: active.map(|other| other.id.clone()).collect(), retire: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(states: &[State]) -> Vec<Standing> {
        let id = |number| ModuleId::new("a", format!("{number}")).unwrap();
        states.iter().enumerate().map(|(number, state)| Standing { id: id(number), state: *state, retiring: false }).collect()
    }

    #[test]
    fn switch_takes_over_and_everything_else_goes() {
        let plan = on_install(Activation::Switch, &others(&[State::Activated, State::Deactivated, State::Broken]));
        assert!(plan.activate && plan.deactivate.is_empty());
        assert_eq!(plan.retire.len(), 3);
    }

    #[test]
    fn a_version_on_its_way_out_is_not_retired_twice() {
        let mut others = others(&[State::Deactivated]);
        others[0].retiring = true;
        assert!(on_install(Activation::Switch, &others).retire.is_empty());
    }

    #[test]
    fn keep_waits_beside_an_active_version_and_is_active_alone() {
        assert!(!on_install(Activation::Keep, &others(&[State::Activated])).activate);
        assert!(on_install(Activation::Keep, &others(&[State::Deactivated, State::Broken])).activate);
    }

    #[test]
    fn together_leaves_every_other_version_its_traffic() {
        assert_eq!(on_install(Activation::Together, &others(&[State::Activated])), Plan { activate: true, ..Plan::default() });
    }

    #[test]
    fn a_switch_by_hand_keeps_the_others_without_traffic() {
        let plan = on_activate(&others(&[State::Activated, State::Deactivated, State::Activated]));
        assert_eq!(plan.deactivate.len(), 2);
        assert!(plan.retire.is_empty());
    }
}
