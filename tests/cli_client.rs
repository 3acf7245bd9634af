//! The command line on a store here and by a daemon: the same answers, the same refusals, the same exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/daemon.rs"]
mod daemon;
#[path = "cli/desk.rs"]
mod desk;

use daemon::Daemon;
use desk::{CAMPAIGN, Desk, MAP};
use serde_json::Value;

/// What differs from one run to the next: instants, and hashes and checksums of what holds them.
const TIMES: &[&str] =
    &["frozen_at", "as_of", "as_of_ms", "manifest_sha256", "sha256", "first_touch_at", "finishes_at", "submitted_at", "at", "written_by"];

fn without_times(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|name, _| !TIMES.contains(&name.as_str()));
            fields.values_mut().for_each(|v| *v = without_times(v.take()));
        }
        Value::Array(all) => all.iter_mut().for_each(|v| *v = without_times(v.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    value
}

/// Two desks with the same files: one with a store, one with a daemon.
struct Two {
    here: Desk,
    there: Desk,
    daemon: Daemon,
    runtime: tokio::runtime::Runtime,
}

impl Two {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let daemon = runtime.block_on(Daemon::open(false, |_| ()));
        let two = Self { here: Desk::new(), there: Desk::new(), daemon, runtime };
        two.there.write("token", "all\n");
        two
    }

    fn remote<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [words, &["--url", &self.daemon.url, "--token-file", "token"]].concat()
    }

    /// Both answer the same, and end with the same code.
    fn same(&self, words: &[&str], code: i32) -> Value {
        let here = without_times(self.here.json(words, code));
        let there = without_times(self.there.json(&self.remote(words), code));
        assert_eq!(here, there, "{words:?}");
        there
    }

    /// Both print the same for people; `but`: lines with these words differ (times, rates).
    fn says_the_same(&self, words: &[&str], code: i32, but: &[&str]) {
        let lines = |desk: &Desk, words: &[&str]| {
            let said = desk.says(words, code, &[]);
            said.lines().filter(|l| !but.iter().any(|b| l.contains(b))).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&self.here, words), lines(&self.there, &self.remote(words)), "{words:?}");
    }

    /// The same rehearsal in both places.
    fn rehearse(&self) {
        self.here.json(&["rehearse", "campaign.yaml", "--seed", "3"], 0);
        let app = &self.daemon.app;
        self.runtime.block_on(async {
            let campaign = app.campaign_text("campaign.yaml", CAMPAIGN).await.unwrap();
            app.rehearse(&campaign, 3, |_| ()).await.unwrap();
        });
    }
}

#[test]
fn imports_plans_explanations_and_exports_are_the_same() {
    let two = Two::new();
    let import = ["import", "customers", "customers.csv", "--mapping", "map.yaml", "--name", "prospects"];
    let first = two.same(&import, 0);
    assert_eq!((first["sums"]["accepted"].as_i64(), first["already"].as_bool()), (Some(40), Some(false)));
    assert_eq!(two.same(&import, 0)["already"], true);
    two.says_the_same(&import, 0, &["rows a second"]);
    two.same(&["validate", "campaign.yaml"], 0);
    two.says_the_same(&["validate", "campaign.yaml"], 0, &[]);
    let plan = two.same(&["plan", "campaign.yaml"], 0);
    assert_eq!(plan["audience"], 40);
    two.rehearse();
    two.same(&["explain", "--customer", "c1", "--campaign", "spring"], 0);
    two.says_the_same(&["explain", "--customer", "c2"], 0, &["fact at"]);
    for (n, (what, format)) in [("results", "csv"), ("touches", "parquet"), ("conversions", "jsonl")].into_iter().enumerate() {
        let export = two.same(&["export", what, "--campaign", "spring", "--format", format, "--out", "out"], 0);
        let folder = format!("out/{:06}", n + 1);
        assert_eq!(export["export"]["folder"], folder.as_str());
        assert_eq!(two.same(&["verify", &folder], 0)["fault_count"], 0);
        let file = format!("{folder}/{what}.{format}");
        assert_eq!(two.here.bytes(&file), two.there.bytes(&file), "{file}");
    }
    // The JSON for machines is the daemon's to the last digit, laid out as everywhere.
    let here = String::from_utf8(two.here.run(&["plan", "campaign.yaml", "--json"]).stdout).unwrap();
    let there = String::from_utf8(two.there.run(&two.remote(&["plan", "campaign.yaml", "--json"])).stdout).unwrap();
    let kept = |text: &str| text.lines().filter(|l| !TIMES.iter().any(|t| l.contains(t))).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(kept(&here), kept(&there));
    // A file that was changed after it was fetched.
    for desk in [&two.here, &two.there] {
        let rows = String::from_utf8(desk.bytes("out/000001/results.csv")).unwrap();
        desk.write("out/000001/results.csv", rows.replacen(",missed,", ",reached,", 1));
    }
    let tampered = two.same(&["verify", "out/000001"], 1);
    assert!(tampered["fault_count"].as_i64().unwrap() > 0, "{tampered}");
    assert_eq!(two.there.json(&two.remote(&["verify", "1"]), 0)["fault_count"], 0, "the daemon's own is whole");
    two.there.says(&two.remote(&["export", "results", "--campaign", "spring", "--out", "other"]), 0, &["export 000004", "other/000004"]);
    two.there.says(&two.remote(&["export", "--correct", "3", "--out", "out"]), 0, &["nothing has changed since export 000003"]);
}

#[test]
fn rows_that_do_not_fit_come_back_beside_the_file() {
    let two = Two::new();
    for desk in [&two.here, &two.there] {
        desk.write("odd.csv", "no,tel,balance,job\nx1,+8615400000001,1,a\nx2,nonsense,2,b\nx1,+8615400000001,1,a\n");
    }
    let import = ["import", "customers", "odd.csv", "--mapping", "map.yaml"];
    let report = two.same(&import, 0);
    assert_eq!((report["sums"]["rejected"].as_i64(), report["rejects"].as_str()), (Some(1), Some("odd.rejects.csv")));
    assert_eq!(two.here.bytes("odd.rejects.csv"), two.there.bytes("odd.rejects.csv"));
    two.says_the_same(&["import", "customers", "odd.csv", "--mapping", "map.yaml", "--again"], 0, &["rows a second"]);
}

#[test]
fn refusals_are_the_same() {
    let two = Two::new();
    let import = ["import", "customers", "customers.csv", "--mapping", "map.yaml", "--name", "prospects"];
    for desk in [&two.here, &two.there] {
        desk.write("bad.yaml", CAMPAIGN.replace("sip-north", "sip-nort").replace("opportunity: investment", "opportunity: luck"));
        desk.write("bad.map.yaml", MAP.replace("ref: no", "reff: no"));
        desk.write(
            "facts.map.yaml",
            "kind: facts\nformat: csv\ncolumns: {customer: no, kind: {value: x}, amount: balance, currency: {value: CNY}, at: job, fact_ref: no}\n",
        );
        desk.write("other.csv", "a,b\n1,2\n");
        desk.write("latin.yaml", b"campaign: \xe9\n");
    }
    two.same(&import, 0);
    for (words, code) in [
        (vec!["validate", "bad.yaml"], 1),
        (vec!["plan", "bad.yaml"], 1),
        (vec!["plan", "absent.yaml"], 2),
        (vec!["plan", "latin.yaml"], 1),
        (vec!["validate", "absent.yaml", "campaign.yaml"], 2),
        (vec!["import", "customers", "customers.csv", "--mapping", "bad.map.yaml"], 1),
        (vec!["import", "customers", "customers.csv", "--mapping", "facts.map.yaml"], 1),
        (vec!["import", "customers", "absent.csv", "--mapping", "map.yaml"], 2),
        (vec!["import", "list", "customers.csv", "--mapping", "map.yaml"], 2),
        (vec!["import", "customers", "customers.csv", "--mapping", "map.yaml", "--name", "a b"], 2),
        (vec!["import", "customers", "other.csv", "--mapping", "map.yaml"], 1),
        (vec!["explain", "--customer", "nobody"], 2),
        (vec!["explain", "--customer", "c1", "--campaign", "nope"], 2),
        (vec!["export", "results", "--campaign", "nope", "--out", "out"], 2),
        (vec!["export", "--correct", "9", "--out", "out"], 2),
        (vec!["verify", "nowhere"], 2),
        (vec!["resolve", "--campaign", "nope"], 2),
        (vec!["resolve", "--campaign", "nope", "--as", "reached"], 2),
        (vec!["resolve", "--campaign", "nope", "--as", "nonsense", "--by", "a", "--why", "b"], 2),
    ] {
        let here = two.here.run(&[words.as_slice(), &["--json"]].concat());
        let there = two.there.run(&two.remote(&[words.as_slice(), &["--json"]].concat()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!((here.status.code(), there.status.code()), (Some(code), Some(code)), "{words:?}\n{}\n{}", text(&here.stderr), text(&there.stderr));
        if words[1] != "--correct" {
            assert_eq!(text(&here.stderr), text(&there.stderr), "{words:?}");
            assert_eq!(text(&here.stdout), text(&there.stdout), "{words:?}");
        }
    }
    // Faults are drawn in the file as it lies here, with its name, line and column.
    two.there.says(&two.remote(&["plan", "bad.yaml"]), 1, &["bad.yaml:3:14", "opportunity: luck", "sip-north"]);
}

#[test]
fn a_daemon_that_is_not_there_or_wants_another_token() {
    let two = Two::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}");
    let explain = ["explain", "--customer", "c1"];
    two.there.says(&[&explain[..], &["--url", &url, "--token-file", "token"]].concat(), 3, &["out of reach", "touchline serve"]);
    let failed = two.there.json(&[&explain[..], &["--url", &url, "--token-file", "token"]].concat(), 3);
    assert!(failed["error"].as_str().unwrap().contains("out of reach"), "{failed}");
    two.there.says(&[&explain[..], &["--url", &two.daemon.url]].concat(), 2, &["--token-file", "TOUCHLINE_TOKEN"]);
    two.there.write("wrong", "nobody");
    two.there.says(&[&explain[..], &["--url", &two.daemon.url, "--token-file", "wrong"]].concat(), 2, &["no token is known here"]);
    two.there.write("finance", "fay:finance");
    two.there.says(&[&explain[..], &["--url", &two.daemon.url, "--token-file", "finance"]].concat(), 1, &["explainCustomer needs one of the roles"]);
    two.there.says(&[&explain[..], &["--url", "http://touchline.bank.example", "--token-file", "token"]].concat(), 2, &["not sent in the clear"]);
    two.there.says(&[&explain[..], &["--url", "ftp://x", "--token-file", "token"]].concat(), 2, &["--url: expected https://"]);
    two.there.says(&[&explain[..], &["--url", "https://u:hunter2@x", "--token-file", "token"]].concat(), 2, &["--token-file"]);
    two.there.says(&two.remote(&["rehearse", "campaign.yaml"]), 2, &["leave out --url"]);
    two.there.says(&two.remote(&["explain", "--customer", "c1", "--store", "sqlite:x"]), 2, &["cannot be used with"]);
    two.there.says(&two.remote(&["export", "results", "--campaign", "x", "--mail", "a@b"]), 2, &["leave out --mail"]);
}

#[test]
fn a_campaigns_name_cannot_climb_out_of_its_place() {
    let two = Two::new();
    for name in ["..", "../exports", "a/b", "%2e%2e", "?x", "#x"] {
        let said = two.there.says(&two.remote(&["resolve", "--campaign", name]), 2, &[]);
        assert!(said.contains("does not exist") || said.contains("of points alone"), "{name}: {said}");
    }
}

#[test]
fn a_campaign_is_handed_in_approved_held_and_shown_by_either() {
    const REAL: &str = "campaign: real\ntitle: Real\nopportunity: service\nowner: x\naudience: {list: prospects}\n\
        schedule: {start: 2099-01-01T00:00, end: 2099-12-30T23:59, timezone: Asia/Shanghai}\npolicy: [wide-open]\nlimits: {rate: 10/s}\n\
        journey:\n  - {step: call, channel: call, routes: [sip-north]}\nstop_on: []\n";
    let two = Two::new();
    two.same(&["import", "customers", "customers.csv", "--mapping", "map.yaml", "--name", "prospects"], 0);
    for desk in [&two.here, &two.there] {
        desk.write("real.yaml", REAL);
        desk.write("slower.yaml", REAL.replace("10/s", "5/s"));
        desk.write("bad.yaml", REAL.replace("sip-north", "sip-nort"));
    }
    // The token's owner acts; on a store here it is who says so.
    let by = ["--by", "all"];
    let act = |words: &[&str], code: i32| two.same(&[words, &by[..]].concat(), code);
    let handed_in = act(&["campaign", "submit", "real.yaml"], 0);
    assert_eq!(handed_in["campaign"]["status"], "submitted");
    assert_eq!(act(&["campaign", "submit", "real.yaml"], 0)["continued"], true);
    let seal = handed_in["seal"]["seal"].as_str().unwrap().to_owned();
    for (words, code) in [
        (vec!["campaign", "submit", "bad.yaml", "--by", "all"], 1),
        (vec!["campaign", "submit", "nothing", "--by", "all"], 2),
        (vec!["campaign", "start", "real", "--by", "all"], 1),
        (vec!["campaign", "approve", "real", "--hash", "000000000000", "--by", "bo"], 1),
        (vec!["campaign", "pause", "nope", "--why", "x", "--by", "all"], 2),
        (vec!["campaign", "status", "nope"], 2),
    ] {
        let (here, there) = (two.here.run(&words), two.there.run(&two.remote(&words)));
        assert_eq!((here.status.code(), there.status.code()), (Some(code), Some(code)), "{words:?} {}", String::from_utf8_lossy(&there.stderr));
    }
    // Nobody approves own work, whoever asks; another token may.
    let approve = ["campaign", "approve", "real", "--hash", &seal[..12]];
    two.there.write("approver", "bo:approver");
    two.there.says(&[&approve[..], &["--url", &two.daemon.url, "--token-file", "token"]].concat(), 1, &[]);
    let here = two.here.json(&[&approve[..], &["--by", "bo"]].concat(), 0);
    let there = two.there.json(&[&approve[..], &["--url", &two.daemon.url, "--token-file", "approver"]].concat(), 0);
    assert_eq!(without_times(here), without_times(there));
    assert_eq!(act(&["campaign", "start", "real"], 0)["wanted"], "run");
    assert_eq!(act(&["campaign", "pause", "real", "--why", "a fault at the carrier"], 0)["wanted"], "pause");
    assert_eq!(act(&["campaign", "resume", "real", "--why", "mended"], 0)["wanted"], "run");
    assert_eq!(two.same(&["campaign", "status", "real"], 0)["audience"], 40);
    two.says_the_same(&["campaign", "status", "real"], 0, &["took"]);
    assert_eq!(two.same(&["campaign", "list"], 0)[0]["name"], "real");
    two.says_the_same(&["campaign", "list"], 0, &[]);
    let history = two.same(&["campaign", "history", "real"], 0);
    assert!(history.as_array().unwrap().len() >= 4, "{history}");
    let diff = two.same(&["campaign", "diff", "real", "slower.yaml"], 0);
    assert_eq!((&diff["to"], &diff["changes"][0]["key"]), (&Value::from("file"), &Value::from("limits.rate")));
    let revised = act(&["campaign", "submit", "slower.yaml"], 0);
    assert_eq!(revised["revision"]["number"], 1);
    two.same(&["campaign", "diff", "real"], 0);
    // Here nobody runs it, so it is paused at once; there the daemon's engine does that, which this one has not.
    let stop = ["campaign", "stop", "real", "--emergency", "--why", "wrong text"];
    assert_eq!(two.here.json(&[&stop[..], &by[..]].concat(), 0)["emergency"], true);
    assert_eq!(two.there.json(&two.remote(&stop), 0)["emergency"], true);
    let restart = |desk: &Desk, words: &[&str]| desk.json(words, 0)["restart"].clone();
    assert_eq!(restart(&two.here, &["campaign", "restart", "real", "--why", "mended", "--by", "all"]), "first");
    assert_eq!(restart(&two.there, &two.remote(&["campaign", "restart", "real", "--why", "mended"])), "first");
}
