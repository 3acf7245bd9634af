//! A scratch folder with a list, a mapping and a campaign, and the real binary in it.
#![allow(dead_code, reason = "each test binary uses its own part")]
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

pub const MAP: &str = "kind: customers\nformat: csv\ncolumns:\n  ref: no\n  phone: {column: tel, region: CN}\n  timezone: {value: Asia/Shanghai}\n  \
attr.balance: {column: balance, type: decimal}\n  attr.job: job\n";

pub const CAMPAIGN: &str = "campaign: spring\ntitle: Spring, term deposits\nopportunity: investment\nowner: desk\n\
audience:\n  list: prospects\nschedule:\n  start: 2026-11-24T09:00\n  end: 2099-12-15T20:00\n  timezone: Asia/Shanghai\n\
policy: [wide-open]\nlimits: {rate: 100/s, budget: 1000.00 CNY}\njourney:\n  - step: call\n    channel: call\n    routes: [sip-north]\n    \
attempts: 2\n    retry: {busy: 30m, no_answer: 4h}\n    reached: {connected_seconds: 10}\n  - step: note\n    after: call\n    \
when: 'disposition == \"no_answer\"'\n    wait: 1d\n    channel: sms\n    content: {en: \"We tried to call you about term deposits.\"}\n";

pub struct Desk {
    folder: TempDir,
}

impl Desk {
    /// With files, without a store.
    pub fn new() -> Self {
        let desk = Self { folder: TempDir::new().unwrap() };
        let jobs = ["经理", "admin", "technician", "退休"];
        let rows: String = (1..=40).map(|i| format!("c{i},+86154{i:08},{},{}\n", i * 250, jobs[i % 4])).collect();
        desk.write("customers.csv", format!("no,tel,balance,job\n{rows}"));
        desk.write("map.yaml", MAP);
        desk.write("campaign.yaml", CAMPAIGN);
        desk
    }

    /// With the list imported.
    pub fn filled() -> Self {
        let desk = Self::new();
        desk.json(&["import", "customers", "customers.csv", "--mapping", "map.yaml", "--name", "prospects"], 0);
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs the binary in the folder, with a store of its own and nothing of the machine's settings.
    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TOUCHLINE_")) {
            command.env_remove(name);
        }
        if !words.contains(&"--store") {
            command.env("TOUCHLINE_STORE_URL", "sqlite:store.sqlite");
        }
        command.args(words).env("TOUCHLINE_STORE_DATA", self.folder.path().join("data")).env("USER", "tester");
        command.current_dir(self.folder.path()).output().unwrap()
    }

    /// Runs with `--json`: exactly one document on standard output, and the exit code told.
    pub fn json(&self, words: &[&str], code: i32) -> Value {
        let out = self.run(&[words, &["--json"]].concat());
        let (told, error) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8_lossy(&out.stderr).into_owned());
        assert_eq!(out.status.code(), Some(code), "{words:?}\n{told}\n{error}");
        assert!(!error.contains("panicked"), "{words:?}: {error}");
        serde_json::from_str(&told).unwrap_or_else(|e| panic!("{words:?}: not one JSON document ({e}): {told}\n{error}"))
    }

    /// Runs for people: the exit code, and what is said on either stream.
    pub fn says(&self, words: &[&str], code: i32, parts: &[&str]) -> String {
        let out = self.run(words);
        let all = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert_eq!(out.status.code(), Some(code), "{words:?}\n{all}");
        assert!(!all.contains("panicked"), "{words:?}: {all}");
        for part in parts {
            assert!(all.contains(part), "{words:?}: {part:?} is not in\n{all}");
        }
        all
    }
}
