//! What is logged and traced, and where to.
use crate::app::telemetry::Traces;
use crate::config::{Config, Level, LogFormat};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Sets the log up; traces go to their collector as long as what is returned lives. The error says what is wrong with the settings.
pub fn set_up(config: &Config) -> Result<Option<Traces>, String> {
    let level = match config.log.level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    };
    // Foreign crates are heard when they warn: what they say at lower levels may hold what we would not log.
    let filter = EnvFilter::new(format!("warn,touchline={level},touchline::audit_head=info"));
    // The audit log's head is told a day, whatever the level: a log without it proves nothing against whoever may write the store.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines: BoxedLayer = match config.log.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
    };
    let mut layers = vec![lines];
    let traces = match &config.log.traces {
        None => None,
        Some(endpoint) => {
            let (traces, layer) = traces_to(endpoint)?;
            layers.push(layer);
            Some(traces)
        }
    };
    // A second subscriber in one process (tests) is not an error worth dying for.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    Ok(traces)
}

#[cfg(feature = "otlp")]
fn traces_to(endpoint: &str) -> Result<(Traces, BoxedLayer), String> {
    let (traces, tracer) = crate::app::telemetry::tracer(endpoint)?;
    let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_filter(EnvFilter::new("off,touchline=info"));
    Ok((traces, layer.boxed()))
}

#[cfg(not(feature = "otlp"))]
fn traces_to(_: &str) -> Result<(Traces, BoxedLayer), String> {
    Err("log.traces: this program was built without traces; build it with `cargo build --release --features otlp`".to_owned())
}
