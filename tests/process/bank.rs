//! A bank in a scratch folder: customers, a campaign, a route, its carrier as a process, and the commands that a test gives.
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use touchline::channels::simulator::journal::JournalLine;
use touchline::channels::simulator::read_journal;

/// A test that waits so long for progress has found a hang. No test depends on being faster than this.
const HANG: Duration = Duration::from_secs(240);

/// The name of the campaign.
pub const CAMPAIGN: &str = "calls";

/// What a test may choose.
pub struct Plan {
    /// Customers, all on the list.
    pub customers: usize,
    /// The route's limit a second.
    pub rate: u32,
    /// The most that a route has in hand: asked for, waiting, in flight, not yet recorded.
    pub credit: u32,
    /// Touches begun in one transaction.
    pub batch: u32,
    /// In percent; the others are reached.
    pub no_answer: u32,
    /// Ringing.
    pub ring_ms: u32,
    /// A folder for the database other than the bank's own.
    pub database: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { customers: 3_000, rate: 400, credit: 100, batch: 50, no_answer: 25, ring_ms: 40, database: None }
    }
}

/// A process that does not outlive the test. Killed by its own id.
pub struct Process {
    child: Child,
    pub log: PathBuf,
}

impl Process {
    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// Whether it runs still.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
    /// `kill -9`, and gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status().unwrap();
        assert!(sent.success(), "kill -{name}");
    }
    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        wait(|| self.child.try_wait().unwrap(), || format!("the process did not end; it said:\n{}", fs::read_to_string(&self.log).unwrap()))
    }
    /// What it wrote to standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives the processor away for a moment.
#[allow(clippy::disallowed_methods, reason = "a test of another process can only look again")]
pub fn nap(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Looks again and again until there is something.
#[allow(clippy::disallowed_methods, reason = "a guard against a hang, no measurement")]
pub fn wait<T>(mut look: impl FnMut() -> Option<T>, complaint: impl Fn() -> String) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < HANG, "nothing came for {HANG:?}: {}", complaint());
        nap(5);
    }
}

/// The folder and the carrier.
pub struct Bank {
    pub folder: tempfile::TempDir,
    pub plan: Plan,
    runs: std::cell::Cell<u32>,
    _carrier: Process,
}

impl Bank {
    /// Makes the customers, starts the carrier, writes settings and campaign.
    pub fn new(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let Plan { rate, no_answer, ring_ms, credit, batch, .. } = plan;
        let reached = 100 - no_answer;
        // Calls of 40 s told after the ring: at speed 1000 they last 40 ms.
        let missed = if no_answer > 0 {
            format!(", {{disposition = 'no_answer', share = '{no_answer}%', after = {{fixed = '{ring_ms}s'}}}}")
        } else {
            String::new()
        };
        let route = format!(
            "name = 'trunk'\nchannel = 'call'\nlimit = '{rate}/s'\nspeed = 1000\n\
             profile = {{channels = ['call'], outcomes = [{{disposition = 'answered', share = '{reached}%', after = {{fixed = '{ring_ms}s'}}, talk = {{fixed = '40s'}}}}{missed}]}}\n"
        );
        fs::write(path("route.toml"), &route).unwrap();
        let carrier = start(
            Command::new(env!("CARGO_BIN_EXE_touchline"))
                .args(["carrier", "--listen", "127.0.0.1:0", "--journal"])
                .arg(path("journal.jsonl"))
                .arg("--route")
                .arg(path("route.toml")),
            &path("carrier.log"),
        );
        let (carrier, address) = first_line(carrier);
        let settings = format!(
            "[engine]\ncredit = {credit}\nbatch = {batch}\njanitor_ms = 500\n[log]\nlevel = 'info'\n[[routes]]\nkind = 'remote_simulator'\naddress = '{address}'\n{route}"
        );
        fs::write(path("touchline.toml"), settings).unwrap();
        campaign(&path("campaign.yaml"), CAMPAIGN);
        let mut rows = String::from("ref,phone\n");
        for i in 0..plan.customers {
            writeln!(rows, "c{i:06},+86138{i:08}").unwrap();
        }
        fs::write(path("customers.csv"), rows).unwrap();
        fs::write(
            path("customers.map.yaml"),
            "kind: customers\nformat: csv\ncolumns:\n  ref: {column: ref, required: yes}\n  phone: phone\n  timezone: {value: Asia/Shanghai}\n",
        )
        .unwrap();
        let bank = Self { folder, plan, runs: std::cell::Cell::new(0), _carrier: carrier };
        let report = bank.json(&["import", "customers", "customers.csv", "--mapping", "customers.map.yaml", "--name", "everybody"]);
        assert_eq!(report["list"]["count"], bank.plan.customers, "{report}");
        bank
    }

    /// A file of the bank.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.plan.database.as_deref().unwrap_or(self.folder.path()).join("touchline.sqlite")
    }

    /// The program with the bank's settings and nobody else's.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TOUCHLINE_")) {
            command.env_remove(name);
        }
        command
            .current_dir(self.folder.path())
            .arg("--data")
            .arg(self.path("data"))
            .arg("--store")
            .arg(format!("sqlite:{}", self.database().display()));
        command.env("USER", "tester").args(args);
        command
    }

    /// Gives a command and waits for its answer.
    pub fn ask(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Gives a command that must succeed, and reads its answer.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).arg("--json").stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {}\n{said}", output.status);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}\n{said}"))
    }

    /// Starts `run` of the campaign.
    pub fn run(&self) -> Process {
        self.run_file("campaign.yaml")
    }

    /// Starts `run` of a campaign file.
    pub fn run_file(&self, file: &str) -> Process {
        self.runs.set(self.runs.get() + 1);
        start(&mut self.command(&["run", file, "--json"]), &self.path(&format!("run-{}.log", self.runs.get())))
    }

    /// Starts `run` of the campaign through a line of a shell, which gets the command as `"$@"`.
    pub fn run_by(&self, shell: &str, line: &str) -> Process {
        let inner = self.command(&["run", "campaign.yaml", "--json"]);
        let mut outer = Command::new(shell);
        outer.current_dir(self.folder.path()).args(["-c", line, shell]).arg(inner.get_program()).args(inner.get_args());
        self.runs.set(self.runs.get() + 1);
        start(&mut outer, &self.path(&format!("run-{}.log", self.runs.get())))
    }

    /// Runs to the end, which must be a good one.
    pub fn run_to_end(&self) {
        let mut run = self.run();
        let status = run.end();
        assert!(status.success(), "run: {status}\n{}", run.said());
    }

    /// Everything that the carrier was sent.
    pub fn journal(&self) -> Vec<JournalLine> {
        read_journal(&self.path("journal.jsonl")).unwrap()
    }

    /// Waits until the carrier has been sent so many touches in all; the run must live.
    pub fn wait_for_sends(&self, n: usize, run: &mut Process) {
        let mut journal = Tail { file: File::open(self.path("journal.jsonl")).unwrap(), lines: 0 };
        let log = run.log.clone();
        wait(
            || {
                let there = journal.lines() >= n;
                assert!(there || run.lives(), "the run ended before {n} sends: {:?}\n{}", run.child.try_wait(), run.said());
                there.then_some(())
            },
            || format!("waiting for {n} sends; the run said:\n{}", fs::read_to_string(&log).unwrap()),
        );
    }

    /// The report.
    pub fn status(&self) -> Report {
        Report::read(&self.json(&["campaign", "status", CAMPAIGN]))
    }

    /// No touch was sent twice, and nobody was called more often than the journey has steps.
    pub fn assert_nobody_twice(&self) {
        let (mut touches, mut customers) = (BTreeMap::new(), BTreeMap::new());
        for line in self.journal().iter().filter(|l| l.sent) {
            *touches.entry(line.touch).or_insert(0) += 1;
            *customers.entry(line.touch.customer).or_insert(0) += 1;
        }
        let twice: Vec<_> = touches.iter().filter(|(_, n)| **n > 1).take(5).collect();
        assert!(twice.is_empty(), "sent more than once: {twice:?}");
        let often: Vec<_> = customers.iter().filter(|(_, n)| **n > 2).take(5).collect();
        assert!(often.is_empty(), "called more than twice in a journey of two steps: {often:?}");
    }
}

/// Counts lines of a growing file without reading them again.
struct Tail {
    file: File,
    lines: usize,
}

impl Tail {
    fn lines(&mut self) -> usize {
        let mut more = Vec::new();
        std::io::Read::read_to_end(&mut self.file, &mut more).unwrap();
        self.lines += more.iter().filter(|b| **b == b'\n').count();
        self.lines
    }
}

fn start(command: &mut Command, log: &Path) -> Process {
    let err = File::create(log).unwrap();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(err).spawn().unwrap();
    Process { child, log: log.to_owned() }
}

/// The first line that a process prints.
fn first_line(mut process: Process) -> (Process, String) {
    let mut line = String::new();
    BufReader::new(process.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with('\n'), "the carrier printed no address: {}", process.said());
    (process, line.trim().to_owned())
}

/// Writes a campaign of a call and, two seconds after a missed one, another.
pub fn campaign(path: &Path, name: &str) {
    campaign_until(path, name, "2099-12-31T23:59");
}

/// As [`campaign`], with an end, in UTC.
pub fn campaign_until(path: &Path, name: &str, end: &str) {
    let text = format!(
        "campaign: {name}\ntitle: A test\nopportunity: investment\nowner: tests\naudience: {{list: everybody}}\n\
         schedule: {{start: 2020-01-01T00:00, end: {end}, timezone: UTC}}\npolicy: [wide-open]\n\
         journey:\n  - {{step: call, channel: call, routes: [trunk], attempts: 1}}\n  \
         - {{step: again, after: call, when: 'outcome == \"no_answer\"', wait: 2s, channel: call, routes: [trunk], attempts: 1}}\nstop_on: [opt_out]\n"
    );
    fs::write(path, text).unwrap();
}

/// What a test reads of a report.
#[derive(Debug)]
pub struct Report {
    pub status: String,
    pub version: i64,
    pub audience: i64,
    pub counts: BTreeMap<String, i64>,
    pub attempts: i64,
}

impl Report {
    fn read(value: &Value) -> Self {
        let counts = value["counts"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_i64().unwrap())).collect();
        let report = Self {
            status: value["status"].as_str().unwrap().to_owned(),
            version: value["version"].as_i64().unwrap(),
            audience: value["audience"].as_i64().unwrap(),
            counts,
            attempts: value["attempts"]["total"].as_i64().unwrap(),
        };
        assert_eq!(report.counts.values().sum::<i64>(), report.audience, "the sum does not close: {report:?}");
        report
    }
    /// Customers in a state.
    pub fn count(&self, state: &str) -> i64 {
        self.counts[state]
    }
    /// Nothing is open.
    pub fn assert_over(&self, status: &str) {
        assert_eq!((self.status.as_str(), self.count("pending"), self.count("scheduled"), self.count("started")), (status, 0, 0, 0), "{self:?}");
    }
}
