//! The house stays as planned: imports run one way, foreign crates stay in their rooms, every file says what it is and stays short.
//! `paths` reads the sources; that it catches a wrong arrow is tested on made-up text at the end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod paths;

use paths::{Found, paths};
use std::path::{Path, PathBuf};

/// Room, and what it may name of the crate beside itself: a room, or one module or type of it.
const MAY: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &["domain"]),
    ("store", &["domain", "clock"]),
    ("channels", &["domain", "clock"]),
    ("actors", &["domain", "store", "channels", "clock"]),
    ("campaign_file", &["domain"]),
    ("intake", &["domain", "store", "clock"]),
    ("finance", &["domain", "store", "clock"]),
    // A route is settings: what it charges and carries goes into a forecast. The journey of a run is told from its file.
    ("desk", &["domain", "store", "campaign_file", "channels::route"]),
    ("config", &["domain", "channels::route", "finance::MailTls"]),
    // Of the store only two plain values, to print them: no trait, nothing that reads or writes.
    (
        "cli",
        &[
            "api",
            "app",
            "desk",
            "domain",
            "config",
            "clock",
            "campaign_file",
            "intake",
            "finance",
            "store::CampaignRow",
            "store::StoreError",
            "store::AuditFilter",
        ],
    ),
    // As the command line: plain rows and errors of the store, nothing that reads or writes.
    (
        "api",
        &[
            "app",
            "desk",
            "domain",
            "config",
            "clock",
            "campaign_file",
            "intake",
            "finance",
            "store::CampaignRow",
            "store::RevisionRow",
            "store::StoreError",
            "store::AuditFilter",
            "store::Claim",
            "store::KeptAnswer",
        ],
    ),
    ("app", &["domain", "clock", "store", "channels", "actors", "campaign_file", "intake", "finance", "desk", "config"]),
    ("lib", &[]),
    ("main", &[]),
];

/// Concrete types, which only the composition root chooses among: named by itself and by `app` alone.
const CONCRETE: &[&str] = &["store::memory", "store::sqlite", "channels::remote", "channels::simulator"];

/// A route's settings hold the profile of a simulated carrier: read there, run elsewhere.
const CONCRETE_ALLOWED: &[(&str, &str)] = &[("channels::route", "channels::simulator")];

/// A foreign crate, and the only files or folders that name it.
const FOREIGN: &[(&str, &[&str])] = &[
    ("actix", &["actors/shell.rs"]),
    ("actix_rt", &["actors/shell.rs"]),
    ("actix_web", &["api/"]),
    ("sqlx", &["store/sqlite/"]),
    // The campaign file asks lettre whether an address is one, so that what passes validation can be mailed.
    ("lettre", &["finance/mail.rs", "campaign_file/check.rs"]),
    ("clap", &["cli/"]),
    ("indicatif", &["cli/"]),
    ("comfy_table", &["cli/"]),
];

/// What the domain never names: it has no I/O, no threads to wait on, no chance of its own.
const NOT_IN_DOMAIN: &[&str] =
    &["std::fs", "std::net", "std::env", "std::process", "std::thread", "tokio", "futures_util", "async_trait", "rand", "tracing"];

const LINES: usize = 500;

/// Every Rust file below a folder as (path below it, text), in order.
fn files_of(folder: &str, at_least: usize) -> Vec<(String, String)> {
    fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    assert!(files.len() >= at_least, "only {} files found below {}", files.len(), root.display());
    files.iter().map(|f| (f.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/"), std::fs::read_to_string(f).unwrap())).collect()
}

/// `actors/shell.rs` -> `actors::shell`; `store/mod.rs` -> `store`.
fn module_of(file: &str) -> String {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.replace('/', "::")
}

/// Whether a path is this module, or stands in it.
fn within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// What is wrong with one file, each fault with its line.
fn faults(file: &str, text: &str) -> Vec<String> {
    let module = module_of(file);
    let room = module.split("::").next().unwrap_or_default();
    let Some((_, may)) = MAY.iter().find(|(r, _)| *r == room) else {
        return vec![format!("{file}: room {room:?} is not in the plan: say in tests/architecture what it may import")];
    };
    let mut faults = Vec::new();
    for Found { line, path, own } in paths(&module, text) {
        if own {
            if !within(&path, room) && !may.iter().any(|m| within(&path, m)) {
                faults.push(format!("{file}:{line}: {room} may not import {path}"));
            }
            let concrete = CONCRETE.iter().find(|c| within(&path, c) && !within(&module, c));
            if let Some(concrete) = concrete.filter(|c| room != "app" && !CONCRETE_ALLOWED.contains(&(module.as_str(), **c))) {
                faults.push(format!("{file}:{line}: {concrete} is a concrete type: only app may choose it"));
            }
            continue;
        }
        let foreign = FOREIGN.iter().find(|(krate, _)| within(&path, krate));
        if let Some((krate, places)) = foreign.filter(|(_, places)| !places.iter().any(|p| file == *p || (p.ends_with('/') && file.starts_with(p)))) {
            faults.push(format!("{file}:{line}: {krate} is named only in {}", places.join(", ")));
        }
        if room == "domain" && NOT_IN_DOMAIN.iter().any(|n| within(&path, n)) {
            faults.push(format!("{file}:{line}: the domain is pure: not {path}"));
        }
    }
    faults
}

#[test]
fn no_arrow_runs_back() {
    let sources = files_of("src", 100);
    let found: Vec<String> = sources.iter().flat_map(|(file, text)| faults(file, text)).collect();
    assert!(found.is_empty(), "{} wrong arrows:\n{}", found.len(), found.join("\n"));
    // The plan itself is of this house: no room that is gone, no permission that nobody uses.
    let mut unused = Vec::new();
    for (room, may) in MAY {
        let own: Vec<_> = sources.iter().filter(|(file, _)| within(&module_of(file), room)).collect();
        assert!(!own.is_empty(), "room {room} is in the plan and not in src/");
        for m in may.iter().filter(|m| m.contains("::")) {
            if !own.iter().any(|(file, text)| paths(&module_of(file), text).iter().any(|f| f.own && within(&f.path, m))) {
                unused.push(format!("{room} -> {m}"));
            }
        }
    }
    assert!(unused.is_empty(), "exceptions that nobody needs any more: {unused:?}");
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    let mut found = Vec::new();
    let files = [("src", 100), ("tests", 20), ("fuzz", 3)].into_iter().flat_map(|(folder, least)| {
        let files = files_of(folder, least).into_iter().map(move |(file, text)| (format!("{folder}/{file}"), text));
        files.filter(|(file, _)| !file.starts_with("fuzz/target/"))
    });
    for (file, text) in files {
        if !text.lines().next().unwrap_or_default().starts_with("//! ") {
            found.push(format!("{file}: begins without a line `//! ...` that says what it is"));
        }
        let lines = text.lines().count();
        if lines > LINES {
            found.push(format!("{file}: {lines} lines, at most {LINES}: look for two rooms in one"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_checker_catches_wrong_arrows() {
    let wrong = [
        ("domain/caps.rs", "use crate::store::Store;", "domain may not import store::Store"),
        ("domain/caps.rs", "fn now() { let c = crate::clock::SystemClock; }", "domain may not import clock::SystemClock"),
        ("domain/caps.rs", "use crate::{domain::money, actors::shell};", "domain may not import actors::shell"),
        ("domain/caps.rs", "use super::super::desk::plan;", "domain may not import desk::plan"),
        ("domain/caps.rs", "use std::{collections::BTreeMap, fs::File};", "the domain is pure: not std::fs::File"),
        ("domain/caps.rs", "use tokio::sync::Mutex;", "the domain is pure: not tokio::sync::Mutex"),
        ("domain/caps.rs", "async fn f() { tokio::fs::read(p).await }", "the domain is pure: not tokio::fs::read"),
        (
            "domain/caps.rs",
            "fn f() {} mod tests { use super::*; use super::super::super::store::Store; } use super::time;",
            "domain may not import store::Store",
        ),
        ("domain/caps.rs", "mod tests { fn f() { {} } } use super::super::store::Store;", "domain may not import store::Store"),
        ("store/mod.rs", "use super::actors::Note;", "store may not import actors::Note"),
        ("store/sqlite/begin.rs", "use crate::store::memory::MemoryStore;", "store::memory is a concrete type"),
        ("channels/remote.rs", "use super::simulator::Simulator;", "channels::simulator is a concrete type"),
        ("desk/plan.rs", "use crate::channels::{route::RouteSpec, Carrier};", "desk may not import channels::Carrier"),
        ("desk/plan.rs", "use crate::app;", "desk may not import app"),
        ("desk/plan.rs", "use crate as house;", "desk may not import the whole crate"),
        ("desk/plan.rs", "use crate::*;", "desk may not import *"),
        ("actors/perform.rs", "use crate::store::sqlite::SqliteStore;", "store::sqlite is a concrete type"),
        ("actors/perform.rs", "use actix::Addr;", "actix is named only in actors/shell.rs"),
        ("actors/perform.rs", "let a: Box<dyn Fn(::actix::Addr<X>)>;", "actix is named only in actors/shell.rs"),
        ("cli/run.rs", "use crate::store::{CampaignRow, Store};", "cli may not import store::Store"),
        ("finance/export.rs", "#[derive(sqlx::FromRow)] struct Row;", "sqlx is named only in store/sqlite/"),
        ("finance/export.rs", "/* not this: */ use\n  crate::actors\n  ::shell;", "finance/export.rs:2: finance may not import actors::shell"),
        ("service/mod.rs", "", "room \"service\" is not in the plan"),
    ];
    for (file, text, expected) in wrong {
        let found = faults(file, text);
        assert!(found.len() == 1 && found[0].contains(expected), "{file}: {text}\nexpected: {expected}\nfound: {found:?}");
    }
    let right = [
        ("domain/caps.rs", "// use crate::store::Store;\n/* crate::actors /* nested */ crate::app */\n//! [`crate::app`]\nuse super::time;"),
        (
            "domain/caps.rs",
            r##"const A: &str = "crate::app \" crate::app"; const B: &str = r#"use crate::app" crate::cli"#; const C: char = '"'; use super::time;"##,
        ),
        (
            "domain/window/mod.rs",
            "mod tests { use super::super::caps; use crate::domain::{self, time::{HOUR, Timestamp as T}}; fn f<'a>(x: &'a str) {} }",
        ),
        ("store/sqlite/begin.rs", "use sqlx::Row; use super::bulk; use crate::store::{Store, sqlite::rows};"),
        ("actors/shell.rs", "use actix::prelude::*; use crate::store::Store;"),
        ("app/run.rs", "use crate::store::sqlite::SqliteStore; use super::Failure;"),
        ("cli/run.rs", "use crate::store::CampaignRow; use super::{Answer, ui}; let xcrate = 1; mycrate::store::Store;"),
    ];
    for (file, text) in right {
        assert_eq!(faults(file, text), Vec::<String>::new(), "{file}: {text}");
    }
}
