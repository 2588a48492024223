//! `arkctl dev`: deploy again whenever a file is saved, with the module's log in the same terminal.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ark_model::{ModuleId, State, api::ModuleView};
use clap::ValueHint;
use notify::{EventKind, RecursiveMode, Watcher as _, event::ModifyKind};

use super::logs;
use crate::{
    build,
    client::Client,
    context::Context,
    error::Error,
    order,
    output::Output,
    project::{self, Sources},
    ship::{self, Package},
};

/// Editors write in several steps: a change counts once it has been quiet for so long,
const QUIET: Duration = Duration::from_millis(100);
/// or has gone on for so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a wait looks up, for Ctrl-C.
const GLANCE: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
#[command(after_help = "Each save becomes a version of its own, <version>+dev.<seconds>, which takes over from the one before
without losing a request. Code that does not compile, or a module that does not start, leaves the one before
serving. Ctrl-C ends it and removes the module; a second Ctrl-C ends it at once.

Examples:
  arkctl dev
  arkctl dev orders --env MODE=dev --keep
  arkctl dev shop --sub services/orders          one module of a Maven or Gradle build, and those it needs")]
pub(crate) struct Args {
    /// The project's directory.
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    path: PathBuf,
    /// Leave the last version on the base at the end.
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    build: build::Options,
    #[command(flatten)]
    install: order::Options,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let client = context.client()?;
    let base = client.base()?;
    let output = context.output;
    let found = project::find(&args.path, &args.build)?;
    found.kind().runs_on(&base)?;
    let interrupted = interruption()?;
    let (changed, changes) = mpsc::channel();
    let _watcher = watch(&found.sources(), changed)?;
    let mut session = Session { client, output, latest: None, latest_second: 0 };
    while !interrupted.load(Ordering::SeqCst) {
        match session.deploy(args) {
            Ok(()) => {}
            // A mistake in the code is not the end: the next save may mend it. Neither is a base that starts anew.
            Err(error) if error.exit_code() != 2 => output.failure(&error),
            Err(error) => return Err(error),
        }
        output.note("waiting for a save; Ctrl-C ends it");
        await_change(&changes, &interrupted);
    }
    session.end(args.keep)
}

/// What is on the base by now.
struct Session {
    client: Client,
    output: Output,
    latest: Option<Deployed>,
    latest_second: u64,
}

struct Deployed {
    id: ModuleId,
    /// Tells its log's follower to end.
    gone: Arc<AtomicBool>,
}

impl Session {
    fn deploy(&mut self, args: &Args) -> Result<(), Error> {
        // Read again: what describes the project may be what was saved.
        let found = project::find(&args.path, &args.build)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        // Two saves in one second are two versions.
        self.latest_second = now.max(self.latest_second + 1);
        let options = build::Options { mark: Some(format!("dev.{}", self.latest_second)), ..args.build.clone() };
        let built = build::build(&*found, &options, self.output)?;
        let shipped = ship::ship(&self.client, Package::Built(Box::new(built)), (None, None), &args.install, self.output)?;
        if self.output.is_for_programs() {
            self.output.result(&shipped, ship::render)?;
        } else {
            self.output.note(ship::render(&shipped).trim_end());
        }
        if let Some(before) = self.latest.take() {
            before.gone.store(true, Ordering::SeqCst);
        }
        self.latest = Some(follow(&self.client, self.output, shipped.module.id));
        Ok(())
    }

    fn end(self, keep: bool) -> Result<(), Error> {
        let Some(latest) = self.latest else { return Ok(()) };
        if keep {
            self.output.note(&format!("{} stays; `arkctl undeploy {0}` removes it", latest.id));
            return Ok(());
        }
        self.output.note(&format!("removing {}", latest.id));
        self.client.remove(&latest.id)?;
        // Saves that did not start have stayed, as broken.
        let broken = |module: &ModuleView| module.state == State::Broken && module.id.version().contains("+dev.");
        for module in self.client.modules()?.iter().filter(|module| module.id.name() == latest.id.name() && broken(module)) {
            self.client.remove(&module.id)?;
        }
        Ok(())
    }
}

/// Shows the log of a version from its first line, in a thread of its own, until it is told that the version is gone.
fn follow(client: &Client, output: Output, id: ModuleId) -> Deployed {
    let gone = Arc::new(AtomicBool::new(false));
    let (client, told, module) = (client.clone(), Arc::clone(&gone), id.clone());
    thread::spawn(move || {
        let shown = client.log_follow(&module, logs::MOST_LINES, |line| {
            if let Some(line) = line {
                output.result(line, logs::render_line)?;
            }
            Ok(!told.load(Ordering::SeqCst))
        });
        if let Err(error) = shown
            && !told.load(Ordering::SeqCst)
        {
            output.note(&format!("the log of {module} ended: {error}"));
        }
    });
    Deployed { id, gone }
}

/// Set by Ctrl-C. A second one ends the process at once, whatever it does.
fn interruption() -> Result<Arc<AtomicBool>, Error> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&interrupted);
    let handled = ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    });
    handled.map_err(|error| Error::System { doing: "listen for Ctrl-C", problem: error.to_string() })?;
    Ok(interrupted)
}

/// Tells of each change of a file that makes the project, until it is dropped.
fn watch(sources: &Sources, changed: Sender<()>) -> Result<notify::RecommendedWatcher, Error> {
    let failed = |error: notify::Error| Error::System { doing: "watch the project's files", problem: error.to_string() };
    let told_of = sources.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| is_change(event.kind) && event.paths.iter().any(|path| told_of.has(path))) {
            // Nobody listens any more where the session has ended.
            let _ = changed.send(());
        }
    })
    .map_err(failed)?;
    for root in &sources.roots {
        watcher.watch(root, RecursiveMode::NonRecursive).map_err(failed)?;
        // Not the root recursively: what a build makes lies below it, in thousands of files. Neither what has another root in it.
        for entry in root.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            let is_around = sources.roots.iter().any(|root| root.starts_with(&path));
            if path.is_dir() && !is_around && sources.has(&path) {
                watcher.watch(&path, RecursiveMode::Recursive).map_err(failed)?;
            }
        }
    }
    Ok(watcher)
}

fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)))
}

/// Waits for a change, and until it has settled; or for Ctrl-C.
fn await_change(changes: &Receiver<()>, interrupted: &AtomicBool) {
    loop {
        match changes.recv_timeout(GLANCE) {
            Ok(()) => return settle(changes),
            Err(RecvTimeoutError::Timeout) if !interrupted.load(Ordering::SeqCst) => {}
            Err(_) => return,
        }
    }
}

fn settle(changes: &Receiver<()>) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE && changes.recv_timeout(QUIET).is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Kind;

    #[test]
    fn reading_a_file_is_no_change() {
        assert!(!is_change(EventKind::Access(notify::event::AccessKind::Any)));
        assert!(is_change(EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any))));
    }

    #[test]
    fn many_events_of_one_save_are_one_change() {
        let (changed, changes) = mpsc::channel();
        for _ in 0..5 {
            changed.send(()).unwrap();
        }
        await_change(&changes, &AtomicBool::new(false));
        assert!(changes.try_recv().is_err());
    }

    #[test]
    fn an_interruption_ends_the_wait_for_a_change() {
        let (_changed, changes) = mpsc::channel();
        await_change(&changes, &AtomicBool::new(true));
    }

    #[test]
    fn a_save_is_seen_by_the_watcher() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for kind in [Kind::Wasm, Kind::Jvm, Kind::Node] {
            let project = root.join(kind.name());
            let files = super::super::new::make(&project, "hello", kind).unwrap();
            let found = project::find(&project, &build::Options::default()).unwrap();
            let (changed, changes) = mpsc::channel();
            let _watcher = watch(&found.sources(), changed).unwrap();
            let source = files.iter().find(|file| file.starts_with("src") || file.ends_with(".js")).unwrap();
            std::fs::write(project.join(source), "// changed").unwrap();
            changes.recv_timeout(Duration::from_secs(30)).unwrap();
        }
    }
}
