//! Contact caps: how often a customer may be contacted in any sliding window, across all campaigns and channels.
use super::channel::Channel;
use super::consent::Purpose;
use super::ids::RuleNo;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A cap: at most `count` contacts in any window of `per_ms` milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    /// How many at most.
    pub count: u32,
    /// In any window of this length.
    pub per_ms: i64,
    /// Counting only this channel; `None`: all channels together.
    pub channel: Option<Channel>,
    /// Counting only contacts of this purpose; `None`: all.
    pub purpose: Option<Purpose>,
    /// The rule it comes from, for the evidence.
    pub rule: RuleNo,
}

/// A contact already made to the customer (a touch started, and not given back), in any campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastContact {
    /// When it started.
    pub at: Timestamp,
    /// On which channel.
    pub channel: Channel,
    /// For which purpose.
    pub purpose: Purpose,
}

/// The first cap that has no room at `at`, and the first instant when it has; `None`: all have room.
/// `history` need not be sorted. A window is half open: contacts at `t` and `t + per_ms` are in no common window.
pub fn blocked<'a>(caps: &'a [Cap], history: &[PastContact], channel: Channel, purpose: Purpose, at: Timestamp) -> Option<(&'a Cap, Timestamp)> {
    let mut worst: Option<(&Cap, Timestamp)> = None;
    for cap in caps {
        if cap.channel.is_some_and(|c| c != channel) || cap.purpose.is_some_and(|p| p != purpose) {
            continue;
        }
        let mut counted: Vec<Timestamp> = history
            .iter()
            .filter(|p| cap.channel.is_none_or(|c| c == p.channel) && cap.purpose.is_none_or(|q| q == p.purpose) && at.since(p.at) < cap.per_ms)
            .map(|p| p.at)
            .collect();
        let count = cap.count as usize;
        if counted.len() < count {
            continue;
        }
        counted.sort_unstable();
        // Room comes when so many have left the window that fewer than `count` remain.
        let opens = if count == 0 { Timestamp::FAR } else { counted.get(counted.len() - count).map_or(Timestamp::FAR, |t| t.plus(cap.per_ms)) };
        if worst.is_none_or(|(_, until)| opens > until) {
            worst = Some((cap, opens));
        }
    }
    worst
}

/// The longest window of some caps: how far back history must be read.
pub fn horizon(caps: &[Cap]) -> i64 {
    caps.iter().map(|c| c.per_ms).max().unwrap_or(0)
}
