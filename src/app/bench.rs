//! Measured work: the real engine in real time against a simulator that answers at once, beside what the store itself can do.
pub mod api;
pub mod load;
mod pace;

pub use pace::{Pace, pace};

use super::files::FileIn;
use super::{Access, App, Failure};
use crate::actors::shell::Engine;
use crate::campaign_file;
use crate::channels::route::RouteSpec;
use crate::channels::simulator::profile::ProfileRef;
use crate::clock::monotonic;
use crate::config::Config;
use crate::domain::campaign::{Campaign, ExportFormat, Rate};
use crate::domain::channel::Channel;
use crate::domain::contact::Phone;
use crate::domain::touch::State;
use crate::finance::What;
use crate::intake::Kind;
use crate::intake::made_up::{MADE_UP_CUSTOMERS_MAP, write_customers};
use crate::store::sqlite::bench::raw_limit;
use crate::store::{CampaignRow, CustomerInput};
use serde::Serialize;
use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// What `bench touches` measured.
#[derive(Debug, Serialize)]
pub struct Touches {
    /// Customers.
    pub customers: u64,
    /// From the start of the engine to the end of the campaign.
    pub elapsed_s: f64,
    /// Durable touches a second.
    pub touches_per_s: f64,
    /// Peak memory of the process while the engine ran.
    pub peak_rss_mib: f64,
    /// Which store.
    pub store: String,
    /// Every commit waited for the disk.
    pub durable: bool,
    /// Inserts of rows of the same shape in the same batches, without the engine, a second.
    pub raw_insert_per_s: f64,
    /// Updates likewise.
    pub raw_update_per_s: f64,
    /// What the store could do at most: one insert and one update a touch.
    pub raw_touches_per_s: f64,
    /// The engine as a share of that.
    pub share_of_raw: f64,
    /// Bytes of the database a touch.
    pub bytes_per_touch: f64,
}

/// What `bench import` or `bench export` measured.
#[derive(Debug, Serialize)]
pub struct Rows {
    /// Rows.
    pub rows: u64,
    /// Time.
    pub elapsed_s: f64,
    /// Rows a second.
    pub rows_per_s: f64,
    /// Peak memory of the process meanwhile.
    pub peak_rss_mib: f64,
    /// Which store.
    pub store: String,
}

const CAMPAIGN: &str = "campaign: bench\ntitle: A measurement\nopportunity: investment\nowner: bench\naudience: {list: bench}\n\
schedule: {start: 2020-01-01T00:00, end: 2099-12-31T23:59, timezone: Asia/Shanghai}\npolicy: [wide-open]\n\
journey:\n  - {step: call, channel: call, routes: [bench]}\nstop_on: []\n";

/// A scratch folder that goes when the measurement is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path) -> Result<Self, Failure> {
        let path = parent.join(format!("touchline-bench-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|e| Failure::file("cannot make", &path, &e))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind it would only cost room; the measurement is made.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `VmHWM` of this process in MiB; 0 where the system does not tell.
fn peak_rss_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).and_then(|l| l.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// Forgets the peak so far, so that the next reading is of what comes now.
fn reset_peak() {
    // Not allowed everywhere; then the peak is of the whole process, which is only larger.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

async fn scratch_app(mut config: Config, folder: &Path, store: Option<&str>) -> Result<App, Failure> {
    config.store.url = Some(store.map_or_else(|| format!("sqlite:{}", folder.join("bench.sqlite").display()), str::to_owned));
    config.routes = vec![RouteSpec {
        profile: ProfileRef::shipped("instant").ok(),
        ..RouteSpec::simulated("bench", Channel::Call, Rate { count: u32::MAX, per_ms: 1_000 })
    }];
    App::open(config, Access::Write).await
}

async fn fill(app: &App, customers: u64, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Campaign, Failure> {
    let mut done = 0;
    while done < customers {
        let n = (customers - done).min(10_000);
        let batch: Vec<CustomerInput> = (done..done + n)
            .map(|i| CustomerInput {
                reference: format!("b{i:010}"),
                phone: Some(Phone::new(format!("+86154{:08}", i % 100_000_000))),
                timezone: Some(chrono_tz::Asia::Shanghai),
                ..CustomerInput::default()
            })
            .collect();
        app.store.put_customers(&batch, None).await?;
        done += n;
        progress(done);
    }
    let list = app.store.open_list("bench", app.now()).await?;
    app.store.add_all_customers(list).await?;
    app.store.freeze_list(list, app.now()).await?;
    campaign_file::load("bench", CAMPAIGN).map_err(|faults| Failure::diagnostics(&faults))
}

/// Runs the engine over the whole list and gives the seconds that it took.
async fn engine(app: &App, campaign: &Campaign, watch: &mut (dyn FnMut(u64) + Send)) -> Result<(CampaignRow, f64), Failure> {
    let rows = app.enter(std::slice::from_ref(campaign), "bench").await?;
    let row = rows.first().cloned().ok_or_else(|| Failure::no("the campaign could not be entered"))?;
    let fence = app.store.acquire(false, app.now()).await?;
    reset_peak();
    let begun = monotonic();
    let Engine { ended, .. } = app.start_engine(&rows, fence, 1).await?;
    tokio::pin!(ended);
    let end = loop {
        tokio::select! {
            end = &mut ended => break end,
            () = crate::clock::sleep_ms(500) => {
                let stand = app.stand(&row, app.now()).await?;
                watch(u64::try_from(stand.closed).unwrap_or(0));
            }
        }
    };
    let elapsed = begun.elapsed().as_secs_f64();
    app.store.release(fence).await?;
    match end {
        Ok(Ok(())) => Ok((row, elapsed)),
        Ok(Err(text)) => Err(Failure::reach(text)),
        Err(_) => Err(Failure::reach("the engine ended without a word")),
    }
}

/// `bench touches`: a campaign of `customers` through the whole engine.
pub async fn touches(
    config: Config,
    customers: u64,
    store: Option<&str>,
    parent: &Path,
    watch: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<Touches, Failure> {
    let scratch = Scratch::new(parent)?;
    let app = scratch_app(config, &scratch.0, store).await?;
    let campaign = fill(&app, customers, &mut |n| watch("making customers", n)).await?;
    let before = database_bytes(&app, &scratch.0).await?;
    let (row, elapsed_s) = engine(&app, &campaign, &mut |n| watch("touches", n)).await?;
    let peak_rss_mib = peak_rss_mib();
    let after = database_bytes(&app, &scratch.0).await?;
    let counts = app.store.tallies(row.id).await?.customers(row.audience);
    let reached = counts.get(&State::Reached).copied().unwrap_or(0);
    if u64::try_from(reached).ok() != Some(customers) {
        return Err(Failure::no(format!("expected {customers} customers reached, found {reached}: {counts:?}")));
    }
    let raw_rows = usize::try_from(customers.clamp(200_000, 1_000_000)).unwrap_or(1_000_000);
    let (raw_insert_per_s, raw_update_per_s) = raw_limit(&scratch.0, raw_rows).await?;
    let touches_per_s = customers as f64 / elapsed_s;
    let raw_touches_per_s = 1.0 / (1.0 / raw_insert_per_s + 1.0 / raw_update_per_s);
    Ok(Touches {
        customers,
        elapsed_s,
        touches_per_s,
        peak_rss_mib,
        store: app.store.kind().to_owned(),
        durable: true,
        raw_insert_per_s,
        raw_update_per_s,
        raw_touches_per_s,
        share_of_raw: touches_per_s / raw_touches_per_s,
        bytes_per_touch: after.saturating_sub(before) as f64 / customers.max(1) as f64,
    })
}

/// Bytes of the database once its log is merged into it.
async fn database_bytes(app: &App, folder: &Path) -> Result<u64, Failure> {
    app.store.rest().await?;
    Ok(fs::metadata(folder.join("bench.sqlite")).map_or(0, |m| m.len()))
}

/// `bench import`: made-up customers from a CSV file, with consents, attributes and a list.
pub async fn import(config: Config, customers: u64, parent: &Path, watch: &mut (dyn FnMut(&str, u64) + Send)) -> Result<Rows, Failure> {
    let scratch = Scratch::new(parent)?;
    let (csv, map) = (scratch.0.join("customers.csv"), scratch.0.join("customers.map.yaml"));
    let file = fs::File::create(&csv).map_err(|e| Failure::file("cannot write", &csv, &e))?;
    write_customers(&mut BufWriter::new(file), customers, 1).map_err(|e| Failure::file("cannot write", &csv, &e))?;
    fs::write(&map, MADE_UP_CUSTOMERS_MAP).map_err(|e| Failure::file("cannot write", &map, &e))?;
    let app = scratch_app(config, &scratch.0, None).await?;
    reset_peak();
    let begun = monotonic();
    let wanted = FileIn { kind: Kind::Customers, file: &csv, mapping: &map, name: Some("bench"), rejects: None, again: false };
    let report = app.import(wanted, &mut |s| watch("importing", s.rows_read)).await?;
    let elapsed_s = begun.elapsed().as_secs_f64();
    if report.sums.accepted != customers {
        return Err(Failure::no(format!("expected {customers} rows accepted, found {:?}", report.sums)));
    }
    Ok(Rows {
        rows: customers,
        elapsed_s,
        rows_per_s: customers as f64 / elapsed_s,
        peak_rss_mib: peak_rss_mib(),
        store: app.store.kind().to_owned(),
    })
}

/// `bench export`: the touches of a campaign of `customers` as Parquet.
pub async fn export(config: Config, customers: u64, parent: &Path, watch: &mut (dyn FnMut(&str, u64) + Send)) -> Result<Rows, Failure> {
    let scratch = Scratch::new(parent)?;
    let app = scratch_app(config, &scratch.0, None).await?;
    let campaign = fill(&app, customers, &mut |n| watch("making customers", n)).await?;
    let (row, _) = engine(&app, &campaign, &mut |n| watch("touches", n)).await?;
    let row = app.store.campaign_by_id(row.id).await?;
    reset_peak();
    let begun = monotonic();
    let report = app.export(&row, What::Touches, ExportFormat::Parquet, &scratch.0.join("exports")).await?;
    let elapsed_s = begun.elapsed().as_secs_f64();
    let rows = u64::try_from(report.manifest.totals.rows).unwrap_or(0);
    if rows != customers {
        return Err(Failure::no(format!("expected {customers} rows exported, found {rows}")));
    }
    Ok(Rows { rows, elapsed_s, rows_per_s: rows as f64 / elapsed_s, peak_rss_mib: peak_rss_mib(), store: app.store.kind().to_owned() })
}
