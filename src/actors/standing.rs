//! How an engine stands: what it holds and what a drain waits for. Machines tell, hosts keep, people read.
use super::running::Route;
use crate::domain::ids::{CampaignId, RouteId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// How far an engine is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// What a crash left is being settled; nothing is sent yet.
    #[default]
    Starting,
    /// At work.
    Running,
    /// Campaigns finish what they are about to begin, and wait for what is with the carriers.
    Quieting,
    /// Routes give back what is not sent and wait for what is.
    Draining,
    /// The recorder commits what it was told last.
    Flushing,
    /// It has ended.
    Over,
}

impl Phase {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Quieting => "draining: campaigns",
            Self::Draining => "draining: routes",
            Self::Flushing => "draining: recorder",
            Self::Over => "ended",
        }
    }
    /// Whether it is on its way to its end.
    pub fn is_draining(self) -> bool {
        matches!(self, Self::Quieting | Self::Draining | Self::Flushing)
    }
}

/// What one machine tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// The conductor: its phase, the campaigns it holds, and those of them that a drain waits for.
    Conductor(Phase, Vec<CampaignId>, Vec<CampaignId>),
    /// A route.
    Route(RouteId, RouteLoad),
    /// The recorder: outcomes and receipts that are not committed.
    Recorder(usize),
}

/// What a route has in hand, in touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RouteLoad {
    /// With its carrier, not answered.
    pub in_flight: usize,
    /// Started and waiting for the pace.
    pub unsent: usize,
    /// Answered, and the answer not yet committed.
    pub unrecorded: usize,
}

/// A route by name with what it has in hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteStanding {
    /// Its name.
    pub route: String,
    /// What it has in hand.
    #[serde(flatten)]
    pub load: RouteLoad,
}

/// How an engine stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// How far it is.
    pub phase: Phase,
    /// Campaigns that it holds.
    pub campaigns: Vec<CampaignId>,
    /// Campaigns that a drain waits for.
    pub quieting: Vec<CampaignId>,
    /// Every route that has something in hand.
    pub routes: Vec<RouteStanding>,
    /// Outcomes and receipts that the recorder has not committed.
    pub recorder: usize,
}

impl Standing {
    /// What is still under way, by name; what a drain waits for.
    pub fn under_way(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.phase.is_draining() && !self.quieting.is_empty() {
            let ids: Vec<String> = self.quieting.iter().map(ToString::to_string).collect();
            all.push(format!("campaigns with touches under way: {}", ids.join(", ")));
        }
        let of = |RouteStanding { route, load: RouteLoad { in_flight, unsent, unrecorded } }: &RouteStanding| {
            format!("route {route}: {in_flight} in flight, {unsent} unsent, {unrecorded} not yet recorded")
        };
        all.extend(self.routes.iter().map(of));
        if self.recorder > 0 {
            all.push(format!("recorder: {} not yet committed", self.recorder));
        }
        all
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.phase.name())?;
        self.under_way().iter().try_for_each(|what| write!(f, "; {what}"))
    }
}

/// Where hosts put what machines tell.
#[derive(Debug, Default)]
pub struct Board(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    conductor: (Phase, Vec<CampaignId>, Vec<CampaignId>),
    names: BTreeMap<RouteId, String>,
    routes: BTreeMap<RouteId, RouteLoad>,
    recorder: usize,
    held: BTreeSet<CampaignId>,
}

impl Board {
    /// For these routes.
    pub fn new(routes: &[Route]) -> Self {
        Self(Mutex::new(Told { names: routes.iter().map(|r| (r.id, r.name.clone())).collect(), ..Told::default() }))
    }
    fn with<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// A machine has told how it stands.
    pub fn put(&self, stand: Stand) {
        self.with(|told| match stand {
            Stand::Conductor(phase, campaigns, quieting) => told.conductor = (phase, campaigns, quieting),
            Stand::Route(id, load) => {
                told.routes.insert(id, load);
            }
            Stand::Recorder(waiting) => told.recorder = waiting,
        });
    }
    /// A campaign is being taken up, or has come to its end.
    pub fn hold(&self, id: CampaignId, held: bool) {
        self.with(|told| if held { told.held.insert(id) } else { told.held.remove(&id) });
    }
    /// Whether a campaign is held, or being taken up.
    pub fn holds(&self, id: CampaignId) -> bool {
        self.with(|told| told.held.contains(&id))
    }
    /// Whether it knows a route.
    pub fn knows(&self, route: RouteId) -> bool {
        self.with(|told| told.names.contains_key(&route))
    }
    /// How everything stands.
    pub fn standing(&self) -> Standing {
        self.with(|told| {
            let (phase, campaigns, quieting) = told.conductor.clone();
            let busy = told.routes.iter().filter(|(_, load)| **load != RouteLoad::default());
            let name = |id: &RouteId| told.names.get(id).cloned().unwrap_or_else(|| id.to_string());
            let routes = busy.map(|(id, load)| RouteStanding { route: name(id), load: *load }).collect();
            Standing { phase, campaigns, quieting, routes, recorder: told.recorder }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_names_what_a_drain_waits_for() {
        let board = Board::default();
        board.put(Stand::Conductor(Phase::Quieting, vec![CampaignId(3), CampaignId(4)], vec![CampaignId(4)]));
        board.put(Stand::Route(RouteId(7), RouteLoad { in_flight: 12, unsent: 0, unrecorded: 2 }));
        board.put(Stand::Route(RouteId(8), RouteLoad::default()));
        board.put(Stand::Recorder(5));
        let text = board.standing().to_string();
        assert_eq!(
            text,
            "draining: campaigns; campaigns with touches under way: 4; route 7: 12 in flight, 0 unsent, 2 not yet recorded; recorder: 5 not yet committed"
        );
    }

    #[test]
    fn a_campaign_is_held_from_its_adoption_to_its_end() {
        let board = Board::default();
        board.hold(CampaignId(1), true);
        assert!(board.holds(CampaignId(1)) && !board.holds(CampaignId(2)));
        board.hold(CampaignId(1), false);
        assert!(!board.holds(CampaignId(1)));
    }
}
