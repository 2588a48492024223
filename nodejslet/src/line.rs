//! The line to a script of ours in Node.js: a Unix socket, a JSON document a line, both ways.

use std::{io, path::Path, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
};

/// How long a script may take until it calls.
const PATIENCE: Duration = Duration::from_secs(20);
/// The name of the socket, in a folder of its own.
pub(crate) const CONTROL: &str = "control";

/// A line that nobody has called on yet.
pub(crate) struct Waiting(UnixListener);

/// A line to a script that tells `T`.
pub(crate) struct Line<T> {
    orders: mpsc::UnboundedSender<String>,
    told: mpsc::UnboundedReceiver<T>,
}

impl Waiting {
    /// Waits at the socket in `folder`.
    ///
    /// # Errors
    /// Where the socket cannot be made.
    pub(crate) fn in_folder(folder: &Path) -> io::Result<Self> {
        Ok(Self(UnixListener::bind(folder.join(CONTROL))?))
    }

    /// The line, once the script has called.
    ///
    /// # Errors
    /// Where it does not, in 20 s.
    pub(crate) async fn called<T: DeserializeOwned + Send + 'static>(self) -> io::Result<Line<T>> {
        let called = tokio::time::timeout(PATIENCE, self.0.accept()).await;
        let (stream, _) = called.map_err(|_| io::Error::other("Node.js was started, and says nothing"))??;
        let (orders, to_send) = mpsc::unbounded_channel();
        let (teller, told) = mpsc::unbounded_channel();
        tokio::spawn(speak(stream, to_send, teller));
        Ok(Line { orders, told })
    }
}

impl<T> Line<T> {
    /// Says something. Nobody hears it where the script has ended.
    pub(crate) fn say(&self, order: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(order) {
            let _ = self.orders.send(text + "\n");
        }
    }

    /// What it tells next; none once it has ended.
    pub(crate) async fn hear(&mut self) -> Option<T> {
        self.told.recv().await
    }
}

async fn speak<T: DeserializeOwned>(stream: UnixStream, mut orders: mpsc::UnboundedReceiver<String>, told: mpsc::UnboundedSender<T>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) if writer.write_all(order.as_bytes()).await.is_ok() => {}
                _ => return,
            },
            line = lines.next_line() => match line {
                Ok(Some(line)) => match serde_json::from_str(&line) {
                    Ok(said) => {
                        if told.send(said).is_err() {
                            return;
                        }
                    }
                    Err(error) => tracing::warn!(%error, line, "a script in Node.js says what nobody understands"),
                },
                _ => return,
            },
        }
    }
}
