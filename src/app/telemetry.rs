//! What is counted: one recorder a process, read at `/metrics`.
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// Bounds of latency histograms in seconds: from one millisecond, where an answer from memory lies, to ten seconds, past which nobody waits.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The recorder's handle; the first call installs it.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            // The bounds are given and not empty, which is all that is asked of them.
            let builder =
                builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS).unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            // Another recorder can only have been set by whoever embeds the library: then theirs counts, and ours stays empty.
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("metrics are counted by another recorder of this process");
            }
            handle
        })
        .clone()
}
