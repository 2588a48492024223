//! A base that joins a controller: it dials, reports and takes orders, and comes back whatever happens to the connection or to itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{convert::Infallible, path::Path, sync::Arc, time::Duration};

use ark_model::{
    Fence, State,
    report::{BaseReport, ModuleReport, Room},
};
use harness::{base::Base, samples};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Bytes, Incoming},
    client::conn::http2::{SendRequest, handshake},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer};
use rustls::{
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

const PATIENCE: Duration = Duration::from_secs(60);

/// A controller as a base sees it: what it answers to whoever opens a tunnel, and the tunnels that it has taken.
struct Controller {
    url: String,
    tunnels: UnboundedReceiver<Tunnel>,
}

/// The controller's end of a tunnel.
struct Tunnel {
    headers: HeaderMap,
    requests: SendRequest<Full<Bytes>>,
    connection: AbortHandle,
}

impl Controller {
    async fn start(status: u16) -> Self {
        Self::start_with(status, None).await
    }

    async fn start_with(status: u16, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let (taken, tunnels) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (taken, tls) = (taken.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, status, taken).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, status, taken).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url, tunnels }
    }

    /// The next tunnel that a base opens.
    async fn tunnel(&mut self) -> Tunnel {
        tokio::time::timeout(PATIENCE, self.tunnels.recv()).await.expect("no base comes").unwrap()
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, status: u16, taken: UnboundedSender<Tunnel>) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request, status, taken.clone());
        async { Ok::<_, Infallible>(answer) }
    });
    // It ends when the base goes.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

fn answer(request: Request<Incoming>, status: u16, taken: UnboundedSender<Tunnel>) -> Response<Empty<Bytes>> {
    assert_eq!((request.method(), request.uri().path()), (&Method::GET, "/tunnel"));
    assert_eq!(request.headers()["upgrade"], "ark-tunnel");
    if status == 101 {
        tokio::spawn(async move {
            let headers = request.headers().clone();
            let upgraded = hyper::upgrade::on(request).await.unwrap();
            let (requests, connection) = handshake(TokioExecutor::new(), upgraded).await.unwrap();
            let connection = tokio::spawn(connection).abort_handle();
            // The test may be over.
            let _ = taken.send(Tunnel { headers, requests, connection });
        });
    }
    Response::builder().status(status).header("connection", "upgrade").header("upgrade", "ark-tunnel").body(Empty::new()).unwrap()
}

impl Tunnel {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    async fn send(&self, method: Method, path: &str, fence: Option<Fence>, body: Value) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("http://base{path}")).header("content-type", "application/json");
        if let Some(fence) = fence {
            request = request.header("ark-fence", fence.to_string());
        }
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.requests.clone().send_request(request.body(Full::new(body)).unwrap()).await.unwrap()
    }

    async fn call(&self, method: Method, path: &str, fence: Option<Fence>, body: Value) -> (u16, Value) {
        let response = self.send(method, path, fence, body).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn install(&self, fence: Option<Fence>, order: Value) -> (u16, Value) {
        self.call(Method::POST, "/v1/modules", fence, order).await
    }

    async fn reports(&self) -> Reports {
        let response = self.send(Method::GET, "/v1/report", None, Value::Null).await;
        assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &"application/x-ndjson".parse().unwrap()));
        Reports { body: response.into_body(), read: Vec::new() }
    }
}

struct Reports {
    body: Incoming,
    read: Vec<u8>,
}

impl Reports {
    async fn next(&mut self) -> BaseReport {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return serde_json::from_slice(&line).unwrap();
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("no report comes").unwrap().unwrap();
            self.read.extend_from_slice(frame.data_ref().unwrap());
        }
    }

    /// The first report with what `wanted` finds.
    async fn with<T>(&mut self, wanted: impl Fn(&BaseReport) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.next().await) {
                return found;
            }
        }
    }

    async fn ready(&mut self) -> BaseReport {
        self.with(|report| report.ready.then(|| report.clone())).await
    }
}

fn fence(epoch: u64, generation: u64) -> Option<Fence> {
    Some(Fence { epoch, generation })
}

fn order(version: &str, package: &Path, mark: &str) -> Value {
    json!({"id": {"name": "hello", "version": version}, "url": format!("file://{}", package.display()), "mark": mark})
}

fn hello() -> std::path::PathBuf {
    samples::sample("hello", 1).unwrap()
}

fn find(report: &BaseReport, version: &str) -> Option<ModuleReport> {
    report.modules.iter().find(|module| module.id.version() == version).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_says_who_it_is_reports_every_change_and_does_what_comes_down() {
    let mut controller = Controller::start(101).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "let-me-in\n").unwrap();
    let joins = ["--controller", &controller.url, "--controller-token-file", token.to_str().unwrap(), "--base-name", "b-1"];
    let is = ["--base-deployment", "shop", "--base-labels", "zone=a,disk=ssd", "--token", "not-asked-for"];
    let base = Base::start(&[&joins[..], &is[..]].concat()).unwrap();
    let tunnel = controller.tunnel().await;
    assert_eq!((tunnel.header("ark-base"), tunnel.header("authorization")), ("b-1", "Bearer let-me-in"));

    let mut reports = tunnel.reports().await;
    let report = reports.ready().await;
    assert_eq!((report.identity.as_str(), report.deployment.as_str()), ("b-1", "shop"));
    assert_eq!(report.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(), ["disk=ssd", "zone=a"]);
    assert_eq!((report.kinds, report.gateway), (vec!["wasm".to_owned()], format!("http://{}", base.gateway)));
    assert_eq!((report.room[&Room::Modules].total, report.room[&Room::Modules].used), (10_000, 0));
    assert!(!report.room.contains_key(&Room::Metaspace) && report.started_at > 0 && report.modules.is_empty());

    let (status, installed) = tunnel.install(fence(1, 7), order("1.0.0", &hello(), "m-1")).await;
    assert_eq!((status, &installed["module"]["mark"]), (200, &json!("m-1")), "{installed}");
    let module = reports.with(|report| find(report, "1.0.0").filter(|module| module.state == State::Activated)).await;
    assert_eq!((module.mark.as_str(), Some(module.fence)), ("m-1", fence(1, 7)));

    // The same again is done already; what is older, or of a controller that leads no more, comes too late.
    let (status, again) = tunnel.install(fence(1, 7), order("1.0.0", &hello(), "m-1")).await;
    assert_eq!((status, &again["module"]["history"]), (200, &installed["module"]["history"]), "{again}");
    let (status, other) = tunnel.install(fence(1, 7), order("1.0.0", &hello(), "m-2")).await;
    assert_eq!((status, &other["error"]["reason"]), (409, &json!("AlreadyInstalled")), "{other}");
    for late in [fence(1, 6), fence(0, 99)] {
        let (status, refused) = tunnel.call(Method::DELETE, "/v1/modules/hello/1.0.0", late, Value::Null).await;
        assert_eq!((status, &refused["error"]["reason"]), (409, &json!("OrderStale")), "{refused}");
        let (status, refused) = tunnel.call(Method::POST, "/v1/modules/hello/1.0.0/activate", late, Value::Null).await;
        assert_eq!((status, &refused["error"]["reason"]), (409, &json!("OrderStale")), "{refused}");
        let refused = tunnel.call(Method::POST, "/uninstallBiz", late, json!({"bizName": "hello", "bizVersion": "1.0.0"})).await.1;
        assert!(refused["errorStackTrace"].as_str().unwrap().starts_with("OrderStale"), "{refused}");
    }
    let (status, refused) = tunnel.call(Method::DELETE, "/v1/modules/hello/1.0.0", None, Value::Null).await;
    assert_eq!(status, 200, "an order without a fence goes on as ever: {refused}");
    reports.with(|report| report.modules.is_empty().then_some(())).await;
    let (status, refused) = tunnel.install(fence(1, 6), order("1.0.0", &hello(), "m-1")).await;
    assert_eq!((status, &refused["error"]["reason"]), (409, &json!("OrderStale")), "also where the name is gone: {refused}");

    // Many changes at once end in a report of how they ended.
    let anonymous = folder.path().join("burst.wasm");
    samples::remade(&hello(), &anonymous, |manifest| (manifest.name, manifest.version) = (None, None)).unwrap();
    for version in 0..20 {
        let mut order = order(&format!("2.0.{version}"), &anonymous, "burst");
        order["id"]["name"] = json!("burst");
        assert_eq!(tunnel.install(fence(1, 8), order).await.0, 200);
    }
    let last = reports.with(|report| (report.modules.len() == 1).then(|| find(report, "2.0.19")).flatten()).await;
    assert_eq!(last.state, State::Activated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_comes_back_and_goes_on() {
    let mut controller = Controller::start(101).await;
    let _base = Base::start(&["--controller", &controller.url]).unwrap();
    let first = controller.tunnel().await;
    let started_at = first.reports().await.ready().await.started_at;
    first.connection.abort();
    let second = controller.tunnel().await;
    assert_eq!(second.reports().await.ready().await.started_at, started_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_that_do_not_lead_and_those_that_never_speak_are_passed_over() {
    let follower = Controller::start(421).await;
    let starting = Controller::start(503).await;
    // The system accepts for it; nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut leader = Controller::start(101).await;
    let all = format!("{},{},http://{},{}", follower.url, starting.url, silent.local_addr().unwrap(), leader.url);
    let base = Base::start(&["--controller", &all]).unwrap();
    leader.tunnel().await.reports().await.ready().await;
    for why in ["it does not lead, or is not ready (421", "it did not open the tunnel within 10 s"] {
        base.wait_log(why).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_takes_the_tunnel_and_asks_for_nothing_is_left() {
    let mut mute = Controller::start(101).await;
    let mut leader = Controller::start(101).await;
    let base = Base::start(&["--controller", &mute.url, "--controller", &leader.url]).unwrap();
    let _kept = mute.tunnel().await;
    leader.tunnel().await.reports().await.ready().await;
    base.wait_log("it took the tunnel, and asked for nothing within 20 s").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_base_comes_back_with_its_modules_marks_and_fences_and_says_that_it_was_started_anew() {
    let mut controller = Controller::start(101).await;
    let folder = tempfile::tempdir().unwrap();
    let url = controller.url.clone();
    let joins = ["--controller", &url];
    let mut base = Base::start_in(folder.path(), &joins).unwrap();
    let tunnel = controller.tunnel().await;
    let before = tunnel.reports().await.ready().await;
    assert_eq!(tunnel.install(fence(3, 5), order("1.0.0", &hello(), "m-1")).await.0, 200);
    assert_eq!(tunnel.call(Method::DELETE, "/v1/modules/gone/1.0.0", fence(4, 9), Value::Null).await.0, 404);
    base.kill();

    let _base = Base::start_in(folder.path(), &joins).unwrap();
    let tunnel = controller.tunnel().await;
    let after = tunnel.reports().await.ready().await;
    assert!(after.started_at > before.started_at);
    let module = find(&after, "1.0.0").unwrap();
    assert_eq!((module.state, module.mark.as_str(), Some(module.fence)), (State::Activated, "m-1", fence(3, 5)));
    // Also what was only refused for another reason has been seen.
    let mut gone = order("1.0.0", &hello(), "late");
    gone["id"]["name"] = json!("gone");
    assert_eq!(tunnel.install(fence(4, 8), gone).await.1["error"]["reason"], "OrderStale");
    assert_eq!(tunnel.install(fence(3, 5), order("1.0.0", &hello(), "m-1")).await.1["error"]["reason"], "OrderStale");
    assert_eq!(tunnel.install(fence(4, 5), order("1.0.0", &hello(), "m-1")).await.0, 200);
}

/// A controller behind TLS, and the files that a base has to have.
struct Behind {
    controller: Controller,
    /// The authority that signed the controller's certificate.
    ca: String,
    /// A certificate of that authority, and its key.
    own: [String; 2],
    _folder: tempfile::TempDir,
}

impl Behind {
    /// It may let in only who has a certificate of its own authority.
    async fn tls(only_with_certificate: bool) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = authority.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let written = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let ca = written("ca.pem", &certificate.pem());
        let own = rcgen::KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&own, &Issuer::new(authority, key)).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let config = if only_with_certificate {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(certificate.der().clone()).unwrap();
            config.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap())
        } else {
            config.with_no_client_auth()
        };
        let config = config.with_single_cert(vec![leaf.der().clone()], key).unwrap();
        let own = [written("own.pem", &leaf.pem()), written("own.key", &own.serialize_pem())];
        Self { controller: Controller::start_with(101, Some(TlsAcceptor::from(Arc::new(config)))).await, ca, own, _folder: folder }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_behind_tls_is_joined_where_its_authority_is_known_and_not_where_it_is_not() {
    let mut behind = Behind::tls(false).await;
    let joins = ["--controller", &behind.controller.url];
    let stranger = Base::start(&joins).unwrap();
    let _base = Base::start(&[&joins[..], &["--controller-ca", &behind.ca, "--base-name", "knows"]].concat()).unwrap();
    let tunnel = behind.controller.tunnel().await;
    assert_eq!(tunnel.header("ark-base"), "knows");
    tunnel.reports().await.ready().await;
    stranger.wait_log("it cannot be reached: invalid peer certificate").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_wants_certificates_is_joined_with_one_and_not_without() {
    let mut behind = Behind::tls(true).await;
    let joins = ["--controller", &behind.controller.url, "--controller-ca", &behind.ca];
    let without = Base::start(&joins).unwrap();
    let [certificate, key] = &behind.own;
    let shows = ["--controller-cert", certificate, "--controller-key", key, "--base-name", "shows"];
    let _base = Base::start(&[&joins[..], &shows].concat()).unwrap();
    let tunnel = behind.controller.tunnel().await;
    assert_eq!(tunnel.header("ark-base"), "shows");
    tunnel.reports().await.ready().await;
    without.wait_log("wants a certificate").unwrap();
}
