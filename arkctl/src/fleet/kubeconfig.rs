//! Kubeconfig files: which server, and as whom.
//!
//! Format: <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>. Several files are read as one, where the first one that says
//! something holds. Programs that make credentials (`exec`, `auth-provider`) are not run.

use std::path::{Path, PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, de::DeserializeOwned};

use super::target::{Identity, Target};
use crate::error::Error;

/// One file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: Option<String>,
    clusters: Option<Vec<Cluster>>,
    contexts: Option<Vec<Context>>,
    users: Option<Vec<User>>,
    /// Where it was read, against which its paths are resolved.
    #[serde(skip)]
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Cluster {
    name: String,
    #[serde(default)]
    cluster: Option<ClusterFields>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct ClusterFields {
    server: Option<String>,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Context {
    name: String,
    #[serde(default)]
    context: Option<ContextFields>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContextFields {
    cluster: Option<String>,
    user: Option<String>,
    namespace: Option<String>,
}

#[derive(Debug, Deserialize)]
struct User {
    name: String,
    #[serde(default)]
    user: Option<UserFields>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct UserFields {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    username: Option<String>,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
}

/// Reads `paths` as one configuration, and finds the server of `context`, else of the current one. Where there are several paths, those
/// that are not there do not count.
///
/// # Errors
/// A file that cannot be read, a context that leads nowhere, or credentials that only another program could make.
pub(super) fn read(paths: &[PathBuf], context: Option<&str>) -> Result<Target, Error> {
    let mut files = Vec::new();
    for path in paths {
        match std::fs::read_to_string(path) {
            Ok(text) => files.push(parse(path, &text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && paths.len() > 1 => {}
            Err(source) => return Err(Error::File { doing: "read", path: path.clone(), source }),
        }
    }
    let shown = paths.first().cloned().unwrap_or_default();
    choose(&files, context).map_err(|problem| match problem {
        Problem::Said(problem) => Error::Config { path: shown, problem },
        Problem::Error(error) => *error,
    })
}

fn parse(path: &Path, text: &str) -> Result<File, Error> {
    // An empty file is an empty configuration, as kubectl has it.
    let file: Option<File> = yaml(text).map_err(|problem| Error::Config { path: path.to_owned(), problem })?;
    Ok(File { path: path.to_owned(), ..file.unwrap_or_default() })
}

fn yaml<T: DeserializeOwned>(text: &str) -> Result<Option<T>, String> {
    serde_saphyr::from_multiple(text).map(|documents: Vec<T>| documents.into_iter().next()).map_err(|error| error.to_string())
}

enum Problem {
    Said(String),
    Error(Box<Error>),
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self::Said(problem)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Error(Box::new(error))
    }
}

fn said(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn choose(files: &[File], context: Option<&str>) -> Result<Target, Problem> {
    let current = files.iter().find_map(|file| said(file.current_context.as_ref()));
    let name = context.or(current).ok_or_else(|| "it has no current-context; say one by --context".to_owned())?;
    let mut contexts = files.iter().flat_map(|file| file.contexts.iter().flatten());
    let found = contexts.find(|context| context.name == name).ok_or_else(|| format!("it has no context {name:?}"))?;
    let fields = found.context.as_ref();
    let cluster =
        fields.and_then(|fields| said(fields.cluster.as_ref())).ok_or_else(|| format!("the context {name:?} names no cluster"))?;
    let user = fields.and_then(|fields| said(fields.user.as_ref()));
    let namespace = fields.and_then(|fields| said(fields.namespace.as_ref())).map(str::to_owned);

    let named = |file: &File| -> Option<usize> { file.clusters.iter().flatten().position(|entry| entry.name == cluster) };
    let (file, at) = files
        .iter()
        .find_map(|file| Some((file, named(file)?)))
        .ok_or_else(|| format!("it has no cluster {cluster:?}, which {name:?} names"))?;
    let empty = ClusterFields::default();
    let entry = file.clusters.iter().flatten().nth(at).and_then(|entry| entry.cluster.as_ref()).unwrap_or(&empty);
    let url = said(entry.server.as_ref()).ok_or_else(|| format!("the cluster {cluster:?} has no server"))?.to_owned();
    let authority =
        pem(file, entry.certificate_authority_data.as_ref(), entry.certificate_authority.as_ref(), "certificate-authority-data")?;
    let insecure = entry.insecure_skip_tls_verify.unwrap_or(false);

    let mut target = Target { url, namespace, authority, insecure, ..Target::default() };
    let Some(user) = user else { return Ok(target) };
    let of_user = |file: &File| -> Option<usize> { file.users.iter().flatten().position(|entry| entry.name == user) };
    let (file, at) = files
        .iter()
        .find_map(|file| Some((file, of_user(file)?)))
        .ok_or_else(|| format!("it has no user {user:?}, which {name:?} names"))?;
    let Some(entry) = file.users.iter().flatten().nth(at).and_then(|entry| entry.user.as_ref()) else { return Ok(target) };
    if entry.exec.is_some() || entry.auth_provider.is_some() {
        let problem =
            format!("the user {user:?} gets its credentials from another program, which arkctl does not run; use one with a token");
        return Err(problem.into());
    }
    if said(entry.username.as_ref()).is_some() {
        return Err(format!("the user {user:?} has a name and a password; use a token or a certificate").into());
    }
    target.token = match (said(entry.token.as_ref()), &entry.token_file) {
        (Some(token), _) => Some(token.to_owned()),
        (None, Some(path)) => Some(String::from_utf8_lossy(&bytes(file, path)?).trim().to_owned()),
        (None, None) => None,
    };
    let certificate = pem(file, entry.client_certificate_data.as_ref(), entry.client_certificate.as_ref(), "client-certificate-data")?;
    let key = pem(file, entry.client_key_data.as_ref(), entry.client_key.as_ref(), "client-key-data")?;
    target.identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return Err(format!("the user {user:?} has a client certificate, and no key to it").into()),
        (None, Some(_)) => return Err(format!("the user {user:?} has a client key, and no certificate to it").into()),
    };
    Ok(target)
}

/// What is given in place, else what is in the file that is named.
fn pem(file: &File, data: Option<&String>, path: Option<&PathBuf>, field: &str) -> Result<Option<Vec<u8>>, Problem> {
    match (said(data), path.filter(|path| !path.as_os_str().is_empty())) {
        (Some(data), _) => {
            let decoded = BASE64_STANDARD.decode(data.trim());
            Ok(Some(decoded.map_err(|error| format!("its {field} is not base64: {error}"))?))
        }
        (None, Some(path)) => bytes(file, path).map(Some),
        (None, None) => Ok(None),
    }
}

/// A file that is named relative to the one that names it.
fn bytes(file: &File, path: &Path) -> Result<Vec<u8>, Problem> {
    let path = file.path.parent().unwrap_or(Path::new("")).join(path);
    std::fs::read(&path).map_err(|source| Error::File { doing: "read", path, source }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
apiVersion: v1
kind: Config
current-context: fleet
preferences: {}
clusters:
- name: fleet
  cluster:
    server: "https://fleet.example:7777"
    certificate-authority-data: Q0E=
- name: other
  cluster: {server: http://127.0.0.1:1, insecure-skip-tls-verify: true}
contexts:
- name: fleet
  context: {cluster: fleet, user: me, namespace: shop}
- name: other
  context: {cluster: other, user: nobody}
users:
- name: me
  user: {token: secret, client-certificate: c.pem, client-key-data: S0VZ}
- name: nobody
  user: {}
"#;

    fn read_texts(texts: &[&str], context: Option<&str>) -> Result<Target, Error> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("c.pem"), "CERT").unwrap();
        let paths: Vec<PathBuf> = (0..texts.len()).map(|at| directory.path().join(at.to_string())).collect();
        paths.iter().zip(texts).for_each(|(path, text)| std::fs::write(path, text).unwrap());
        read(&paths, context)
    }

    #[test]
    fn the_current_context_says_where_and_as_whom() {
        let target = read_texts(&[TWO], None).unwrap();
        assert_eq!((target.url.as_str(), target.namespace.as_deref()), ("https://fleet.example:7777", Some("shop")));
        assert_eq!((target.token.as_deref(), target.authority.as_deref()), (Some("secret"), Some(&b"CA"[..])));
        // A path is relative to the file, and what is given in place goes without one.
        assert_eq!(target.identity, Some(Identity { certificate: b"CERT".to_vec(), key: b"KEY".to_vec() }));
        assert!(!target.insecure);
    }

    #[test]
    fn another_context_is_taken_where_it_is_asked_for() {
        let target = read_texts(&[TWO], Some("other")).unwrap();
        assert_eq!((target.url.as_str(), target.namespace, target.token, target.identity), ("http://127.0.0.1:1", None, None, None));
        assert!(target.insecure);
    }

    #[test]
    fn the_first_file_that_says_something_holds() {
        let first = "current-context: other\nclusters:\n- name: other\n  cluster: {server: http://first:1}\n";
        assert_eq!(read_texts(&[first, TWO], None).unwrap().url, "http://first:1");
    }

    #[test]
    fn what_leads_nowhere_is_told_with_its_name() {
        for (text, context, problem) in [
            ("", None, "no current-context"),
            ("current-context: x", None, "no context \"x\""),
            ("contexts: [{name: x, context: {cluster: y}}]", Some("x"), "no cluster \"y\""),
            ("clusters: [{name: y}]\ncontexts: [{name: x, context: {cluster: y}}]", Some("x"), "has no server"),
            (TWO, Some("absent"), "no context \"absent\""),
            ("clusters: 7", None, "clusters"),
        ] {
            let error = read_texts(&[text], context).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert_eq!(error.exit_code(), 2, "{error}");
        }
    }

    #[test]
    fn credentials_of_another_program_are_refused() {
        let text = TWO.replace("user: {token: secret, client-certificate: c.pem, client-key-data: S0VZ}", "user: {exec: {command: aws}}");
        assert!(read_texts(&[&text], None).unwrap_err().to_string().contains("another program"));
    }
}
