//! Which instance answers a request: a plain value, made anew for each change.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ark_model::api::{RouteList, RouteTarget, RouteView};

use crate::instance::Instance;

/// The most turns in one schedule of weights.
const MAX_TURNS: u64 = 1_000;

/// All routes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    by_path: HashMap<Box<str>, Vec<Route>>,
    /// The length of the longest context path: longer prefixes of a request's path need not be looked up.
    longest: usize,
}

#[derive(Debug)]
struct Route {
    /// In lower case; any host when absent.
    host: Option<Box<str>>,
    choice: Choice,
}

impl Table {
    /// The routes to `instances`. Where several names claim one path and host, the first by name has it.
    pub(crate) fn new(instances: &BTreeMap<String, Vec<Arc<Instance>>>) -> Self {
        let mut table = Self::default();
        for instances in instances.values() {
            let mut places: BTreeMap<(&str, Option<&str>), Vec<Arc<Instance>>> = BTreeMap::new();
            for instance in instances {
                let (path, hosts) = (&*instance.target.context_path, &instance.target.hosts);
                if hosts.is_empty() {
                    places.entry((path, None)).or_default().push(Arc::clone(instance));
                }
                for host in hosts.iter() {
                    places.entry((path, Some(host))).or_default().push(Arc::clone(instance));
                }
            }
            for ((path, host), instances) in places {
                let routes = table.by_path.entry(path.into()).or_default();
                if !routes.iter().any(|route| route.host.as_deref() == host) {
                    routes.push(Route { host: host.map(Into::into), choice: Choice::new(instances) });
                    // Those with a host are looked at before the one for any.
                    routes.sort_by_key(|route| route.host.is_none());
                }
                table.longest = table.longest.max(path.len());
            }
        }
        table
    }

    /// Who answers `path` on `host`: the longest context path that ends at a `/` of the path, and at that, a route for this very
    /// host before one for any.
    pub(crate) fn find(&self, path: &str, host: Option<&str>) -> Option<&Arc<Instance>> {
        let mut end = path.len();
        loop {
            if end <= self.longest.max(1) {
                let prefix = if end == 0 { "/" } else { path.get(..end)? };
                let fits = |route: &&Route| {
                    route.host.as_deref().is_none_or(|wanted| host.is_some_and(|host| wanted.eq_ignore_ascii_case(name_of(host))))
                };
                if let Some(route) = self.by_path.get(prefix).and_then(|routes| routes.iter().find(fits)) {
                    return route.choice.next();
                }
            }
            if end == 0 {
                return None;
            }
            end = path.get(..end)?.rfind('/').unwrap_or(0);
        }
    }

    pub(crate) fn view(&self) -> RouteList {
        let mut routes: Vec<RouteView> = Vec::new();
        for (path, at_path) in &self.by_path {
            routes.extend(at_path.iter().map(|route| RouteView {
                host: route.host.as_deref().map(str::to_owned),
                context_path: path.to_string(),
                targets: route.choice.instances.iter().map(target_view).collect(),
            }));
        }
        routes.sort_by(|a, b| {
            b.context_path.len().cmp(&a.context_path.len()).then_with(|| (&a.context_path, &a.host).cmp(&(&b.context_path, &b.host)))
        });
        RouteList { routes }
    }
}

fn target_view(instance: &Arc<Instance>) -> RouteTarget {
    RouteTarget { id: (*instance.target.module).clone(), weight: instance.target.weight }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    }
}

/// Several instances that take turns, by weight.
#[derive(Debug)]
struct Choice {
    instances: Vec<Arc<Instance>>,
    /// Whose turn it is, as positions in `instances`; empty where there is only one.
    turns: Box<[u16]>,
    next: AtomicUsize,
}

impl Choice {
    fn new(instances: Vec<Arc<Instance>>) -> Self {
        let weights: Vec<u64> = instances.iter().map(|instance| u64::from(instance.target.weight)).collect();
        let turns = if weights.len() > 1 { turns(&weights) } else { Box::default() };
        Self { instances, turns, next: AtomicUsize::new(0) }
    }

    fn next(&self) -> Option<&Arc<Instance>> {
        let at = if self.turns.is_empty() {
            0
        } else {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.turns.len();
            usize::from(*self.turns.get(turn)?)
        };
        self.instances.get(at)
    }
}

/// A schedule in which each gets its share, as evenly spread as can be: who lies furthest behind its share is next.
fn turns(weights: &[u64]) -> Box<[u16]> {
    let all: u64 = weights.iter().sum();
    if all == 0 {
        // Nobody has a share, so all have the same.
        return (0..weights.len()).filter_map(|at| u16::try_from(at).ok()).collect();
    }
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let count = (all / divisor).clamp(1, MAX_TURNS);
    let mut lead = vec![0_i128; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..count {
        for (lead, weight) in lead.iter_mut().zip(weights) {
            *lead += i128::from(*weight);
        }
        let next = lead.iter().enumerate().max_by_key(|(at, lead)| (**lead, std::cmp::Reverse(*at))).map_or(0, |(at, _)| at);
        if let Some(lead) = lead.get_mut(next) {
            *lead -= i128::from(all);
        }
        turns.extend(u16::try_from(next));
    }
    turns.into()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use ark::{InstanceId, Target};
    use ark_model::{Limits, ModuleId};
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::testing::nobody;

    fn table(routes: &[(&str, &[&str], &[u32])]) -> Table {
        let mut instances: BTreeMap<String, Vec<Arc<Instance>>> = BTreeMap::new();
        for (number, (path, hosts, weights)) in routes.iter().enumerate() {
            for (version, weight) in weights.iter().enumerate() {
                let target = Target {
                    instance: InstanceId(0),
                    module: Arc::new(ModuleId::new(format!("m{number}"), format!("{version}")).unwrap()),
                    context_path: (*path).into(),
                    hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
                    weight: *weight,
                    limits: Limits::default(),
                    endpoint: nobody(),
                };
                instances.entry(format!("m{number}")).or_default().push(Arc::new(Instance::new(target, Arc::default())));
            }
        }
        Table::new(&instances)
    }

    fn found(table: &Table, path: &str, host: Option<&str>) -> Option<String> {
        table.find(path, host).map(|instance| instance.target.module.name().to_owned())
    }

    #[test]
    fn the_longest_context_path_at_a_slash_answers() {
        let table = table(&[("/a", &[], &[1]), ("/a/b", &[], &[1]), ("/ab", &[], &[1])]);
        for (path, name) in
            [("/a", "m0"), ("/a/", "m0"), ("/a/x", "m0"), ("/a/b", "m1"), ("/a/b/c/d", "m1"), ("/a/bc", "m0"), ("/ab/c", "m2")]
        {
            assert_eq!(found(&table, path, None).as_deref(), Some(name), "{path}");
        }
        for path in ["/", "/abc", "/A", "/b", "*", ""] {
            assert_eq!(found(&table, path, None), None, "{path}");
        }
    }

    #[test]
    fn a_module_at_the_root_answers_what_nobody_else_does() {
        let table = table(&[("/", &[], &[1]), ("/a", &[], &[1])]);
        assert_eq!(found(&table, "/x/y", None).as_deref(), Some("m0"));
        assert_eq!(found(&table, "/", None).as_deref(), Some("m0"));
        assert_eq!(found(&table, "/a/y", None).as_deref(), Some("m1"));
    }

    #[test]
    fn a_route_for_the_host_goes_before_one_for_any() {
        let table = table(&[("/a", &[], &[1]), ("/a", &["shop.example"], &[1])]);
        assert_eq!(found(&table, "/a", Some("SHOP.example:8080")).as_deref(), Some("m1"));
        assert_eq!(found(&table, "/a", Some("other.example")).as_deref(), Some("m0"));
        assert_eq!(found(&table, "/a", None).as_deref(), Some("m0"));
    }

    #[test]
    fn a_path_with_dots_reaches_the_module_whose_prefix_it_has() {
        let table = table(&[("/a", &[], &[1]), ("/b", &[], &[1])]);
        for path in ["/a/../b", "/a/%2e%2e/b", "/a/..%2fb"] {
            assert_eq!(found(&table, path, None).as_deref(), Some("m0"), "{path}");
        }
    }

    #[test]
    fn shares_are_exact_over_a_round_and_spread() {
        let table = table(&[("/a", &[], &[50, 30, 20])]);
        let mut counts = [0; 3];
        let mut run = (usize::MAX, 0);
        for _ in 0..1_000 {
            let version: usize = table.find("/a", None).unwrap().target.module.version().parse().unwrap();
            counts[version] += 1;
            run = if run.0 == version { (version, run.1 + 1) } else { (version, 1) };
            assert!(run.1 <= 2, "{version} had {} turns in a row", run.1);
        }
        assert_eq!(counts, [500, 300, 200]);
    }

    #[test]
    fn a_weight_of_nothing_gets_nothing_unless_all_have_it() {
        assert!(turns(&[100, 0]).iter().all(|turn| *turn == 0));
        assert_eq!(&*turns(&[0, 0]), [0, 1]);
        assert!(turns(&[u64::from(u32::MAX), 1]).len() <= 1_000);
    }

    proptest! {
        #[test]
        fn the_table_finds_what_trying_every_route_finds(
            paths in proptest::collection::btree_set("(/[ab]{1,2}){1,3}", 0..8),
            path in "(/[ab]{1,2}){1,4}/?",
        ) {
            let paths: Vec<String> = paths.into_iter().collect();
            let routes: Vec<(&str, &[&str], &[u32])> = paths.iter().map(|path| (path.as_str(), &[][..], &[1][..])).collect();
            let expected = paths
                .iter()
                .enumerate()
                .filter(|(_, prefix)| path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
                .max_by_key(|(_, prefix)| prefix.len())
                .map(|(number, _)| format!("m{number}"));
            prop_assert_eq!(found(&table(&routes), &path, None), expected);
        }
    }
}
