//! A machine: an actor without its runtime.
use super::standing::Stand;
use crate::domain::time::Timestamp;

/// Decides; never waits, never sends, never reads a clock.
pub trait Machine: Unpin + Send + 'static {
    /// What it is told.
    type Input;
    /// What it wishes for.
    type Effect;
    /// One input at one instant; wishes are appended to `effects`.
    fn step(&mut self, at: Timestamp, input: Self::Input, effects: &mut Vec<Self::Effect>);
    /// When it wants to look at the clock again.
    fn wakes_at(&self) -> Option<Timestamp>;
    /// Whether nothing is under way in it.
    fn is_idle(&self) -> bool;
    /// How it stands, for people who ask; `None`: it has nothing to tell.
    fn stands(&self) -> Option<Stand> {
        None
    }
}
