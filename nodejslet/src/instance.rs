//! A module that runs, and is brought back where its process ends: requests wait for it meanwhile, for a while.

use std::{
    collections::VecDeque,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ark_model::{Limits, Reason};
use ark_node::MEMORY_BYTES;
use futures_util::future::BoxFuture;
use gateway::{Body, Place, Proxy, RequestId, Upstream, UpstreamError};
use http::{Request, Response};
use rustix::process::Signal;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use arklet::now;

use crate::process::{Output, Process, Run, Told, described};

/// How long a request waits for a process that is being started again.
const HELD: Duration = Duration::from_secs(5);
/// How often in how long a process is started again before it counts as broken.
const RESTARTS: usize = 5;
const WITHIN: Duration = Duration::from_secs(60);
/// The pause before the first restart; each further one takes twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether a process lives and keeps to its bounds.
const LOOK: Duration = Duration::from_millis(500);
/// What a process gets between being told to end and being ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Of a process's memory, what is not for its heap: Node.js itself, and buffers.
const BESIDE_HEAP_MIB: u64 = 64;
const LEAST_HEAP_MIB: u64 = 32;
/// How long after a start the next process is made.
const REFILL: Duration = Duration::from_millis(300);

/// Starts processes. One for a module of the usual size is there before it is needed: Node.js itself takes as long to start as many an
/// application does.
#[derive(Clone)]
pub(crate) struct Starter {
    node: Arc<Path>,
    script: Arc<Path>,
    spare: Arc<Mutex<Option<Process>>>,
}

impl Starter {
    pub(crate) fn new(node: Arc<Path>, script: Arc<Path>) -> Self {
        Self { node, script, spare: Arc::default() }
    }

    /// A process that waits for what it is to run.
    async fn process(&self, memory_bytes: u64, through: bool) -> std::io::Result<Process> {
        let heap_mib = (memory_bytes >> 20).saturating_sub(BESIDE_HEAP_MIB).max(LEAST_HEAP_MIB);
        if memory_bytes != MEMORY_BYTES || through {
            return Process::start(&self.node, &self.script, heap_mib, through).await;
        }
        let spare = self.spare.lock().await.take().and_then(|mut spare| spare.is_alive().then_some(spare));
        let process = match spare {
            Some(spare) => spare,
            None => Process::start(&self.node, &self.script, heap_mib, false).await?,
        };
        let starter = self.clone();
        tokio::spawn(async move {
            // Whoever starts now comes first.
            tokio::time::sleep(REFILL).await;
            let mut spare = starter.spare.lock().await;
            if spare.is_none() {
                match Process::start(&starter.node, &starter.script, heap_mib, false).await {
                    Ok(process) => *spare = Some(process),
                    Err(error) => tracing::warn!(%error, "no process of Node.js is there beforehand"),
                }
            }
        });
        Ok(process)
    }
}

/// What to keep running.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// How it is called, for messages.
    pub(crate) name: String,
    pub(crate) run: Run,
    pub(crate) limits: Limits,
    pub(crate) output: Output,
}

#[derive(Clone)]
enum State {
    Up(Arc<Proxy>),
    Restarting,
    Broken,
    Ended,
}

/// What is known of an instance.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) memory_bytes: u64,
    /// The longest time that its event loop was held up lately.
    pub(crate) delay_ms: f64,
    pub(crate) handles: u64,
    pub(crate) restarts: u64,
}

/// What was open when it ended.
pub(crate) type Handles = Vec<String>;

struct Stop {
    patience: Duration,
    ended: oneshot::Sender<Handles>,
}

/// A module's process, whichever it is at the time. It ends with this.
pub(crate) struct Instance {
    state: watch::Receiver<State>,
    figures: watch::Receiver<Figures>,
    stop: mpsc::Sender<Stop>,
}

impl Instance {
    /// Starts it, and waits until it serves.
    ///
    /// # Errors
    /// In words, where it does not come up.
    pub(crate) async fn start(starter: Starter, wanted: Wanted) -> Result<Self, String> {
        let (process, serving) = up(&starter, &wanted).await?;
        let (state_sender, state) = watch::channel(serving);
        let (figures_sender, figures) = watch::channel(Figures { memory_bytes: process.memory(), ..Figures::default() });
        let (stop, stopping) = mpsc::channel(1);
        let keeper = Keeper { starter, wanted, state: state_sender, figures: figures_sender, began: VecDeque::new() };
        tokio::spawn(keeper.keep(process, stopping));
        Ok(Self { state, figures, stop })
    }

    /// What answers its requests.
    pub(crate) fn endpoint(&self) -> Arc<Answering> {
        Arc::new(Answering(self.state.clone()))
    }

    pub(crate) fn figures(&self) -> Figures {
        *self.figures.borrow()
    }

    /// Ends it: no more connections, the last requests, `SIGTERM`, and at the end of `patience` `SIGKILL`. Answers with what was open.
    pub(crate) async fn end(&self, patience: Duration) -> Handles {
        let (ended, handles) = oneshot::channel();
        if self.stop.send(Stop { patience, ended }).await.is_err() {
            return Handles::new();
        }
        handles.await.unwrap_or_default()
    }
}

/// Starts a process and waits until it serves.
async fn up(starter: &Starter, wanted: &Wanted) -> Result<(Process, State), String> {
    let through = matches!(wanted.output, Output::Through);
    let process = starter.process(wanted.limits.memory_bytes, through).await;
    let mut process = process.map_err(|error| error.to_string())?;
    process.run(&wanted.run, &wanted.output).map_err(|error| error.to_string())?;
    loop {
        match process.hear().await {
            Some(Told::Listening { tls: true, port, .. }) => {
                return Err(format!("it listens on port {port} with TLS; the base has that, let it listen by plain HTTP"));
            }
            Some(Told::Listening { listening: 0, .. }) => {
                let socket = process.socket(0);
                return Ok((process, State::Up(Arc::new(Proxy::new(Place::Socket(socket))))));
            }
            Some(Told::Silent { .. }) => {
                return Err("it came to its end without a server that listens, and exports no fetch(request)".to_owned());
            }
            Some(_) => {}
            None => return Err(format!("its process ended before it served: {}", described(process.ended().await))),
        }
    }
}

/// Keeps one instance.
struct Keeper {
    starter: Starter,
    wanted: Wanted,
    state: watch::Sender<State>,
    figures: watch::Sender<Figures>,
    /// When it was started again lately.
    began: VecDeque<Instant>,
}

impl Keeper {
    async fn keep(mut self, mut process: Process, mut stopping: mpsc::Receiver<Stop>) {
        loop {
            let why = tokio::select! {
                why = self.watch(&mut process) => why,
                stop = stopping.recv() => {
                    self.state.send_replace(State::Ended);
                    if let Some(stop) = stop {
                        let handles = end(process, stop.patience).await;
                        let _ = stop.ended.send(handles);
                    }
                    return;
                }
            };
            self.state.send_replace(State::Restarting);
            self.say(&why);
            drop(process);
            let again = tokio::select! {
                again = self.again() => again,
                stop = stopping.recv() => {
                    self.state.send_replace(State::Ended);
                    if let Some(stop) = stop {
                        let _ = stop.ended.send(Handles::new());
                    }
                    return;
                }
            };
            match again {
                Some(other) => process = other,
                None => {
                    self.state.send_replace(State::Broken);
                    self.say("it is not started again, for it ended too often; deploy it anew");
                    if let Some(stop) = stopping.recv().await {
                        let _ = stop.ended.send(Handles::new());
                    }
                    return;
                }
            }
        }
    }

    fn say(&self, what: &str) {
        tracing::warn!(module = self.wanted.name, "{what}");
        if let Output::Log(log) = &self.wanted.output {
            log.write(now(), "ark", None, what);
        }
    }

    /// Watches a process until it has ended, or has to be ended; answers why.
    async fn watch(&self, process: &mut Process) -> String {
        let (deadline, memory) = (Duration::from_millis(self.wanted.limits.request_deadline_ms), self.wanted.limits.memory_bytes);
        let (mut answered, mut look) = (Instant::now(), tokio::time::interval(LOOK));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                told = process.hear() => match told {
                    Some(Told::Pong { delay_ms, handles, .. }) => {
                        answered = Instant::now();
                        self.figures.send_modify(|figures| (figures.delay_ms, figures.handles) = (delay_ms, handles));
                    }
                    Some(Told::Listening { listening, port, .. }) if listening > 0 => {
                        self.say(&format!("it listens on port {port} too, which nobody reaches: the first is the one that counts"));
                    }
                    Some(_) => {}
                    None => return format!("its process ended: {}", described(process.ended().await)),
                },
                _ = look.tick() => {
                    let used = process.memory();
                    self.figures.send_modify(|figures| figures.memory_bytes = used);
                    if used > memory {
                        return format!("its process was ended, for it used {used} bytes of memory, and memory-bytes is {memory}");
                    }
                    if answered.elapsed() > deadline {
                        return format!("its process was ended, for its event loop stood still for {} ms", answered.elapsed().as_millis());
                    }
                    process.ping();
                }
            }
        }
    }

    /// Starts it again, with longer and longer pauses; none where that has happened too often.
    async fn again(&mut self) -> Option<Process> {
        loop {
            while self.began.front().is_some_and(|began| began.elapsed() > WITHIN) {
                self.began.pop_front();
            }
            if self.began.len() >= RESTARTS {
                return None;
            }
            if !self.began.is_empty() {
                tokio::time::sleep(PAUSE * 2_u32.saturating_pow(u32::try_from(self.began.len()).unwrap_or(u32::MAX))).await;
            }
            self.began.push_back(Instant::now());
            self.figures.send_modify(|figures| figures.restarts += 1);
            let patience = Duration::from_millis(self.wanted.limits.start_deadline_ms);
            match tokio::time::timeout(patience, up(&self.starter, &self.wanted)).await {
                Ok(Ok((process, state))) => {
                    self.state.send_replace(state);
                    return Some(process);
                }
                Ok(Err(problem)) => self.say(&problem),
                Err(_) => self.say("it does not come up again in its start-deadline-ms"),
            }
        }
    }
}

/// Ends a process, kindly for as long as `patience` lasts.
async fn end(mut process: Process, patience: Duration) -> Handles {
    let deadline = tokio::time::Instant::now() + patience;
    process.drain();
    let drained = async {
        loop {
            match process.hear().await {
                Some(Told::Drained { handles, .. }) => return handles,
                Some(_) => {}
                None => return Handles::new(),
            }
        }
    };
    let handles = tokio::time::timeout_at(deadline, drained).await.unwrap_or_default();
    process.signal(Signal::TERM);
    let last = deadline.max(tokio::time::Instant::now() + LAST_WORDS);
    let _ = tokio::time::timeout_at(last, process.ended()).await;
    handles
}

/// Answers by the process that there is at the time.
pub(crate) struct Answering(watch::Receiver<State>);

impl Upstream for Answering {
    fn call(&self, request: Request<Body>, id: &RequestId) -> BoxFuture<'static, Result<Response<Body>, UpstreamError>> {
        if let State::Up(proxy) = &*self.0.borrow() {
            return proxy.call(request, id);
        }
        let (mut state, id) = (self.0.clone(), id.clone());
        Box::pin(async move {
            let failed = |reason, message: &str| UpstreamError { reason, message: message.to_owned() };
            let settled = state.wait_for(|state| !matches!(state, State::Restarting));
            let settled = tokio::time::timeout(HELD, settled).await.map(|state| state.map_or(State::Ended, |state| state.clone()));
            let proxy = match settled {
                Ok(State::Up(proxy)) => proxy,
                Ok(State::Restarting | State::Broken | State::Ended) => return Err(failed(Reason::QueueFull, "its process has ended")),
                Err(_) => return Err(failed(Reason::QueueFull, "its process is being started again")),
            };
            proxy.call(request, &id).await
        })
    }
}
