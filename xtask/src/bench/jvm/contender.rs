//! The same small base and module, as they are and as Koupleless wants them: built by Maven, started, and given modules.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use harness::{
    Error,
    api::Api,
    jvm::{Jdk, Jvm, JvmBase, Usage},
};
use serde_json::{Value, json};

use super::{
    super::peers::{Peer, free_address},
    run_tool,
};

/// The same for all of them.
const JVM: [&str; 2] = ["-Xms64m", "-Xmx768m"];
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);

/// What a base is started with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    /// Nothing.
    Plain,
    /// Our agent.
    Agent,
    /// What its documents tell to build in.
    Koupleless,
}

/// The jars.
pub(super) struct Jars {
    jdk: Jdk,
    projects: PathBuf,
    /// Modules under other names and versions.
    made: tempfile::TempDir,
}

impl Jars {
    /// Builds base and module in both forms, and the modules of these names and versions.
    pub(super) fn build(modules: &[(String, u32)]) -> Result<Self, Error> {
        let projects = harness::root().join("xtask/peers/koupleless");
        harness::jvm::maven(&projects)?;
        let jars = Self { jdk: Jdk::current()?, projects, made: tempfile::tempdir()? };
        for (name, version) in modules {
            jars.make(System::Koupleless, name, *version)?;
            if !jars.module(System::Agent, name, *version).exists() {
                jars.make(System::Agent, name, *version)?;
            }
        }
        Ok(jars)
    }

    fn base(&self, system: System) -> PathBuf {
        let name = if system == System::Koupleless { "base-koupleless" } else { "base" };
        self.projects.join(name).join(format!("target/{name}.jar"))
    }

    /// The jar to install. An ordinary one has no name: the order gives it.
    fn module(&self, system: System, name: &str, version: u32) -> PathBuf {
        match system {
            System::Koupleless => self.made.path().join(format!("{name}-{version}-ark-biz.jar")),
            System::Agent | System::Plain => self.made.path().join(format!("module-{version}.jar")),
        }
    }

    /// Copies the module that Maven built, with its revision, and the name and path that its manifest has to say for Koupleless.
    fn make(&self, system: System, name: &str, version: u32) -> Result<(), Error> {
        let (built, classes) = match system {
            System::Koupleless => ("module-slim/target/module-slim-ark-biz.jar", ""),
            System::Agent | System::Plain => ("module/target/module.jar", "BOOT-INF/classes/"),
        };
        let (jar, folder) = (self.module(system, name, version), self.made.path());
        std::fs::copy(self.projects.join(built), &jar)?;
        let settings = format!("{classes}application.properties");
        std::fs::create_dir_all(folder.join(classes))?;
        std::fs::write(folder.join(&settings), format!("spring.application.name=module\nmodule.revision=v{version}\n"))?;
        let manifest = format!("Ark-Biz-Name: {name}\nArk-Biz-Version: {version}\nweb-context-path: {name}\n");
        std::fs::write(folder.join("manifest"), if system == System::Koupleless { &manifest } else { "" })?;
        let jar = jar.to_str().ok_or("the temporary folder's name is no text")?;
        run_tool(&self.jdk, "jar", folder, &["--update", "--file", jar, "--manifest", "manifest", &settings])
    }
}

/// A base that runs. It is killed when this is dropped.
pub(super) struct Base<'a> {
    system: System,
    jars: &'a Jars,
    api: Api,
    /// Where modules answer.
    pub(super) gateway: SocketAddr,
    /// From its start to its own first answer, in milliseconds.
    pub(super) first_answer_ms: f64,
    /// The processor time of all its threads until then, in milliseconds.
    pub(super) first_answer_cpu_ms: f64,
    jvm: Jvm,
    // Its folder goes last.
    _process: Peer,
    _folder: tempfile::TempDir,
}

impl<'a> Base<'a> {
    /// Starts one and waits until it answers, and until modules can be installed.
    pub(super) fn start(system: System, jars: &'a Jars) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        let (web, listen, gateway) = (free_address()?, free_address()?, free_address()?);
        let mut command = Command::new(jars.jdk.tool("java"));
        command.args(JVM).current_dir(folder.path()).env("PORT", web.port().to_string());
        match system {
            System::Plain => {}
            System::Agent => {
                // As there, libraries are common to all, and modules answer by the base's Tomcat.
                let options = ["share=set".to_owned(), "web=join".to_owned(), format!("listen={listen}"), format!("gateway={gateway}")];
                command.arg(JvmBase::option(&folder.path().join("data"), &options.each_ref().map(String::as_str))?);
            }
            System::Koupleless => {
                let modules = folder.path().join("biz");
                std::fs::create_dir(&modules)?;
                command.arg(format!("-Dcom.alipay.sofa.ark.biz.dir={}", modules.display()));
                command.arg(format!("-Dkoupleless.arklet.http.port={}", listen.port()));
                // Another port on all interfaces, which modules do not need.
                command.arg("-Dsofa.ark.telnet.server.enable=false");
            }
        }
        command.arg("-jar").arg(jars.base(system));
        let began = Instant::now();
        let process = Peer::start(command, web)?;
        until("its first answer", || Ok(get(web, "/").is_ok()))?;
        let first_answer_ms = began.elapsed().as_secs_f64() * 1e3;
        let first_answer_cpu_ms = process.cpu_time()?.as_secs_f64() * 1e3;
        let jvm = Jvm::new(&jars.jdk, process.pid());
        let api = Api::new(&format!("http://{listen}"));
        let gateway = if system == System::Agent { gateway } else { web };
        let base = Self { system, jars, api, gateway, first_answer_ms, first_answer_cpu_ms, jvm, _process: process, _folder: folder };
        until("its API", || Ok(base.takes_modules()))?;
        Ok(base)
    }

    fn takes_modules(&self) -> bool {
        match self.system {
            System::Plain => true,
            System::Agent => self.api.get_status("/readyz").is_ok_and(|status| status == 200),
            System::Koupleless => self.api.command("help", &json!({})).is_ok(),
        }
    }

    /// Installs a module and calls it; answers with the milliseconds from the order to the end of the first answer.
    pub(super) fn install(&self, name: &str, version: u32) -> Result<f64, Error> {
        let began = Instant::now();
        self.order(name, version)?;
        let answer = get(self.gateway, &format!("/{name}/version"))?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        if answer == format!("v{version}") { Ok(took) } else { Err(format!("{name} answered {answer:?} as version {version}").into()) }
    }

    /// Prepares a module; answers with the milliseconds that took. Of ours alone.
    pub(super) fn prepare(&self, name: &str, version: u32) -> Result<f64, Error> {
        let began = Instant::now();
        self.api.prepare(&our_order(name, version, &self.url(name, version)))?.map_err(|refused| refused.error.message)?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    fn url(&self, name: &str, version: u32) -> String {
        format!("file://{}", self.jars.module(self.system, name, version).display())
    }

    fn order(&self, name: &str, version: u32) -> Result<(), Error> {
        let url = self.url(name, version);
        if self.system == System::Koupleless {
            return succeeded(&self.api.command("installBiz", &biz(name, version, Some(&url)))?);
        }
        self.api.install(&our_order(name, version, &url))?.map(drop).map_err(|refused| refused.error.message.into())
    }

    pub(super) fn uninstall(&self, name: &str, version: u32) -> Result<(), Error> {
        if self.system == System::Koupleless {
            return succeeded(&self.api.command("uninstallBiz", &biz(name, version, None))?);
        }
        self.api.uninstall(name, &version.to_string())?.map(drop).map_err(|refused| refused.error.message.into())
    }

    /// Replaces a version by another in the way that the system documents: ours switches by itself, in Koupleless two web modules
    /// cannot have one path.
    pub(super) fn upgrade(&self, name: &str, from: u32, to: u32) -> Result<(), Error> {
        if self.system == System::Koupleless {
            self.uninstall(name, from)?;
        }
        self.order(name, to)
    }

    /// What its JVM uses, after its garbage was collected.
    pub(super) fn usage(&self) -> Result<Usage, Error> {
        self.jvm.collect_garbage()?;
        self.jvm.usage()
    }

    /// How many loaders of modules and layers are alive.
    pub(super) fn loaders(&self) -> Result<u64, Error> {
        self.jvm.instances(match self.system {
            System::Koupleless => "com.alipay.sofa.ark.container.service.classloader.BizClassLoader",
            System::Plain | System::Agent => super::LOADER,
        })
    }
}

fn our_order(name: &str, version: u32, url: &str) -> Value {
    json!({"id": {"name": name, "version": version.to_string()}, "url": url})
}

fn biz(name: &str, version: u32, url: Option<&str>) -> Value {
    let mut parameters = json!({"bizName": name, "bizVersion": version.to_string()});
    if let (Some(url), Some(parameters)) = (url, parameters.as_object_mut()) {
        parameters.insert("bizUrl".to_owned(), url.into());
    }
    parameters
}

fn succeeded(answer: &Value) -> Result<(), Error> {
    if answer.get("code").and_then(Value::as_str) == Some("SUCCESS") { Ok(()) } else { Err(answer.to_string().into()) }
}

fn get(address: SocketAddr, path: &str) -> Result<String, Error> {
    Ok(ureq::get(format!("http://{address}{path}")).call()?.body_mut().read_to_string()?)
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool, Error>) -> Result<(), Error> {
    let end = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > end {
            return Err(format!("a base took longer than {} s to {what}", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
