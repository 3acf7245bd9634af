//! Which voice wins: file, environment, flags. The environment is set for a child process alone.
#![allow(clippy::unwrap_used)]
use std::process::Command;
use touchline::config::{Overrides, load};

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(&file, "[engine]\nbatch = 11\nlinger_ms = 12\n[log]\nlevel = 'info'\n[store]\nurl = 'sqlite:file.sqlite'\n").unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "in_the_child"])
        .env("SETTINGS_FILE", &file)
        .env("TOUCHLINE_ENGINE_LINGER_MS", "22")
        .env("TOUCHLINE_MAIL_PASSWORD", "hunter2")
        .env("TOUCHLINE_LOG_LEVEL", "debug")
        .env("TOUCHLINE_STORE_URL", "sqlite:env.sqlite")
        .output()
        .unwrap();
    assert!(child.status.success() && String::from_utf8_lossy(&child.stdout).contains("1 passed"), "{}", String::from_utf8_lossy(&child.stdout));
}

#[test]
#[ignore = "run by the test above, with an environment of its own"]
fn in_the_child() {
    let file = std::env::var_os("SETTINGS_FILE").unwrap();
    let flags = Overrides { store_url: Some("sqlite:flag.sqlite".into()), ..Overrides::default() };
    let config = load(Some(file.as_ref()), &flags).unwrap();
    assert_eq!((config.engine.batch, config.engine.linger_ms, config.store_url().as_str()), (11, 22, "sqlite:flag.sqlite"));
    assert_eq!(config.mail.password.as_ref().map(|p| p.reveal()), Some("hunter2"));
    assert_eq!(serde_json::to_value(config.log.level).unwrap(), "debug");
    assert!(!config.routes.is_empty());
}

#[test]
fn a_fault_says_where_it_was_set() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(&file, "[engine]\nbatch = 'many'\n").unwrap();
    let faults = load(Some(&file), &Overrides { log_level: Some("loud".into()), ..Overrides::default() }).unwrap_err();
    assert!(faults.iter().any(|f| f.starts_with("engine.batch:") && f.contains("t.toml")), "{faults:?}");
    assert!(faults.iter().any(|f| f.starts_with("log.level:") && f.contains("set by a flag")), "{faults:?}");
    let missing = load(Some(&folder.path().join("no.toml")), &Overrides::default()).unwrap_err();
    assert!(missing[0].contains("there is no such file"), "{missing:?}");
    std::fs::write(&file, "[engine\n").unwrap();
    assert!(load(Some(&file), &Overrides::default()).unwrap_err()[0].contains("t.toml"));
}

#[test]
fn without_a_file_the_defaults_rule_and_a_broken_one_here_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let here = || Command::new(env!("CARGO_BIN_EXE_touchline")).args(["schema", "config"]).current_dir(folder.path()).output().unwrap();
    let out = here();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::write(folder.path().join("touchline.toml"), "[engine\n").unwrap();
    let out = here();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("touchline.toml"));
}
