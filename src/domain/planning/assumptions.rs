//! What a forecast takes for granted of the channels: rates, conversations, delays.
use crate::domain::campaign::ReachRule;
use crate::domain::channel::Channel;
use crate::domain::outcome::{Disposition, Reason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is assumed to come of an attempt, per channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assumptions {
    /// By channel.
    pub channels: BTreeMap<Channel, ChannelAssumption>,
    /// How wrong the rates may be as a share of themselves (one standard deviation); it widens the interval of the reach.
    pub relative_error: f64,
}

/// What is assumed of one channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelAssumption {
    /// Share of attempts that end in each disposition. They are taken relative to their sum.
    pub rates: BTreeMap<Disposition, f64>,
    /// Mean seconds of conversation of an answered call: the share of calls of at least `s` seconds is `exp(-s / mean)`.
    pub mean_talk_s: f64,
    /// Better than the mean, where they are known: by disposition, seconds of conversation at evenly spaced quantiles.
    #[serde(skip)]
    pub talk_s: BTreeMap<Disposition, Vec<u32>>,
    /// By disposition, mean milliseconds from the attempt until it is known; 0 for those that are not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub delay_ms: BTreeMap<Disposition, i64>,
    /// Where the rates come from.
    pub source: String,
}

impl Default for Assumptions {
    /// Published figures. Call: 6,264 consumer calls of 134 agents, autumn 2011 (Baylor, Keller Center): 28.37 % answered, 55.08 % not
    /// answered, 16.56 % not working; of which 4.5 points are taken as busy (IBM/UNICOM dialler logs: 3-6 %). The mean talk time
    /// of 120 s is our own planning figure. SMS: 95 % delivered (textcanon, prelude: 95-98 % for well-run traffic). Push: 45 %
    /// delivered (MoEngage, Asian Android: 40-70 % not delivered), 7.8 % opened of all (Accengage, 50 billion pushes, 2018).
    /// E-mail: 21.56 % opened, 2.72 % clicked, 0.98 % bounced (Mailchimp, Business and Finance, October 2019). Worklist:
    /// 49.47 % of customers given to remote RMs were reached (personal loans of a Chinese bank, 2022, as given in the brief).
    fn default() -> Self {
        let channel = |rates: &[(Disposition, f64)], source: &str| ChannelAssumption {
            rates: rates.iter().copied().collect(),
            mean_talk_s: 120.0,
            source: source.to_owned(),
            ..ChannelAssumption::default()
        };
        use Reason as R;
        let channels = BTreeMap::from([
            (
                Channel::Call,
                channel(
                    &[(R::Answered, 0.2837), (R::NoAnswer, 0.5058), (R::Busy, 0.045), (R::InvalidAddress, 0.1655)],
                    "Baylor, Keller Center 2011 (6,264 calls); busy: IBM/UNICOM dialler logs",
                ),
            ),
            (
                Channel::Sms,
                channel(&[(R::Delivered, 0.95), (R::Undelivered, 0.04), (R::InvalidAddress, 0.01)], "textcanon, prelude: 95-98 % delivered"),
            ),
            (
                Channel::Push,
                channel(
                    &[(R::Delivered, 0.372), (R::Opened, 0.078), (R::Undelivered, 0.55)],
                    "MoEngage: 40-70 % not delivered; Accengage 2018: 7.8 % opened",
                ),
            ),
            (
                Channel::Email,
                channel(
                    &[(R::Delivered, 0.7474), (R::Opened, 0.2156), (R::Clicked, 0.0272), (R::InvalidAddress, 0.0043), (R::Undelivered, 0.0055)],
                    "Mailchimp, Business and Finance, October 2019",
                ),
            ),
            (
                Channel::Worklist,
                channel(&[(R::Completed, 0.4947), (R::NotReached, 0.5053)], "remote RM reach of 49.47 %, 2022, as given in the brief"),
            ),
        ]);
        Self { channels, relative_error: 0.15 }
    }
}

impl Assumptions {
    /// The dispositions of a channel under a reach rule, with shares that add up to 1: answered calls that are too short become
    /// `Short`; messages delivered but not opened become `NotOpened` where the rule asks for opening.
    pub fn dispositions(&self, channel: Channel, rule: ReachRule) -> Vec<(Disposition, f64)> {
        let Some(assumed) = self.channels.get(&channel) else { return vec![(Reason::NotReached, 1.0)] };
        let total: f64 = assumed.rates.values().filter(|r| **r > 0.0).sum();
        let mut shares: BTreeMap<Disposition, f64> = BTreeMap::new();
        for (disposition, rate) in assumed.rates.iter().filter(|(_, r)| **r > 0.0) {
            let share = rate / total;
            match rule {
                ReachRule::ConnectedSeconds(s) if channel == Channel::Call && disposition.is_reached() && s > 0 => {
                    let long = assumed.talks_at_least(*disposition, s);
                    *shares.entry(*disposition).or_insert(0.0) += share * long;
                    *shares.entry(Reason::Short).or_insert(0.0) += share * (1.0 - long);
                }
                ReachRule::Opened if *disposition == Reason::Delivered => *shares.entry(Reason::NotOpened).or_insert(0.0) += share,
                _ => *shares.entry(*disposition).or_insert(0.0) += share,
            }
        }
        shares.into_iter().collect()
    }
    /// How an attempt of a channel can end, and whether that is reach: what a follow-up's `when` must be asked about.
    pub fn endings(&self, channel: Channel, rule: ReachRule) -> Vec<(Disposition, bool)> {
        self.dispositions(channel, rule).into_iter().map(|(d, _)| (d, super::flow::counts_as_reached(rule, d))).collect()
    }
}

impl ChannelAssumption {
    /// The share of calls with this disposition whose conversation lasts at least `s` seconds.
    fn talks_at_least(&self, disposition: Disposition, s: u32) -> f64 {
        match self.talk_s.get(&disposition).filter(|q| !q.is_empty()) {
            #[allow(clippy::cast_precision_loss, reason = "a share of at most some hundred quantiles")]
            Some(quantiles) => quantiles.iter().filter(|q| **q >= s).count() as f64 / quantiles.len() as f64,
            None if self.mean_talk_s > 0.0 => (-f64::from(s) / self.mean_talk_s).exp(),
            None => 0.0,
        }
    }
}
