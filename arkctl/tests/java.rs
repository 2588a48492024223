//! Java projects from the first file to a module that serves, with real Maven, on a real application that became a base.
//!
//! It needs a JDK of 17 or later and Maven on the PATH, which fetches from Maven Central; where one is missing it fails and says so.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by a panic")]

mod support;

use std::{
    io::{BufRead as _, BufReader, Read},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Once,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{Answer, FakeBase, base_json, jar};

/// How long anything here may take: a first build fetches its libraries.
const PATIENCE: Duration = Duration::from_secs(300);
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The program, with nothing of this machine's settings.
fn arkctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arkctl"));
    command.args(arguments).stdin(Stdio::null()).env("XDG_CONFIG_HOME", "/nonexistent");
    for variable in ["ARKCTL_BASE", "ARKCTL_TOKEN", "ARKLET_JVM_AGENT", "ARKLET_LISTEN", "ARKLET_GATEWAY", "ARKLET_DATA_DIR"] {
        command.env_remove(variable);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn output(arguments: &[&str]) -> Output {
    arkctl(arguments).output().unwrap()
}

/// The JSON of a command that is to succeed.
fn json(arguments: &[&str]) -> Value {
    let output = output(&[arguments, &["--output", "json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", text(&output.stdout)))
}

fn need(program: &str) {
    let is_there = Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(is_there, "this test needs {program} on the PATH: install a JDK of 17 or later, and Maven");
}

/// The sample application that knows nothing of this project.
fn base_jar() -> PathBuf {
    need("java");
    fetched();
    sample_base().join("target/base.jar")
}

fn sample_base() -> PathBuf {
    root().join("examples/jvm/base")
}

/// Sees that Maven has fetched whatever the builds of these tests need: several of it that fetch at a time get into each other's way.
fn fetched() {
    static ONE_AT_A_TIME: Once = Once::new();
    need("mvn");
    ONE_AT_A_TIME.call_once(|| {
        let parent = tempfile::tempdir().unwrap();
        json(&["build", new_project(parent.path(), "first").to_str().unwrap()]);
        let base = sample_base();
        if !base.join("target/base.jar").is_file() {
            let built = Command::new("mvn").args(["-q", "-B", "-DskipTests", "package"]).current_dir(&base).status().unwrap();
            assert!(built.success(), "the sample base in {} does not build", base.display());
        }
    });
}

/// A new project called `name`, which Maven can build.
fn project(parent: &Path, name: &str) -> PathBuf {
    fetched();
    new_project(parent, name)
}

fn new_project(parent: &Path, name: &str) -> PathBuf {
    let directory = parent.join(name);
    let made = json(&["new", directory.to_str().unwrap(), "--kind", "jvm"]);
    assert_eq!((&made["name"], &made["kind"]), (&name.into(), &"jvm".into()));
    directory
}

/// Puts `new` in place of `old` in a file that has it. In one step: somebody may be watching.
fn edit(file: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(old), "{text}");
    let changed = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&changed, text.replace(old, new)).unwrap();
    changed.persist(file).unwrap();
}

/// The lines of a stream, as they come.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next line that has `part` in it.
fn line_with(lines: &Receiver<String>, part: &str) -> String {
    let (begun, mut seen) = (Instant::now(), Vec::new());
    while let Ok(line) = lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
        if line.contains(part) {
            return line;
        }
        seen.push(line);
    }
    panic!("no line with {part:?} came, but\n{}", seen.join("\n"));
}

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    fn signal(&mut self, number: i32) -> ExitStatus {
        let sent = Command::new("kill").args([format!("-{number}"), self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The sample application, which `arkctl base run` has made a base.
struct Base {
    process: Running,
    /// The API.
    url: String,
    /// Where modules answer.
    gateway: String,
    /// What was run, as it was shown.
    shown: String,
    _data: tempfile::TempDir,
}

impl Base {
    fn start() -> Self {
        let jar = base_jar();
        let data = tempfile::tempdir().unwrap();
        let (jar, folder) = (jar.to_str().unwrap(), data.path().to_str().unwrap());
        let zero = "127.0.0.1:0";
        let line =
            ["base", "run", jar, "--listen", zero, "--gateway", zero, "--data-dir", folder, "-J", "-Xmx256m", "--", "--server.port=0"];
        let mut child = arkctl(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, notes) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        let process = Running(child);
        let shown = line_with(&notes, "java");
        assert!(shown.contains("-agentpath:"), "the agent is not built (`cargo build --release -p arklet-jvm`): {shown}");
        let up = line_with(&notes, "the base is up");
        line_with(&said, "Started BaseApplication");
        // Whoever is heard no more may block.
        thread::spawn(move || said.into_iter().chain(notes).for_each(drop));
        let address = |key: &str| up.split_whitespace().find_map(|word| word.strip_prefix(key)).unwrap().to_owned();
        Self { process, url: format!("http://{}", address("api=")), gateway: format!("http://{}", address("gateway=")), shown, _data: data }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent: ureq::Agent = config.into();
        let mut response = agent.get(format!("{}{path}", self.gateway)).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }
}

#[test]
fn a_new_project_is_an_ordinary_application_that_runs_by_itself() {
    need("java");
    let parent = tempfile::tempdir().unwrap();
    let project = project(parent.path(), "hello");
    let built = json(&["build", project.to_str().unwrap()]);
    assert_eq!((&built["kind"], &built["name"], &built["version"]), (&"jvm".into(), &"hello".into(), &"0.1.0".into()));
    let jar = built["path"].as_str().unwrap();
    assert!(jar.ends_with("hello/target/hello-0.1.0.jar"), "{jar}");
    assert_eq!(built["size"], std::fs::metadata(jar).unwrap().len());

    let child = Command::new("java").args(["-Xmx128m", "-jar", jar, "--server.port=0"]).stdout(Stdio::piped()).spawn();
    let mut application = Running(child.unwrap());
    let said = lines(application.0.stdout.take().unwrap());
    let started = line_with(&said, "Tomcat started on port");
    assert!(started.contains("'/hello'"), "{started}");
    let port = started.split("port ").nth(1).unwrap().split(' ').next().unwrap();
    let body = ureq::get(format!("http://127.0.0.1:{port}/hello/")).call().unwrap().body_mut().read_to_string().unwrap();
    assert_eq!(body, "hello from hello\n");
}

#[test]
fn a_project_that_does_not_compile_is_told_by_its_errors_and_not_by_all_that_its_build_says() {
    let parent = tempfile::tempdir().unwrap();
    let project = project(parent.path(), "broken");
    edit(&project.join("src/main/java/com/example/app/HelloController.java"), "return", "retrun");
    let failed = output(&["build", project.to_str().unwrap()]);
    assert_eq!((failed.status.code(), failed.stdout.len()), (Some(1), 0));
    let said = text(&failed.stderr);
    assert!(said.contains("does not build") && said.contains("HelloController.java:[") && said.contains("hint: "), "{said}");
    assert!(!said.contains("[INFO]") && !said.contains("[Help 1]") && said.lines().count() < 20, "{said}");
    // For programs, too.
    let failed = output(&["build", project.to_str().unwrap(), "--output", "json"]);
    let said: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!(said["error"]["reason"], "BuildFailed");
    assert!(said["said"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains("HelloController.java")), "{said}");
}

#[test]
fn a_module_of_a_build_with_several_is_built_with_what_it_needs() {
    let parent = tempfile::tempdir().unwrap();
    let shop = parent.path().join("shop");
    for name in ["orders", "stock"] {
        project(&shop, name);
    }
    let modules = "<modules><module>orders</module><module>stock</module></modules>";
    let pom = format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>shop</groupId><artifactId>shop</artifactId><version>1</version>\
         <packaging>pom</packaging>{modules}</project>"
    );
    std::fs::write(shop.join("pom.xml"), pom).unwrap();
    let shop = shop.to_str().unwrap();
    let stock = json(&["build", shop, "--sub", "stock"]);
    assert_eq!(stock["name"], "stock");
    assert!(!Path::new(shop).join("orders/target").exists(), "what was not asked for was built");
    let several = output(&["build", shop]);
    assert_eq!(several.status.code(), Some(1));
    let said = text(&several.stderr);
    assert!(said.contains("orders/target/orders-0.1.0.jar, stock/target/stock-0.1.0.jar") && said.contains("--sub orders"), "{said}");
}

#[test]
fn an_application_becomes_a_base_that_serves_a_new_project_and_its_next_version() {
    let mut base = Base::start();
    assert!(base.shown.contains(" -Xmx256m -jar ") && base.shown.ends_with("base.jar --server.port=0"), "{}", base.shown);
    let at = ["--base", &base.url];
    let ask = |arguments: &[&str]| json(&[arguments, &at].concat());
    assert_eq!(ask(&["version"])["base"]["kinds"], serde_json::json!(["jvm"]));

    let parent = tempfile::tempdir().unwrap();
    let project = project(parent.path(), "greeter");
    let path = project.to_str().unwrap();
    let deployed = ask(&["deploy", path]);
    assert_eq!(deployed["module"]["contextPath"], "/greeter");
    assert_eq!(deployed["url"], format!("{}/greeter", base.gateway));
    assert_eq!(base.get("/greeter/"), (200, "hello from greeter\n".to_owned()));

    edit(&project.join("src/main/java/com/example/app/HelloController.java"), "hello from", "welcome to");
    edit(&project.join("pom.xml"), "<version>0.1.0</version>", "<version>0.2.0</version>");
    let upgraded = ask(&["deploy", path]);
    assert_eq!((&upgraded["module"]["version"], &upgraded["retired"][0]["version"]), (&"0.2.0".into(), &"0.1.0".into()));
    assert_eq!(base.get("/greeter/"), (200, "welcome to greeter\n".to_owned()));

    // A ready jar, under another name and elsewhere, beside it.
    let jar = project.join("target/greeter-0.2.0.jar");
    let jar = jar.to_str().unwrap();
    let ready = ask(&["deploy", jar, "--name", "guest", "--version", "7", "--context-path", "/shop/guest"]);
    assert_eq!((&ready["module"]["name"], &ready["module"]["contextPath"]), (&"guest".into(), &"/shop/guest".into()));
    assert_eq!(base.get("/shop/guest/"), (200, "welcome to greeter\n".to_owned()));
    let status = text(&output(&[&["status"][..], &at].concat()).stdout);
    assert!(status.lines().any(|line| line.contains("greeter") && line.contains("0.2.0") && line.contains("jvm")), "{status}");
    let log = text(&output(&[&["logs", "guest"][..], &at].concat()).stdout);
    assert!(log.contains("asked for a greeting"), "{log}");

    for name in ["guest", "greeter"] {
        assert_eq!(ask(&["undeploy", name])["name"], name);
    }
    assert_eq!(ask(&["status"])["modules"], serde_json::json!([]));
    // The process is the application itself: it ends by the signal, as the application does.
    let ended = base.process.signal(SIGTERM);
    assert_eq!(ended.code().or(ended.signal().map(|number| 128 + number)), Some(128 + SIGTERM));
}

#[test]
fn each_save_of_a_java_project_serves_and_a_mistake_leaves_what_serves() {
    let base = Base::start();
    let parent = tempfile::tempdir().unwrap();
    let project = project(parent.path(), "greeting");
    let child = arkctl(&["dev", project.to_str().unwrap(), "--base", &base.url]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut dev = Running(child.unwrap());
    let (logged, notes) = (lines(dev.0.stdout.take().unwrap()), lines(dev.0.stderr.take().unwrap()));
    line_with(&notes, "waiting for a save");
    assert_eq!(base.get("/greeting/"), (200, "hello from greeting\n".to_owned()));
    line_with(&logged, "asked for a greeting");

    let source = project.join("src/main/java/com/example/app/HelloController.java");
    edit(&source, "hello from", "welcome to");
    line_with(&notes, "waiting for a save");
    assert_eq!(base.get("/greeting/"), (200, "welcome to greeting\n".to_owned()));
    line_with(&logged, "asked for a greeting");

    edit(&source, "return", "retrun");
    line_with(&notes, "does not build");
    line_with(&notes, "waiting for a save");
    assert_eq!(base.get("/greeting/"), (200, "welcome to greeting\n".to_owned()));
    edit(&source, "retrun", "return");
    line_with(&notes, "waiting for a save");
    let versions = json(&["status", "--base", &base.url]);
    assert_eq!(versions["modules"].as_array().unwrap().len(), 1, "{versions}");
    assert!(versions["modules"][0]["version"].as_str().unwrap().starts_with("0.1.0+dev."), "{versions}");

    assert!(dev.signal(SIGINT).success());
    assert_eq!(json(&["status", "--base", &base.url])["modules"], serde_json::json!([]));
}

#[test]
fn a_base_of_another_kind_is_told_before_anything_is_built() {
    let base = FakeBase::start(|request| match request.line() {
        "GET /v1/base" => Answer::json(200, &base_json()),
        other => panic!("{other}"),
    });
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("pom.xml"), "this is no pom").unwrap();
    let file = directory.path().join("a.jar");
    std::fs::write(&file, jar("Start-Class: a.A\nSpring-Boot-Version: 3.5.16\n", &["BOOT-INF/lib/"])).unwrap();
    for path in [directory.path(), &file] {
        for command in ["deploy", "dev"] {
            if command == "dev" && path == file {
                continue;
            }
            let refused = output(&[command, path.to_str().unwrap(), "--base", &base.url()]);
            let said = text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(1), "{said}");
            assert!(said.contains("the base demo runs no jvm modules, only wasm") && said.contains("arkctl base run"), "{said}");
        }
    }
}

#[test]
fn where_neither_wrapper_nor_maven_is_there_it_is_said_how_to_get_one() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("pom.xml"), "<project/>").unwrap();
    let failed = arkctl(&["build", directory.path().to_str().unwrap()]).env("PATH", directory.path()).output().unwrap();
    let said = text(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(said.contains("neither mvnw") && said.contains("install Maven"), "{said}");
}

#[test]
fn a_wrapper_is_what_builds_and_its_exit_code_decides() {
    let directory = tempfile::tempdir().unwrap();
    let here = |file: &str| directory.path().join(file);
    std::fs::write(here("build.gradle.kts"), "").unwrap();
    let boot = "Start-Class: a.A\nSpring-Boot-Version: 3.5.16\nImplementation-Title: shop\nImplementation-Version: 1\n";
    std::fs::create_dir_all(here("build/libs")).unwrap();
    std::fs::write(here("build/libs/shop-1.jar"), jar(boot, &["BOOT-INF/lib/"])).unwrap();
    // By another process: a file that this one writes to cannot be run while a neighbour's child still has it open.
    let wrapper = |script: &str| {
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > gradlew && chmod +x gradlew";
        let written = Command::new("sh").args(["-c", write, "sh", script]).current_dir(directory.path()).status().unwrap();
        assert!(written.success());
    };
    // What it writes to standard error fails nothing.
    wrapper("echo \"$@\" > asked; echo 'WARNING: all is well' >&2");
    assert_eq!(json(&["build", directory.path().to_str().unwrap()])["name"], "shop");
    assert_eq!(std::fs::read_to_string(here("asked")).unwrap(), "--console=plain assemble\n");
    wrapper("echo 'What went wrong: no'; exit 1");
    let failed = output(&["build", directory.path().to_str().unwrap()]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("  What went wrong: no\n"), "{}", text(&failed.stderr));
}

#[test]
fn a_base_is_not_started_without_its_jar_its_agent_or_java() {
    let directory = tempfile::tempdir().unwrap();
    let here = |file: &str| directory.path().join(file).to_str().unwrap().to_owned();
    let refused = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    assert!(refused(&mut arkctl(&["base", "run", &here("gone.jar")])).contains("gone.jar"));
    std::fs::write(here("base.jar"), "").unwrap();
    let said = refused(arkctl(&["base", "run", &here("base.jar")]).env("ARKLET_JVM_AGENT", here("gone.so")));
    assert!(said.contains("gone.so") && said.contains("ARKLET_JVM_AGENT"), "{said}");
    std::fs::write(here("agent.so"), "").unwrap();
    let said = refused(arkctl(&["base", "run", &here("base.jar")]).env("ARKLET_JVM_AGENT", here("agent.so")).env("JAVA_HOME", here("jdk")));
    assert!(said.contains("JAVA_HOME") && said.contains("hint: install a Java runtime"), "{said}");
}
