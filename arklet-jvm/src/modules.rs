//! The modules that run in the VM, by the numbers that the Java side knows them by: what it tells of them arrives here.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use ark::LogBook;
use arklet::now;
use tokio::sync::oneshot;

static MODULES: RwLock<Option<HashMap<i64, Arc<Told>>>> = RwLock::new(None);
static NEXT: AtomicI64 = AtomicI64::new(1);

/// What is told of one module, and to whom.
struct Told {
    log: Arc<LogBook>,
    up: Mutex<Option<oneshot::Sender<Result<Up, String>>>>,
    over: Mutex<Option<oneshot::Sender<String>>>,
    /// The lines that have not ended yet, of standard output and of standard error.
    lines: [Mutex<Vec<u8>>; 2],
}

/// A module that is listened to as long as this lives. Its number is never used again.
#[derive(Debug)]
pub(crate) struct Number(i64);

impl Number {
    pub(crate) fn get(&self) -> i64 {
        self.0
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        MODULES.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().remove(&self.0);
    }
}

/// A module that came up.
#[derive(Debug)]
pub(crate) struct Up {
    /// The port of its web server; 0 where it has none.
    pub(crate) port: u16,
    /// What the base's web server knows it by, where it has joined that.
    pub(crate) key: Option<String>,
    /// Why it has not, where that was seen late.
    pub(crate) apart: Option<String>,
}

/// What a module says about its start and its end.
pub(crate) struct Ears {
    /// How it answers; or why it did not come up.
    pub(crate) up: oneshot::Receiver<Result<Up, String>>,
    /// What runs on all the same, once it was stopped.
    pub(crate) over: oneshot::Receiver<String>,
}

pub(crate) fn listen(log: &Arc<LogBook>) -> (Number, Ears) {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let ((up_sender, up), (over_sender, over)) = (oneshot::channel(), oneshot::channel());
    let told = Told {
        log: Arc::clone(log),
        up: Mutex::new(Some(up_sender)),
        over: Mutex::new(Some(over_sender)),
        lines: [Mutex::default(), Mutex::default()],
    };
    MODULES.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(number, Arc::new(told));
    (Number(number), Ears { up, over })
}

fn get(number: i64) -> Option<Arc<Told>> {
    MODULES.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(&number).map(Arc::clone)
}

fn tell<T>(place: &Mutex<Option<oneshot::Sender<T>>>, value: T) {
    if let Some(sender) = place.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = sender.send(value);
    }
}

pub(crate) fn started(number: i64, up: Up) {
    if let Some(told) = get(number) {
        tell(&told.up, Ok(up));
    }
}

pub(crate) fn failed(number: i64, problem: String) {
    if let Some(told) = get(number) {
        tell(&told.up, Err(problem));
    }
}

pub(crate) fn ended(number: i64, said: String) {
    if let Some(told) = get(number) {
        tell(&told.over, said);
    }
}

pub(crate) fn exit_refused(number: i64, status: i32) {
    if let Some(told) = get(number) {
        let text = format!("the module called for the end of the process (status {status}), which was refused");
        told.log.write(now(), "ark", None, &text);
        tell(&told.up, Err(text));
    }
}

pub(crate) fn output(number: i64, error: bool, bytes: &[u8]) {
    let Some(told) = get(number) else { return };
    let [out, err] = &told.lines;
    let (line, name) = if error { (err, "stderr") } else { (out, "stdout") };
    let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (text, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
        let room = told.log.line_bytes().saturating_sub(line.len()).min(text.len());
        line.extend_from_slice(text.get(..room).unwrap_or_default());
        if ended {
            told.log.write(now(), name, None, String::from_utf8_lossy(&line).trim_end_matches('\r'));
            line.clear();
        }
    }
}
