//! A module that runs, and is brought back where what it runs in ends: requests wait for it meanwhile, for a while.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use ark_model::{Failure, Limits, Reason};
use ark_node::Isolation;
use arklet::now;
use futures_util::future::BoxFuture;
use gateway::{Body, Place, Proxy, RequestId, Upstream, UpstreamError};
use http::{Request, Response};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    restarts::{AT_MOST, Restarts},
    starter::Starter,
    unit::{Output, Run, Told, Unit},
};

/// How long a request waits at most for what is being started again.
const HELD: Duration = Duration::from_secs(5);
/// How often it is looked whether it lives and keeps to its bounds.
const LOOK: Duration = Duration::from_millis(500);
/// What it gets between being told to end and being ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How many of its last lines are shown where it is given up, and how many bytes of them.
const LAST_LINES: usize = 6;
const LAST_BYTES: usize = 1_500;

/// What to keep running.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// How it is called, for messages.
    pub(crate) name: String,
    pub(crate) run: Run,
    pub(crate) isolation: Isolation,
    /// Whether its requests have its context path in their paths.
    pub(crate) keeps_prefix: bool,
    pub(crate) limits: Limits,
    pub(crate) output: Output,
}

#[derive(Clone)]
enum State {
    Up(Arc<Proxy>),
    Restarting,
    /// It is not started again, and why.
    Broken(Arc<str>),
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

/// A module, whatever it runs in at the time. It ends with this.
pub(crate) struct Instance {
    state: watch::Receiver<State>,
    figures: watch::Receiver<Figures>,
    stop: mpsc::Sender<Stop>,
    /// How long requests wait for it.
    held: Duration,
    keeps_prefix: bool,
}

impl Instance {
    /// Starts it, and waits until it serves.
    ///
    /// # Errors
    /// In words, where it does not come up.
    pub(crate) async fn start(starter: Starter, wanted: Wanted) -> Result<Self, String> {
        let (unit, serving) = up(&starter, &wanted).await?;
        let (state_sender, state) = watch::channel(serving);
        let (figures_sender, figures) = watch::channel(Figures { memory_bytes: unit.memory(0), ..Figures::default() });
        let (stop, stopping) = mpsc::channel(1);
        let held = HELD.min(Duration::from_millis(wanted.limits.request_deadline_ms) / 2);
        let keeps_prefix = wanted.keeps_prefix;
        let keeper = Keeper { starter, wanted, state: state_sender, figures: figures_sender, restarts: Restarts::default() };
        tokio::spawn(keeper.keep(unit, stopping));
        Ok(Self { state, figures, stop, held, keeps_prefix })
    }

    /// What answers its requests.
    pub(crate) fn endpoint(&self) -> Arc<Answering> {
        Arc::new(Answering { state: self.state.clone(), held: self.held, keeps_prefix: self.keeps_prefix })
    }

    /// Done once it is given up, with what it said last.
    pub(crate) fn failed(&self) -> BoxFuture<'static, Failure> {
        let mut state = self.state.clone();
        Box::pin(async move {
            let why = match state.wait_for(|state| matches!(state, State::Broken(_))).await.as_deref() {
                Ok(State::Broken(why)) => Some(why.to_string()),
                Ok(_) | Err(_) => None,
            };
            match why {
                Some(why) => Failure::new(Reason::ModuleFailed, why),
                // It was stopped.
                None => std::future::pending().await,
            }
        })
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

/// Starts a unit and waits until it serves.
async fn up(starter: &Starter, wanted: &Wanted) -> Result<(Unit, State), String> {
    let started = match wanted.output {
        Output::Through => starter.process_through(wanted.limits.memory_bytes).await,
        Output::Log(_) => starter.unit(wanted.isolation, wanted.limits.memory_bytes).await,
    };
    let mut unit = started.map_err(|error| error.to_string())?;
    unit.run(&wanted.run, &wanted.output);
    loop {
        match unit.hear().await {
            Some(Told::Listening { tls: true, port, .. }) => {
                return Err(format!("it listens on port {port} with TLS; the base has that, let it listen by plain HTTP"));
            }
            Some(Told::Listening { listening: 0, .. }) => {
                let socket = unit.socket(0);
                return Ok((unit, State::Up(Arc::new(Proxy::new(Place::Socket(socket))))));
            }
            Some(Told::Silent { .. }) => {
                return Err("it came to its end without a server that listens, and exports no fetch(request)".to_owned());
            }
            Some(Told::Refused { refused }) => return Err(refused),
            Some(told) => wanted.tell_aside(&told),
            None => return Err(format!("it ended before it served: {}", unit.ended().await)),
        }
    }
}

impl Wanted {
    fn say(&self, what: &str) {
        tracing::warn!(module = self.name, "{what}");
        if let Output::Log(log) = &self.output {
            log.write(now(), "ark", None, what);
        }
    }

    /// Says where it listens beside where it is reached.
    fn tell_aside(&self, told: &Told) {
        match told {
            Told::Listening { port, .. } => {
                self.say(&format!("it listens on port {port} too, which nobody reaches: the first is the one that counts"));
            }
            Told::Aside { aside } => {
                self.say(&format!("it listens on the Unix socket {aside}, which stays its own: the base does not reach it"));
            }
            Told::Refused { .. } | Told::Silent { .. } | Told::Drained { .. } | Told::Pong { .. } => {}
        }
    }

    /// The last that it wrote.
    fn last_words(&self) -> String {
        let Output::Log(log) = &self.output else { return String::new() };
        let (lines, _) = log.read(log.end().saturating_sub(LAST_LINES as u64));
        let text = lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n");
        let from = text.len().saturating_sub(LAST_BYTES);
        text.char_indices().filter(|(at, _)| *at >= from).map(|(_, letter)| letter).collect()
    }
}

/// Keeps one instance.
struct Keeper {
    starter: Starter,
    wanted: Wanted,
    state: watch::Sender<State>,
    figures: watch::Sender<Figures>,
    restarts: Restarts,
}

impl Keeper {
    /// Keeps it running until it is to stop, or nobody needs it any more.
    async fn keep(mut self, unit: Unit, mut stopping: mpsc::Receiver<Stop>) {
        let mut running = Some(unit);
        let stop = tokio::select! {
            stop = stopping.recv() => stop,
            never = self.hold_up(&mut running) => match never {},
        };
        self.state.send_replace(State::Ended);
        if let Some(Stop { patience, ended }) = stop {
            let handles = match running {
                Some(unit) => end(unit, patience).await,
                None => Handles::new(),
            };
            let _ = ended.send(handles);
        }
    }

    /// Has one `running`, as long as that does not end too often.
    async fn hold_up(&mut self, running: &mut Option<Unit>) -> Infallible {
        // It stays in `running` while it is watched: whoever stops it ends it kindly.
        while let Some(unit) = running.as_mut() {
            let bound = self.watch(unit).await;
            // Before its end is known in full: nobody is sent to what is no longer there.
            self.state.send_replace(State::Restarting);
            let why = match bound {
                Some(bound) => format!("it was ended, for {bound}"),
                None => format!("it ended: {}", unit.ended().await),
            };
            self.wanted.say(&why);
            if let Some(ended) = running.take() {
                ended.kill().await;
            }
            *running = self.again().await;
        }
        let often = format!("it ended more than {AT_MOST} times in a minute and is not started again; deploy it anew");
        let last = self.wanted.last_words();
        self.wanted.say(&often);
        self.state.send_replace(State::Broken(format!("{often}. The last of its log:\n{last}").into()));
        std::future::pending().await
    }

    /// Watches a unit until it has ended, or is beyond a bound; answers beyond which.
    async fn watch(&self, unit: &mut Unit) -> Option<String> {
        let (deadline, memory) = (Duration::from_millis(self.wanted.limits.request_deadline_ms), self.wanted.limits.memory_bytes);
        let (mut answered, mut look, mut engine) = (Instant::now(), tokio::time::interval(LOOK), 0);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                told = unit.hear() => match told {
                    Some(Told::Pong { delay_ms, handles, engine_bytes, .. }) => {
                        (answered, engine) = (Instant::now(), engine_bytes);
                        let memory_bytes = unit.memory(engine);
                        self.figures.send_modify(|figures| *figures = Figures { memory_bytes, delay_ms, handles, ..*figures });
                    }
                    Some(told) => self.wanted.tell_aside(&told),
                    None => return None,
                },
                _ = look.tick() => {
                    let used = unit.memory(engine);
                    if used > memory {
                        return Some(format!("it used {used} bytes of memory, and memory-bytes is {memory}"));
                    }
                    if answered.elapsed() > deadline {
                        return Some(format!("its event loop stood still for {} ms", answered.elapsed().as_millis()));
                    }
                    unit.ping();
                }
            }
        }
    }

    /// Starts it again, with longer and longer pauses; none where that has happened too often.
    async fn again(&mut self) -> Option<Unit> {
        loop {
            tokio::time::sleep(self.restarts.next(Instant::now())?).await;
            self.figures.send_modify(|figures| figures.restarts += 1);
            let patience = Duration::from_millis(self.wanted.limits.start_deadline_ms);
            match tokio::time::timeout(patience, up(&self.starter, &self.wanted)).await {
                Ok(Ok((unit, state))) => {
                    self.state.send_replace(state);
                    return Some(unit);
                }
                Ok(Err(problem)) => self.wanted.say(&problem),
                Err(_) => self.wanted.say("it does not come up again in its start-deadline-ms"),
            }
        }
    }
}

/// Ends a unit, kindly for as long as `patience` lasts.
async fn end(mut unit: Unit, patience: Duration) -> Handles {
    let deadline = tokio::time::Instant::now() + patience;
    unit.drain();
    let drained = async {
        loop {
            match unit.hear().await {
                Some(Told::Drained { handles, .. }) => return handles,
                Some(_) => {}
                None => return Handles::new(),
            }
        }
    };
    let handles = tokio::time::timeout_at(deadline, drained).await.unwrap_or_default();
    unit.ask_to_end();
    let last = deadline.max(tokio::time::Instant::now() + LAST_WORDS);
    if tokio::time::timeout_at(last, unit.ended()).await.is_err() {
        unit.kill().await;
    }
    handles
}

/// Answers by what there is at the time.
pub(crate) struct Answering {
    state: watch::Receiver<State>,
    held: Duration,
    keeps_prefix: bool,
}

impl Upstream for Answering {
    fn call(&self, request: Request<Body>, id: &RequestId) -> BoxFuture<'static, Result<Response<Body>, UpstreamError>> {
        if let State::Up(proxy) = &*self.state.borrow() {
            return proxy.call(request, id);
        }
        let (mut state, held, id) = (self.state.clone(), self.held, id.clone());
        Box::pin(async move {
            // A refusal that its client may try again.
            let failed = |message: &str| Err(UpstreamError { reason: Reason::QueueFull, message: message.to_owned() });
            let settled = state.wait_for(|state| !matches!(state, State::Restarting));
            let settled = tokio::time::timeout(held, settled).await.map(|state| state.map_or(State::Ended, |state| state.clone()));
            match settled {
                Ok(State::Up(proxy)) => proxy.call(request, &id).await,
                Ok(State::Restarting | State::Broken(_) | State::Ended) => failed("it has ended"),
                Err(_) => failed("it is being started again"),
            }
        })
    }

    fn keeps_prefix(&self) -> bool {
        self.keeps_prefix
    }
}
