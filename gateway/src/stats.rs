//! What the requests of a module came to: counters that any thread adds to without waiting.

use std::{
    sync::{
        OnceLock,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use ark_model::{Reason, api::TrafficView};

/// Reasons for which the data path itself refuses a request.
pub(crate) const REFUSALS: [Reason; 3] = [Reason::QueueFull, Reason::Draining, Reason::BodyTooLarge];

/// The counters of one module.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// By hundreds of the status, from 100 on.
    classes: [AtomicU64; 5],
    refused: [AtomicU64; REFUSALS.len()],
    in_flight: AtomicU64,
    queued: AtomicU64,
    /// Only once there was a request: an idle module costs nothing here.
    durations: OnceLock<Box<Histogram>>,
}

impl Stats {
    pub(crate) fn answered(&self, status: http::StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.classes.get(class) {
            counter.fetch_add(1, Relaxed);
        }
        self.durations.get_or_init(Box::default).add(took);
    }

    pub(crate) fn refused(&self, reason: Reason) {
        if let Some(counter) = REFUSALS.iter().position(|refusal| *refusal == reason).and_then(|at| self.refused.get(at)) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn began(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self) {
        self.in_flight.fetch_sub(1, Release);
    }

    pub(crate) fn queue(&self) -> Queued<'_> {
        self.queued.fetch_add(1, Relaxed);
        Queued(&self.queued)
    }

    /// Counts by class: 1xx to 5xx.
    pub(crate) fn classes(&self) -> [u64; 5] {
        self.classes.each_ref().map(|counter| counter.load(Relaxed))
    }

    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        REFUSALS.into_iter().zip(self.refused.each_ref().map(|counter| counter.load(Relaxed)))
    }

    pub(crate) fn gauges(&self) -> (u64, u64) {
        (self.in_flight.load(Acquire), self.queued.load(Relaxed))
    }

    pub(crate) fn durations(&self) -> Option<&Histogram> {
        self.durations.get().map(|histogram| &**histogram)
    }

    pub(crate) fn view(&self) -> TrafficView {
        let classes = self.classes();
        let quantile = |q| self.durations().map_or(0.0, |histogram| histogram.quantile(q).as_secs_f64() * 1_000.0);
        let (in_flight, queued) = self.gauges();
        TrafficView {
            requests: classes.iter().sum(),
            failures: classes.last().copied().unwrap_or_default(),
            refused: self.refusals().map(|(_, count)| count).sum(),
            in_flight,
            queued,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            peak_memory_bytes: 0,
        }
    }
}

/// A request in the queue.
pub(crate) struct Queued<'a>(&'a AtomicU64);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Steps in each doubling: a value is told with an error of at most 1/16 of it.
const STEPS: u64 = 8;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// The largest power of two, in microseconds, that is told apart: about 12 days.
const OCTAVES: u32 = 40;
const BUCKETS: usize = (OCTAVES - STEP_BITS + 1) as usize * STEPS as usize;

/// Durations in microseconds, in buckets that grow with the value.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

impl Histogram {
    pub(crate) fn add(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(micros)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(micros, Relaxed);
    }

    pub(crate) fn sum(&self) -> Duration {
        Duration::from_micros(self.sum.load(Relaxed))
    }

    /// How many were at most each of `bounds`, which rise, and how many there are in all.
    pub(crate) fn cumulative(&self, bounds: &[f64]) -> (Vec<u64>, u64) {
        let (mut counts, mut all) = (vec![0; bounds.len()], 0);
        for (at, bucket) in self.buckets.iter().enumerate() {
            let (count, upper) = (bucket.load(Relaxed), upper_of(at) as f64 / 1e6);
            all += count;
            for (total, _) in counts.iter_mut().zip(bounds).filter(|(_, bound)| upper <= **bound) {
                *total += count;
            }
        }
        (counts, all)
    }

    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let rank = (all as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        let found = counts.iter().position(|count| {
            seen += count;
            seen >= rank.max(1)
        });
        found.map_or(Duration::ZERO, |at| Duration::from_micros(middle_of(at)))
    }
}

fn bucket_of(micros: u64) -> usize {
    let capped = micros.min((1 << OCTAVES) - 1);
    if capped < STEPS {
        return capped as usize;
    }
    let octave = capped.ilog2() - STEP_BITS;
    let step = (capped >> octave) - STEPS;
    ((u64::from(octave) + 1) * STEPS + step) as usize
}

/// The first value beyond a bucket.
fn upper_of(bucket: usize) -> u64 {
    let (octave, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if octave == 0 { step + 1 } else { (STEPS + step + 1) << (octave - 1) }
}

fn middle_of(bucket: usize) -> u64 {
    let lower = bucket.checked_sub(1).map_or(0, upper_of);
    (lower + upper_of(bucket) - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_is_told_within_a_sixteenth() {
        for micros in (0..5_000).chain([1 << 20, 123_456_789, (1 << 40) - 1]) {
            let bucket = bucket_of(micros);
            let lower = bucket.checked_sub(1).map_or(0, upper_of);
            assert!((lower..upper_of(bucket)).contains(&micros), "{micros} in {bucket}");
            assert!(middle_of(bucket).abs_diff(micros) * 16 <= micros.max(16), "{micros} told as {}", middle_of(bucket));
        }
        assert!(bucket_of(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let histogram = Histogram::default();
        for micros in 1..=1_000 {
            histogram.add(Duration::from_micros(micros));
        }
        let near = |quantile, micros: f64| (histogram.quantile(quantile).as_secs_f64() * 1e6 - micros).abs() < micros / 8.0;
        assert!(near(0.5, 500.0) && near(0.99, 990.0));
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
        assert_eq!(histogram.cumulative(&[10.0]).0, [1_000]);
    }
}
