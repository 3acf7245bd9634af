//! `touchline bench touches|import|export`
use super::ui::{self, Progress};
use super::{Answer, Context};
use crate::app::bench;
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// What: touches through the whole engine, customers from CSV, or touches to Parquet.
    #[arg(value_parser = ["touches", "import", "export"])]
    what: String,
    /// How many customers.
    #[arg(long, default_value_t = 1_000_000)]
    customers: u64,
    /// Where the scratch files are made (and removed afterwards): a folder on the disk that is to be measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

/// Measures.
#[allow(clippy::cast_possible_truncation, reason = "figures for people")]
pub async fn run(args: Args, context: &Context) -> Answer {
    let progress = Progress::new("", args.customers, context.json);
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
