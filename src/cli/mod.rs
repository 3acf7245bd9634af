//! (To be filled in.)
pub mod ui;
