//! `touchline bench touches|import|export|pace|api`
use super::ui::{self, Progress};
use super::{Answer, Context, bench_api};
use crate::app::bench;
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// What: touches through the whole engine, customers from CSV, touches to Parquet, how well a rate is kept, or the API beside a campaign at full speed.
    #[arg(value_parser = ["touches", "import", "export", "pace", "api"])]
    what: String,
    /// How many customers.
    #[arg(long, default_value_t = 1_000_000)]
    customers: u64,
    /// Of `pace`: the limit, in touches a second (200). Of `api`: requests a second (500).
    #[arg(long)]
    rate: Option<u32>,
    /// Of `pace` and `api`: for about how many seconds, at least 4.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Where the scratch files are made (and removed afterwards): a folder on the disk that is to be measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

/// Measures.
#[allow(clippy::cast_possible_truncation, reason = "figures for people")]
pub async fn run(args: Args, context: &Context) -> Answer {
    let rows = if args.what == "pace" { u64::from(args.rate.unwrap_or(200)) * u64::from(args.seconds) } else { args.customers };
    let progress = Progress::new("", rows, context.json);
    let mut watch = |what: &str, n: u64| {
        progress.describe(what);
        progress.set(n);
    };
    let config = context.config.clone();
    if args.what == "touches" {
        let store = config.store.url.clone().filter(|url| !url.starts_with("sqlite:"));
        let measured = bench::touches(config, args.customers, store.as_deref(), &args.dir, &mut watch).await?;
        progress.finish();
        context.answer(&measured, |m| {
            let per = |n: f64| format!("{} a second", ui::number(n as i64));
            let rows = vec![
                vec!["touches".to_owned(), format!("{} in {}: {}", ui::number(m.customers as i64), ui::span(m.elapsed_s), per(m.touches_per_s))],
                vec![
                    "raw limit".to_owned(),
                    format!("{} (inserts {}, updates {})", per(m.raw_touches_per_s), per(m.raw_insert_per_s), per(m.raw_update_per_s)),
                ],
                vec!["share of raw".to_owned(), format!("{:.0} %", m.share_of_raw * 100.0)],
                vec!["peak memory".to_owned(), format!("{:.0} MiB", m.peak_rss_mib)],
                vec!["disk".to_owned(), format!("{:.0} bytes a touch", m.bytes_per_touch)],
                vec!["store".to_owned(), format!("{}, every commit on disk", m.store)],
            ];
            ui::table(&[], &[], rows)
        })?;
        return Ok(true);
    }
    if args.what == "api" {
        let measured = bench_api::measure(context, args.customers, args.rate.unwrap_or(500), args.seconds, &args.dir, &progress).await?;
        progress.finish();
        let well = measured.contacted_after_opt_out == 0 && measured.reads.failed + measured.results.failed + measured.opt_outs.failed == 0;
        context.answer(&measured, bench_api::text)?;
        return Ok(well);
    }
    if args.what == "pace" {
        let measured = bench::pace(config, args.rate.unwrap_or(200), args.seconds, &args.dir, &mut watch).await?;
        progress.finish();
        context.answer(&measured, |m| {
            format!(
                "limit {} a second: {} sent, at most {} in any second, {:.1} % of the limit used",
                ui::number(i64::from(m.rate)),
                ui::number(m.sent as i64),
                ui::number(m.max_in_1s as i64),
                m.used_share * 100.0
            )
        })?;
        return Ok(true);
    }
    let measured = if args.what == "import" {
        bench::import(config, args.customers, &args.dir, &mut watch).await?
    } else {
        bench::export(config, args.customers, &args.dir, &mut watch).await?
    };
    progress.finish();
    context.answer(&measured, |m| {
        format!(
            "{} rows in {}: {} a second; peak memory {:.0} MiB; {}",
            ui::number(m.rows as i64),
            ui::span(m.elapsed_s),
            ui::number(m.rows_per_s as i64),
            m.peak_rss_mib,
            m.store
        )
    })?;
    Ok(true)
}
