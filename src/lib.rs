//! Touchline: the system with which a retail bank runs its remote marketing. See `README.md` and `docs/`.
pub mod actors;
pub mod api;
pub mod app;
pub mod campaign_file;
pub mod channels;
pub mod cli;
pub mod clock;
pub mod config;
pub mod desk;
pub mod domain;
pub mod finance;
pub mod intake;
pub mod store;
