//! Liveness, readiness, metrics.
use super::{House, Operation, Reply, ok};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// Where the process stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Health {
    /// `ok`; at `/readyz` also `starting`, `draining: ...` or `ended`.
    pub status: String,
    /// What is being waited for, by name.
    pub waiting_for: Vec<String>,
}

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/healthz", "isAlive")
            .says("house", "Whether the process lives")
            .about("Answers as long as the process can answer at all; it asks nobody. A service manager restarts what does not.")
            .open()
            .gives::<Health>(200, "It lives.", json!({"status": "ok", "waiting_for": []}))
            .to(alive),
        Operation::get("/readyz", "isReady")
            .says("house", "Whether requests can be taken")
            .about("503 while it starts and while it drains, with what it waits for; a load balancer sends nothing meanwhile.")
            .open()
            .gives::<Health>(200, "It is ready.", json!({"status": "ok", "waiting_for": []}))
            .gives::<Health>(
                503,
                "Not yet, or not any more.",
                json!({"status": "draining: routes", "waiting_for": ["route sip-north: 12 in flight, 0 unsent, 0 not yet recorded"]}),
            )
            .to(ready),
        Operation::get("/metrics", "readMetrics")
            .says("house", "Metrics in the Prometheus text format")
            .open()
            .gives_text(200, "The metrics.", "text/plain", "touchline_http_requests_total{operation=\"isAlive\",status=\"200\"} 1\n")
            .to(metrics),
    ]
}

async fn alive() -> Reply {
    ok(&Health { status: "ok".to_owned(), waiting_for: Vec::new() })
}

async fn ready(house: House) -> Reply {
    // The store answers, or says why not.
    house.store.routes().await?;
    let Some(daemon) = &house.daemon else { return alive().await };
    let standing = daemon.standing();
    if standing.is_ready() {
        return alive().await;
    }
    let mut waiting_for = standing.engine.under_way();
    waiting_for.extend(standing.closing.iter().map(|id| format!("run {id}: being exported")));
    let health = Health { status: standing.engine.phase.name().to_owned(), waiting_for };
    super::json(actix_web::http::StatusCode::SERVICE_UNAVAILABLE, &health)
}

async fn metrics(house: House) -> Reply {
    Ok(actix_web::HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(house.metrics.render()))
}
