//! Opens and indexes packages, and prints what that takes: `cargo run --release -p ark-jvm --example measure -- app.jar …`

use std::{
    error::Error,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use ark_jvm::{ClassPath, Limits, Package};

/// Rounds per package; the first, with a cold page cache perhaps, is shown apart.
const ROUNDS: usize = 11;
const FEATURE: u16 = 17;

fn main() -> Result<(), Box<dyn Error>> {
    for path in std::env::args().skip(1) {
        let path = Path::new(&path);
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(round(path)?);
        }
        let shown = |name: &str, of: fn(&Round) -> Duration| {
            let mut times: Vec<_> = rounds.iter().skip(1).map(of).collect();
            times.sort_unstable();
            let first = rounds.first().map_or(Duration::ZERO, of);
            println!("  {name:<28} first {first:>10.2?}  median {:>10.2?}", times.get(times.len() / 2).copied().unwrap_or_default());
        };
        println!("{}", path.display());
        if let Some(round) = rounds.last() {
            println!(
                "  {} jars, {} entries, {} bytes of index, {} class bytes",
                round.jars, round.entries, round.allocated, round.class_bytes
            );
        }
        shown("open (own classes indexed)", |round| round.open);
        shown("identity of the library set", |round| round.identity);
        shown("open and index libraries", |round| round.index);
        shown("find every entry", |round| round.find);
        shown("read every class", |round| round.read);
    }
    Ok(())
}

struct Round {
    jars: usize,
    entries: usize,
    allocated: u64,
    class_bytes: usize,
    open: Duration,
    identity: Duration,
    index: Duration,
    find: Duration,
    read: Duration,
}

fn round(path: &Path) -> Result<Round, Box<dyn Error>> {
    let (open, package) = timed(|| Package::open(path, &Limits::default(), FEATURE));
    let package = package?;
    let (identity, _) = timed(|| package.libraries().set());
    let (index, libraries) = timed(|| package.libraries().class_path());
    let libraries = libraries?;
    let names: Vec<String> = libraries.entries().map(|hit| hit.name().to_owned()).collect();
    let (find, _) = timed(|| names.iter().filter(|name| black_box(libraries.find(name)).is_some()).count());
    let (read, class_bytes) = timed(|| read_classes(&libraries));
    Ok(Round {
        jars: libraries.jars().len(),
        entries: libraries.entry_count(),
        allocated: libraries.allocated(),
        class_bytes: class_bytes?,
        open,
        identity,
        index,
        find,
        read,
    })
}

fn read_classes(class_path: &ClassPath) -> Result<usize, Box<dyn Error>> {
    let mut bytes = 0;
    for hit in class_path.entries().filter(|hit| hit.is_class()) {
        bytes += black_box(hit.bytes()?).len();
    }
    Ok(bytes)
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let result = work();
    (begin.elapsed(), result)
}
