//! Contacts reported from outside, holds, wishes to be called, referrals and checkpoints: over both stores, in any order, in every zone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod desk;
mod http;
mod lawful;
mod order;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::sync::Arc;
use touchline::domain::access::{Actor, Role, Roles};
use touchline::store::memory::MemoryStore;
use touchline::store::sqlite::{Options, SqliteStore};
use touchline::store::{CustomerInput, Store};

/// Both stores, each with the customers `c0` (of the RM `rm-1`, branch west, in Shanghai) and `c1` (of `rm-2`, branch east, zone unknown).
async fn stores() -> Vec<(Arc<dyn Store>, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { create: true, durable: false, ..Options::default() };
    let sqlite = SqliteStore::open_with(&folder.path().join("house.sqlite"), options).await.unwrap();
    let both: Vec<(Arc<dyn Store>, Option<tempfile::TempDir>)> = vec![(Arc::new(MemoryStore::new()), None), (Arc::new(sqlite), Some(folder))];
    for (store, _) in &both {
        people(store.as_ref()).await;
    }
    both
}

async fn people(store: &dyn Store) {
    let person = |reference: &str, rm: &str, branch: &str, timezone| CustomerInput {
        reference: reference.to_owned(),
        rm: Some(rm.to_owned()),
        branch: Some(branch.to_owned()),
        language: Some("zh-CN".to_owned()),
        timezone,
        ..CustomerInput::default()
    };
    let all = [person("c0", "rm-1", "west", Some(chrono_tz::Asia::Shanghai)), person("c1", "rm-2", "east", None)];
    store.put_customers(&all, None).await.unwrap();
}

/// Another system of the bank.
fn system() -> Actor {
    Actor { roles: Roles::of(&[Role::System]), ..Actor::local("call-centre") }
}

/// The RM of `c0`.
fn rm() -> Actor {
    Actor { roles: Roles::of(&[Role::Rm]), branch: Some("west".into()), rm: Some("rm-1".into()), ..Actor::local("li.wei") }
}
