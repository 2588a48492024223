//! What tests on bases of other kinds have in common.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use ark_model::report::BaseReport;
use harness::{base::Base, load::Report};

/// For whatever is waited for: far above what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it did not come about: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Status and body.
pub(crate) fn get_at(address: SocketAddr, path: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).timeout_global(Some(PATIENCE)).build();
    let mut response = ureq::Agent::from(config).get(format!("http://{address}{path}")).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

pub(crate) fn get(base: &Base, path: &str) -> (u16, String) {
    get_at(base.gateway, path)
}

/// The body, which has to come with 200.
pub(crate) fn body(base: &Base, path: &str) -> String {
    let (status, body) = get(base, path);
    assert_eq!(status, 200, "{path}: {body}\n{}", base.log());
    body
}

/// The head of the request by which the next base wants to open a tunnel.
pub(crate) fn dialled(controller: &TcpListener) -> String {
    let (stream, _) = controller.accept().unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n").to_ascii_lowercase()
}

/// The first report of a base.
pub(crate) fn report(base: &Base) -> BaseReport {
    let address = base.api.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /v1/report HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let line = BufReader::new(stream).lines().map(Result::unwrap).find(|line| line.starts_with('{')).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// Both versions answered a load, and every request was answered.
pub(crate) fn nothing_was_lost(base: &Base, report: &Report) {
    assert_eq!((report.lost, report.failures.clone()), (0, Vec::new()), "{}", base.log());
    assert_eq!(report.bodies.len(), 2, "both versions answered");
    assert!(report.right > 100, "{}", report.right);
}
