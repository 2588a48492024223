//! The counters of all modules, as Prometheus reads them. A module that is gone takes its series with it.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use crate::Gateway;

/// Bounds of the duration buckets, in seconds.
const BOUNDS: [f64; 14] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Reads the gateway's counters when they are asked for.
#[derive(Debug)]
pub(crate) struct Reader(pub(crate) Arc<Gateway>);

impl Collector for Reader {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let modules = self.0.all_stats();
        let label = |id: &ark_model::ModuleId| [("module", id.name().to_owned()), ("version", id.version().to_owned())];

        let mut metric = encoder.encode_descriptor("ark_requests", "Requests answered, by class of status", None, MetricType::Counter)?;
        for (id, stats) in &modules {
            for (class, count) in CLASSES.into_iter().zip(stats.classes()).filter(|(_, count)| *count > 0) {
                let [module, version] = label(id);
                let labels = [module, version, ("class", class.to_owned())];
                ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
            }
        }
        let mut metric = encoder.encode_descriptor("ark_requests_refused", "Requests refused at a bound", None, MetricType::Counter)?;
        for (id, stats) in &modules {
            for (reason, count) in stats.refusals().filter(|(_, count)| *count > 0) {
                let [module, version] = label(id);
                let labels = [module, version, ("reason", reason.as_str().to_owned())];
                ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
            }
        }
        let mut metric = encoder.encode_descriptor("ark_requests_in_flight", "Requests being answered now", None, MetricType::Gauge)?;
        for (id, stats) in &modules {
            ConstGauge::new(i64::try_from(stats.gauges().0).unwrap_or(i64::MAX)).encode(metric.encode_family(&label(id))?)?;
        }
        let mut metric = encoder.encode_descriptor("ark_requests_queued", "Requests waiting for a place now", None, MetricType::Gauge)?;
        for (id, stats) in &modules {
            ConstGauge::new(i64::try_from(stats.gauges().1).unwrap_or(i64::MAX)).encode(metric.encode_family(&label(id))?)?;
        }
        let unit = Unit::Seconds;
        let mut metric = encoder.encode_descriptor(
            "ark_request_duration",
            "From arrival to the end of the answer",
            Some(&unit),
            MetricType::Histogram,
        )?;
        for (id, stats) in &modules {
            let Some(histogram) = stats.durations() else { continue };
            let (counts, all) = histogram.cumulative(&BOUNDS);
            // The library wants the count of each bucket alone, and adds them up itself.
            let mut before = 0;
            let mut buckets: Vec<(f64, u64)> = BOUNDS
                .into_iter()
                .zip(counts)
                .map(|(bound, total)| {
                    let alone = total - before;
                    before = total;
                    (bound, alone)
                })
                .collect();
            buckets.push((f64::INFINITY, all - before));
            let labels = label(id);
            metric.encode_family(&labels)?.encode_histogram::<[(&str, &str); 0]>(histogram.sum().as_secs_f64(), all, &buckets, None)?;
        }
        let metric =
            encoder.encode_descriptor("ark_requests_unrouted", "Requests for which there is no module", None, MetricType::Counter)?;
        ConstCounter::new(self.0.unrouted()).encode(metric)
    }
}
