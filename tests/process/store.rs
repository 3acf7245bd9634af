//! Two processes on one file, a restored copy, a full disk.
use super::bank::{Bank, CAMPAIGN, Plan, Process, campaign};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn drain(run: &mut Process) {
    run.signal("INT");
    let status = run.end();
    assert!(status.success(), "{status}\n{}", run.said());
}

#[test]
fn a_second_process_on_one_database_is_refused_and_changes_nothing() {
    let bank = Bank::new(Plan { customers: 2_500, rate: 200, credit: 40, batch: 20, ..Plan::default() });
    campaign(&bank.path("another.yaml"), "another");
    let mut run = bank.run();
    bank.wait_for_sends(50, &mut run);
    let history = |bank: &Bank| -> Vec<Value> {
        let all = bank.json(&["campaign", "list"]);
        all.as_array()
            .unwrap()
            .iter()
            .map(|c| serde_json::json!([c["name"], c["version"], c["status"], c["wanted"], c["audience"], c["hash"]]))
            .collect()
    };
    let before = history(&bank);
    for file in ["campaign.yaml", "another.yaml"] {
        let mut second = bank.run_file(file);
        let status = second.end();
        assert_eq!(status.code(), Some(3), "{file}: {}", second.said());
        let owner = format!("the process {} is sending from this database", run.pid());
        assert!(second.said().contains(&owner), "expected {owner:?} for {file}, found: {}", second.said());
        assert_eq!(history(&bank), before, "{file}");
    }
    assert!(run.lives(), "{}", run.said());
    drain(&mut run);
    bank.run_to_end();
    let report = bank.status();
    report.assert_over("finished");
    assert_eq!(report.count("uncertain"), 0, "{report:?}");
    bank.assert_nobody_twice();
}

/// The files of the database itself, as a backup of an idle one takes them: the mark and the lock stay.
fn database_files(bank: &Bank) -> Vec<PathBuf> {
    let path = bank.database();
    ["", "-wal", "-shm"].iter().map(|end| PathBuf::from(format!("{}{end}", path.display()))).collect()
}

#[test]
fn a_restored_old_copy_refuses_to_send_until_told() {
    let bank = Bank::new(Plan { customers: 1_500, rate: 400, credit: 40, batch: 20, ..Plan::default() });
    let mut run = bank.run();
    bank.wait_for_sends(200, &mut run);
    drain(&mut run);
    let backup = bank.path("backup");
    fs::create_dir(&backup).unwrap();
    for file in database_files(&bank).iter().filter(|f| f.exists()) {
        fs::copy(file, backup.join(file.file_name().unwrap())).unwrap();
    }
    let mut run = bank.run();
    bank.wait_for_sends(600, &mut run);
    drain(&mut run);
    for file in database_files(&bank) {
        let copy = backup.join(file.file_name().unwrap());
        if copy.exists() {
            fs::copy(copy, &file).unwrap();
        } else if file.exists() {
            fs::remove_file(&file).unwrap();
        }
    }
    let sends = bank.journal().len();
    let mut run = bank.run();
    assert_eq!(run.end().code(), Some(3), "{}", run.said());
    assert!(run.said().contains("touchline doctor --accept-restored"), "{}", run.said());
    assert_eq!(bank.journal().len(), sends, "a restored copy sent");
    // Reports are made from it all the same, and doctor names the fault without healing it.
    assert!(bank.status().count("pending") > 0);
    let lease = |args: &[&str]| -> Value {
        let checks: Value = serde_json::from_slice(&bank.ask(args).stdout).unwrap();
        checks.as_array().unwrap().iter().find(|c| c["check"] == "lease").unwrap().clone()
    };
    assert_eq!(lease(&["doctor", "--json"])["health"], "fault");
    let mut run = bank.run();
    assert_eq!(run.end().code(), Some(3), "{}", run.said());

    assert_eq!(lease(&["doctor", "--json", "--accept-restored"])["health"], "ok");
    bank.run_to_end();
    bank.status().assert_over("finished");
}

/// A small disk of our own, or `None` where this user may not mount.
struct SmallDisk(tempfile::TempDir);

fn mount(options: &str, path: &Path) -> bool {
    Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

impl SmallDisk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        mount("size=64m", folder.path()).then_some(Self(folder))
    }
    fn resize(&self, bytes: u64) {
        assert!(mount(&format!("remount,size={bytes}"), self.0.path()), "a tmpfs of ours can be mounted and not resized");
    }
    fn used(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        fs::read_dir(self.0.path()).unwrap().flatten().map(|f| f.metadata().unwrap().blocks() * 512).sum()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_ends_the_run_clearly_and_costs_nothing_but_time() {
    let disk = SmallDisk::new();
    let database = disk.as_ref().map(|d| d.0.path().to_owned());
    let bank = Bank::new(Plan { customers: 4_000, rate: 2_000, credit: 200, batch: 50, database, ..Plan::default() });
    let mut run = match &disk {
        Some(disk) => {
            println!("the database is on a tmpfs of its own");
            disk.resize(disk.used() + 2 * 1024 * 1024);
            bank.run()
        }
        None => {
            println!("no mount is allowed here: the child may write no file beyond a limit instead");
            limited(&bank)
        }
    };
    let status = run.end();
    let said = run.said();
    assert_eq!(status.code(), Some(3), "{said}");
    // A limit of file sizes (or a quota) is told apart from a full disk.
    let expected =
        if disk.is_some() { ["the disk is full", "free some room and run the command again"] } else { ["the disk could not be", "limits"] };
    assert!(expected.iter().all(|part| said.contains(part)), "expected {expected:?}, found {said}");
    let sends = bank.journal().len();
    assert!(sends > 0, "there was no room from the start: this test has shown nothing");
    assert!(said.lines().last().is_some_and(|l| l.contains(expected[0])), "the reason stands last: {said}");

    if let Some(disk) = &disk {
        disk.resize(256 * 1024 * 1024);
    }
    bank.run_to_end();
    let report = bank.status();
    report.assert_over("finished");
    assert!(bank.journal().len() > sends);
    assert!(report.count("uncertain") <= 200, "{report:?}");
    bank.assert_nobody_twice();
    let checks = String::from_utf8(bank.ask(&["doctor", "--json"]).stdout).unwrap();
    assert!(checks.contains("closed over 4000 customers, and recounted from the rows"), "{CAMPAIGN}: {checks}");
}

/// A run that may write no file beyond somewhat more than the database: it fails with EFBIG instead of dying by the signal.
fn limited(bank: &Bank) -> Process {
    let kib = fs::metadata(bank.database()).unwrap().len() / 1024 + 1024;
    bank.run_by("bash", &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\""))
}
