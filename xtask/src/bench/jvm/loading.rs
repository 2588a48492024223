//! J1: the classes that a real application loads of its libraries until it has started, loaded by a module's loader and by the JDK's
//! `URLClassLoader`, in the same JVM and the same order.

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
/// Installs in each: the first is cold, the others are not.
const INSTALLS: usize = 4;
/// The application whose libraries are loaded.
const APPLICATION: &str = "catalog-v1";
const MODULE: (&str, &str) = ("loads", "1");
const PROMISED: f64 = 0.5;
/// How long the application may take to start by itself.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

/// One loader's part of an install.
#[derive(Clone, Copy)]
struct Took {
    /// With opening the jars.
    ms: f64,
    /// Of the thread that loads.
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
    let package = Package::build(folder.path())?;
    let (mut cold, mut warm) = (Series::default(), Series::default());
    for number in 0..BASES {
        let base = JvmBase::start(&harness::jvm::sample("base")?, &["share=none"], &["-Xmx1g"])?;
        let module_first = number % 2 == 0;
        for install in 0..INSTALLS {
            let (module, url) = package.install(&base, module_first)?;
            say(&format!(
                "  base {}, install {}: module {:.0} ms ({:.0} ms CPU), URLClassLoader {:.0} ms ({:.0} ms CPU)",
                number + 1,
                install + 1,
                module.ms,
                module.cpu_ms,
                url.ms,
                url.cpu_ms
            ));
            if install > 0 {
                warm.module.push(module);
                warm.url.push(url);
            } else if module_first {
                // The names of all classes and members are new to the JVM, and the loader's own code is not compiled yet.
                cold.module.push(module);
            } else {
                cold.url.push(url);
            }
        }
    }
    let (first, again) = (cold.ratio(|took| took.ms), warm.ratio(|took| took.ms));
    Ok(Measured {
        figures: json!({"classes": package.classes, "first": cold.figures(), "again": warm.figures()}),
        ratio: json!({
            "first": rounded(first),
            "firstCpu": rounded(cold.ratio(|took| took.cpu_ms)),
            "again": rounded(again),
            "againCpu": rounded(warm.ratio(|took| took.cpu_ms)),
        }),
        holds: first <= PROMISED && again <= PROMISED,
    })
}

/// A fat jar whose `main` loads its libraries' classes.
struct Package {
    jar: PathBuf,
    /// The same libraries outside of it.
    libraries: PathBuf,
    list: PathBuf,
    classes: usize,
}

impl Package {
    fn build(folder: &Path) -> Result<Self, Error> {
        let jdk = Jdk::current()?;
        let application = harness::jvm::sample(APPLICATION)?;
        let contents = folder.join("contents");
        std::fs::create_dir(&contents)?;
        run_tool(&jdk, "jar", &contents, &["--extract", "--file", text(&application)?, "BOOT-INF/lib"])?;
        let source = harness::root().join("xtask/java/loads/Loads.java");
        run_tool(&jdk, "javac", folder, &["--release", "17", "-d", "contents/BOOT-INF/classes", text(&source)?])?;
        let (libraries, list, jar) = (contents.join("BOOT-INF/lib"), folder.join("classes.txt"), folder.join("loads.jar"));
        std::fs::write(&list, loaded_by(&application, &jdk, folder)?.join("\n"))?;
        let listing = ["-cp", "contents/BOOT-INF/classes", "loads.Loads", "list", text(&libraries)?, text(&list)?];
        run_tool(&jdk, "java", folder, &listing)?;
        std::fs::write(folder.join("manifest"), "Start-Class: loads.Loads\n")?;
        // Not compressed, as the libraries of every fat jar are.
        let packing = ["--create", "--no-compress", "--file", text(&jar)?, "--manifest", "manifest", "-C", "contents", "."];
        run_tool(&jdk, "jar", folder, &packing)?;
        let classes = std::fs::read_to_string(&list)?.lines().count();
        Ok(Self { jar, libraries, list, classes })
    }

    /// Installs the module, which loads in both ways, and removes it.
    fn install(&self, base: &JvmBase, module_first: bool) -> Result<(Took, Took), Error> {
        let (name, version) = MODULE;
        let order = json!({
            "id": {"name": name, "version": version},
            "url": format!("file://{}", self.jar.display()),
            "args": [if module_first { "module" } else { "url" }, self.libraries, self.list],
        });
        let installed = base.api.install(&order)?.map_err(|refused| refused.error.message)?;
        let (_, log) = base.api.get(&format!("/v1/modules/{name}/{version}/logs"))?;
        base.api.uninstall(name, version)?.map_err(|refused| refused.error.message)?;
        let (mut module, url) = (took(&log, "module")?, took(&log, "url")?);
        for classes in [module.classes, url.classes] {
            if classes != self.classes {
                return Err(format!("{classes} of {} classes came from the loader that was asked", self.classes).into());
            }
        }
        // Opening and indexing the jars counts for both: the other loader does it while it loads.
        module.ms += index_ms(&installed.timings);
        Ok((module, url))
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
    Ok(Took { ms: nanos / 1e6, cpu_ms: cpu_nanos / 1e6, classes: *classes as usize })
}

/// The steps in which a package is opened and its class path indexed.
fn index_ms(timings: &[Timing]) -> f64 {
    timings.iter().filter(|timing| matches!(timing.step, Step::Parse | Step::Prepare)).map(|timing| timing.ms).sum()
}

fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| format!("{} is no text", path.display()).into())
}
