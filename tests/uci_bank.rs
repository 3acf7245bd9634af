//! The real list: 45,211 clients of a Portuguese bank (UCI bank marketing) go through the real program, from the file to the exports, and
//! must come out with exactly the figures that are known of them (`../shared/data/expected.json`): from the ledger (the report),
//! and again from the exported files, which are read back by other code than the program's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/read_back.rs"]
mod read_back;

use read_back::{Record, int, minor, read_back};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use touchline::domain::ids::CustomerId;
use touchline::store::sqlite::SqliteStore;
use touchline::store::{ListBook, Needs};

/// Clients of the file.
const CLIENTS: i64 = 45_211;
/// Their telephone contacts.
const CONTACTS: i64 = 124_956;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn ours(name: &str) -> String {
    root().join("campaigns/examples/uci-bank").join(name).display().to_string()
}

/// The data folder, if it is beside the repository (CI has it).
fn data() -> Option<PathBuf> {
    let data = root().join("../shared/data");
    if data.join("uci-bank/bank-full.csv.gz").exists() {
        return Some(data);
    }
    println!("skipped: ../shared/data/uci-bank/bank-full.csv.gz is not beside the repository");
    None
}

/// A client as the file has it.
type Client = BTreeMap<String, String>;

/// The file as text, and its rows by an independent reader.
fn clients(data: &Path) -> (String, Vec<Client>) {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(data.join("uci-bank/bank-full.csv.gz")).unwrap()).read_to_string(&mut text).unwrap();
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(text.as_bytes());
    let rows = reader.deserialize().collect::<Result<Vec<Client>, _>>().unwrap();
    (text, rows)
}

fn number(client: &Client, column: &str) -> i64 {
    client[column].parse().unwrap()
}

/// A scratch folder with the program in it.
struct Office {
    folder: tempfile::TempDir,
}

impl Office {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    /// Runs a command of the real program, and gives the one document that it prints.
    fn touchline(&self, arguments: &[&str]) -> Value {
        let begun = touchline::clock::monotonic();
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
        command.current_dir(self.folder.path()).args(arguments).args(["--json", "--data", "data", "--store", "sqlite:bank.db"]);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TOUCHLINE_")) {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let shown = arguments.iter().map(|a| a.rsplit('/').next().unwrap()).collect::<Vec<_>>().join(" ");
        println!("touchline {shown}: {:.1} s", begun.elapsed().as_secs_f64());
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "touchline {shown}: {}\n{out}\n{err}", output.status);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("touchline {shown}: {e}\n{out}"))
    }
    fn import_customers(&self, file: &Path) -> Value {
        let file = file.display().to_string();
        self.touchline(&["import", "customers", &file, "--mapping", &ours("customers.map.yaml"), "--name", "uci-bank", "--rejects", "."])
    }
    fn import_facts(&self, file: &Path) -> Value {
        let file = file.display().to_string();
        self.touchline(&["import", "facts", &file, "--mapping", &ours("facts.map.yaml"), "--rejects", "."])
    }
    fn rehearse(&self) -> Value {
        self.touchline(&["rehearse", &ours("campaign.yaml")])
    }
    /// Exports, verifies against files and ledger, and reads back.
    fn export(&self, what: &str, format: &str) -> Vec<Record> {
        let made = self.touchline(&["export", what, "--campaign", "uci-bank", "--format", format, "--out", "exports"]);
        let folder = self.path(made["export"]["folder"].as_str().unwrap());
        let verified = self.touchline(&["verify", &folder.display().to_string()]);
        assert_eq!((&verified["fault_count"], &verified["moved_on_count"]), (&json!(0), &json!(0)), "{what} {format}: {verified:#}");
        assert_eq!(verified["unchecked"], json!([]), "{what} {format}");
        let rows = read_back(&folder);
        assert_eq!(made["export"]["manifest"]["rows"], json!(rows.len()), "{what} {format}");
        rows
    }
    /// The attributes of the list's members as the store has them, by our number.
    fn attributes(&self) -> BTreeMap<i64, Client> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = SqliteStore::open(&self.path("bank.db"), false).await.unwrap();
            let list = store.list("uci-bank").await.unwrap();
            let needs = Needs { attributes: true, ..Needs::default() };
            let page = store.page(list.id, CustomerId(0), usize::MAX >> 1, needs).await.unwrap();
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let client = |json: &str| -> Client {
                let all: BTreeMap<String, Value> = serde_json::from_str(json).unwrap();
                all.iter().map(|(name, value)| (name.clone(), text(value))).collect()
            };
            page.members.iter().map(|m| (m.id.0, client(m.attributes.as_deref().unwrap()))).collect()
        })
    }
}

/// What the report must say of these clients, whoever they are.
fn check_report(report: &Value, clients: &[Client]) {
    let sum = |column: &str| clients.iter().map(|c| number(c, column)).sum::<i64>();
    let mut by_attempts: BTreeMap<String, i64> = BTreeMap::new();
    for client in clients {
        *by_attempts.entry(client["campaign"].clone()).or_default() += 1;
    }
    assert_eq!((&report["status"], &report["rehearsal"]), (&json!("finished"), &json!(true)));
    assert_eq!(report["audience"], json!(clients.len()));
    for (state, n) in report["counts"].as_object().unwrap() {
        assert_eq!(*n, json!(if state == "reached" { clients.len() } else { 0 }), "{state}");
    }
    assert_eq!((&report["suppressed"], &report["called_off"]), (&json!({}), &json!({})));
    assert_eq!(report["attempts"]["total"], json!(sum("campaign")));
    assert_eq!(report["attempts"]["by_route"], json!({"uci-replay": sum("campaign")}));
    assert_eq!(
        report["attempts"]["by_disposition"],
        json!({"answered": clients.len(), "no_answer": sum("campaign") - i64::try_from(clients.len()).unwrap()})
    );
    assert_eq!(report["reached_by_attempts"], json!(by_attempts));
    assert_eq!(report["connected_seconds"], json!(sum("duration")));
    check_no_lift(report);
}

/// There is no control group: a lift would be made up.
fn check_no_lift(report: &Value) {
    assert_eq!((&report["lift"], &report["attribution"]["lift"], &report["attribution"]["holdout"]), (&json!([]), &json!([]), &json!([])));
    let reason = report["attribution"]["no_lift"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("holdout"), "{reason}");
}

fn check_conversions(report: &Value, customers: i64, euros: i64) {
    let line = json!([{"name": "deposit", "customers": customers, "amount": format!("{euros}.00"), "currency": "EUR"}]);
    assert_eq!(report["conversions"], line);
}

/// Customers in the file's order, the results of each, and what was credited to it.
struct Books {
    clients: Vec<Client>,
    results: Vec<Record>,
    /// Cents by customer.
    credited: HashMap<i64, i64>,
}

impl Books {
    /// Compares the groups by a key with what is expected of each.
    fn check_groups(&self, expected: &Value, name: &str, key: &dyn Fn(usize, &Client) -> String) {
        #[derive(Default)]
        struct Group {
            rows: i64,
            yes: i64,
            attempts: i64,
            seconds: i64,
            balance: i64,
            previous: i64,
        }
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for (i, (client, row)) in self.clients.iter().zip(&self.results).enumerate() {
            let group = groups.entry(key(i, client)).or_default();
            group.rows += i64::from(row["state"] == "reached");
            group.yes += i64::from(self.credited.contains_key(&int(row, "customer")));
            group.attempts += int(row, "attempts");
            group.seconds += int(row, "connected_s");
            group.balance += number(client, "balance");
            group.previous += number(client, "previous");
        }
        let expected = expected[name].as_object().unwrap_or_else(|| panic!("expected.json has no {name}"));
        assert_eq!(groups.keys().collect::<BTreeSet<_>>(), expected.keys().collect::<BTreeSet<_>>(), "{name}");
        for (key, figures) in expected {
            let group = &groups[key];
            for (figure, value) in figures.as_object().unwrap() {
                let found = match figure.as_str() {
                    "rows" => group.rows,
                    "yes" => group.yes,
                    "sum_campaign" => group.attempts,
                    "sum_duration" => group.seconds,
                    "sum_balance" => group.balance,
                    "sum_previous" => group.previous,
                    "at_least" => groups.iter().filter(|(n, _)| n.parse::<i64>().unwrap() >= key.parse().unwrap()).map(|(_, g)| g.rows).sum(),
                    "rate_pct" => {
                        let rate = format!("{:.4}", 100.0 * group.yes as f64 / group.rows as f64).parse::<f64>().unwrap();
                        assert!((rate - value.as_f64().unwrap()).abs() < 1e-9, "{name} {key}: rate {rate}, expected {value}");
                        continue;
                    }
                    other => panic!("{name}: this test does not know the figure {other}"),
                };
                assert_eq!(json!(found), *value, "{name} {key}: {figure}");
            }
        }
    }
}

/// Each attempt before the last one was missed, the last one reached; none began before the one before it had ended an hour ago.
fn check_touches(touches: &[Record], clients: &[Client], expected: &Value) {
    assert_eq!(i64::try_from(touches.len()).unwrap(), CONTACTS);
    let mut by_attempt: BTreeMap<i64, i64> = BTreeMap::new();
    let mut rows = touches.iter();
    for client in clients {
        let (attempts, mut ended) = (number(client, "campaign"), None);
        for attempt in 1..=attempts {
            let row = rows.next().unwrap();
            let last = attempt == attempts;
            let what = (row["state"].as_str(), row["reason"].as_str(), int(row, "attempt"), int(row, "seq"), int(row, "connected_s"));
            let seconds = if last { number(client, "duration") } else { 0 };
            assert_eq!(what, (if last { "reached" } else { "missed" }, if last { "answered" } else { "no_answer" }, attempt, attempt - 1, seconds));
            assert_eq!((row["channel"].as_str(), row["route"].as_str(), row["step"].as_str()), ("call", "uci-replay", "call"));
            let started = int(row, "started_at");
            assert!(ended.is_none_or(|ended| started >= ended + 3_600_000), "{row:?}");
            ended = Some(int(row, "ended_at"));
            *by_attempt.entry(attempt).or_default() += 1;
        }
    }
    assert!(rows.next().is_none());
    for (attempt, figures) in expected["by_number_of_contacts"].as_object().unwrap() {
        assert_eq!(json!(by_attempt[&attempt.parse().unwrap()]), figures["at_least"], "attempts number {attempt}");
    }
}

/// The year is not in the file, but the order is: it goes on when the month goes back.
fn year_months(clients: &[Client]) -> Vec<String> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (mut year, mut last) = (2008, 0);
    let mut of = |client: &Client| {
        let month = 1 + MONTHS.iter().position(|m| *m == client["month"]).unwrap();
        year += i32::from(month < last);
        last = month;
        format!("{year}-{month:02}")
    };
    clients.iter().map(&mut of).collect()
}

#[test]
fn the_real_list_comes_out_as_it_is_known() {
    let Some(data) = data() else { return };
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(data.join("expected.json")).unwrap()).unwrap();
    let expected = &expected["uci_bank_full"];
    let (_, clients) = clients(&data);
    let (file, office) = (data.join("uci-bank/bank-full.csv.gz"), Office::new());

    let made = office.import_customers(&file);
    let sums = &made["sums"];
    assert_eq!((&sums["rows_read"], &sums["accepted"], &made["list"]["count"]), (&json!(CLIENTS), &json!(CLIENTS), &json!(CLIENTS)), "{made:#}");

    // Facts come after the rehearsal: until then nobody has converted.
    let report = office.rehearse();
    check_report(&report, &clients);
    check_conversions(&report, 0, 0);
    let made = office.import_facts(&file);
    let sums = &made["sums"];
    assert_eq!((&sums["accepted"], &sums["filtered"], &sums["rejected"]), (&json!(5_289), &json!(39_922), &json!(0)), "{made:#}");
    let report = office.touchline(&["campaign", "status", "uci-bank"]);
    check_report(&report, &clients);
    check_conversions(&report, 5_289, 9_542_773);
    // The figures that the issue names, so that the file of expectations is not believed alone.
    assert_eq!((&report["audience"], &report["attempts"]["total"]), (&json!(CLIENTS), &json!(CONTACTS)));
    assert_eq!(report["connected_seconds"], json!(11_671_811));
    for (attempts, n) in [("1", 17_544), ("2", 12_505), ("3", 5_521), ("63", 1)] {
        assert_eq!(report["reached_by_attempts"][attempts], json!(n), "reached on attempt {attempts}");
    }

    // Again, from the files.
    let results = office.export("results", "csv");
    assert_eq!(results, office.export("results", "jsonl"));
    assert_eq!(results, office.export("results", "parquet"));
    let conversions = office.export("conversions", "csv");
    assert_eq!(conversions, office.export("conversions", "jsonl"));
    assert_eq!(conversions, office.export("conversions", "parquet"));
    let touches = office.export("touches", "parquet");
    assert_eq!(touches, office.export("touches", "csv"));

    let attributes = office.attributes();
    assert_eq!(results.len(), clients.len());
    for ((client, row), n) in clients.iter().zip(&results).zip(1..) {
        assert_eq!(attributes[&int(row, "customer")], *client, "client {n} as imported");
        assert_eq!(row["reference"], format!("uci-{n:05}"));
        let found = (row["state"].as_str(), row["reason"].as_str(), row["arm"].as_str(), row["currency"].as_str());
        assert_eq!(found, ("reached", "answered", "treated", "EUR"), "client {n}");
        assert_eq!((int(row, "attempts"), int(row, "connected_s")), (number(client, "campaign"), number(client, "duration")), "client {n}");
    }
    let total = |column| results.iter().map(|r| int(r, column)).sum::<i64>();
    assert_eq!((total("attempts"), total("connected_s"), total("steps")), (CONTACTS, 11_671_811, CLIENTS));
    check_touches(&touches, &clients, expected);

    let mut credited = HashMap::new();
    for row in &conversions {
        let of = |column: &str| row[column].as_str();
        assert_eq!((of("conversion"), of("product"), of("currency"), of("arm"), of("step")), ("deposit", "term-deposit", "EUR", "treated", "call"));
        assert_eq!(of("fact_ref").strip_prefix("uci-deposit-"), of("reference").strip_prefix("uci-"));
        assert_eq!(credited.insert(int(row, "customer"), minor(row, "amount")), None, "one credit a client");
        assert!(of("at") > "1799971199999", "{row:?}");
    }
    assert_eq!((credited.len(), credited.values().sum::<i64>()), (5_289, 954_277_300));
    for (client, row) in clients.iter().zip(&results) {
        let deposit = (client["y"] == "yes").then(|| number(client, "balance") * 100);
        assert_eq!(credited.get(&int(row, "customer")).copied(), deposit, "{}", row["reference"]);
    }
    // The credited touch is the one that reached the client: its last.
    let attempts: HashMap<i64, i64> = results.iter().map(|r| (int(r, "customer"), int(r, "attempts"))).collect();
    assert!(conversions.iter().all(|c| int(c, "seq") + 1 == attempts[&int(c, "customer")]));

    let months = year_months(&clients);
    let clients = results.iter().map(|r| attributes[&int(r, "customer")].clone()).collect();
    let books = Books { clients, results, credited };
    for column in ["job", "month", "poutcome", "contact", "education", "marital", "housing", "loan"] {
        books.check_groups(expected, &format!("by_{column}"), &|_, client| client[column].clone());
    }
    books.check_groups(expected, "by_number_of_contacts", &|i, _| books.results[i]["attempts"].clone());
    books.check_groups(expected, "by_year_month_from_file_order", &|i, _| months[i].clone());
}

/// Facts may be there before the first call: the deposits are the same, and they are in the report of the rehearsal itself.
/// Two rehearsals of one list do not take each other's conversions, and another seed changes nothing of a replay.
#[test]
fn facts_before_the_calls_and_a_second_rehearsal() {
    let Some(data) = data() else { return };
    let (text, mut clients) = clients(&data);
    // One line in nine, the longest journeys with them.
    let lines: Vec<&str> = text.lines().collect();
    let taken = |i: &usize| i % 9 == 4 || number(&clients[*i], "campaign") > 30;
    let taken: Vec<usize> = (0..clients.len()).filter(taken).collect();
    let office = Office::new();
    let mut file = std::fs::File::create(office.path("part.csv")).unwrap();
    writeln!(file, "{}", lines[0]).unwrap();
    for i in &taken {
        writeln!(file, "{}", lines[i + 1]).unwrap();
    }
    drop(file);
    clients = taken.iter().map(|i| clients[*i].clone()).collect();
    let yes: Vec<&Client> = clients.iter().filter(|c| c["y"] == "yes").collect();
    let (customers, euros) = (i64::try_from(yes.len()).unwrap(), yes.iter().map(|c| number(c, "balance")).sum());

    office.import_customers(&office.path("part.csv"));
    office.import_facts(&office.path("part.csv"));
    for seed in ["7", "8"] {
        let report = office.touchline(&["rehearse", &ours("campaign.yaml"), "--seed", seed]);
        check_report(&report, &clients);
        check_conversions(&report, customers, euros);
    }
    let credited = office.export("conversions", "csv").iter().map(|c| minor(c, "amount")).sum::<i64>();
    assert_eq!(credited, euros * 100);
}
