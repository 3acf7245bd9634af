//! A list in use: a cursor and a page read ahead. A list of ten million is a cursor.
use super::machine::Machine;
use super::perform::StoreCall;
use super::running::Running;
use super::{Effect, Note, campaign};
use crate::domain::ids::CustomerId;
use crate::domain::time::Timestamp;
use crate::store::{Member, Page};
use std::sync::Arc;

/// Members read in one go.
pub const PAGE: usize = 5_000;

/// What it is told.
#[derive(Debug)]
pub enum Input {
    /// The campaign can use up to so many members.
    Want(usize),
    /// A page was read.
    Read(Page),
    /// A new version of the campaign: read again from its cursor, with what it needs.
    Revise(Arc<Running>),
    /// Look at the clock (never asked for).
    Wake,
}

/// Members handed to the campaign.
#[derive(Debug)]
pub struct Give {
    /// In customer order.
    pub members: Vec<Member>,
    /// See `Page::seen_change`.
    pub seen_change: i64,
    /// Nothing comes after these.
    pub last: bool,
}

/// The machine.
#[derive(Debug)]
pub struct CustomerList {
    running: Arc<Running>,
    read_to: CustomerId,
    cache: Option<Page>,
    reading: bool,
    /// The page that is being read was asked for by an older version.
    stale: bool,
    ended: bool,
    wanted: Option<usize>,
}

impl CustomerList {
    /// Starts at the campaign's cursor.
    pub fn new(running: Arc<Running>) -> Self {
        let read_to = running.row.cursor;
        Self { running, read_to, cache: None, reading: false, stale: false, ended: false, wanted: None }
    }
    fn read_ahead(&mut self, effects: &mut Vec<Effect>) {
        if !self.reading && !self.ended && self.cache.is_none() {
            self.reading = true;
            effects.push(Effect::Store(StoreCall::Page { running: Arc::clone(&self.running), after: self.read_to, limit: PAGE }));
        }
    }
    fn serve(&mut self, effects: &mut Vec<Effect>) {
        let Some(wanted) = self.wanted else { return };
        let give = match self.cache.take() {
            Some(mut page) => {
                let rest = page.members.split_off(wanted.min(page.members.len()));
                let give = Give { members: page.members, seen_change: page.seen_change, last: rest.is_empty() && page.last };
                if !rest.is_empty() {
                    self.cache = Some(Page { members: rest, seen_change: page.seen_change, last: page.last });
                }
                give
            }
            None if self.ended => Give { members: Vec::new(), seen_change: 0, last: true },
            None => return,
        };
        self.wanted = None;
        effects.push(Effect::Tell(Note::Campaign(self.running.id, campaign::Input::Members(give))));
    }
}

impl Machine for CustomerList {
    type Input = Input;
    type Effect = Effect;
    fn step(&mut self, _at: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Want(n) => self.wanted = Some(n),
            Input::Read(_) if self.stale => (self.reading, self.stale) = (false, false),
            Input::Revise(running) => {
                *self = Self { wanted: self.wanted, reading: self.reading, stale: self.reading, ..Self::new(running) };
            }
            Input::Read(page) => {
                self.reading = false;
                self.ended = page.last;
                if let Some(member) = page.members.last() {
                    self.read_to = member.id;
                }
                self.cache = Some(page);
            }
            Input::Wake => {}
        }
        self.serve(effects);
        self.read_ahead(effects);
    }
    fn wakes_at(&self) -> Option<Timestamp> {
        None
    }
    fn is_idle(&self) -> bool {
        !self.reading
    }
}
