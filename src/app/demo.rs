//! The main job on made-up customers, in a folder of its own: import, plan, rehearse, facts, attribution, export, verification.
use super::files::FileIn;
use super::outcome::Outcome;
use super::rehearse::Stand;
use super::{Access, App, Failure, known_routes};
use crate::campaign_file;
use crate::config::Config;
use crate::desk::plan::Plan;
use crate::domain::campaign::ExportFormat;
use crate::domain::time::DAY;
use crate::finance::{ExportReport, What};
use crate::intake::made_up::{MADE_UP_CUSTOMERS_MAP, MADE_UP_FACTS_MAP, reference, write_customers, write_facts};
use crate::intake::{Kind, Report, Sums};
use crate::store::Store;
use serde::Serialize;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// The campaign of the demo: the one that the README explains.
const CAMPAIGN: &str = include_str!("../../campaigns/term-deposit-2026q4.yaml");
/// Says that a folder is a demo's, and may be made anew.
const MARK: &str = ".touchline-demo";

/// What is happening, for the one who watches.
pub enum Scene<'a> {
    /// A part begins.
    Part(&'a str),
    /// An import goes on.
    Importing(&'a Sums),
    /// An import is done.
    Imported(&'a Report),
    /// The forecast.
    Planned(&'a Plan),
    /// The rehearsal goes on.
    Rehearsing(Stand),
}

/// What the demo came to.
#[derive(Debug, Serialize)]
pub struct Demo {
    /// The run.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Where everything is.
    pub folder: PathBuf,
    /// The exports made.
    pub demo_exports: Vec<ExportReport>,
    /// Whether they all verify against the ledger.
    pub verified: bool,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// Runs the demo in `folder`, which is made anew.
pub async fn demo(mut config: Config, folder: &Path, customers: u64, seed: u64, watch: &mut (dyn FnMut(Scene<'_>) + Send)) -> Result<Demo, Failure> {
    prepare(folder)?;
    let file = |name: &str| folder.join(name);
    config.store.url = Some(format!("sqlite:{}", file("touchline.sqlite").display()));
    let app = App::open(config, Access::Rehearse).await?;
    let campaign = campaign_file::load_with("demo", CAMPAIGN, &known_routes(&app.config)).map_err(|faults| Failure::diagnostics(&faults))?;
    write(&file("campaign.yaml"), |out| std::io::Write::write_all(out, CAMPAIGN.as_bytes()))?;

    watch(Scene::Part("importing made-up customers"));
    write(&file("customers.csv"), |out| write_customers(out, customers, seed))?;
    write(&file("customers.map.yaml"), |out| std::io::Write::write_all(out, MADE_UP_CUSTOMERS_MAP.as_bytes()))?;
    let list = campaign.audience.list.as_str();
    let (customers_csv, customers_map) = (file("customers.csv"), file("customers.map.yaml"));
    let wanted = FileIn { kind: Kind::Customers, file: &customers_csv, mapping: &customers_map, name: Some(list), rejects: None, again: false };
    let report = app.import(wanted, &mut |s| watch(Scene::Importing(s))).await?;
    watch(Scene::Imported(&report));

    watch(Scene::Part("planning"));
    let plan = app.plan(&campaign).await?;
    watch(Scene::Planned(&plan));

    watch(Scene::Part("rehearsing in virtual time"));
    let (row, _) = app.rehearse(&campaign, seed, |stand| watch(Scene::Rehearsing(stand))).await?;

    watch(Scene::Part("importing facts of the core bank and attributing them"));
    let from = campaign.schedule.starts_at().plus(DAY);
    write(&file("facts.csv"), |out| write_facts(out, customers, seed, from))?;
    write(&file("facts.map.yaml"), |out| std::io::Write::write_all(out, MADE_UP_FACTS_MAP.as_bytes()))?;
    let (facts_csv, facts_map) = (file("facts.csv"), file("facts.map.yaml"));
    let wanted = FileIn { kind: Kind::Facts, file: &facts_csv, mapping: &facts_map, name: None, rejects: None, again: false };
    app.import(wanted, &mut |s| watch(Scene::Importing(s))).await?;
    let ended_at = row.finished_at.unwrap_or_else(|| app.now());
    let outcome = app.outcome(&row, ended_at).await?;

    watch(Scene::Part("exporting and verifying"));
    let out = file("exports");
    let mut demo_exports = Vec::new();
    let mut verified = true;
    for (what, format) in [(What::Results, ExportFormat::Csv), (What::Touches, ExportFormat::Parquet), (What::Conversions, ExportFormat::Csv)] {
        let export = app.export(&row, what, format, &out).await?;
        verified &= app.verify(&export.folder).await?.is_intact();
        demo_exports.push(export);
    }
    let store = app.config.store_url();
    let next = vec![
        format!("touchline explain --customer {} --store {store}", touched(app.store.as_ref(), &row).await?.unwrap_or_else(|| reference(1))),
        format!("touchline campaign status {} --store {store}", campaign.name),
        format!("touchline rehearse {} --store {store}", file("campaign.yaml").display()),
    ];
    Ok(Demo { outcome, folder: folder.to_owned(), demo_exports, verified, next })
}

/// A customer with a story to tell: the one with the most touches among the first pages.
async fn touched(store: &dyn Store, row: &crate::store::CampaignRow) -> Result<Option<String>, Failure> {
    let touches = store.scan(row.id, None, 20_000).await?;
    let Some(busiest) = touches.iter().max_by_key(|t| t.key.seq) else { return Ok(None) };
    let id = busiest.key.customer;
    Ok(store.references(id, id).await?.pop().map(|(_, reference)| reference.into()))
}

fn prepare(folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        if !folder.join(MARK).exists() && fs::read_dir(folder).map_err(|e| Failure::file("cannot read", folder, &e))?.next().is_some() {
            return Err(Failure::use_(format!("{} is not empty and not a demo's folder; name another with --dir", folder.display())));
        }
        fs::remove_dir_all(folder).map_err(|e| Failure::file("cannot remove the earlier demo in", folder, &e))?;
    }
    fs::create_dir_all(folder).map_err(|e| Failure::file("cannot make", folder, &e))?;
    write(&folder.join(MARK), |_| Ok(()))
}

fn write(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<(), Failure> {
    let file = File::create(path).map_err(|e| Failure::file("cannot write", path, &e))?;
    let mut out = BufWriter::new(file);
    fill(&mut out).and_then(|()| std::io::Write::flush(&mut out)).map_err(|e| Failure::file("cannot write", path, &e))
}
