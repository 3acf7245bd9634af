//! `touchline bench api`: worklist reads, results and opt-outs over HTTP while a campaign runs at full speed, all on this machine.
use super::Context;
use super::ui::{self, Progress};
use crate::api::{self, House, HouseGate, Listening};
use crate::app::bench::api::{RMS, Scene};
use crate::app::bench::load::{Latencies, at_rate};
use crate::app::{Failure, tls};
use crate::clock::sleep_ms;
use crate::domain::ids::CustomerId;
use crate::domain::time::Timestamp;
use serde::Serialize;
use serde_json::json;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Opt-outs a second, beside the reads and results.
const OPT_OUTS_PER_S: u32 = 10;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct ApiMeasured {
    /// Customers of the campaign.
    pub customers: u64,
    /// `GET /v1/worklist`, half of the requests.
    pub reads: Latencies,
    /// `POST /v1/worklist/{id}/result`, the other half.
    pub results: Latencies,
    /// `POST /v1/events` with an opt-out each.
    pub opt_outs: Latencies,
    /// Customers who were contacted after their opt-out had been answered: none, or law 3 is broken.
    pub contacted_after_opt_out: usize,
    /// From the post of an opt-out to the last touch that began after it, at most (milliseconds; 0: none began).
    pub opt_out_reached_ms: i64,
    /// Touches a second of the campaign meanwhile.
    pub touches_per_s: f64,
    /// Whether the campaign ran all the while.
    pub campaign_ran_throughout: bool,
}

/// What is answered to events, as far as it is asked for here.
#[derive(serde::Deserialize)]
struct EventsTaken {
    taken: usize,
}

/// An opt-out: whose, when it was posted, and when it was answered.
type OptOut = (i64, Timestamp, Timestamp);

/// Measures.
pub async fn measure(context: &Context, customers: u64, rate: u32, seconds: u32, dir: &Path, progress: &Progress) -> Result<ApiMeasured, Failure> {
    let half = (rate / 2).max(1);
    let tasks = usize::try_from(u64::from(half) * u64::from(seconds)).unwrap_or(usize::MAX);
    let scene = Scene::new(context.config.clone(), customers, tasks, dir, &mut |what, n| {
        progress.describe(what);
        progress.set(n);
    })
    .await?;
    let app = Arc::clone(&scene.app);
    let (engine, ended) = Arc::clone(&app).daemon(1).await?;
    let beside = app.start_events(Some(&engine), 1)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let house = House::new(Arc::clone(&app), Arc::new(HouseGate::new(Arc::clone(&app))?)).with_engine(engine.clone());
    let serving = api::start(house, listener, Listening { workers: 2, connections: 1_000, tls: None })?;
    let url: Arc<str> = format!("http://{}", serving.address).into();
    tls::provider();
    let http = reqwest::Client::builder().build().map_err(|e| Failure::reach(e.to_string()))?;

    let row = scene.launch().await?;
    engine.nudge();
    progress.describe("requests beside the campaign");
    // The campaign is in full flow before the first request is measured.
    while scene.attempts(&row).await? < 20_000 {
        sleep_ms(5).await;
    }
    let before = scene.attempts(&row).await?;
    let begun = crate::clock::monotonic();

    let (rms, ids): (Arc<[String]>, Arc<[i64]>) = (scene.rms.clone().into(), scene.tasks.clone().into());
    let send = |request: reqwest::RequestBuilder| async move {
        match request.send().await {
            // The whole answer counts, not its first line.
            Ok(answer) => answer.status().is_success() && answer.bytes().await.is_ok(),
            Err(_) => false,
        }
    };
    let reads = at_rate(half, seconds, |n| {
        let (http, url, token) = (http.clone(), Arc::clone(&url), rms.get(n % RMS).cloned().unwrap_or_default());
        async move { send(http.get(format!("{url}/v1/worklist?limit=50")).bearer_auth(token)).await }
    });
    let results = at_rate(half, seconds, |n| {
        let (http, url, token) = (http.clone(), Arc::clone(&url), rms.get(n % RMS).cloned().unwrap_or_default());
        let id = ids.get(n).copied().unwrap_or_default();
        let body = json!({"disposition": "interested", "connected_s": 180, "notes": "Wants to hear of it again in spring."});
        async move { send(http.post(format!("{url}/v1/worklist/{id}/result")).bearer_auth(token).json(&body)).await }
    });
    let told: Arc<Mutex<Vec<OptOut>>> = Arc::default();
    // Spread over the whole list: some have been contacted, some will not be any more.
    let opt_outs_wanted = usize::try_from(u64::from(OPT_OUTS_PER_S) * u64::from(seconds)).unwrap_or(1).max(1);
    let every = usize::try_from(customers).unwrap_or(1) / opt_outs_wanted;
    let opt_outs = at_rate(OPT_OUTS_PER_S, seconds, |n| {
        let (http, url, token, app, told) = (http.clone(), Arc::clone(&url), scene.system.clone(), Arc::clone(&app), Arc::clone(&told));
        let place = n * every;
        async move {
            let posted = app.now();
            let event = json!({
                "specversion": "1.0", "id": format!("bench-{n}"), "source": "urn:bench", "type": "touchline.event.opted_out",
                "time": posted.to_string(), "data": {"customer": format!("b{place:010}")}
            });
            let well = match http.post(format!("{url}/v1/events")).bearer_auth(token).json(&event).send().await {
                Ok(answer) => answer.json::<EventsTaken>().await.is_ok_and(|answer| answer.taken == 1),
                Err(_) => false,
            };
            told.lock().unwrap_or_else(PoisonError::into_inner).push((i64::try_from(place).unwrap_or(0) + 1, posted, app.now()));
            well
        }
    });
    let (reads, results, opt_outs) = tokio::join!(reads, results, opt_outs);
    let elapsed = begun.elapsed().as_secs_f64();
    let made = scene.attempts(&row).await? - before;
    let campaign_ran_throughout = engine.is_running(row.id);

    let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    let (mut contacted_after_opt_out, mut opt_out_reached_ms) = (0, 0);
    for (customer, posted, answered) in told {
        let Some(started) = scene.touched(&row, CustomerId(customer)).await? else { continue };
        contacted_after_opt_out += usize::from(started > answered);
        opt_out_reached_ms = opt_out_reached_ms.max(started.since(posted));
    }
    engine.drain();
    serving.stop().await?;
    ended.await.map_err(|_| Failure::reach("the engine ended without a word"))??;
    beside.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(ApiMeasured {
        customers,
        reads,
        results,
        opt_outs,
        contacted_after_opt_out,
        opt_out_reached_ms,
        touches_per_s: made as f64 / elapsed,
        campaign_ran_throughout,
    })
}

/// For people.
#[allow(clippy::cast_possible_truncation, reason = "figures for people")]
pub fn text(m: &ApiMeasured) -> String {
    let line = |what: &str, l: &Latencies| {
        let ms = |n: f64| format!("{n:.1} ms");
        vec![what.to_owned(), ui::number(i64::from(l.rate_per_s)), l.failed.to_string(), ms(l.p50_ms), ms(l.p95_ms), ms(l.p99_ms), ms(l.max_ms)]
    };
    let rows = vec![line("worklist reads", &m.reads), line("result posts", &m.results), line("opt-outs", &m.opt_outs)];
    let head = ["", "a second", "failed", "half", "95 %", "99 %", "all"];
    format!(
        "{}\nthe campaign meanwhile: {} touches a second{}\nopt-outs: {} customers contacted after the answer; the last touch begun {} ms after a post",
        ui::table(&head, &[1, 2, 3, 4, 5, 6], rows),
        ui::number(m.touches_per_s as i64),
        if m.campaign_ran_throughout { "" } else { " (it ended before the requests did: take more customers)" },
        m.contacted_after_opt_out,
        m.opt_out_reached_ms
    )
}
