//! Every setting of the data path, each with its gain, its cost and its default.

use std::time::Duration;

/// Settings of the data path.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether a module sees paths without its context path, which `X-Forwarded-Prefix` then tells.
    /// Gain: a module need not know where it was put. Cost: links it makes have to heed the header. Default: yes.
    pub strip_prefix: bool,
    /// The longest wait for the head of a request on a connection, its first included.
    /// Gain: a client that says nothing holds no connection. Cost: clients that keep connections longer unused connect anew. Default 60 s.
    pub head_timeout: Duration,
    /// The longest pause in which a client takes nothing of an answer.
    /// Gain: a stalled reader holds no instance. Cost: none for clients that read. Default 30 s.
    pub write_timeout: Duration,
    /// How long nothing may move on a connection that has become one of another protocol, WebSocket say; up to twice that may pass.
    /// Gain: one whose client has silently gone holds no place of its module for ever. Cost: who says less often has to connect anew. Default 10 min.
    pub tunnel_idle: Duration,
    /// Connections at a time; further ones wait to be accepted.
    /// Gain: bounds memory. Cost: at the bound, connecting takes as long as others are kept. Default 10,000.
    pub max_connections: usize,
    /// Requests at a time on one HTTP/2 connection. Default 256.
    pub max_streams: u32,
    /// The head of a request, in bytes. Default 64 KiB.
    pub max_head: usize,
    /// What a refused client is told to wait, in seconds. Default 1.
    pub retry_after: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            strip_prefix: true,
            head_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            tunnel_idle: Duration::from_secs(600),
            max_connections: 10_000,
            max_streams: 256,
            max_head: 64 << 10,
            retry_after: 1,
        }
    }
}
