//! The real binary, as a process: killed, interrupted, held and stopped, doubled, restored and without room; its carrier is a process
//! of its own that remembers every send in a journal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]
mod bank;
mod control;
mod crash;
mod rate;
mod store;
