//! Which server is asked, and as whom.

use std::{ffi::OsStr, path::PathBuf, sync::Arc};

use clap::ValueHint;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::kubeconfig;
use crate::error::Error;

/// Where a controller listens that nobody told otherwise.
const DEFAULT: &str = "http://127.0.0.1:7777";

/// Options of every command of the fleet.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Fleet options")]
pub(crate) struct Where {
    /// The controller's URL; http://127.0.0.1:7777 where nobody says [env: ARKCTL_CONTROLLER].
    #[arg(long, value_name = "URL", conflicts_with_all = ["kubeconfig", "context"])]
    controller: Option<String>,
    /// A file that says where and as whom: a controller's own, or that of a Kubernetes cluster [env: KUBECONFIG].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig in place of its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The namespace; that of the kubeconfig, else `default`, where nobody says.
    #[arg(short, long, value_name = "NAME")]
    pub(super) namespace: Option<String>,
}

/// A server, and who asks it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Its URL.
    pub(super) url: String,
    /// The namespace to look into where nobody says.
    pub(super) namespace: Option<String>,
    /// A bearer token.
    pub(super) token: Option<String>,
    /// The certificates (PEM) that the server's has to come from; those of the world where there are none.
    pub(super) authority: Option<Vec<u8>>,
    /// The certificate that is shown.
    pub(super) identity: Option<Identity>,
    /// Takes any certificate of the server.
    pub(super) insecure: bool,
}

/// A client certificate with its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// Who says which server it is.
#[derive(Debug, PartialEq, Eq)]
enum Source<'a> {
    Url(&'a str),
    Kubeconfig(Vec<PathBuf>),
}

/// The first of: what is asked for, the two variables, the usual place.
fn source<'a>(asked: &'a Where, controller: Option<&'a str>, kubeconfig: Option<&OsStr>) -> Source<'a> {
    let controller = controller.filter(|url| !url.is_empty());
    let kubeconfig = kubeconfig.filter(|paths| !paths.is_empty()).map(|paths| std::env::split_paths(paths).collect());
    match (&asked.controller, &asked.kubeconfig, controller, kubeconfig) {
        (Some(url), ..) => Source::Url(url),
        (None, Some(path), ..) => Source::Kubeconfig(vec![path.clone()]),
        // A context is one of a kubeconfig.
        (None, None, Some(url), _) if asked.context.is_none() => Source::Url(url),
        (None, None, _, Some(paths)) => Source::Kubeconfig(paths),
        (None, None, ..) => Source::Url(DEFAULT),
    }
}

impl Where {
    /// The server. `token` is shown to a controller that is named by its URL; a kubeconfig has credentials of its own.
    ///
    /// # Errors
    /// A kubeconfig that cannot be used, or a context without one.
    pub(super) fn target(&self, token: Option<&str>) -> Result<Target, Error> {
        let controller = std::env::var("ARKCTL_CONTROLLER").ok();
        match source(self, controller.as_deref(), std::env::var_os("KUBECONFIG").as_deref()) {
            Source::Kubeconfig(paths) => kubeconfig::read(&paths, self.context.as_deref()),
            Source::Url(_) if self.context.is_some() => {
                Err(Error::Usage("--context names one of a kubeconfig: say which file by --kubeconfig, or by KUBECONFIG".to_owned()))
            }
            Source::Url(url) => {
                let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
                Ok(Target { url, token: token.filter(|token| !token.is_empty()).map(str::to_owned), ..Target::default() })
            }
        }
    }
}

impl Target {
    /// How the server is trusted, and who is shown to it; none where the usual way suits.
    ///
    /// # Errors
    /// Certificates that are none.
    pub(super) fn tls(&self) -> Result<Option<TlsConfig>, Error> {
        if self.authority.is_none() && self.identity.is_none() && !self.insecure {
            return Ok(None);
        }
        let mut tls = TlsConfig::builder().disable_verification(self.insecure);
        if let Some(authority) = &self.authority {
            tls = tls.root_certs(RootCerts::Specific(Arc::new(certificates(authority, "certificate authority")?)));
        }
        if let Some(identity) = &self.identity {
            let chain = certificates(&identity.certificate, "client certificate")?;
            let key = PrivateKey::from_pem(&identity.key).map_err(|error| wrong(&format!("client key cannot be read: {error}")))?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
        }
        Ok(Some(tls.build()))
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<Certificate<'static>>, Error> {
    let mut chain = Vec::new();
    for item in parse_pem(pem) {
        // A file may have the key beside the certificate.
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(&format!("{what} cannot be read: {error}")))? {
            chain.push(certificate);
        }
    }
    if chain.is_empty() { Err(wrong(&format!("{what} has no certificate in it"))) } else { Ok(chain) }
}

fn wrong(problem: &str) -> Error {
    Error::Usage(format!("the kubeconfig's {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(controller: Option<&str>, kubeconfig: Option<&str>) -> Where {
        Where { controller: controller.map(str::to_owned), kubeconfig: kubeconfig.map(PathBuf::from), ..Where::default() }
    }

    #[test]
    fn an_option_goes_before_a_variable_and_a_controller_before_a_kubeconfig() {
        let (url, file) = (Some("http://env:1"), Some(OsStr::new("/env")));
        assert_eq!(source(&asked(Some("http://a:1"), None), url, file), Source::Url("http://a:1"));
        assert_eq!(source(&asked(None, Some("/a")), url, file), Source::Kubeconfig(vec!["/a".into()]));
        assert_eq!(source(&asked(None, None), url, file), Source::Url("http://env:1"));
        assert_eq!(source(&asked(None, None), None, file), Source::Kubeconfig(vec!["/env".into()]));
        assert_eq!(source(&asked(None, None), None, None), Source::Url(DEFAULT));
        assert_eq!(source(&asked(None, None), Some(""), Some(OsStr::new(""))), Source::Url(DEFAULT));
    }

    #[test]
    fn a_context_means_the_kubeconfig() {
        let asked = Where { context: Some("x".to_owned()), ..Where::default() };
        assert_eq!(source(&asked, Some("http://env:1"), Some(OsStr::new("/env"))), Source::Kubeconfig(vec!["/env".into()]));
    }

    #[test]
    fn certificates_that_are_none_are_told() {
        let target = Target { authority: Some(b"nothing".to_vec()), ..Target::default() };
        assert_eq!(target.tls().unwrap_err().to_string(), "the kubeconfig's certificate authority has no certificate in it");
        assert!(Target::default().tls().unwrap().is_none());
    }
}
