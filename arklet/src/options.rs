//! What the command line says, checked before anything starts.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ark_model::Activation;
use clap::{CommandFactory, Parser, ValueEnum, builder::FalseyValueParser};
use daemon::{Problem, tls};
use http::{HeaderValue, Uri};
use rustls::ServerConfig;

use crate::{
    Agent, Builder, Identity,
    http::Access,
    log::LogFile,
    packages::{Bounds, Keys},
    tunnel::{self, Token},
};

/// A base: a process that hosts modules, installed, upgraded and removed while they serve.
///
/// Without any option it keeps its data by the platform's conventions, listens for its API on 127.0.0.1:1238 and answers for its
/// modules on 127.0.0.1:8080.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  arklet                                        a base on this machine
  arklet --modules-dir ./modules                … that starts with the modules in a folder
  ARKLET_TOKEN=… arklet --listen 0.0.0.0:1238   … that others may manage, if they know the token
  arklet --controller http://controller:7777    … that a controller manages

Then deploy a module: arklet's companion is `arkctl deploy`."
)]
pub struct Options {
    /// Where the base keeps its journal, packages and compiled code [default: by the platform's conventions]
    #[arg(long, value_name = "DIR", env = "ARKLET_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Where the API listens; any address but loopback needs a token or client certificates
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1238", env = "ARKLET_LISTEN")]
    pub(crate) listen: SocketAddr,
    /// Where modules answer
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", env = "ARKLET_GATEWAY")]
    pub(crate) gateway: SocketAddr,
    /// Threads that serve requests [default: one for each processor, or for two where modules have threads of their own]
    #[arg(long, value_name = "N", env = "ARKLET_THREADS")]
    threads: Option<usize>,
    /// Start with the modules in this folder, and what its modules.toml says of them
    #[arg(long, value_name = "DIR", env = "ARKLET_MODULES_DIR")]
    pub(crate) modules_dir: Option<PathBuf>,
    /// Run also where a module of --modules-dir does not come up
    #[arg(long, env = "ARKLET_KEEP_GOING", value_parser = FalseyValueParser::new())]
    pub(crate) keep_going: bool,
    /// What happens to traffic when an install does not say
    #[arg(long, value_enum, default_value_t = Policy::Switch, env = "ARKLET_ACTIVATION")]
    activation: Policy,
    /// Remove modules that failed to start, instead of keeping them visible as broken
    #[arg(long, env = "ARKLET_REMOVE_BROKEN", value_parser = FalseyValueParser::new())]
    remove_broken: bool,
    /// Leave the context path in the requests that modules see
    #[arg(long, env = "ARKLET_KEEP_PREFIX", value_parser = FalseyValueParser::new())]
    keep_prefix: bool,
    /// The largest package, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, env = "ARKLET_MAX_PACKAGE")]
    max_package: u64,
    /// How long a package stays that no module uses, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, env = "ARKLET_KEEP_UNUSED")]
    keep_unused: u64,
    /// Accept only packages signed by this minisign public key; several, separated by commas, are each enough
    #[arg(long, value_name = "KEY", value_delimiter = ',', env = "ARKLET_REQUIRE_KEY")]
    require_key: Vec<String>,
    /// The token that callers of the API have to show
    #[arg(long, value_name = "TOKEN", env = "ARKLET_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A file with that token; blanks around it do not count
    #[arg(long, value_name = "FILE", env = "ARKLET_TOKEN_FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// A token that only allows to look
    #[arg(long, value_name = "TOKEN", env = "ARKLET_READ_TOKEN", hide_env_values = true)]
    read_token: Option<String>,
    /// Serve the API over TLS with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "api_key", env = "ARKLET_API_CERT")]
    api_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "api_cert", env = "ARKLET_API_KEY")]
    api_key: Option<PathBuf>,
    /// Let in only callers with a certificate of this authority (PEM)
    #[arg(long, value_name = "FILE", requires = "api_cert", env = "ARKLET_API_CLIENT_CA")]
    api_client_ca: Option<PathBuf>,
    /// Serve modules over TLS with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "gateway_key", env = "ARKLET_GATEWAY_CERT")]
    gateway_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "gateway_cert", env = "ARKLET_GATEWAY_KEY")]
    gateway_key: Option<PathBuf>,
    /// Join this controller, e.g. http://controller:7777: dial it, and take its orders; several, separated by commas, take turns
    #[arg(long, value_name = "URL", value_delimiter = ',', value_parser = controller, env = "ARKLET_CONTROLLER")]
    controller: Vec<Uri>,
    /// The token that the controller wants to see
    #[arg(long, value_name = "TOKEN", env = "ARKLET_CONTROLLER_TOKEN", hide_env_values = true)]
    controller_token: Option<String>,
    /// A file with that token, read whenever the controller is dialled; blanks around it do not count
    #[arg(long, value_name = "FILE", env = "ARKLET_CONTROLLER_TOKEN_FILE", conflicts_with = "controller_token")]
    controller_token_file: Option<PathBuf>,
    /// Believe only controllers with a certificate of this authority (PEM) [default: the public ones]
    #[arg(long, value_name = "FILE", env = "ARKLET_CONTROLLER_CA")]
    controller_ca: Option<PathBuf>,
    /// Show the controller this certificate (PEM), where it lets in only who has one
    #[arg(long, value_name = "FILE", requires = "controller_key", env = "ARKLET_CONTROLLER_CERT")]
    controller_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "controller_cert", env = "ARKLET_CONTROLLER_KEY")]
    controller_key: Option<PathBuf>,
    /// The base deployment it belongs to
    #[arg(long, value_name = "NAME", default_value = "default", env = "ARKLET_BASE_DEPLOYMENT")]
    base_deployment: String,
    /// What a controller may select the base by, e.g. zone=a,disk=ssd (as an option of the JVM's agent zone=a+disk=ssd: there the comma is taken)
    #[arg(long, value_name = "K=V", value_delimiter = ',', value_parser = label, env = "ARKLET_BASE_LABELS")]
    base_labels: Vec<(String, String)>,
    /// Tell this stock controller, e.g. http://controller:7777, that the base lives
    #[arg(long, value_name = "URL", env = "ARKLET_HEARTBEAT")]
    pub(crate) heartbeat: Option<String>,
    /// Send a span for each sampled request and operation to this OpenTelemetry collector, e.g. http://127.0.0.1:4318
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// What tells this base from others [default: the machine's address]
    #[arg(long, visible_alias = "base-name", value_name = "ID", env = "ARKLET_IDENTITY")]
    identity: Option<String>,
    /// What the base is called
    #[arg(long, value_name = "NAME", default_value = "base", env = "ARKLET_NAME")]
    name: String,
    /// The version of the base
    #[arg(long, value_name = "VERSION", default_value = "1.0.0", env = "ARKLET_VERSION")]
    base_version: String,
    /// The cluster it belongs to
    #[arg(long, value_name = "CLUSTER", default_value = "default", env = "ARKLET_CLUSTER")]
    cluster: String,
    /// What is logged, e.g. info, or warn,arklet=debug
    #[arg(long, value_name = "FILTER", default_value = "info", env = "ARKLET_LOG")]
    log: String,
    /// Log to this file instead of standard error; a full one (16 MiB) is set aside, and three of those are kept
    #[arg(long, value_name = "FILE", env = "ARKLET_LOG_FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Where modules answer, unless said otherwise, where the base is in the process of an application: most of those have 8080 themselves.
pub const GATEWAY_BESIDE: &str = "127.0.0.1:8090";

/// Reads `arguments`, and the environment, where there is no command line to complain on.
///
/// # Errors
/// What is wrong with them, in a line.
pub fn read<T: Parser>(arguments: Vec<OsString>) -> Result<T, String> {
    T::try_parse_from(arguments).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        first.strip_prefix("error: ").unwrap_or(first).to_owned()
    })
}

/// The names of the options that have a value and are no secret: what one line that everybody sees may say.
#[must_use]
pub fn valued() -> Vec<String> {
    let command = Options::command();
    let valued = command.get_arguments().filter(|one| one.get_action().takes_values() && !one.is_hide_env_values_set());
    valued.filter_map(clap::Arg::get_long_and_visible_aliases).flatten().map(str::to_owned).collect()
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Policy {
    /// The new version takes over, the old one drains and goes
    Switch,
    /// The new version waits until it is switched to
    Keep,
    /// All versions get traffic, by weight
    Together,
}

/// The TLS of both listeners.
pub(crate) struct Tls {
    pub(crate) api: Option<Arc<ServerConfig>>,
    pub(crate) gateway: Option<Arc<ServerConfig>>,
}

impl Options {
    /// Logs as `--log` and `--log-file` say.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn start_log(&self) -> Result<(), Problem> {
        match &self.log_file {
            Some(path) => {
                let file = LogFile::open(path).map_err(|error| format!("could not log to {}: {error}", path.display()))?;
                let log = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::new(&self.log));
                log.with_writer(Arc::new(file)).with_ansi(false).init();
            }
            None => daemon::log::to_stderr(&self.log),
        }
        Ok(())
    }

    /// The same, with all that is told by the environment read by now: an application's process may change its own at any time.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.data_dir = Some(self.data_dir());
        self
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| daemon::home::data_dir("arklet"))
    }

    /// The same where modules have threads of their own, beside those that serve requests: half of the processors is left to them, unless the
    /// options say otherwise.
    #[must_use]
    pub fn beside(mut self) -> Self {
        self.threads.get_or_insert_with(|| processors().div_ceil(2));
        self
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(processors).clamp(1, 256)
    }

    pub(crate) fn access(&self) -> Result<Access, Problem> {
        let from_file = self.token_file.as_deref().map(tls::read).transpose()?;
        let token = from_file.map_or_else(|| self.token.clone(), |bytes| Some(String::from_utf8_lossy(&bytes).trim().to_owned()));
        for (option, token) in [("the token", &token), ("--read-token", &self.read_token)] {
            if token.as_deref().is_some_and(|token| token.trim().is_empty()) {
                return Err(format!("{option} is blank; give it a secret, or leave it out").into());
            }
        }
        let access = Access { token, read_token: self.read_token.clone(), certified: self.api_client_ca.is_some() };
        if access.is_open() && !self.listen.ip().is_loopback() {
            let message = format!(
                "anybody who reaches {} could load code into this base; set a token (ARKLET_TOKEN), or --api-client-ca",
                self.listen
            );
            return Err(message.into());
        }
        Ok(access)
    }

    pub(crate) fn builder(&self) -> Result<Builder, Problem> {
        let default = Identity::default();
        let identity = Identity {
            identity: self.identity.clone().unwrap_or(default.identity),
            name: self.name.clone(),
            version: self.base_version.clone(),
            cluster: self.cluster.clone(),
            deployment: self.base_deployment.clone(),
            labels: self.base_labels.iter().cloned().collect(),
        };
        let activation = match self.activation {
            Policy::Switch => Activation::Switch,
            Policy::Keep => Activation::Keep,
            Policy::Together => Activation::Together,
        };
        let container = ark::Settings { activation, remove_broken: self.remove_broken, ..ark::Settings::default() };
        let gateway = gateway::Settings { strip_prefix: !self.keep_prefix, ..gateway::Settings::default() };
        let bounds = Bounds {
            package_bytes: self.max_package.clamp(1, 1 << 20) << 20,
            unused_for: Duration::from_secs(self.keep_unused.max(1)),
            ..Bounds::default()
        };
        let builder = Agent::builder(self.data_dir()).identity(identity).container(container).gateway(gateway);
        let endpoint = self.otlp_endpoint.clone().filter(|endpoint| !endpoint.trim().is_empty());
        let keys = Keys::new(&self.require_key).map_err(|error| error.to_string())?;
        Ok(builder.otlp(endpoint).bounds(bounds).keys(keys))
    }

    /// How to join a controller, where there is one; the base says that it is `identity`.
    pub(crate) fn tunnel(&self, identity: &str) -> Result<Option<tunnel::Settings>, Problem> {
        if self.controller.is_empty() {
            return Ok(None);
        }
        let token = match (&self.controller_token, &self.controller_token_file) {
            (Some(token), _) => Some(Token::Given(token.clone())),
            (None, Some(file)) => Some(Token::InFile(file.clone())),
            (None, None) => None,
        };
        let certificate = self.controller_cert.as_deref().zip(self.controller_key.as_deref());
        let tls = tls::client(self.controller_ca.as_deref(), certificate)?;
        let identity = HeaderValue::from_str(identity)
            .map_err(|_| format!("a controller cannot be told the identity {identity:?}; give another --base-name"))?;
        Ok(Some(tunnel::Settings { controllers: self.controller.clone(), token, tls: Arc::new(tls), identity }))
    }

    pub(crate) fn tls(&self) -> Result<Tls, Problem> {
        let config = |certificate: &Option<PathBuf>, key: &Option<PathBuf>, authority: Option<&Path>| {
            certificate.as_deref().zip(key.as_deref()).map(|(certificate, key)| tls::server(certificate, key, authority)).transpose()
        };
        Ok(Tls {
            api: config(&self.api_cert, &self.api_key, self.api_client_ca.as_deref())?,
            gateway: config(&self.gateway_cert, &self.gateway_key, None)?,
        })
    }
}

fn controller(text: &str) -> Result<Uri, String> {
    let url: Uri = text.trim().parse().map_err(|error| format!("{error}"))?;
    match url.scheme_str() {
        Some("http" | "https") if url.host().is_some_and(|host| !host.is_empty()) => Ok(url),
        _ => Err("write it as http://host:port or https://host:port".to_owned()),
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write each as key=value")?;
    if key.trim().is_empty() {
        return Err("a label has to have a key".to_owned());
    }
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_a_variable_for_where_there_is_no_command_line() {
        let command = Options::command();
        let without: Vec<_> = command.get_arguments().filter(|one| one.get_env().is_none()).map(clap::Arg::get_id).collect();
        assert_eq!(without, Vec::<&str>::new());
    }

    #[test]
    fn what_everybody_sees_has_no_room_for_a_secret() {
        let valued = valued();
        for secret in ["token", "read-token", "controller-token"] {
            assert!(!valued.iter().any(|one| one == secret), "{secret}");
        }
        for option in ["listen", "token-file", "base-name", "identity", "require-key"] {
            assert!(valued.iter().any(|one| one == option), "{option}");
        }
        assert!(!valued.iter().any(|one| one == "keep-going"), "it has no value");
    }
}
