//! What the command line says, checked before anything starts.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use daemon::{Problem, tls};
use rustls::ServerConfig;

use crate::{
    api::{Access, Audit, Role, Token},
    kubeconfig::Kubeconfig,
};

/// The fleet's controller: which modules run on which bases, and how one version follows another.
///
/// Without any option it keeps its data by the platform's conventions, listens on 127.0.0.1:7777, and writes a kubeconfig into its data
/// directory, by which kubectl works against it.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  module-controller                                                        a controller on this machine
  arklet --controller http://127.0.0.1:7777 --base-name a                  … a base that joins it
  kubectl --kubeconfig ~/.local/share/module-controller/kubeconfig get bases
  module-controller --listen 0.0.0.0:7777 --token-file tokens.csv          … that others may use, if they know a token"
)]
pub struct Options {
    /// Where the controller keeps its database, audit log and kubeconfig [default: by the platform's conventions]
    #[arg(long, value_name = "DIR", env = "MODULE_CONTROLLER_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Keep resources in this database, which several controllers may share, e.g. postgres://user:secret@host/fleet?sslmode=verify-full
    /// [default: SQLite in the data directory]
    #[arg(long, value_name = "URL", env = "MODULE_CONTROLLER_DATABASE", hide_env_values = true)]
    pub(crate) database: Option<String>,
    /// Where the API listens; any address but loopback needs tokens or client certificates
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7777", env = "MODULE_CONTROLLER_LISTEN")]
    pub(crate) listen: SocketAddr,
    /// A file with the tokens that callers show, a line for each: token,role,name; roles are base, read, deploy, admin
    #[arg(long, value_name = "FILE", env = "MODULE_CONTROLLER_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Serve over TLS with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let in only callers with a certificate of this authority (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// Where the kubeconfig is written [default: kubeconfig in the data directory]
    #[arg(long, value_name = "FILE", env = "MODULE_CONTROLLER_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Where it is written down who changed what: a file, or - for standard error [default: audit.log in the data directory]
    #[arg(long, value_name = "FILE", env = "MODULE_CONTROLLER_AUDIT")]
    audit: Option<PathBuf>,
    /// Forget a base that no module is on and that has been silent for as long as this, e.g. 90m or 7days; it joins anew once it reports
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration, env = "MODULE_CONTROLLER_FORGET_BASES_AFTER")]
    forget_bases_after: Duration,
    /// What is logged, e.g. info, or warn,module_controller=debug
    #[arg(long, value_name = "FILTER", default_value = "info", env = "MODULE_CONTROLLER_LOG")]
    log: String,
}

impl Options {
    /// Where other controllers on the same database say that this one is reached.
    pub(crate) fn address(&self) -> String {
        format!("{}://{}", if self.tls_cert.is_some() { "https" } else { "http" }, self.listen)
    }

    /// Logs as `--log` says.
    pub fn start_log(&self) {
        daemon::log::to_stderr(&self.log);
    }

    /// The habits of the fleet.
    pub(crate) fn habits(&self) -> fleet::Settings {
        fleet::Settings { absence: self.forget_bases_after, ..fleet::Settings::default() }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| daemon::home::data_dir("module-controller"))
    }

    /// Who may do what, and the token that goes into the kubeconfig: the first that allows the most.
    pub(crate) fn access(&self) -> Result<(Access, Option<String>), Problem> {
        let tokens = match &self.token_file {
            None => Vec::new(),
            Some(path) => {
                let text = String::from_utf8_lossy(&tls::read(path)?).into_owned();
                Token::read(&text).map_err(|problem| format!("{}: {problem}", path.display()))?
            }
        };
        if self.token_file.is_some() && tokens.is_empty() {
            return Err("the file of tokens has none, so nobody could use this controller; write token,role,name".to_owned().into());
        }
        let best =
            [Role::Admin, Role::Deploy, Role::Read].into_iter().find_map(|role| tokens.iter().find(|(_, token)| token.role() == role));
        let shown = best.map(|(secret, _)| secret.clone());
        let access = Access { tokens: tokens.into_iter().map(|(_, token)| token).collect(), certified: self.client_ca.is_some() };
        if access.is_open() && !self.listen.ip().is_loopback() {
            let message = format!("anybody who reaches {} could run code on every base; give it --token-file, or --client-ca", self.listen);
            return Err(message.into());
        }
        if !access.tokens.is_empty() && self.tls_cert.is_none() {
            tracing::warn!("tokens go in the clear, and kubectl sends none that way: give it --tls-cert and --tls-key");
        }
        Ok((access, shown))
    }

    pub(crate) fn audit(&self) -> Result<Audit, Problem> {
        let path = match &self.audit {
            Some(path) if path == Path::new("-") => return Ok(Audit::stderr()),
            Some(path) => path.clone(),
            None => self.data_dir().join("audit.log"),
        };
        Audit::file(&path).map_err(|error| format!("could not write the audit log to {}: {error}", path.display()).into())
    }

    /// Writes the kubeconfig for who is on this machine, and says where.
    pub(crate) fn write_kubeconfig(&self, address: SocketAddr, token: Option<String>) -> Result<PathBuf, Problem> {
        let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        let authority = self.tls_cert.as_ref().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
        let path = self.kubeconfig.clone().unwrap_or_else(|| self.data_dir().join("kubeconfig"));
        let kubeconfig = Kubeconfig { server: format!("{scheme}://{}", SocketAddr::new(ip, address.port())), token, authority };
        kubeconfig.write(&path).map_err(|error| format!("could not write the kubeconfig to {}: {error}", path.display()))?;
        Ok(path)
    }

    pub(crate) fn tls(&self) -> Result<Option<Arc<ServerConfig>>, Problem> {
        let pair = self.tls_cert.as_deref().zip(self.tls_key.as_deref());
        pair.map(|(certificate, key)| tls::server(certificate, key, self.client_ca.as_deref())).transpose()
    }
}
