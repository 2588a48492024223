//! `arkctl base`: an application of one's own becomes a base.

use std::{
    env,
    ffi::{OsStr, OsString},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use clap::{ValueEnum, ValueHint};

use crate::{context::Context, error::Error, project::tool};

/// Names the agent's library.
const AGENT: &str = "ARKLET_JVM_AGENT";

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  arkctl base run target/shop.jar")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Run a Java application with the agent attached, so that modules can be deployed into it.
    Run(Run),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "The jar is an ordinary application, e.g. of Spring Boot: it needs no dependency and no change, and its own
port goes on as before. In place of this program runs, as it is shown on standard error,
  java -agentpath:<agent>=<options> <java options> -jar <jar> <arguments>
so signals and the exit code are the application's own. ARKLET_... variables reach the agent as they are.

The agent is the library that ARKLET_JVM_AGENT names, or libarklet_jvm beside arkctl or in ../lib. Java is
that of JAVA_HOME, else the one on the PATH; it has to be 17 or later.

Examples:
  arkctl base run target/shop.jar
  arkctl base run shop.jar --gateway 0.0.0.0:80 --share set
  arkctl base run shop.jar -J -Xmx1g -J -Dkey=value -- --server.port=9000 --spring.profiles.active=test
  arkctl base run shop.jar --controller http://controller:7777 --base-name shop-1 --base-labels zone=a
  arkctl deploy orders.jar                                       then, from elsewhere")]
struct Run {
    /// The application.
    #[arg(value_name = "BASE.jar", value_hint = ValueHint::FilePath)]
    jar: PathBuf,
    /// Where the agent's API listens; 127.0.0.1:1238 where nobody says.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where modules answer, and the application too; 127.0.0.1:8090 where nobody says.
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<SocketAddr>,
    /// Where the agent keeps its journal and packages.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    data_dir: Option<PathBuf>,
    /// Who shares the libraries of a module; `module` where nobody says.
    #[arg(long, value_enum, value_name = "WHO")]
    share: Option<Share>,
    /// Whose web server answers for a module; `own` where nobody says.
    #[arg(long, value_enum, value_name = "WHOSE")]
    web: Option<Web>,
    /// Join this controller, e.g. http://controller:7777; several, separated by commas, take turns.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    controller: Vec<String>,
    /// A file with the token that the controller wants to see.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    controller_token_file: Option<PathBuf>,
    /// Believe only controllers with a certificate of this authority (PEM).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    controller_ca: Option<PathBuf>,
    /// Show the controller this certificate (PEM), where it lets in only who has one.
    #[arg(long, value_name = "FILE", requires = "controller_key", value_hint = ValueHint::FilePath)]
    controller_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "controller_cert", value_hint = ValueHint::FilePath)]
    controller_key: Option<PathBuf>,
    /// Who the base is for the controller; the machine's address where nobody says.
    #[arg(long, value_name = "NAME")]
    base_name: Option<OsString>,
    /// The base deployment it belongs to; `default` where nobody says.
    #[arg(long, value_name = "NAME")]
    base_deployment: Option<OsString>,
    /// What deployments may select the base by, e.g. zone=a,disk=ssd.
    #[arg(long, value_name = "K=V", value_delimiter = ',')]
    base_labels: Vec<String>,
    /// An option of the JVM itself; again for each.
    #[arg(short = 'J', long, value_name = "OPTION", allow_hyphen_values = true)]
    java_option: Vec<OsString>,
    /// Arguments of the application.
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Who shares the libraries of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Share {
    /// All versions of one name.
    Module,
    /// All modules with the same libraries; what those keep in statics is then common.
    Set,
    /// Nobody.
    None,
}

/// Whose web server answers for a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Web {
    /// One of its own.
    Own,
    /// The application's Tomcat; where that cannot be, the module is refused.
    Join,
    /// The application's Tomcat where that can be, one of its own otherwise.
    Auto,
}

/// What `value` is called on the command line.
fn name_of(value: Option<impl ValueEnum>) -> Option<OsString> {
    Some(value?.to_possible_value()?.get_name().into())
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let Subcommand::Run(run) = &args.command;
    if let Err(source) = std::fs::File::open(&run.jar) {
        return Err(Error::File { doing: "read", path: run.jar.clone(), source });
    }
    let is_file = |path: &Path| path.is_file();
    let program = env::current_exe().ok().and_then(|program| program.canonicalize().ok());
    let agent = agent(env::var_os(AGENT).as_deref(), program.as_deref(), is_file)?;
    let java = java(env::var_os("JAVA_HOME").as_deref(), is_file, tool::on_path)?;
    let arguments = run.arguments(&agent)?;
    context.output.note(&shown(&java, &arguments));
    let mut command = Command::new(&java);
    command.args(arguments);
    become_it(command)
}

impl Run {
    /// What java is given.
    fn arguments(&self, agent: &Path) -> Result<Vec<OsString>, Error> {
        let address = |address: Option<SocketAddr>| address.map(|address| OsString::from(address.to_string()));
        let options = [
            ("listen", address(self.listen)),
            ("gateway", address(self.gateway)),
            ("data-dir", self.data_dir.clone().map(PathBuf::into_os_string)),
            ("share", name_of(self.share)),
            ("web", name_of(self.web)),
            ("controller", joined("controller", &self.controller, &[';'])?),
            ("controller-token-file", self.controller_token_file.clone().map(PathBuf::into_os_string)),
            ("controller-ca", self.controller_ca.clone().map(PathBuf::into_os_string)),
            ("controller-cert", self.controller_cert.clone().map(PathBuf::into_os_string)),
            ("controller-key", self.controller_key.clone().map(PathBuf::into_os_string)),
            ("base-name", self.base_name.clone()),
            ("base-deployment", self.base_deployment.clone()),
            ("base-labels", joined("base-labels", &self.base_labels, &['+', ';'])?),
        ];
        let mut attached = OsString::from("-agentpath:");
        attached.push(agent);
        let given = options.into_iter().filter_map(|(key, value)| Some((key, value?)));
        for ((key, value), before) in given.zip(std::iter::once("=").chain(std::iter::repeat(","))) {
            if value.to_string_lossy().contains(',') {
                let value = value.display();
                return Err(Error::Usage(format!("--{key} {value} has a comma, which ends an option of the agent; choose another")));
            }
            attached.push(format!("{before}{key}="));
            attached.push(value);
        }
        let fixed = [attached, "-jar".into(), self.jar.clone().into()];
        let [attached, jar, path] = fixed;
        let java = self.java_option.iter().cloned();
        Ok(std::iter::once(attached).chain(java).chain([jar, path]).chain(self.arguments.iter().cloned()).collect())
    }
}

/// Several values as one of the agent's, which has the comma for itself and takes each of `marks` in its place; none where there are none.
fn joined(key: &str, values: &[String], marks: &[char]) -> Result<Option<OsString>, Error> {
    if let Some(value) = values.iter().find(|value| value.contains(marks)) {
        return Err(Error::Usage(format!("--{key} {value} has a character that the agent takes for a comma; choose another")));
    }
    let mark = marks.first().map(char::to_string).unwrap_or_default();
    Ok((!values.is_empty()).then(|| values.join(&mark).into()))
}

/// The agent's library: the one that was `named`, or one that lies where an installation of `program` has it.
fn agent(named: Option<&OsStr>, program: Option<&Path>, is_file: impl Fn(&Path) -> bool) -> Result<PathBuf, Error> {
    let library = format!("{}arklet_jvm{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    let places = match (named.filter(|named| !named.is_empty()), program.and_then(Path::parent)) {
        (Some(named), _) => vec![PathBuf::from(named)],
        (None, Some(directory)) => {
            let above = directory.parent().map(|above| above.join("lib").join(&library));
            std::iter::once(directory.join(&library)).chain(above).collect()
        }
        (None, None) => Vec::new(),
    };
    places.iter().find(|place| is_file(place)).cloned().ok_or_else(|| Error::Package {
        path: places.first().cloned().unwrap_or_else(|| library.clone().into()),
        problem: match named {
            Some(_) => format!("the agent is not there, where {AGENT} says"),
            None => "the agent is not there, nor in ../lib".to_owned(),
        },
        hint: Some(format!("put {library} there (`cargo build --release -p arklet-jvm` makes it), or name it by {AGENT}")),
    })
}

fn java(home: Option<&OsStr>, is_file: impl Fn(&Path) -> bool, on_path: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Error> {
    let missing = |problem: String| Error::Build {
        problem,
        said: Vec::new(),
        hint: Some(
            "install a Java runtime of version 17 or later (`apt install openjdk-17-jre-headless`, https://adoptium.net)".to_owned(),
        ),
    };
    if let Some(home) = home.filter(|home| !home.is_empty()) {
        let java = Path::new(home).join("bin").join(format!("java{}", env::consts::EXE_SUFFIX));
        return if is_file(&java) {
            Ok(java)
        } else {
            Err(missing(format!("there is no {}, where JAVA_HOME says; correct JAVA_HOME or unset it", java.display())))
        };
    }
    on_path("java").ok_or_else(|| missing("no java: JAVA_HOME is not set, and none is on the PATH".to_owned()))
}

/// The command as a shell would take it.
fn shown(program: &Path, arguments: &[OsString]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    let quoted = |word: &OsStr| {
        let word = word.to_string_lossy();
        if !word.is_empty() && word.chars().all(plain) { word.into_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    let words = std::iter::once(program.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// Goes on as `command`; comes back only where that cannot be run.
#[cfg(unix)]
fn become_it(mut command: Command) -> Result<(), Error> {
    use std::os::unix::process::CommandExt as _;
    let problem = command.exec().to_string();
    Err(Error::System { doing: "run java", problem })
}

/// Waits for `command`, and ends as it ends.
#[cfg(not(unix))]
fn become_it(mut command: Command) -> Result<(), Error> {
    let status = command.status().map_err(|error| Error::System { doing: "run java", problem: error.to_string() })?;
    std::process::exit(status.code().unwrap_or(1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command as Asked};
    use clap::Parser as _;

    fn asked(line: &[&str]) -> Run {
        match Cli::try_parse_from([&["arkctl", "base", "run"], line].concat()).unwrap().command {
            Asked::Base(Args { command: Subcommand::Run(run) }) => run,
            other => panic!("{other:?}"),
        }
    }

    fn command(line: &[&str]) -> String {
        shown(Path::new("/j/bin/java"), &asked(line).arguments(Path::new("/a/agent.so")).unwrap())
    }

    #[test]
    fn the_agent_is_attached_with_the_options_that_were_given_and_no_others() {
        assert_eq!(command(&["b.jar"]), "/j/bin/java -agentpath:/a/agent.so -jar b.jar");
        let all = ["b c.jar", "--listen", "127.0.0.1:0", "--gateway", "[::1]:80", "--data-dir", "/d", "--share", "set", "--web", "auto"];
        assert_eq!(
            command(&all),
            "/j/bin/java '-agentpath:/a/agent.so=listen=127.0.0.1:0,gateway=[::1]:80,data-dir=/d,share=set,web=auto' -jar 'b c.jar'"
        );
    }

    #[test]
    fn a_base_joins_a_controller_by_the_same_options_as_every_other_kind() {
        let all = [
            ["b.jar", "--controller", "http://a:7777,https://b:7777", "--controller-token-file", "/t", "--controller-ca", "/ca"],
            ["--base-name", "shop-1", "--base-deployment", "shop", "--base-labels=zone=a", "--base-labels", "disk=ssd,tier=1"],
        ];
        assert_eq!(
            command(&all.concat()),
            "/j/bin/java '-agentpath:/a/agent.so=controller=http://a:7777;https://b:7777,controller-token-file=/t,controller-ca=/ca,\
             base-name=shop-1,base-deployment=shop,base-labels=zone=a+disk=ssd+tier=1' -jar b.jar"
        );
    }

    #[test]
    fn options_of_java_stand_before_the_jar_and_arguments_of_the_application_behind_it() {
        assert_eq!(
            command(&["-J", "-Xmx1g", "b.jar", "-J-Dk=v", "--", "--server.port=0", "it's"]),
            r"/j/bin/java -agentpath:/a/agent.so -Xmx1g -Dk=v -jar b.jar --server.port=0 'it'\''s'"
        );
    }

    #[test]
    fn a_value_that_the_agent_would_read_as_two_is_refused() {
        for line in [["--data-dir", "/a,b"], ["--base-name", "a,b"], ["--base-labels", "zone=a+b"], ["--controller", "http://a;b"]] {
            assert_eq!(asked(&[&["b.jar"][..], &line].concat()).arguments(Path::new("x")).unwrap_err().exit_code(), 2, "{line:?}");
        }
    }

    #[test]
    fn the_agent_is_where_the_variable_says_or_where_an_installation_has_it() {
        let library = format!("{}arklet_jvm{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        let found = |named: Option<&str>, there: PathBuf| {
            agent(named.map(OsStr::new), Some(Path::new("/opt/ark/bin/arkctl")), |path| path == there)
        };
        let beside = Path::new("/opt/ark/bin").join(&library);
        let lib = Path::new("/opt/ark/lib").join(&library);
        assert_eq!(found(None, beside.clone()).unwrap(), beside);
        assert_eq!(found(None, lib.clone()).unwrap(), lib);
        assert_eq!(found(Some("/x.so"), "/x.so".into()).unwrap(), Path::new("/x.so"));
        // What was named and is not there is a mistake, even where another is.
        let error = found(Some("/x.so"), beside).unwrap_err();
        assert!(error.to_string().contains("/x.so") && error.hint().unwrap().contains(AGENT), "{error}");
        assert!(found(None, "/elsewhere".into()).unwrap_err().to_string().starts_with("/opt/ark/bin/"));
    }

    #[test]
    fn java_is_that_of_java_home_or_else_of_the_path() {
        let bin = Path::new("/jdk/bin").join(format!("java{}", env::consts::EXE_SUFFIX));
        let path = |_: &str| Some(PathBuf::from("/bin/java"));
        assert_eq!(java(Some(OsStr::new("/jdk")), |file| file == bin, path).unwrap(), bin);
        assert_eq!(java(None, |_| false, path).unwrap(), Path::new("/bin/java"));
        assert_eq!(java(Some(OsStr::new("")), |_| false, path).unwrap(), Path::new("/bin/java"));
        assert!(java(Some(OsStr::new("/gone")), |_| false, path).unwrap_err().to_string().contains("JAVA_HOME"));
        assert!(java(None, |_| false, |_| None).unwrap_err().hint().unwrap().contains("17"));
    }
}
