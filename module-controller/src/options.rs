//! What the command line says, checked before anything starts.

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Parser;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::{
    api::{Access, Audit, Role, Token},
    kubeconfig::Kubeconfig,
};

/// Anything that keeps a controller from running, in words for whoever started it.
#[derive(Debug)]
pub struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self(problem)
    }
}

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
    /// Keep resources in this database, which several controllers may share, e.g. postgres://user:secret@host/fleet [default: SQLite in the data directory]
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
        use std::io::IsTerminal;
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let filter = tracing_subscriber::EnvFilter::new(&self.log);
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).init();
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| {
            let home = std::env::var_os("XDG_DATA_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
            let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")));
            home.unwrap_or_else(|| PathBuf::from("/var/lib")).join("module-controller")
        })
    }

    /// Who may do what, and the token that goes into the kubeconfig: the first that allows the most.
    pub(crate) fn access(&self) -> Result<(Access, Option<String>), Problem> {
        let tokens = match &self.token_file {
            None => Vec::new(),
            Some(path) => {
                let text = String::from_utf8_lossy(&read(path)?).into_owned();
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
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| format!("{} has no private key: {error}", key.display()))?;
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| format!("{}: {error}", path.display()))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| format!("{}: {error}", certificate.display()))?;
        config.alpn_protocols = ["h2", "http/1.1"].map(|protocol| protocol.as_bytes().to_vec()).into();
        Ok(Some(Arc::new(config)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| format!("could not read {}: {error}", path.display()).into())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(format!("{} has no certificate", path.display()).into()),
        Err(error) => Err(format!("{} has no certificate that can be read: {error}", path.display()).into()),
    }
}
