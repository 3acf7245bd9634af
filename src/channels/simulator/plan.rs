//! A profile made ready for one channel: shares as thresholds, latencies as tables.
use super::draws::{Draws, Question};
use super::faults::{Faults, Outage};
use super::latency::Sampler;
use super::profile::{Profile, Told};
use crate::channels::text::{Share, scale_ppm};
use crate::domain::channel::Channel;
use crate::domain::outcome::{Disposition, Reason};

/// See the module.
#[derive(Debug)]
pub(super) struct Plan {
    pub at_once: bool,
    pub receipts_name_touch: bool,
    pub accept: Sampler,
    chances: Vec<Chance>,
    pub later: Vec<Later>,
    blocked: Share,
    refused: Share,
    pub early: Share,
    pub lost: Share,
    pub timeout: Option<TimeOut>,
    pub late: Option<(Share, Sampler)>,
    pub repeated: Option<(Share, u8, Sampler)>,
    pub contradicted: Option<(Share, Sampler)>,
    pub outages: Vec<Outage>,
}

#[derive(Debug)]
pub(super) struct Chance {
    /// Takes the draws (ppm) from the chance before it up to here.
    below: u32,
    pub disposition: Disposition,
    pub told: Told,
    pub after: Sampler,
    pub talk: Option<Sampler>,
    pub split: Vec<Part>,
}

#[derive(Debug)]
pub(super) struct Part {
    pub below: u32,
    pub disposition: Disposition,
    pub talk: Option<Sampler>,
}

#[derive(Debug)]
pub(super) struct Later {
    pub of: Disposition,
    pub disposition: Disposition,
    pub share: Share,
    pub after: Sampler,
}

#[derive(Debug)]
pub(super) struct TimeOut {
    pub share: Share,
    pub wait: Sampler,
    pub receipt: Share,
}

impl Plan {
    /// Follow-up receipts that a profile may have; more are refused by `Profile::check`.
    pub const MOST_LATER: usize = 7;

    pub fn new(profile: &Profile, faults: &Faults, channel: Channel) -> Self {
        let chances: Vec<_> = profile.outcomes.iter().filter(|c| c.serves(channel)).collect();
        let sum: u64 = chances.iter().map(|c| u64::from(c.share.0)).sum();
        let mut so_far = 0;
        let chances = chances.into_iter().map(|c| {
            so_far += u64::from(c.share.0);
            let mut below = 0;
            let split = c.split.iter().map(|part| {
                below += part.share.0;
                Part { below, disposition: part.disposition, talk: part.talk.as_ref().map(|t| t.sampler()) }
            });
            let split = split.collect();
            let below = u32::try_from(so_far * u64::from(Share::ALL.0) / sum.max(1)).unwrap_or(Share::ALL.0);
            let talk = c.talk.as_ref().map(|t| t.sampler());
            Chance { below, disposition: c.disposition, told: c.told, after: c.after.sampler(), talk, split }
        });
        let later = profile.later.iter().map(|l| Later { of: l.of, disposition: l.disposition, share: l.share, after: l.after.sampler() });
        let timeout = |t: &super::faults::TimeOut| TimeOut { share: t.share, wait: t.wait.sampler(), receipt: t.receipt };
        Self {
            at_once: profile.at_once,
            receipts_name_touch: profile.receipts_name_touch,
            accept: profile.accept.sampler(),
            chances: chances.collect(),
            later: later.collect(),
            blocked: faults.blocked,
            refused: faults.refused,
            early: faults.receipt_before_acceptance,
            lost: faults.lost_receipts,
            timeout: faults.timeout_after_acceptance.as_ref().map(timeout),
            late: faults.late_receipts.as_ref().map(|f| (f.share, f.by.sampler())),
            repeated: faults.repeated_receipts.as_ref().map(|f| (f.share, f.times, f.apart.sampler())),
            contradicted: faults.undelivered_after_delivered.as_ref().map(|f| (f.share, f.after.sampler())),
            outages: faults.outages.clone(),
        }
    }

    /// What a draw comes to.
    pub fn chance(&self, draw: u64) -> Option<&Chance> {
        let place = scale_ppm(draw);
        self.chances.iter().find(|c| place < c.below)
    }

    /// Why the provider refuses, if it does.
    pub fn refusal(&self, draws: Draws) -> Option<Reason> {
        if self.blocked.0 + self.refused.0 == 0 {
            return None;
        }
        let place = scale_ppm(draws.ask(Question::Refused));
        if place < self.blocked.0 {
            Some(Reason::ProviderBlocked)
        } else {
            (place < self.blocked.0 + self.refused.0).then_some(Reason::ProviderRefused)
        }
    }
}
