//! The machines that run campaigns, and the two hosts that carry them: actix in real time, `world` in virtual time.
//!
//! A machine decides and never waits: time and answers come in as inputs, wishes go out as [`Effect`]s. Whoever hosts it
//! performs the effects and brings the answers back as [`Note`]s.
pub mod campaign;
pub mod channel;
mod client;
pub mod conductor;
pub mod customer_list;
mod definitions;
pub mod doubt;
pub mod hosted;
pub mod janitor;
pub mod limits;
pub mod machine;
pub mod perform;
pub mod recorder;
pub mod running;
pub mod scheduler;
pub mod sender;
pub mod shell;
pub mod standing;
pub mod world;

use crate::channels::Dispatch;
use crate::domain::campaign::Rate;
use crate::domain::ids::{CampaignId, RouteId, TouchKey};
use crate::domain::tally::Tallies;
use crate::store::SentParts;
use perform::StoreCall;
use running::Running;
use std::sync::Arc;

/// Something said to a machine.
#[derive(Debug)]
pub enum Note {
    /// To the conductor.
    Conductor(conductor::Input),
    /// To the scheduler.
    Scheduler(scheduler::Input),
    /// To a campaign.
    Campaign(CampaignId, campaign::Input),
    /// To a campaign's list.
    List(CampaignId, customer_list::Input),
    /// To a route's channel.
    Channel(RouteId, channel::Input),
    /// To the recorder.
    Recorder(recorder::Input),
    /// To the janitor.
    Janitor(janitor::Input),
}

/// Which machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// The conductor.
    Conductor,
    /// The scheduler.
    Scheduler,
    /// A campaign.
    Campaign(CampaignId),
    /// A campaign's list.
    List(CampaignId),
    /// A route's channel.
    Channel(RouteId),
    /// The recorder.
    Recorder,
    /// The janitor.
    Janitor,
}

impl Note {
    /// To whom it is said.
    pub fn address(&self) -> Address {
        match self {
            Self::Conductor(_) => Address::Conductor,
            Self::Scheduler(_) => Address::Scheduler,
            Self::Campaign(id, _) => Address::Campaign(*id),
            Self::List(id, _) => Address::List(*id),
            Self::Channel(id, _) => Address::Channel(*id),
            Self::Recorder(_) => Address::Recorder,
            Self::Janitor(_) => Address::Janitor,
        }
    }
    /// The call to look at the clock.
    pub fn wake(address: Address) -> Self {
        match address {
            Address::Conductor => Self::Conductor(conductor::Input::Wake),
            Address::Scheduler => Self::Scheduler(scheduler::Input::Wake),
            Address::Campaign(id) => Self::Campaign(id, campaign::Input::Wake),
            Address::List(id) => Self::List(id, customer_list::Input::Wake),
            Address::Channel(id) => Self::Channel(id, channel::Input::Wake),
            Address::Recorder => Self::Recorder(recorder::Input::Wake),
            Address::Janitor => Self::Janitor(janitor::Input::Wake),
        }
    }
}

/// What a machine wishes for.
#[derive(Debug)]
pub enum Effect {
    /// Say something to another machine.
    Tell(Note),
    /// Ask the store; the answer comes back as a note.
    Store(StoreCall),
    /// Hand touches to the carrier of a route; events come back to its channel.
    Send(RouteId, Vec<Dispatch>),
    /// Ask a route's provider about touches in doubt; what it knows comes back as receipts.
    Query(RouteId, Vec<TouchKey>),
    /// A campaign's limit from now on (`None`: it has none), with what the ledger knows was sent under it, oldest first.
    Limit {
        /// Whose.
        campaign: CampaignId,
        /// The limit.
        rate: Option<Rate>,
        /// What was sent.
        past: Vec<SentParts>,
    },
    /// Start the machines of a campaign, whose tallies stand so.
    Spawn(Arc<Running>, Tallies),
    /// Stop the machines of a campaign.
    Retire(CampaignId),
    /// Everything is done, or something broke: end with this.
    Exit(Result<(), String>),
}
