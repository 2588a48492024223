//! The file by which `kubectl` and other clients find this controller.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// How clients reach this controller.
#[derive(Debug, Clone, Default)]
pub struct Kubeconfig {
    /// `http://127.0.0.1:7777`.
    pub server: String,
    /// The token it shows, where it has to show one.
    pub token: Option<String>,
    /// The certificates (PEM) by which it knows the controller; those of the system where there is none.
    pub authority: Option<PathBuf>,
}

impl Kubeconfig {
    /// As YAML.
    #[must_use]
    pub fn text(&self) -> String {
        // A string of JSON is one of YAML.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let authority = self.authority.as_ref().map(|path| format!("    certificate-authority: {}\n", quoted(&path.to_string_lossy())));
        // Some clients speak to nobody in the clear who does not say that it is meant so.
        let in_the_clear = self.server.starts_with("http://").then(|| "    insecure-skip-tls-verify: true\n".to_owned());
        let user =
            self.token.as_ref().map_or_else(|| "  user: {}\n".to_owned(), |token| format!("  user:\n    token: {}\n", quoted(token)));
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: fleet\n  cluster:\n    server: {}\n{}contexts:\n- name: fleet\n  context:\n    \
             cluster: fleet\n    user: fleet\n    namespace: default\ncurrent-context: fleet\nusers:\n- name: fleet\n{user}",
            quoted(&self.server),
            authority.or(in_the_clear).unwrap_or_default(),
        )
    }

    /// Writes it to `path`, whole or not at all, for the eyes of this user alone.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let new = PathBuf::from(name);
        drop(fs::remove_file(&new));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(self.text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_where_and_as_whom() {
        let open = Kubeconfig { server: "http://127.0.0.1:7777".to_owned(), ..Kubeconfig::default() };
        let kept = Kubeconfig { token: Some("a\"b".to_owned()), authority: Some("/tls/ca.pem".into()), ..open.clone() };
        insta::assert_snapshot!(format!("{}---\n{}", open.text(), kept.text()), @r#"
        apiVersion: v1
        kind: Config
        clusters:
        - name: fleet
          cluster:
            server: "http://127.0.0.1:7777"
            insecure-skip-tls-verify: true
        contexts:
        - name: fleet
          context:
            cluster: fleet
            user: fleet
            namespace: default
        current-context: fleet
        users:
        - name: fleet
          user: {}
        ---
        apiVersion: v1
        kind: Config
        clusters:
        - name: fleet
          cluster:
            server: "http://127.0.0.1:7777"
            certificate-authority: "/tls/ca.pem"
        contexts:
        - name: fleet
          context:
            cluster: fleet
            user: fleet
            namespace: default
        current-context: fleet
        users:
        - name: fleet
          user:
            token: "a\"b"
        "#);
    }
}
