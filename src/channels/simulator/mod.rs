//! Simulated carriers.
