//! A controller's API on a real listener, and `kubectl` against it.
#![allow(dead_code, reason = "each test uses its part")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
};

use fleet::resource::{Base, Condition, Document, Key, Kind, Meta, Module, Phase, Time, Truth, Write, label};
use module_controller::{
    api::{Access, Audit, Settings, Token, api},
    kubeconfig::Kubeconfig,
    listen,
    store::{Event, Memory, Severity, Store, Stored},
};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

pub(crate) struct Fleet {
    pub(crate) folder: TempDir,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) address: String,
    authority: Option<PathBuf>,
    runtime: Runtime,
    end: CancellationToken,
}

pub(crate) const SHOP: &str = r#"
apiVersion: serverless.alipay.com/v1alpha1
kind: ModuleDeployment
metadata:
  name: shop
  labels: {app: shop}
spec:
  baseDeploymentName: default
  replicas: 2
  template:
    spec:
      module: {name: shop, version: 1.0.0, url: "http://packages/shop.wasm"}
"#;

/// What a `kubectl` said, and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Fleet {
    /// With these tokens; the first goes into the kubeconfig.
    pub(crate) fn with(tokens: &str, settings: impl FnOnce(Settings) -> Settings) -> Self {
        Self::serve(tokens, settings, false)
    }

    /// The same over TLS: in the clear `kubectl` shows no token.
    pub(crate) fn over_tls(tokens: &str) -> Self {
        Self::serve(tokens, |settings| settings, true)
    }

    fn serve(tokens: &str, settings: impl FnOnce(Settings) -> Settings, encrypted: bool) -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (store, end) = (Arc::new(Memory::new()), CancellationToken::new());
        let tokens = Token::read(tokens).unwrap();
        let token = tokens.first().map(|(secret, _)| secret.clone());
        let access = Access { tokens: tokens.into_iter().map(|(_, token)| token).collect(), certified: false };
        let audit = Audit::file(&folder.path().join("audit.log")).unwrap();
        let set = settings(Settings { access, audit, end: end.clone(), ..Settings::default() });
        let router = api(store.clone(), set);
        let (tls, authority) = if encrypted { certificate(folder.path()) } else { (None, None) };
        let serving = runtime.block_on(listen::serve(router, "127.0.0.1:0".parse().unwrap(), tls, end.clone())).unwrap();
        let address = format!("{}://{}", if encrypted { "https" } else { "http" }, serving.address());
        let fleet = Self { folder, store, address, authority, runtime, end };
        fleet.kubeconfig("kubeconfig", token);
        fleet
    }

    /// Says that something happened to `about`.
    pub(crate) fn tell(&self, about: &Stored, severity: Severity, reason: &str, message: &str) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let event = Event::new(about, severity, reason, message, Time(u64::try_from(now.as_millis()).unwrap()));
        self.runtime.block_on(self.store.tell(vec![event])).unwrap();
    }

    pub(crate) fn open() -> Self {
        Self::with("", |settings| settings)
    }

    pub(crate) fn kubeconfig(&self, name: &str, token: Option<String>) -> PathBuf {
        let path = self.folder.path().join(name);
        Kubeconfig { server: self.address.clone(), token, authority: self.authority.clone() }.write(&path).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.env("HOME", self.folder.path()).env("KUBECONFIG", self.folder.path().join("kubeconfig")).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn kubectl(&self, args: &[&str]) -> Said {
        self.command(args).output().unwrap().into()
    }

    /// What `kubectl` printed; it has to succeed.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let said = self.kubectl(args);
        assert!(said.ok, "kubectl {args:?}: {said:?}");
        said.out
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    pub(crate) fn apply(&self, text: &str) -> String {
        let file = self.file("document.yaml", text);
        self.done(&["apply", "-f", &file])
    }

    pub(crate) fn get(&self, kind: Kind, name: &str) -> Stored {
        self.runtime.block_on(self.store.get(kind, Key::new("default", name))).unwrap().unwrap()
    }

    pub(crate) fn commit(&self, write: Write) -> Stored {
        let changes = self.runtime.block_on(self.store.commit(vec![write], None)).unwrap();
        changes[0].after.clone()
    }

    /// Changes what is stored, as the controller itself does.
    pub(crate) fn act(&self, kind: Kind, name: &str, change: impl FnOnce(&mut Document)) -> Stored {
        let mut document = Document::clone(&self.get(kind, name));
        change(&mut document);
        self.commit(Write::Update(document))
    }

    pub(crate) fn available(&self, name: &str) {
        self.act(Kind::ModuleDeployment, name, |document| {
            let Document::ModuleDeployment(deployment) = document else { panic!() };
            deployment.status.ready_replicas = 2;
            // What is said of an earlier generation is no answer to who waits.
            let observed_generation = deployment.metadata.generation;
            deployment.status.observed_generation = observed_generation;
            let condition = Condition { kind: "Available".to_owned(), status: Truth::True, observed_generation, ..Condition::default() };
            deployment.status.conditions = vec![condition];
        });
    }

    pub(crate) fn join(&self, name: &str) {
        let labels = [(label::DEPLOYMENT_NAME.to_owned(), "default".to_owned())].into();
        let metadata = Meta { name: name.to_owned(), namespace: "default".to_owned(), labels, ..Meta::default() };
        let mut base = Base { metadata, ..Base::default() };
        base.status.kinds = vec!["wasm".to_owned()];
        base.status.version = "1.0.0".to_owned();
        base.status.conditions = vec![Condition { kind: "Ready".to_owned(), status: Truth::True, ..Condition::default() }];
        self.commit(Write::Create(Document::Base(base)));
    }

    pub(crate) fn instance(&self, name: &str, base: &str) {
        let metadata = Meta { name: name.to_owned(), namespace: "default".to_owned(), ..Meta::default() };
        let mut module = Module { metadata, ..Module::default() };
        (module.spec.template.module.name, module.spec.template.module.version) = ("shop".to_owned(), "1.0.0".to_owned());
        module.spec.template.module.url = "http://packages/shop.wasm".to_owned();
        module.spec.base_name = base.to_owned();
        module.status.status = Phase::Available;
        self.commit(Write::Create(Document::Module(module)));
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A certificate for this machine, and the file by which clients know it.
fn certificate(folder: &Path) -> (Option<Arc<ServerConfig>>, Option<PathBuf>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let path = folder.join("authority.pem");
    fs::write(&path, made.cert.pem()).unwrap();
    (Some(Arc::new(config)), Some(path))
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.end.cancel();
    }
}
