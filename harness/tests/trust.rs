//! Whom a base trusts: signers of packages, holders of certificates and of tokens. Whoever is refused has changed nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    io::Cursor,
    path::{Path, PathBuf},
    process::Command,
};

use ark_model::{Reason, Step};
use harness::{base::Base, bin_dir, samples};
use minisign::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose};
use serde_json::{Value, json};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn sign(keys: &KeyPair, package: &[u8]) -> String {
    minisign::sign(Some(&keys.pk), &keys.sk, Cursor::new(package), Some("for tests"), None).unwrap().into_string()
}

#[test]
fn only_what_a_required_key_has_signed_is_installed() {
    let (first, second, stranger) = (
        KeyPair::generate_unencrypted_keypair().unwrap(),
        KeyPair::generate_unencrypted_keypair().unwrap(),
        KeyPair::generate_unencrypted_keypair().unwrap(),
    );
    let base = Base::start(&["--require-key", &first.pk.to_base64(), "--require-key", &second.pk.to_base64()]).unwrap();
    let package = samples::sample("hello", 1).unwrap();
    let bytes = std::fs::read(&package).unwrap();
    let order = |signature: Option<&str>| json!({"url": url(&package), "signature": signature});
    let refused = |order: &Value| {
        let error = base.api.install(order).unwrap().expect_err("it was installed").error;
        assert_eq!((error.reason, error.step), (Reason::SignatureInvalid, Some(Step::Verify)), "{}", error.message);
        assert!(base.api.modules().unwrap().is_empty());
        assert_eq!(base.api.get("/v1/routes").unwrap().1, r#"{"routes":[]}"#);
        error.message
    };

    let none = refused(&json!({"url": url(&package)}));
    assert!(none.contains("requires a signature"), "{none}");
    let wrong = refused(&order(Some(&sign(&stranger, &bytes))));
    assert!(wrong.contains("not one of the keys"), "{wrong}");
    let right = sign(&first, &bytes);
    for cut in [0, 1, right.len() / 4, right.len() / 2, right.len() - 20] {
        refused(&order(Some(&right[..cut])));
    }
    refused(&order(Some("not a signature at all\n")));
    // One bit of the signature itself, or of its comment that is signed too.
    refused(&order(Some(&right.replace("for tests", "for tents"))));
    // Another package under a signature that is right for this one.
    let folder = tempfile::tempdir().unwrap();
    let changed = folder.path().join("changed.wasm");
    samples::remade(&package, &changed, |manifest| manifest.reuse = Some(7)).unwrap();
    refused(&json!({"url": url(&changed), "signature": right}));

    // Each of the keys is enough; a package that came by upload is held to the same.
    base.api.install(&order(Some(&right))).unwrap().unwrap();
    let (second_package, signature) = (samples::sample("hello", 2).unwrap(), folder.path().join("hello.minisig"));
    std::fs::write(&signature, sign(&second, &std::fs::read(&second_package).unwrap())).unwrap();
    let deploy = |extra: &[&str]| {
        let mut command = Command::new(bin_dir().unwrap().join("arkctl"));
        command.args(["--base", base.api.url(), "deploy"]).arg(&second_package).args(extra).output().unwrap()
    };
    let unsigned = deploy(&[]);
    assert_eq!(unsigned.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unsigned.stderr).contains("SignatureInvalid"));
    let signed = deploy(&["--signature", signature.to_str().unwrap()]);
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    let standing: Vec<String> = base.api.modules().unwrap().into_iter().map(|module| module.id.to_string()).collect();
    assert_eq!(standing, ["hello:2.0.0"]);
}

#[test]
fn signed_modules_come_back_after_a_kill_and_not_where_their_key_is_no_longer_trusted() {
    let keys = KeyPair::generate_unencrypted_keypair().unwrap();
    let key = keys.pk.to_base64();
    let data = tempfile::tempdir().unwrap();
    let package = samples::sample("hello", 1).unwrap();
    let mut base = Base::start_in(data.path(), &["--require-key", &key]).unwrap();
    let signature = sign(&keys, &std::fs::read(&package).unwrap());
    base.api.install(&json!({"url": url(&package), "signature": signature})).unwrap().unwrap();
    base.kill();
    let mut base = Base::start_in(data.path(), &["--require-key", &key]).unwrap();
    assert_eq!(base.api.modules().unwrap().len(), 1);
    base.kill();
    let other = KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
    let base = Base::start_in(data.path(), &["--require-key", &other]).unwrap();
    assert!(base.api.modules().unwrap().iter().all(|module| module.state != ark_model::State::Activated));
    base.wait_log("SignatureInvalid").unwrap();
}

#[test]
fn a_key_that_is_none_keeps_the_base_from_starting() {
    let output = Command::new(bin_dir().unwrap().join("arklet")).args(["--require-key", "nonsense"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no minisign public key"));
}

/// An authority, and what it has signed.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, rcgen::KeyPair>,
}

/// A certificate and its key, as PEM.
struct Holder {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Holder {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = rcgen::KeyPair::generate().unwrap();
        Holder { certificate: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A base that everybody on the network reaches, over TLS.
struct Remote {
    base: Base,
    authority: Authority,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Remote {
    fn start(client_certificates: bool, arguments: &[&str]) -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let server = authority.sign("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        let certificate = written(folder.path(), "cert.pem", &server.certificate);
        let key = written(folder.path(), "key.pem", &server.key);
        let ca = written(folder.path(), "ca.pem", &authority.certificate);
        let path = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let mut all: Vec<String> =
            ["--listen", "0.0.0.0:0", "--api-cert", &path(&certificate), "--api-key", &path(&key)].map(str::to_owned).into();
        if client_certificates {
            all.extend(["--api-client-ca".to_owned(), path(&ca)]);
        }
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let arguments: Vec<&str> = all.iter().map(String::as_str).collect();
        let base = Base::launch(&folder.path().join("data"), &arguments).unwrap();
        let port = base.api.url().rsplit(':').next().unwrap().parse().unwrap();
        Self { base, authority, port, _folder: folder }
    }

    /// The status and body of a call; an error where not even the connection is let in.
    fn ask(&self, who: Option<&Holder>, token: Option<&str>, method: &str, path: &str, body: &str) -> Result<(u16, String), ureq::Error> {
        let root = Certificate::from_pem(self.authority.certificate.as_bytes()).unwrap();
        let client = who.map(|holder| {
            let certificate = Certificate::from_pem(holder.certificate.as_bytes()).unwrap();
            ClientCert::new_with_certs(&[certificate], PrivateKey::from_pem(holder.key.as_bytes()).unwrap())
        });
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root])).client_cert(client).build();
        let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).build().into();
        let uri = format!("https://localhost:{}{path}", self.port);
        let mut request = ureq::http::Request::builder().method(method).uri(uri).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = agent.run(request.body(body.to_owned()).unwrap())?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }
}

fn order() -> String {
    json!({"url": url(&samples::sample("hello", 1).unwrap())}).to_string()
}

#[test]
fn a_client_certificate_of_the_right_authority_opens_and_none_other_does() {
    let order = order();
    let remote = Remote::start(true, &[]);
    let holder = remote.authority.sign("operator", ExtendedKeyUsagePurpose::ClientAuth);
    let stranger = Authority::new().sign("operator", ExtendedKeyUsagePurpose::ClientAuth);
    let selfmade = rcgen::generate_simple_self_signed(vec!["operator".to_owned()]).unwrap();
    let selfmade = Holder { certificate: selfmade.cert.pem(), key: selfmade.signing_key.serialize_pem() };
    // A certificate for servers is none for clients.
    let server = remote.authority.sign("operator", ExtendedKeyUsagePurpose::ServerAuth);
    for who in [None, Some(&stranger), Some(&selfmade), Some(&server)] {
        assert!(remote.ask(who, None, "GET", "/v1/modules", "").is_err());
        assert!(remote.ask(who, None, "POST", "/v1/modules", &order).is_err());
    }
    assert_eq!(remote.ask(Some(&holder), None, "GET", "/v1/modules", "").unwrap(), (200, r#"{"modules":[]}"#.to_owned()));
    let (status, body) = remote.ask(Some(&holder), None, "POST", "/v1/modules", &order).unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(ureq::get(format!("http://{}/hello/", remote.base.gateway)).call().unwrap().status(), 200);
    // In the clear nobody gets a word.
    assert!(ureq::get(format!("http://127.0.0.1:{}/healthz", remote.port)).call().is_err());
}

#[test]
fn a_read_only_token_looks_and_changes_nothing_with_or_without_a_certificate() {
    let order = order();
    for certificates in [false, true] {
        let remote = Remote::start(certificates, &["--token", "secret", "--read-token", "look"]);
        let holder = certificates.then(|| remote.authority.sign("monitor", ExtendedKeyUsagePurpose::ClientAuth));
        let ask = |token: &str, method: &str, path: &str, body: &str| remote.ask(holder.as_ref(), Some(token), method, path, body).unwrap();
        for path in ["/v1/base", "/v1/modules", "/v1/routes", "/v1/verdicts", "/metrics"] {
            assert_eq!(ask("look", "GET", path, "").0, 200, "{path}");
        }
        assert_eq!(ask("secret", "POST", "/v1/modules", &order).0, 200);
        for (method, path, body) in [
            ("POST", "/v1/modules", order.as_str()),
            ("POST", "/v1/prepare", order.as_str()),
            ("PUT", "/v1/packages", "bytes"),
            ("DELETE", "/v1/modules/hello/1.0.0", ""),
            ("POST", "/v1/modules/hello/1.0.0/activate", ""),
            ("DELETE", "/v1/operations/hello", ""),
            ("POST", "/installBiz", "{}"),
            ("POST", "/uninstallBiz", "{}"),
            ("POST", "/switchBiz", "{}"),
        ] {
            let (status, told) = ask("look", method, path, body);
            assert_eq!(status, 401, "{method} {path}: {told}");
            assert!(told.contains("Unauthorized"), "{told}");
        }
        let (_, modules) = ask("look", "GET", "/v1/modules", "");
        assert!(modules.contains(r#""state":"activated""#), "{modules}");
    }
}
