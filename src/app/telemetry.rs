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

/// Where traces go, while the process lives.
pub struct Traces {
    #[cfg(feature = "otlp")]
    provider: opentelemetry_sdk::trace::SdkTracerProvider,
}

impl Drop for Traces {
    fn drop(&mut self) {
        #[cfg(feature = "otlp")]
        if let Err(fault) = self.provider.shutdown() {
            tracing::warn!(%fault, "the last traces did not reach their collector");
        }
    }
}

/// The tracer of a collector's OTLP/HTTP address (`http://127.0.0.1:4318/v1/traces`).
#[cfg(feature = "otlp")]
pub fn tracer(endpoint: &str) -> Result<(Traces, opentelemetry_sdk::trace::SdkTracer), String> {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_otlp::WithExportConfig;
    super::tls::provider();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .build()
        .map_err(|e| format!("log.traces: expected the OTLP/HTTP address of a collector: {e}"))?;
    let resource = opentelemetry_sdk::Resource::builder().with_service_name("touchline").build();
    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer("touchline");
    Ok((Traces { provider }, tracer))
}

/// Makes a request's span part of its caller's trace (W3C Trace Context, header `traceparent`).
pub fn join(span: &tracing::Span, traceparent: &str) {
    #[cfg(feature = "otlp")]
    {
        use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
        use tracing_opentelemetry::OpenTelemetrySpanExt;
        let mut parts = traceparent.split('-').skip(1);
        if let (Some(Ok(trace)), Some(Ok(parent)), Some(flags)) =
            (parts.next().map(TraceId::from_hex), parts.next().map(SpanId::from_hex), parts.next())
        {
            let sampled = u8::from_str_radix(flags, 16).map_or(TraceFlags::default(), TraceFlags::new);
            let context = SpanContext::new(trace, parent, sampled, true, TraceState::default());
            // A span that is already closed has no parent to be given; nothing is lost but the link.
            let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(context));
        }
    }
    #[cfg(not(feature = "otlp"))]
    let _ = (span, traceparent);
}
