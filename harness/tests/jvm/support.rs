//! What the tests have in common.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use ark_model::{State, VerdictState, api::LogLine};
use harness::{
    api::Api,
    base::Base,
    jvm::{Jdk, JvmBase, sample},
};
use serde_json::{Value, json};

pub(crate) use crate::common::{body, dialled, eventually, get, get_at, nothing_was_lost, report};

pub(crate) fn base() -> JvmBase {
    JvmBase::start(&sample("base").unwrap(), &[], &["-Xmx512m"]).unwrap()
}

pub(crate) fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// An order for a sample application.
pub(crate) fn order(name: &str, version: &str, jar: &str) -> Value {
    json!({"id": {"name": name, "version": version}, "url": url(&sample(jar).unwrap())})
}

/// Installs, or shows what both sides said.
pub(crate) fn install(base: &Base, order: &Value) {
    if let Err(refused) = base.api.install(order).unwrap() {
        let (name, version) = (order["id"]["name"].as_str().unwrap(), order["id"]["version"].as_str().unwrap());
        panic!("{}\n{}\n{}", refused.error.message, texts(base, name, version).join("\n"), base.log());
    }
}

/// Removes a module, which has to be gone then or soon: a machine that is busy collects late. Answers what was known of that at once.
pub(crate) fn remove(base: &Base, name: &str, version: &str) -> VerdictState {
    let retired = base.api.uninstall(name, version).unwrap().unwrap();
    eventually(&format!("{name} is unloaded: {:?}", retired.verdict), || {
        let verdicts: Value = serde_json::from_str(&base.api.get("/v1/verdicts").unwrap().1).unwrap();
        let latest = verdicts["verdicts"].as_array().unwrap().iter().find(|one| one["name"] == name && one["version"] == version).cloned();
        (latest.unwrap()["verdict"]["state"] == VerdictState::Unloaded.as_str()).then_some(())
    });
    retired.verdict.state
}

pub(crate) fn json_of(base: &Base, path: &str) -> Value {
    serde_json::from_str(&body(base, path)).unwrap()
}

/// What the catalog finds under `name` in its environment.
pub(crate) fn seen(base: &Base, module: &str, name: &str) -> Value {
    json_of(base, &format!("/{module}/env?name={name}"))["value"].clone()
}

pub(crate) fn lines(base: &Base, name: &str, version: &str) -> Vec<LogLine> {
    let text = base.api.get(&format!("/v1/modules/{name}/{version}/logs")).unwrap().1;
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

pub(crate) fn texts(base: &Base, name: &str, version: &str) -> Vec<String> {
    lines(base, name, version).into_iter().map(|line| line.text).collect()
}

pub(crate) fn state(base: &Base, name: &str, version: &str) -> Option<State> {
    let modules = base.api.modules().unwrap();
    modules.iter().find(|module| module.id.name() == name && module.id.version() == version).map(|module| module.state)
}

/// An application that runs by itself, perhaps with the agent; its output in files.
pub(crate) struct Process {
    child: Child,
    pub(crate) folder: tempfile::TempDir,
}

impl Process {
    /// Starts `jar` with what `options` says before `-jar`.
    pub(crate) fn start(jar: &Path, options: impl FnOnce(&mut Command, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(Jdk::current().unwrap().tool("java"));
        options(&mut command, folder.path());
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        command.arg("-jar").arg(jar).current_dir(folder.path()).env("PORT", "0");
        let child = command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Self { child, folder }
    }

    /// Waits until Spring Boot says that it has started.
    pub(crate) fn wait_started(&self) {
        eventually("the application starts", || self.out().contains("Started ").then_some(()));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn out(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out")).unwrap()
    }

    pub(crate) fn err(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("err")).unwrap()
    }

    /// The API of the agent in it, once that listens.
    pub(crate) fn api(&self) -> Api {
        let address = eventually("the agent listens", || {
            let said = self.err();
            let at = said.find(" api=")? + 5;
            Some(said[at..].split_whitespace().next()?.to_owned())
        });
        Api::new(&format!("http://{address}"))
    }

    /// Asks it to end by SIGTERM. Answers how it ended, and how long that took.
    pub(crate) fn end(mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status, began.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `-agentpath:…` with free ports and its data in `folder`.
pub(crate) fn agent(folder: &Path, options: &[&str]) -> String {
    JvmBase::option(&folder.join("data"), options).unwrap()
}

/// An archive made by hand, its entries stored: nobody checks what is in it.
pub(crate) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut central) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let offset = out.len() as u32;
        let mut common = Vec::new();
        for word in [20_u16, 0, 0, 0, 0] {
            common.extend(word.to_le_bytes());
        }
        for long in [crc32(data), data.len() as u32, data.len() as u32] {
            common.extend(long.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        out.extend(0x0403_4b50_u32.to_le_bytes());
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(*data);
        central.extend(0x0201_4b50_u32.to_le_bytes());
        central.extend(20_u16.to_le_bytes());
        central.extend(&common);
        central.extend([0; 10]);
        central.extend(offset.to_le_bytes());
        central.extend(name.as_bytes());
    }
    let (begin, size, count) = (out.len() as u32, central.len() as u32, entries.len() as u16);
    out.extend(&central);
    out.extend(0x0605_4b50_u32.to_le_bytes());
    for word in [0, 0, count, count] {
        out.extend(word.to_le_bytes());
    }
    out.extend(size.to_le_bytes());
    out.extend(begin.to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    out
}

/// The check sum of zip archives (ISO 3309), bit by bit.
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// The class file of `App`, whose body is `code`.
pub(crate) fn compiled(folder: &Path, code: &str) -> Vec<u8> {
    let source = folder.join("App.java");
    std::fs::write(&source, format!("public class App {{ {code} }}")).unwrap();
    let javac = Command::new(Jdk::current().unwrap().tool("javac")).arg("-d").arg(folder).arg(&source).output().unwrap();
    assert!(javac.status.success(), "{}", String::from_utf8_lossy(&javac.stderr));
    std::fs::read(folder.join("App.class")).unwrap()
}

/// A plain jar that begins with `App`.
pub(crate) fn plain_jar(folder: &Path, class: &[u8]) -> PathBuf {
    let jar = folder.join("app.jar");
    let manifest: &[u8] = b"Manifest-Version: 1.0\nMain-Class: App\n\n";
    std::fs::write(&jar, archive(&[("META-INF/MANIFEST.MF", manifest), ("App.class", class)])).unwrap();
    jar
}
