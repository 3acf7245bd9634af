//! The same day by the command line as a client (`--url`, `--token-file`): same words, same refusals, same exit codes.
use super::bank::{CUSTOMER_MAP, FACT_MAP, MEMBER_MAP, NAME, campaign, customers, members, reference, settings};
use super::http::{House, until};
use super::serving::touchline;
use serde_json::Value;
use std::path::PathBuf;

struct Desk {
    house: House,
    files: PathBuf,
}

impl Desk {
    fn open() -> Self {
        let house = House::open(settings);
        let files = house.folder.path().join("files");
        std::fs::create_dir(&files).unwrap();
        for (who, token) in &house.tokens {
            std::fs::write(files.join(format!("{who}.token")), token).unwrap();
        }
        Self { house, files }
    }
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.files.join(name), text).unwrap();
    }
    /// As one of the staff: the exit code, and both streams.
    fn run(&self, who: &str, words: &[&str]) -> (i32, String, String) {
        let mut command = touchline(&self.house.data());
        command.current_dir(&self.files).args(["--json", "--url", &self.house.daemon().url, "--token-file", &format!("{who}.token")]).args(words);
        let out = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code().unwrap_or(-1), text(&out.stdout), text(&out.stderr))
    }
    /// The one document that it prints.
    fn json(&self, who: &str, words: &[&str], code: i32) -> Value {
        let (found, out, err) = self.run(who, words);
        assert_eq!(found, code, "{words:?} as {who} ended with {found}: {out}{err}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{words:?} as {who}: not one JSON document ({e}): {out}{err}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_by_the_command_line_as_a_client() {
    let mut desk = Desk::open();
    // What belongs to the first customers fits: a small bank, at a pace that ends within seconds.
    let good = campaign("300/s");
    for (name, text) in [
        ("customers.csv", customers(60).as_str()),
        ("customers.map.yaml", CUSTOMER_MAP),
        ("members.csv", &members(60)),
        ("members.map.yaml", MEMBER_MAP),
        ("facts.map.yaml", FACT_MAP),
        ("wrong.yaml", &good.replace("rate: 300/s", "rate: fast")),
        ("good.yaml", &good),
        ("better.yaml", &good.replace("rate: 300/s", "rate: 250/s")),
    ] {
        desk.write(name, text);
    }
    let report = desk.json("core", &["import", "customers", "customers.csv", "--mapping", "customers.map.yaml"], 0);
    assert_eq!((report["sums"]["accepted"].as_i64(), report["sums"]["rejected"].as_i64()), (Some(60), Some(1)), "{report}");
    assert!(desk.files.join("customers.rejects.csv").exists(), "the rejects come back beside the file");
    let report = desk.json("core", &["import", "list", "members.csv", "--mapping", "members.map.yaml", "--name", "prospects"], 0);
    assert_eq!(report["list"]["count"], 60, "{report}");

    let verdict = desk.json("ann", &["campaign", "submit", "wrong.yaml"], 1);
    assert!(verdict.to_string().contains("fast"), "the fault is told: {verdict}");
    let (_, _, said) = desk.run("ann", &["campaign", "submit", "wrong.yaml"]);
    assert!(said.contains("wrong.yaml:8:"), "the fault is drawn in the file with line and column: {said}");
    let plan = desk.json("ann", &["plan", "good.yaml"], 0);
    assert_eq!(plan["audience"], 60, "{plan}");
    let submitted = desk.json("ann", &["campaign", "submit", "good.yaml"], 0);
    let seal = submitted["seal"]["seal"].as_str().unwrap_or_else(|| panic!("no seal: {submitted}"));
    let refused = desk.json("ann", &["campaign", "approve", NAME, "--hash", seal], 1);
    assert!(refused["error"].as_str().unwrap_or_default().contains("another person"), "an author does not approve: {refused}");
    desk.json("olga", &["campaign", "approve", NAME, "--hash", seal], 1);
    let approved = desk.json("bob", &["campaign", "approve", NAME, "--hash", seal, "--why", "read"], 0);
    assert_eq!(approved["status"], "approved", "{approved}");
    let started = desk.json("olga", &["campaign", "start", NAME, "--why", "as agreed"], 0);
    assert_eq!(started["wanted"], "run", "{started}");
    desk.json("olga", &["campaign", "pause", NAME, "--why", "lunch"], 0);
    let status = || desk.json("olga", &["campaign", "status", NAME], 0);
    until("it is paused", async || (status()["status"] == "paused").then_some(())).await;
    let revised = desk.json("ann", &["campaign", "submit", "better.yaml"], 0);
    let diff = desk.json("bob", &["campaign", "diff", NAME], 0);
    assert_eq!((diff["changes"][0]["key"].as_str(), diff["changes"][0]["to"].as_str()), (Some("limits.rate"), Some("250/s")), "{diff}");
    desk.json("bob", &["campaign", "approve", NAME, "--hash", revised["seal"]["seal"].as_str().unwrap()], 0);
    desk.json("olga", &["campaign", "resume", NAME, "--why", "back"], 0);
    until("everybody has been come to", async || (status()["counts"]["pending"] == 0).then_some(())).await;
    let stopped = desk.json("eve", &["campaign", "stop", NAME, "--emergency", "--why", "a question"], 0);
    assert_eq!(stopped["emergency"], true, "{stopped}");
    for (who, came) in [("eve", "first"), ("olga", "lifted")] {
        let restarted = desk.json(who, &["campaign", "restart", NAME, "--why", "answered"], 0);
        assert_eq!(restarted["restart"], came, "{restarted}");
    }
    // Ended for good: what waits is called off, and finance has its figures.
    desk.json("olga", &["campaign", "stop", NAME, "--why", "enough"], 0);
    let report = until("it is stopped", async || Some(status()).filter(|s| s["status"] == "stopped")).await;
    super::noon::closed_sums(&report);
    let listed = desk.json("fay", &["campaign", "list"], 0);
    assert_eq!((listed[0]["name"].as_str(), listed[0]["status"].as_str()), (Some(NAME), Some("stopped")), "{listed}");
    let history = desk.json("eve", &["campaign", "history", NAME], 0);
    let by: Vec<&str> = history.as_array().unwrap().iter().map(|e| e["by"].as_str().unwrap()).collect();
    assert!(["ann", "bob", "olga"].iter().all(|who| by.contains(who)), "whose token it is counts: {history}");

    desk.write("facts.csv", &format!("booking,no,amount,booked\nb-1,{},10.00,2026-11-24T09:00:00Z\n", reference(1)));
    let facts = desk.json("core", &["import", "facts", "facts.csv", "--mapping", "facts.map.yaml"], 0);
    assert_eq!(facts["sums"]["accepted"], 1, "{facts}");
    let told = desk.json("eve", &["explain", "--customer", &reference(1), "--campaign", NAME], 0);
    assert_eq!(told["customer"]["reference"], reference(1), "{told}");
    desk.json("fay", &["explain", "--customer", &reference(1)], 1);
    for what in ["results", "touches", "conversions"] {
        let made = desk.json("fay", &["export", what, "--campaign", NAME, "--format", "csv", "--out", "out"], 0);
        let folder = made["export"]["folder"].as_str().unwrap();
        assert_eq!(desk.json("fay", &["verify", folder], 0)["fault_count"], 0, "{made}");
    }
    // A file that somebody has changed is not what the daemon made.
    let (_, folder, _) = desk.run("fay", &["export", "results", "--campaign", NAME, "--out", "other"]);
    let folder = serde_json::from_str::<Value>(&folder).unwrap()["export"]["folder"].as_str().unwrap().to_owned();
    let file = desk.files.join(&folder).join("results.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("C00001", "C00002", 1)).unwrap();
    assert!(desk.json("fay", &["verify", &folder], 1)["fault_count"].as_i64() > Some(0), "a changed export is found out");
    desk.json("olga", &["campaign", "archive", NAME, "--why", "tidy"], 0);
    assert_eq!(desk.json("olga", &["campaign", "list"], 0), serde_json::json!([]));
    let ended = desk.house.end();
    assert!(ended.success(), "{}", desk.house.log.join("\n"));
}
