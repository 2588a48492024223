//! J1: the classes that a real application loads of its libraries until it has started, loaded by a module's loaders and by the JDK's
//! `URLClassLoader`, in the same JVM and the same order, one after the other: what is loaded ahead of use would be in the way of the other.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use ark_model::{Step, Timing};
use harness::{
    Error,
    jvm::{Jdk, JvmBase},
};
use serde_json::{Value, json};

use super::{
    super::{Measured, median, rounded, say},
    run_tool,
};

/// Bases, each a JVM of its own. Which loader comes first in it changes from one to the next.
const BASES: usize = 6;
/// Installs with each loader in each: the very first is cold, and the first of the other loader is neither cold nor warm.
const INSTALLS: usize = 4;
/// The application whose libraries are loaded.
const APPLICATION: &str = "catalog-v1";
const VERSION: &str = "1";
const PROMISED: f64 = 0.5;
/// Of the very first load in a JVM, to which the names of all classes and members are new, and in which no code is compiled yet.
const PROMISED_FIRST: f64 = 0.6;
/// How long the application may take to start by itself.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

/// One loader's part of an install.
#[derive(Clone, Copy)]
struct Took {
    /// Of the thread that asks for the classes, with opening the jars.
    ms: f64,
    /// Opening and indexing the jars, of that; the other loader does so while it loads.
    index_ms: f64,
    /// Of all threads of the process meanwhile.
    cpu_ms: f64,
    classes: usize,
}

/// What both took in the same circumstances.
#[derive(Default)]
struct Series {
    module: Vec<Took>,
    url: Vec<Took>,
}

impl Series {
    fn middle(took: &[Took], figure: fn(&Took) -> f64) -> f64 {
        median(took.iter().map(figure).collect())
    }

    fn figures(&self) -> Value {
        let of = |took: &[Took]| {
            json!({
                "ms": rounded(Self::middle(took, |took| took.ms)),
                "cpuMs": rounded(Self::middle(took, |took| took.cpu_ms)),
                "loads": took.len(),
            })
        };
        json!({"module": of(&self.module), "urlClassLoader": of(&self.url)})
    }

    fn ratio(&self, figure: fn(&Took) -> f64) -> f64 {
        Self::middle(&self.module, figure) / Self::middle(&self.url, figure)
    }
}

pub(crate) fn measure() -> Result<Measured, Error> {
    let folder = tempfile::tempdir()?;
    let packages = Packages::build(folder.path())?;
    let (mut cold, mut warm) = (Series::default(), Series::default());
    for number in 0..BASES {
        let base = JvmBase::start(&harness::jvm::sample("base")?, &["share=none"], &["-Xmx1g"])?;
        for install in 0..INSTALLS * 2 {
            let by_module = (number + install) % 2 == 0;
            let took = packages.install(&base, by_module)?;
            say(&format!(
                "  base {}, install {}: {} {:.0} ms, of which {:.0} open the jars ({:.0} ms CPU)",
                number + 1,
                install + 1,
                if by_module { MODULE } else { URL },
                took.ms,
                took.index_ms,
                took.cpu_ms
            ));
            // At first the names of all classes and members are new to the JVM, and the loader's own code is not compiled yet.
            let series = match install {
                0 => &mut cold,
                1 => continue,
                _ => &mut warm,
            };
            if by_module { &mut series.module } else { &mut series.url }.push(took);
        }
    }
    let (first, again) = (cold.ratio(|took| took.ms), warm.ratio(|took| took.ms));
    Ok(Measured {
        figures: json!({"classes": packages.classes, "first": cold.figures(), "again": warm.figures()}),
        ratio: json!({
            "first": rounded(first),
            "firstCpu": rounded(cold.ratio(|took| took.cpu_ms)),
            "again": rounded(again),
            "againCpu": rounded(warm.ratio(|took| took.cpu_ms)),
        }),
        holds: first <= PROMISED_FIRST && again <= PROMISED,
    })
}

/// How the application that loads calls its loaders.
const MODULE: &str = "module";
const URL: &str = "url";

/// Fat jars whose `main` loads the classes of libraries.
struct Packages {
    /// One with the libraries in it.
    module: PathBuf,
    /// One without.
    url: PathBuf,
    /// The same libraries outside of both.
    libraries: PathBuf,
    list: PathBuf,
    classes: usize,
}

impl Packages {
    fn build(folder: &Path) -> Result<Self, Error> {
        let jdk = Jdk::current()?;
        let application = harness::jvm::sample(APPLICATION)?;
        let contents = folder.join("contents");
        std::fs::create_dir(&contents)?;
        run_tool(&jdk, "jar", &contents, &["--extract", "--file", text(&application)?, "BOOT-INF/lib"])?;
        let source = harness::root().join("xtask/java/loads/Loads.java");
        run_tool(&jdk, "javac", folder, &["--release", "17", "-d", "contents/BOOT-INF/classes", text(&source)?])?;
        let (libraries, list) = (contents.join("BOOT-INF/lib"), folder.join("classes.txt"));
        std::fs::write(&list, loaded_by(&application, &jdk, folder)?.join("\n"))?;
        let listing = ["-cp", "contents/BOOT-INF/classes", "loads.Loads", "list", text(&libraries)?, text(&list)?];
        run_tool(&jdk, "java", folder, &listing)?;
        std::fs::write(folder.join("manifest"), "Start-Class: loads.Loads\n")?;
        let pack = |name: &str, what: &str| {
            let jar = folder.join(name);
            // Not compressed, as the libraries of every fat jar are.
            let packing = ["--create", "--no-compress", "--file", text(&jar)?, "--manifest", "manifest", "-C", "contents", what];
            run_tool(&jdk, "jar", folder, &packing).map(|()| jar)
        };
        let (module, url) = (pack("module.jar", ".")?, pack("url.jar", "BOOT-INF/classes")?);
        let classes = std::fs::read_to_string(&list)?.lines().count();
        Ok(Self { module, url, libraries, list, classes })
    }

    /// Installs the module that loads in one way, and removes it.
    fn install(&self, base: &JvmBase, by_module: bool) -> Result<Took, Error> {
        let (name, jar) = if by_module { (MODULE, &self.module) } else { (URL, &self.url) };
        base.jvm.collect_garbage()?;
        let order = json!({
            "id": {"name": name, "version": VERSION},
            "url": format!("file://{}", jar.display()),
            "args": [name, self.libraries, self.list],
        });
        let installed = base.api.install(&order)?.map_err(|refused| refused.error.message)?;
        let (_, log) = base.api.get(&format!("/v1/modules/{name}/{VERSION}/logs"))?;
        base.api.uninstall(name, VERSION)?.map_err(|refused| refused.error.message)?;
        let mut took = took(&log, name)?;
        if took.classes != self.classes {
            return Err(format!("{} of {} classes came from the loader that was asked", took.classes, self.classes).into());
        }
        if by_module {
            took.index_ms = index_ms(&installed.timings);
            took.ms += took.index_ms;
        }
        Ok(took)
    }
}

/// The classes that `application` loads of its libraries until it has started, in that order.
fn loaded_by(application: &Path, jdk: &Jdk, folder: &Path) -> Result<Vec<String>, Error> {
    let (log, said) = (folder.join("loaded.txt"), folder.join("said.txt"));
    let mut command = Command::new(jdk.tool("java"));
    command.arg(format!("-Xlog:class+load:file={}:none", text(&log)?)).arg("-jar").arg(application).arg("--server.port=0");
    let mut child = command.current_dir(folder).stdin(Stdio::null()).stdout(File::create(&said)?).stderr(Stdio::null()).spawn()?;
    let end = Instant::now() + PATIENCE;
    let started = loop {
        if std::fs::read_to_string(&said)?.contains("Started ") {
            break Ok(());
        }
        if Instant::now() > end || child.try_wait()?.is_some() {
            break Err(format!("{} does not start:\n{}", application.display(), std::fs::read_to_string(&said)?));
        }
        std::thread::sleep(POLL);
    };
    child.kill()?;
    child.wait()?;
    started?;
    // "org.example.A source: jar:nested:/…/catalog.jar/!BOOT-INF/lib/a.jar!/"
    let lines = std::fs::read_to_string(&log)?;
    let lines = lines.lines().filter_map(|line| line.split_once(" source: ")).filter(|(_, from)| from.contains("BOOT-INF/lib/"));
    Ok(lines.map(|(class, _)| class.to_owned()).collect())
}

/// What the module printed of one loader.
fn took(log: &str, loader: &str) -> Result<Took, Error> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<ark_model::api::LogLine>(line).ok());
    let said = lines.map(|line| line.text).find(|text| text.split(' ').next() == Some(loader));
    let said = said.ok_or_else(|| format!("the module says nothing of {loader}:\n{log}"))?;
    let numbers: Vec<f64> = said.split(' ').skip(1).map(str::parse).collect::<Result<_, _>>()?;
    let [nanos, cpu_nanos, classes] = numbers.as_slice() else { return Err(format!("not three numbers: {said}").into()) };
    Ok(Took { ms: nanos / 1e6, index_ms: 0.0, cpu_ms: cpu_nanos / 1e6, classes: *classes as usize })
}

/// The steps in which a package is opened and its class path indexed.
fn index_ms(timings: &[Timing]) -> f64 {
    timings.iter().filter(|timing| matches!(timing.step, Step::Parse | Step::Prepare)).map(|timing| timing.ms).sum()
}

fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| format!("{} is no text", path.display()).into())
}
