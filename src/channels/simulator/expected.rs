//! What a profile comes to on average: rates, conversations and delays, for forecasts over simulated routes.
use super::latency::Latency;
use super::profile::{Profile, Told};
use crate::channels::text::Share;
use crate::domain::channel::Channel;
use crate::domain::outcome::Disposition;
use std::collections::BTreeMap;

/// Evenly spaced quantiles at which a latency is looked at.
const POINTS: u64 = 100;

/// Expected values of a profile on one channel; faults are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// Share of attempts by what finally comes of them: who opens has not only been delivered to.
    pub rates: BTreeMap<Disposition, f64>,
    /// Seconds of conversation at evenly spaced quantiles, for dispositions with a conversation.
    pub talk_s: BTreeMap<Disposition, Vec<u32>>,
    /// Mean milliseconds from the sending until it is so.
    pub delay_ms: BTreeMap<Disposition, i64>,
}

impl Profile {
    /// Its expected values on a channel.
    pub fn expected(&self, channel: Channel) -> Expected {
        let mut expected = Expected::default();
        for chance in self.outcomes.iter().filter(|c| c.serves(channel)) {
            let accept = if chance.told == Told::Receipt { mean(&quantiles(&self.accept)) } else { 0 };
            let split: f64 = chance.split.iter().map(|s| part(s.share)).sum();
            let rest = (chance.disposition, 1.0 - split, chance.talk.as_ref());
            let parts = chance.split.iter().map(|s| (s.disposition, part(s.share), s.talk.as_ref().or(chance.talk.as_ref())));
            for (disposition, share, talk) in parts.chain([rest]) {
                let talk = talk.map(quantiles);
                let delay = accept + mean(&quantiles(&chance.after)) + talk.as_deref().map_or(0, mean);
                if let Some(talk) = talk {
                    let seconds = talk.iter().map(|ms| u32::try_from(ms / 1000).unwrap_or(u32::MAX));
                    expected.talk_s.entry(disposition).or_default().extend(seconds);
                }
                expected.add(disposition, part(chance.share) * share, if self.at_once { 0 } else { delay });
            }
        }
        for later in &self.later {
            let Some(before) = expected.rates.get_mut(&later.of) else { continue };
            let moved = *before * part(later.share);
            *before -= moved;
            let since = expected.delay_ms.get(&later.of).copied().unwrap_or(0);
            expected.add(later.disposition, moved, if self.at_once { 0 } else { since + mean(&quantiles(&later.after)) });
        }
        expected
    }
}

impl Expected {
    fn add(&mut self, disposition: Disposition, share: f64, delay: i64) {
        let rate = self.rates.entry(disposition).or_insert(0.0);
        let all = *rate + share;
        let mean = self.delay_ms.entry(disposition).or_insert(delay);
        if all > 0.0 {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "spans are far below 2^53 ms")]
            let weighted = ((*mean as f64 * *rate + delay as f64 * share) / all).round() as i64;
            *mean = weighted;
        }
        *rate = all;
    }
}

fn part(share: Share) -> f64 {
    f64::from(share.0) / f64::from(Share::ALL.0)
}

/// Milliseconds in the middle of each of the evenly spaced pieces.
fn quantiles(latency: &Latency) -> Vec<i64> {
    let sampler = latency.sampler();
    (0..POINTS).map(|i| sampler.draw(u64::MAX / (2 * POINTS) * (2 * i + 1))).collect()
}

fn mean(ms: &[i64]) -> i64 {
    ms.iter().sum::<i64>() / i64::try_from(ms.len()).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::profile::{ProfileRef, default_name, shipped_names};
    use super::*;
    use crate::domain::outcome::Reason;

    #[test]
    fn shares_of_every_profile_make_up_everything() {
        for name in shipped_names() {
            let profile = ProfileRef::shipped(name).unwrap();
            for channel in &profile.profile().channels {
                let sum: f64 = profile.profile().expected(*channel).rates.values().sum();
                assert!((sum - 1.0).abs() < 0.001, "{name} on {channel}: {sum}");
            }
        }
    }

    #[test]
    fn splits_later_receipts_and_conversations_are_counted() {
        let call = ProfileRef::shipped("telephone-bank-cn").unwrap().profile().expected(Channel::Call);
        assert!((call.rates[&Reason::Interested] - 0.012).abs() < 1e-9 && (call.rates[&Reason::Answered] - 0.06).abs() < 1e-9, "{call:?}");
        // The median of 45 s stands in the middle of the quantiles.
        let talk = &call.talk_s[&Reason::Answered];
        assert!((talk[49]..=talk[50]).contains(&44) || (talk[49]..=talk[50]).contains(&45), "{talk:?}");
        let push = ProfileRef::shipped(default_name(Channel::Push)).unwrap().profile().expected(Channel::Push);
        assert!((push.rates[&Reason::Opened] - 0.45 * 0.107).abs() < 1e-9, "{push:?}");
        assert!(push.delay_ms[&Reason::Opened] > push.delay_ms[&Reason::Delivered]);
    }
}
