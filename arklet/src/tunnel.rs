//! The tunnel to a controller. The base dials it, which works from behind any NAT, and upgrades the connection; from then on the roles are
//! changed: the controller asks, and the base serves its API on that connection, as a server of HTTP/2.
//!
//! One tunnel is open at a time. Where it ends, or cannot be opened, the next controller of the list is dialled, for ever.

use std::{convert::Infallible, error::Error, fs, io, path::PathBuf, sync::Arc, time::Duration};

use ark_model::report::{BASE_HEADER, TUNNEL_PROTOCOL};
use axum::Router;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http2,
    service::service_fn,
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{AlertDescription, ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;
use tower_service::Service;

/// From the first packet to the 101.
const DIAL: Duration = Duration::from_secs(10);
/// How long a controller that took the tunnel may take to ask for something.
const FIRST_CALL: Duration = Duration::from_secs(20);
/// A peer that is gone is noticed after both together.
const PING_EVERY: Duration = Duration::from_secs(8);
const PING_ANSWER: Duration = Duration::from_secs(8);
/// Between two attempts, at least and at most.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// Whom to dial, and how.
pub(crate) struct Settings {
    /// The controllers, at least one: `http://…` or `https://…`.
    pub(crate) controllers: Vec<Uri>,
    /// What the base shows them.
    pub(crate) token: Option<Token>,
    /// What it takes to believe them.
    pub(crate) tls: Arc<ClientConfig>,
    /// Who the base says it is.
    pub(crate) identity: HeaderValue,
}

/// The token that controllers want to see.
pub(crate) enum Token {
    Given(String),
    /// Read for each attempt: whoever keeps it may put another one in its place.
    InFile(PathBuf),
}

/// Why there is no tunnel, or none any more.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the token in {0} cannot be read: {1}")]
    Token(String, io::Error),
    #[error("it cannot be reached: {0}")]
    Unreachable(#[from] io::Error),
    #[error("it did not open the tunnel within {} s", DIAL.as_secs())]
    Slow,
    #[error("it does not lead, or is not ready ({0})")]
    NotLeading(StatusCode),
    #[error("it answered {0} instead of opening the tunnel")]
    Refused(StatusCode),
    #[error("it took the tunnel, and asked for nothing within {} s", FIRST_CALL.as_secs())]
    Mute,
    #[error("it wants a certificate; give it one by --controller-cert and --controller-key")]
    Uncertified,
    #[error("the connection broke off: {0}")]
    Lost(hyper::Error),
    #[error("it closed the tunnel")]
    Closed,
}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Self {
        // A server of TLS 1.3 says so when its client takes the connection for made.
        let tls = error.source().and_then(|source| source.downcast_ref::<io::Error>()).and_then(io::Error::get_ref);
        match tls.and_then(|tls| tls.downcast_ref()) {
            Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) => Self::Uncertified,
            _ => Self::Lost(error),
        }
    }
}

/// Keeps a tunnel open on which `router` is served, for as long as this is polled.
pub(crate) async fn keep_open(settings: Settings, router: Router) -> Infallible {
    let mut told: Vec<Option<String>> = vec![None; settings.controllers.len()];
    let mut attempt = 0;
    loop {
        for (at, controller) in settings.controllers.iter().enumerate() {
            let joined = watch::Sender::new(false);
            let Err(broken) = hold(&settings, controller, &router, &joined).await;
            let was_joined = *joined.borrow();
            if was_joined {
                tracing::warn!(%controller, "the tunnel has ended: {broken}");
                told.fill(None);
                attempt = 0;
            } else if let Some(told) = told.get_mut(at) {
                // Once for each change, and not once for each attempt.
                let problem = broken.to_string();
                if told.as_ref() != Some(&problem) {
                    tracing::warn!(%controller, "no tunnel, and it is tried on: {problem}");
                    *told = Some(problem);
                }
            }
            sleep(pause(attempt, settings.controllers.len(), fastrand::f64())).await;
            attempt += 1;
        }
    }
}

/// How long to wait after `attempt` others that failed, where `controllers` take turns: little between them, and longer each time that all
/// have been tried. `chance`, from 0 to 1, keeps bases from coming all at once.
fn pause(attempt: usize, controllers: usize, chance: f64) -> Duration {
    let controllers = controllers.max(1);
    let rounds = if attempt.is_multiple_of(controllers) { attempt / controllers } else { 0 };
    let longest = SHORTEST * (1 << rounds.min(10));
    SHORTEST.max(longest.min(LONGEST).mul_f64(0.5 + chance / 2.0))
}

/// Opens a tunnel and serves on it to its end. `joined` is told once the controller asks for something.
async fn hold(settings: &Settings, controller: &Uri, router: &Router, joined: &watch::Sender<bool>) -> Result<Infallible, Broken> {
    let tunnel = timeout(DIAL, open(settings, controller)).await.map_err(|_| Broken::Slow)??;
    let service = service_fn(|request: Request<Incoming>| {
        if !joined.send_replace(true) {
            tracing::info!(%controller, "joined the controller");
        }
        router.clone().call(request)
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER)
        .serve_connection(tunnel, service);
    let mut asked = joined.subscribe();
    let mute = async {
        if timeout(FIRST_CALL, asked.wait_for(|asked| *asked)).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = connection => Err(ended.err().map_or(Broken::Closed, Broken::from)),
        () = mute => Err(Broken::Mute),
    }
}

/// Dials `controller` and upgrades the connection.
async fn open(settings: &Settings, controller: &Uri) -> Result<Upgraded, Broken> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(dial(settings, controller).await?)).await?;
    // It ends with the tunnel, or with the sender.
    tokio::spawn(connection.with_upgrades());
    let path = format!("{}/tunnel", controller.path().trim_end_matches('/'));
    let mut request = Request::get(path)
        .header(header::HOST, controller.authority().map_or("", |authority| authority.as_str()))
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, TUNNEL_PROTOCOL)
        .header(BASE_HEADER, &settings.identity);
    if let Some(token) = &settings.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.read()?));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let response = sender.send_request(request).await?;
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => Ok(hyper::upgrade::on(response).await?),
        status @ (StatusCode::MISDIRECTED_REQUEST | StatusCode::SERVICE_UNAVAILABLE) => Err(Broken::NotLeading(status)),
        status => Err(Broken::Refused(status)),
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn dial(settings: &Settings, controller: &Uri) -> io::Result<Box<dyn Stream>> {
    let host = controller.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let encrypted = controller.scheme() == Some(&http::uri::Scheme::HTTPS);
    let port = controller.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    if !encrypted {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(&settings.tls)).connect(name, stream).await?))
}

impl Token {
    fn read(&self) -> Result<String, Broken> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::InFile(path) => {
                let text = fs::read_to_string(path).map_err(|error| Broken::Token(path.display().to_string(), error))?;
                Ok(text.trim().to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_take_turns_at_short_intervals_and_pauses_grow_with_each_round() {
        let millis = |attempt, controllers| pause(attempt, controllers, 1.0).as_millis();
        assert_eq!((0..5).map(|attempt| millis(attempt, 1)).collect::<Vec<_>>(), [200, 400, 800, 1_600, 3_200]);
        assert_eq!((0..7).map(|attempt| millis(attempt, 3)).collect::<Vec<_>>(), [200, 200, 200, 400, 200, 200, 800]);
        assert_eq!(millis(1_000_000, 1), 10_000);
    }

    #[test]
    fn chance_spreads_the_pauses_and_none_is_too_short() {
        assert_eq!(pause(1_000, 1, 0.0), LONGEST / 2);
        assert_eq!(pause(0, 1, 0.0), SHORTEST);
    }
}
