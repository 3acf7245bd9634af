//! The real list: 45,211 clients of a Portuguese bank.
use crate::{Desk, five};
use std::path::PathBuf;
use touchline::domain::ids::CustomerId;
use touchline::intake::Kind;
use touchline::store::memory::MemoryStore;
use touchline::store::{CustomerBook, FactBook};

#[tokio::test]
async fn the_uci_list_comes_in_whole() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("../shared/data/uci-bank/bank-full.csv.gz");
    if !file.exists() {
        println!("skipped: ../shared/data/uci-bank/bank-full.csv.gz is not beside the repository");
        return;
    }
    let map = |name: &str| std::fs::read_to_string(root.join("campaigns/examples/uci-bank").join(name)).unwrap();
    let (desk, store) = (Desk::new(), MemoryStore::new());
    let report = desk.import(&store, Kind::Customers, &file, &map("customers.map.yaml"), Some("uci-bank")).await.unwrap();
    assert_eq!(five(&report), (45_211, 45_211, 0, 0, 0), "{}", desk.rejected());
    assert_eq!(report.list.unwrap().count, 45_211);
    let first = store.customer("uci-00001").await.unwrap().unwrap();
    assert_eq!(
        first.attributes,
        r#"{"age":58,"balance":2143,"campaign":1,"contact":"unknown","day":5,"default":"no","duration":261,"education":"tertiary","housing":"yes","job":"management","loan":"no","marital":"married","month":"may","pdays":-1,"poutcome":"unknown","previous":0,"y":"no"}"#
    );
    assert_eq!(first.timezone, Some(chrono_tz::Europe::Lisbon));
    let mut numbers = std::collections::HashSet::new();
    for row in (1..=45_211).step_by(97) {
        let customer = store.customer(&format!("uci-{row:05}")).await.unwrap().unwrap();
        let phone = customer.phone.unwrap();
        assert!(phone.reveal().starts_with("+35198"));
        assert!(numbers.insert(phone), "row {row} shares its number");
    }
    let report = desk.import(&store, Kind::Facts, &file, &map("facts.map.yaml"), None).await.unwrap();
    assert_eq!(five(&report), (45_211, 5_289, 39_922, 0, 0), "{}", desk.rejected());
    let facts = store.facts((CustomerId(1), CustomerId(i64::MAX)), "term_deposit", Some("term-deposit")).await.unwrap();
    assert_eq!(facts.len(), 5_289);
    assert_eq!(facts.iter().map(|f| f.amount.minor).sum::<i64>(), 954_277_300, "9,542,773 EUR in cents");
    assert!(facts.iter().all(|f| f.amount.currency.code() == "EUR" && f.at.to_string() == "2027-01-15T00:00:00Z"));
}

/// The facts' day is ours: it must lie after the last touch that the campaign can make, and within the conversion's window after the first.
#[test]
fn the_uci_campaign_fits_its_facts() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("campaigns/examples/uci-bank");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let campaign = touchline::campaign_file::load("campaign.yaml", &read("campaign.yaml")).unwrap_or_else(|f| panic!("{f:#?}"));
    let rule = &campaign.conversions[0];
    let facts = read("facts.map.yaml");
    assert!(
        facts.contains(&format!("kind: {{value: {}}}", rule.fact))
            && facts.contains(&format!("product: {{value: {}}}", rule.product.as_deref().unwrap()))
    );
    assert!(facts.contains("at: {value: \"2027-01-15\", timezone: Europe/Lisbon}"));
    let day = chrono::NaiveDate::from_ymd_opt(2027, 1, 15).unwrap().and_time(chrono::NaiveTime::MIN);
    let at = touchline::domain::campaign::instant(chrono_tz::Europe::Lisbon, day);
    assert!(at > campaign.schedule.ends_at());
    assert!(at.since(campaign.schedule.starts_at()) < rule.window_ms);
    // 63 attempts, an hour apart, end before the campaign does.
    let step = &campaign.steps[0];
    let longest = i64::from(step.attempts) * step.retry.values().max().unwrap();
    assert!(campaign.schedule.starts_at().plus(longest) < campaign.schedule.ends_at());
    assert_eq!((campaign.audience.list.as_str(), campaign.audience.holdout_ppm), ("uci-bank", 0));
}
