//! Which references keep an object: the shortest ways from the roots of a heap to some of its objects, looked for backwards.
//!
//! Who walks the heap numbers its objects from 1 on, classes first, and tells of every reference and root once; what a reference's
//! kind and index mean is the walker's matter.

use std::collections::{HashMap, HashSet, VecDeque};

/// A reference from one object to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Who holds.
    pub from: u32,
    /// Who is held.
    pub to: u32,
    /// Where in the holder, by the walker's count.
    pub index: i32,
    /// Of which kind, by the walker's count.
    pub kind: u8,
    /// Whether it is let go when memory runs short.
    pub soft: bool,
}

/// A place from which an object always lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// Who lives.
    pub object: u32,
    /// Of several that an object has, the one with the lowest is told.
    pub rank: u8,
    /// Roots with the same are one place, e.g. the frames of one thread.
    pub place: u64,
}

/// One way from a root to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Which root, by its place in [`Heap::roots`].
    pub root: usize,
    /// From the root's object on; empty where that is an object that was asked for.
    pub references: Vec<Reference>,
    /// Whether one of them is soft.
    pub soft: bool,
}

/// The references and roots of a heap.
#[derive(Debug, Default)]
pub struct Heap {
    /// The highest number of an object.
    pub objects: u32,
    /// The highest number of a class.
    pub classes: u32,
    /// All references, in any order.
    pub references: Vec<Reference>,
    /// All roots, in any order.
    pub roots: Vec<Root>,
}

/// No reference.
const NONE: u32 = u32::MAX;

impl Heap {
    /// The shortest ways to any of `wanted`, at most `at_most`, shortest first. They share no reference, and no object outside
    /// `wanted` but classes, whose static fields are as good as roots. Soft references count only where there is no way without.
    #[must_use]
    pub fn paths(&self, wanted: &[u32], at_most: usize) -> Vec<Path> {
        let mut search = Search::new(self, wanted);
        let mut paths = Vec::new();
        for soft in [false, true] {
            while paths.len() < at_most
                && let Some(path) = search.nearest(soft)
            {
                search.bar(&path);
                paths.push(path);
            }
            if !paths.is_empty() {
                break;
            }
        }
        paths
    }
}

struct Search<'a> {
    heap: &'a Heap,
    wanted: &'a [u32],
    is_wanted: Vec<bool>,
    /// The references by whom they hold: those of an object lie between its number in `first` and the next.
    incoming: Vec<u32>,
    first: Vec<u32>,
    roots: HashMap<u32, Vec<usize>>,
    barred_objects: Vec<bool>,
    barred_references: HashSet<u32>,
    barred_places: HashSet<u64>,
}

fn is_set(marks: &[bool], object: u32) -> bool {
    marks.get(object as usize).copied().unwrap_or(false)
}

fn set(marks: &mut [bool], object: u32) {
    if let Some(mark) = marks.get_mut(object as usize) {
        *mark = true;
    }
}

impl<'a> Search<'a> {
    fn new(heap: &'a Heap, wanted: &'a [u32]) -> Self {
        let size = heap.objects as usize + 1;
        let mut is_wanted = vec![false; size];
        wanted.iter().for_each(|object| set(&mut is_wanted, *object));
        // Counted, then placed: a heap has millions of them.
        let mut first = vec![0_u32; size + 1];
        for reference in &heap.references {
            if let Some(count) = first.get_mut(reference.to as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut first {
            sum += *count;
            *count = sum;
        }
        let (mut next, mut incoming) = (first.clone(), vec![NONE; heap.references.len()]);
        for (number, reference) in (0..).zip(&heap.references) {
            if let Some(at) = next.get_mut(reference.to as usize) {
                if let Some(place) = incoming.get_mut(*at as usize) {
                    *place = number;
                }
                *at += 1;
            }
        }
        let mut roots = HashMap::<u32, Vec<usize>>::new();
        for (number, root) in heap.roots.iter().enumerate() {
            roots.entry(root.object).or_default().push(number);
        }
        let barred_objects = vec![false; size];
        Self {
            heap,
            wanted,
            is_wanted,
            incoming,
            first,
            roots,
            barred_objects,
            barred_references: HashSet::new(),
            barred_places: HashSet::new(),
        }
    }

    fn root_of(&self, object: u32) -> Option<usize> {
        let open = |number: &&usize| self.heap.roots.get(**number).is_some_and(|root| !self.barred_places.contains(&root.place));
        let rank = |number: &&usize| self.heap.roots.get(**number).map_or(u8::MAX, |root| root.rank);
        self.roots.get(&object)?.iter().filter(open).min_by_key(rank).copied()
    }

    fn reference(&self, number: u32) -> Option<&'a Reference> {
        self.heap.references.get(number as usize)
    }

    /// Goes backwards in all directions at once, until a root is met.
    fn nearest(&self, soft: bool) -> Option<Path> {
        // By which reference each object leads on to one that is wanted.
        let mut onwards = vec![NONE; self.heap.objects as usize + 1];
        let mut open: VecDeque<u32> = self.wanted.iter().copied().collect();
        while let Some(object) = open.pop_front() {
            if let Some(root) = self.root_of(object) {
                return Some(self.path(root, object, &onwards));
            }
            let range = self.first.get(object as usize).zip(self.first.get(object as usize + 1));
            let incoming = range.and_then(|(from, to)| self.incoming.get(*from as usize..*to as usize)).unwrap_or_default();
            for number in incoming {
                let Some(reference) = self.reference(*number) else { continue };
                let from = reference.from;
                let known = onwards.get(from as usize).is_none_or(|onwards| *onwards != NONE) || is_set(&self.is_wanted, from);
                if known || (reference.soft && !soft) || is_set(&self.barred_objects, from) || self.barred_references.contains(number) {
                    continue;
                }
                if let Some(place) = onwards.get_mut(from as usize) {
                    *place = *number;
                }
                open.push_back(from);
            }
        }
        None
    }

    fn path(&self, root: usize, from: u32, onwards: &[u32]) -> Path {
        let (mut references, mut at) = (Vec::new(), from);
        while !is_set(&self.is_wanted, at)
            && let Some(reference) = onwards.get(at as usize).and_then(|number| self.reference(*number))
        {
            references.push(*reference);
            at = reference.to;
        }
        Path { root, soft: references.iter().any(|reference| reference.soft), references }
    }

    /// Sees to it that no other path goes this way.
    fn bar(&mut self, path: &Path) {
        if path.references.is_empty()
            && let Some(root) = self.heap.roots.get(path.root)
        {
            self.barred_places.insert(root.place);
        }
        for reference in &path.references {
            if reference.from > self.heap.classes {
                set(&mut self.barred_objects, reference.from);
            }
            let range = self.first.get(reference.to as usize).zip(self.first.get(reference.to as usize + 1));
            let incoming = range.and_then(|(from, to)| self.incoming.get(*from as usize..*to as usize)).unwrap_or_default();
            let same = incoming.iter().filter(|number| self.heap.references.get(**number as usize) == Some(reference));
            self.barred_references.extend(same.copied().collect::<Vec<_>>());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to(from: u32, to: u32) -> Reference {
        Reference { from, to, index: 0, kind: 2, soft: false }
    }

    fn soft(from: u32, to: u32) -> Reference {
        Reference { soft: true, ..self::to(from, to) }
    }

    fn root(object: u32) -> Root {
        Root { object, rank: 0, place: u64::from(object) }
    }

    /// Objects 1 to 3 are classes.
    fn heap(references: &[Reference], roots: &[u32]) -> Heap {
        let objects = references.iter().map(|reference| reference.from.max(reference.to)).chain(roots.iter().copied()).max();
        Heap {
            objects: objects.unwrap_or(0),
            classes: 3,
            references: references.to_vec(),
            roots: roots.iter().map(|object| root(*object)).collect(),
        }
    }

    fn ways(heap: &Heap, wanted: &[u32]) -> Vec<Vec<u32>> {
        let paths = heap.paths(wanted, 9);
        paths
            .iter()
            .map(|path| std::iter::once(heap.roots[path.root].object).chain(path.references.iter().map(|by| by.to)).collect())
            .collect()
    }

    #[test]
    fn the_shortest_way_comes_first() {
        let heap = heap(&[to(10, 11), to(11, 12), to(12, 20), to(13, 20)], &[10, 13]);
        assert_eq!(ways(&heap, &[20]), [vec![13, 20], vec![10, 11, 12, 20]]);
    }

    #[test]
    fn what_no_root_leads_to_is_not_held() {
        assert!(ways(&heap(&[to(11, 20), to(20, 11)], &[10]), &[20]).is_empty());
    }

    #[test]
    fn two_ways_share_no_object() {
        let heap = heap(&[to(10, 12), to(11, 12), to(12, 20), to(11, 13), to(13, 14), to(14, 20)], &[10, 11]);
        assert_eq!(ways(&heap, &[20]), [vec![10, 12, 20], vec![11, 13, 14, 20]]);
    }

    #[test]
    fn each_static_field_of_a_class_is_a_way_of_its_own() {
        let heap = heap(&[to(1, 10), to(10, 20), to(1, 11), to(11, 20)], &[1]);
        assert_eq!(ways(&heap, &[20]), [vec![1, 10, 20], vec![1, 11, 20]]);
    }

    #[test]
    fn soft_references_count_only_where_there_is_no_other_way() {
        let both = heap(&[soft(10, 20), to(11, 12), to(12, 20)], &[10, 11]);
        assert_eq!(ways(&both, &[20]), [vec![11, 12, 20]]);
        let only = heap(&[soft(10, 20)], &[10]);
        assert!(only.paths(&[20], 9)[0].soft && ways(&only, &[20]) == [vec![10, 20]]);
    }

    #[test]
    fn a_way_ends_at_the_first_object_that_is_wanted() {
        let heap = heap(&[to(10, 21), to(21, 20)], &[10]);
        assert_eq!(ways(&heap, &[20, 21]), [vec![10, 21]]);
    }

    #[test]
    fn of_the_roots_of_a_place_one_is_told() {
        let frame = |object, rank| Root { object, rank, place: 7 };
        let heap = Heap { objects: 21, classes: 3, references: Vec::new(), roots: vec![frame(20, 2), frame(20, 1), frame(21, 1)] };
        let paths = heap.paths(&[20, 21], 9);
        assert_eq!(paths, [Path { root: 1, references: Vec::new(), soft: false }]);
    }

    proptest! {
        /// Whatever the heap: each path begins at a root, is connected, ends at what was asked for, and one is found where there is any.
        #[test]
        fn paths_are_real(edges in prop::collection::vec((1_u32..40, 1_u32..40, any::<bool>()), 0..120), roots in prop::collection::vec(1_u32..40, 0..4)) {
            let references: Vec<Reference> = edges.iter().map(|(from, to, soft)| Reference { soft: *soft, ..self::to(*from, *to) }).collect();
            let mut heap = heap(&references, &roots);
            heap.objects = 40;
            let wanted = [38, 39];
            let paths = heap.paths(&wanted, 5);
            for path in &paths {
                let mut at = heap.roots[path.root].object;
                for reference in &path.references {
                    prop_assert!(reference.from == at && heap.references.contains(reference));
                    at = reference.to;
                }
                prop_assert!(wanted.contains(&at));
            }
            let mut reached: HashSet<u32> = roots.iter().copied().collect();
            while let Some(more) = references.iter().find(|reference| reached.contains(&reference.from) && !reached.contains(&reference.to)) {
                reached.insert(more.to);
            }
            prop_assert_eq!(!paths.is_empty(), wanted.iter().any(|object| reached.contains(object)));
        }
    }
}
