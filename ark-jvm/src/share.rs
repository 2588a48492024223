//! Which modules share a layer of libraries, and when a layer goes.
//!
//! A layer is a class loader over one [`LibrarySet`]. Whoever shares it shares its statics too: logging configuration, caches,
//! registries. So the default is that versions of one module share, and modules among each other only when they ask for it.
//! Only the decision is made here: the caller makes and drops the class loader, and says what time it is.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use crate::LibrarySet;

/// Who may share a module's libraries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Share {
    /// All versions and installs of the same module name. The default: an upgrade is fast, and statics stay in the family.
    #[default]
    Module,
    /// Every module with the same set that says so too. Statics and the first one's logging configuration are then common.
    Set,
    /// Nobody: libraries are loaded anew, and go with the module.
    None,
}

/// What a layer is found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerKey {
    /// The libraries.
    pub set: LibrarySet,
    /// Who shares them.
    pub scope: Scope,
}

/// The circle that shares a layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The installs of the module of this name.
    Module(String),
    /// Everyone with the set.
    Everyone,
    /// The one install with this number, see [`Lease::number`].
    Install(u64),
}

/// The right to use a layer, until it is given to [`Layers::release`]. It cannot be copied, so it cannot be given back twice.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a lease that is lost keeps its layer for ever"]
pub struct Lease {
    key: LayerKey,
    number: u64,
}

/// The answer to [`Layers::acquire`].
#[derive(Debug, PartialEq, Eq)]
pub struct Acquired {
    /// The right to use the layer.
    pub lease: Lease,
    /// Whether the caller has to make the layer: nobody has it yet, and it is not kept from before.
    pub new: bool,
    /// Who uses it already, in the order they came.
    pub shared_with: Vec<String>,
}

/// The answer to [`Layers::release`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// Others use the layer still: these, in the order they came.
    InUse(Vec<String>),
    /// Nobody uses it; it is kept until then, for the next version.
    KeptUntil(Instant),
    /// Nobody uses it and nobody will: the caller drops it now.
    Drop,
}

/// The layers of a base.
#[derive(Debug)]
pub struct Layers {
    keep: Duration,
    /// Never used twice, so that a lease means one install even if a name and version is installed again.
    next: u64,
    layers: BTreeMap<LayerKey, Layer>,
}

#[derive(Debug, Default)]
struct Layer {
    /// By number of the lease, thus in the order they came.
    users: BTreeMap<u64, String>,
    /// When nobody used it any more; none while somebody does.
    unused_since: Option<Instant>,
}

impl Lease {
    /// The layer it is for.
    #[must_use]
    pub fn key(&self) -> &LayerKey {
        &self.key
    }

    /// Its number, which no other lease of the same [`Layers`] has or had.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Layers {
    /// No layers; each will be kept for `keep` after its last user went.
    #[must_use]
    pub fn new(keep: Duration) -> Self {
        Self { keep, next: 0, layers: BTreeMap::new() }
    }

    /// Whether a layer that nobody uses is kept for a while.
    #[must_use]
    pub fn keeps(&self) -> bool {
        !self.keep.is_zero()
    }

    /// Gives the install `user` ("orders:1.0.0", for messages) of the module `module` the layer of `set`.
    #[must_use]
    pub fn acquire(&mut self, share: Share, module: &str, user: &str, set: LibrarySet) -> Acquired {
        let number = self.next;
        self.next += 1;
        let scope = match share {
            Share::Module => Scope::Module(module.to_owned()),
            Share::Set => Scope::Everyone,
            Share::None => Scope::Install(number),
        };
        let key = LayerKey { set, scope };
        let new = !self.layers.contains_key(&key);
        let layer = self.layers.entry(key.clone()).or_default();
        let shared_with = layer.users.values().cloned().collect();
        layer.users.insert(number, user.to_owned());
        layer.unused_since = None;
        Acquired { lease: Lease { key, number }, new, shared_with }
    }

    /// Takes back a lease of these layers at the time `now`.
    #[must_use]
    pub fn release(&mut self, lease: Lease, now: Instant) -> Released {
        let Lease { key, number } = lease;
        let Some(layer) = self.layers.get_mut(&key) else { return Released::Drop };
        layer.users.remove(&number);
        if !layer.users.is_empty() {
            return Released::InUse(layer.users.values().cloned().collect());
        }
        // The layer of one install is of no use to the next; so is any layer when none are kept, or for longer than time is.
        let until = match key.scope {
            Scope::Install(_) => None,
            Scope::Module(_) | Scope::Everyone => Some(self.keep).filter(|keep| !keep.is_zero()),
        };
        match until.and_then(|keep| now.checked_add(keep)) {
            Some(until) => {
                layer.unused_since = Some(now);
                Released::KeptUntil(until)
            }
            None => {
                self.layers.remove(&key);
                Released::Drop
            }
        }
    }

    /// The layers that nobody has used for the keep time at `now`: the caller drops them.
    #[must_use]
    pub fn expire(&mut self, now: Instant) -> Vec<LayerKey> {
        let keep = self.keep;
        let over = |layer: &Layer| layer.unused_since.is_some_and(|since| now.saturating_duration_since(since) >= keep);
        self.layers.extract_if(.., |_, layer| over(layer)).map(|(key, _)| key).collect()
    }

    /// When [`Layers::expire`] will next have something to drop, if nothing changes.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.layers.values().filter_map(|layer| layer.unused_since?.checked_add(self.keep)).min()
    }

    /// All unused layers, kept or not, for a base that needs the memory or ends: the caller drops them.
    #[must_use]
    pub fn drop_unused(&mut self) -> Vec<LayerKey> {
        self.layers.extract_if(.., |_, layer| layer.unused_since.is_some()).map(|(key, _)| key).collect()
    }

    /// Every layer with its users, in the order they came; none for one that is only kept.
    pub fn all(&self) -> impl Iterator<Item = (&LayerKey, Vec<&str>)> {
        self.layers.iter().map(|(key, layer)| (key, layer.users.values().map(String::as_str).collect()))
    }
}

impl fmt::Display for LayerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: String = self.set.to_string().chars().take(12).collect();
        match &self.scope {
            Scope::Module(module) => write!(f, "layer {set} of module {module}"),
            Scope::Everyone => write!(f, "layer {set} of all modules with this set"),
            Scope::Install(number) => write!(f, "layer {set} of install {number} alone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Digest;

    const KEEP: Duration = Duration::from_secs(60);

    fn set(number: u8) -> LibrarySet {
        LibrarySet(Digest([number; 32]))
    }

    fn acquire(layers: &mut Layers, share: Share, module: &str, version: &str) -> Acquired {
        layers.acquire(share, module, &format!("{module}:{version}"), set(1))
    }

    #[test]
    fn versions_of_one_module_share_and_other_modules_do_not() {
        let mut layers = Layers::new(KEEP);
        assert!(acquire(&mut layers, Share::Module, "orders", "1").new);
        let second = acquire(&mut layers, Share::Module, "orders", "2");
        assert!(!second.new && second.shared_with == ["orders:1"]);
        assert!(acquire(&mut layers, Share::Module, "stock", "1").new);
    }

    #[test]
    fn modules_that_ask_for_it_share_a_set() {
        let mut layers = Layers::new(KEEP);
        assert!(acquire(&mut layers, Share::Set, "orders", "1").new);
        assert_eq!(acquire(&mut layers, Share::Set, "stock", "1").shared_with, ["orders:1"]);
        assert!(layers.acquire(Share::Set, "stock", "stock:2", set(2)).new);
    }

    #[test]
    fn a_layer_that_is_not_shared_goes_with_its_module() {
        let mut layers = Layers::new(KEEP);
        let one = acquire(&mut layers, Share::None, "orders", "1");
        let two = acquire(&mut layers, Share::None, "orders", "1");
        assert!(one.new && two.new && one.lease.key() != two.lease.key());
        assert_eq!(layers.release(one.lease, Instant::now()), Released::Drop);
        assert_eq!(layers.all().count(), 1);
    }

    #[test]
    fn a_layer_is_kept_for_the_next_version_and_then_dropped() {
        let mut layers = Layers::new(KEEP);
        let now = Instant::now();
        let one = acquire(&mut layers, Share::Module, "orders", "1").lease;
        let key = one.key().clone();
        assert_eq!(layers.release(one, now), Released::KeptUntil(now + KEEP));
        assert!(layers.expire(now + KEEP / 2).is_empty());
        let two = acquire(&mut layers, Share::Module, "orders", "2");
        assert!(!two.new);
        assert!(layers.expire(now + KEEP * 9).is_empty(), "it is in use");
        assert_eq!(layers.release(two.lease, now + KEEP * 9), Released::KeptUntil(now + KEEP * 10));
        assert_eq!(layers.next_expiry(), Some(now + KEEP * 10));
        assert_eq!(layers.expire(now + KEEP * 10), [key]);
        assert!(acquire(&mut layers, Share::Module, "orders", "3").new);
    }

    #[test]
    fn who_holds_a_layer_is_said_when_another_goes() {
        let mut layers = Layers::new(KEEP);
        let one = acquire(&mut layers, Share::Module, "orders", "1").lease;
        let _two = acquire(&mut layers, Share::Module, "orders", "2").lease;
        assert_eq!(layers.release(one, Instant::now()), Released::InUse(vec!["orders:2".into()]));
    }

    #[test]
    fn a_base_in_need_drops_kept_layers_but_none_in_use() {
        let mut layers = Layers::new(KEEP);
        let one = acquire(&mut layers, Share::Module, "orders", "1").lease;
        let _two = acquire(&mut layers, Share::Module, "stock", "1").lease;
        let key = one.key().clone();
        let _ = layers.release(one, Instant::now());
        assert_eq!(layers.drop_unused(), [key]);
        assert_eq!(layers.all().count(), 1);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Acquire(u8, u8, u8),
        Release(usize),
        Wait(u64),
        Expire,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3_u8, 0..3_u8, 0..2_u8).prop_map(|(share, module, set)| Step::Acquire(share, module, set)),
            any::<usize>().prop_map(Step::Release),
            (0..90_u64).prop_map(Step::Wait),
            Just(Step::Expire),
        ]
    }

    proptest! {
        /// Against a plain model: which layers the caller has, and who uses them.
        #[test]
        fn a_layer_is_made_once_and_dropped_once_and_never_in_use(steps in proptest::collection::vec(step(), 0..120)) {
            let mut layers = Layers::new(KEEP);
            let mut now = Instant::now();
            let mut held: Vec<(Lease, String)> = Vec::new();
            let mut alive: Vec<LayerKey> = Vec::new();
            for step in steps {
                match step {
                    Step::Acquire(share, module, number) => {
                        let share = [Share::Module, Share::Set, Share::None][usize::from(share)];
                        let module = format!("m{module}");
                        let user = format!("{module}:{}", held.len());
                        let acquired = layers.acquire(share, &module, &user, set(number));
                        let key = acquired.lease.key().clone();
                        prop_assert_eq!(acquired.new, !alive.contains(&key));
                        let others: Vec<_> = held.iter().filter(|(l, _)| *l.key() == key).map(|(_, user)| user.clone()).collect();
                        prop_assert_eq!(&acquired.shared_with, &others);
                        if acquired.new { alive.push(key.clone()); }
                        if share == Share::None { prop_assert!(others.is_empty()); }
                        held.push((acquired.lease, user));
                    }
                    Step::Release(which) if !held.is_empty() => {
                        let (lease, _) = held.remove(which % held.len());
                        let key = lease.key().clone();
                        let others = held.iter().filter(|(l, _)| *l.key() == key).count();
                        match layers.release(lease, now) {
                            Released::InUse(users) => prop_assert_eq!(users.len(), others),
                            Released::KeptUntil(until) => prop_assert!(others == 0 && until == now + KEEP),
                            Released::Drop => {
                                prop_assert!(others == 0 && matches!(key.scope, Scope::Install(_)));
                                alive.retain(|other| *other != key);
                            }
                        }
                    }
                    Step::Release(_) => {}
                    Step::Wait(seconds) => now += Duration::from_secs(seconds),
                    Step::Expire => {
                        for key in layers.expire(now) {
                            prop_assert!(held.iter().all(|(lease, _)| *lease.key() != key));
                            prop_assert!(alive.contains(&key));
                            alive.retain(|other| *other != key);
                        }
                        prop_assert!(layers.next_expiry().is_none_or(|next| next > now));
                    }
                }
                prop_assert_eq!(layers.all().map(|(key, _)| key.clone()).collect::<std::collections::BTreeSet<_>>(),
                    alive.iter().cloned().collect());
            }
            for (lease, _) in held { let _ = layers.release(lease, now); }
            let _ = layers.expire(now + KEEP);
            prop_assert_eq!(layers.all().count(), 0, "nothing stays when all have gone");
        }
    }
}
