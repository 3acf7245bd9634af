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

/// The cap that has no room at `at` and holds longest, and the first instant when every cap has room; `None`: all have room now.
/// `history` need not be sorted, and may hold contacts later than `at` (another node's clock runs ahead): a contact at `at` would share their
/// windows too. A window is half open: contacts at `t` and `t + per_ms` are in no common window.
pub fn blocked<'a>(caps: &'a [Cap], history: &[PastContact], channel: Channel, purpose: Purpose, at: Timestamp) -> Option<(&'a Cap, Timestamp)> {
    let mut worst: Option<(&Cap, Timestamp)> = None;
    let asked = |cap: &&Cap| cap.channel.is_none_or(|c| c == channel) && cap.purpose.is_none_or(|p| p == purpose);
    loop {
        // Backwards, so that of equals the first one is named. With contacts ahead, room for one cap may lie where another has none: go on from the latest opening until nothing moves.
        let from = worst.map_or(at, |(_, opens)| opens);
        let latest = caps.iter().rev().filter(asked).map(|cap| (cap, room(cap, history, from))).max_by_key(|(_, opens)| *opens);
        match latest {
            Some((cap, opens)) if opens > from => worst = Some((cap, opens)),
            _ => return worst,
        }
    }
}

/// The first instant from `at` on at which one contact more leaves every window of the cap with at most `count`.
fn room(cap: &Cap, history: &[PastContact], at: Timestamp) -> Timestamp {
    let count = cap.count as usize;
    if count == 0 {
        return Timestamp::FAR;
    }
    let counts =
        |p: &&PastContact| cap.channel.is_none_or(|c| c == p.channel) && cap.purpose.is_none_or(|q| q == p.purpose) && at.since(p.at) < cap.per_ms;
    // Almost every customer has fewer contacts than any cap: answered without an allocation.
    if history.iter().filter(counts).count() < count {
        return at;
    }
    let mut times: Vec<Timestamp> = history.iter().filter(counts).map(|p| p.at).collect();
    times.sort_unstable();
    let mut at = at;
    // `count` contacts that fit into one window together with `at` leave no room before the first of them has left it.
    for group in times.windows(count) {
        if let (Some(first), Some(last)) = (group.first(), group.last())
            && (*last).max(at).since((*first).min(at)) < cap.per_ms
        {
            at = first.plus(cap.per_ms);
        }
    }
    at
}

/// The longest window of some caps: how far back history must be read.
pub fn horizon(caps: &[Cap]) -> i64 {
    caps.iter().map(|c| c.per_ms).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cap(count: u32, per_ms: i64, channel: Option<Channel>, purpose: Option<Purpose>) -> Cap {
        Cap { count, per_ms, channel, purpose, rule: RuleNo(1) }
    }
    fn call(at: i64) -> PastContact {
        PastContact { at: Timestamp(at), channel: Channel::Call, purpose: Purpose::Marketing }
    }
    fn opens(caps: &[Cap], history: &[PastContact], at: i64) -> Option<i64> {
        blocked(caps, history, Channel::Call, Purpose::Marketing, Timestamp(at)).map(|(_, opens)| opens.0)
    }

    #[test]
    fn edges_are_exact() {
        let daily = [cap(2, 100, None, None)];
        assert_eq!(opens(&daily, &[call(0)], 5), None);
        assert_eq!(opens(&daily, &[call(10), call(0)], 99), Some(100), "unsorted; the older leaves at 100");
        assert_eq!(opens(&daily, &[call(0), call(10)], 100), None);
        assert_eq!(opens(&[cap(0, 100, None, None)], &[], 5), Some(Timestamp::FAR.0), "nothing allowed at all");
    }

    #[test]
    fn a_cap_counts_its_channel_and_purpose_alone() {
        let sms = PastContact { channel: Channel::Sms, ..call(0) };
        let service = PastContact { purpose: Purpose::Service, ..call(0) };
        let caps = [cap(1, 100, Some(Channel::Call), Some(Purpose::Marketing))];
        assert_eq!(opens(&caps, &[sms, service], 1), None);
        assert_eq!(opens(&[cap(1, 100, None, None)], &[sms], 1), Some(100), "all channels together");
        assert_eq!(opens(&[cap(1, 100, Some(Channel::Sms), None)], &[sms], 1), None, "not asked about");
    }

    #[test]
    fn the_cap_that_holds_longest_is_named() {
        let caps = [cap(1, 10, None, None), cap(1, 1_000, None, None)];
        let (cap, until) = blocked(&caps, &[call(0)], Channel::Call, Purpose::Marketing, Timestamp(5)).unwrap();
        assert_eq!((cap.per_ms, until.0), (1_000, 1_000));
    }

    #[test]
    fn a_contact_far_ahead_does_not_block_now_but_one_within_the_window_does() {
        let caps = [cap(1, 100, None, None)];
        assert_eq!(opens(&caps, &[call(500)], 0), None);
        assert_eq!(opens(&caps, &[call(50)], 0), Some(150));
    }

    fn caps() -> impl Strategy<Value = Vec<Cap>> {
        let channel = prop::option::of(prop::sample::select(vec![Channel::Call, Channel::Sms]));
        let purpose = prop::option::of(prop::sample::select(vec![Purpose::Marketing, Purpose::Service]));
        prop::collection::vec((1..5_u32, 1..400_i64, channel, purpose).prop_map(|(n, per, c, p)| cap(n, per, c, p)), 1..4)
    }
    fn contact(range: std::ops::Range<i64>) -> impl Strategy<Value = PastContact> {
        (range, prop::sample::select(vec![Channel::Call, Channel::Sms]), prop::sample::select(vec![Purpose::Marketing, Purpose::Service]))
            .prop_map(|(at, channel, purpose)| PastContact { at: Timestamp(at), channel, purpose })
    }
    /// The most contacts that the cap counts in any of its windows: it is enough to look at windows that begin with a contact.
    fn fullest(cap: &Cap, made: &[PastContact]) -> usize {
        let counted: Vec<_> = made
            .iter()
            .filter(|p| cap.channel.is_none_or(|c| c == p.channel) && cap.purpose.is_none_or(|q| q == p.purpose))
            .map(|p| p.at.0)
            .collect();
        counted.iter().map(|from| counted.iter().filter(|t| *from <= **t && **t < from + cap.per_ms).count()).max().unwrap_or(0)
    }

    proptest! {
        /// Law 4: contacts made whenever there is room never fill a window above its cap.
        #[test]
        fn never_above_a_cap_in_any_window(caps in caps(), asks in prop::collection::vec((0..120_i64, contact(0..1)), 1..80)) {
            let (mut made, mut at) = (Vec::new(), 0);
            for (pause, ask) in asks {
                at += pause;
                if blocked(&caps, &made, ask.channel, ask.purpose, Timestamp(at)).is_none() {
                    made.push(PastContact { at: Timestamp(at), ..ask });
                }
                for cap in &caps {
                    prop_assert!(fullest(cap, &made) <= cap.count as usize);
                }
            }
        }

        /// The instant named is the first at which the contact may be made, tried millisecond by millisecond, contacts ahead included.
        #[test]
        fn the_opening_is_the_first_instant_with_room(caps in caps(), history in prop::collection::vec(contact(0..900), 0..12), ask in contact(300..600)) {
            let fits = |at: i64| {
                let mut with = history.clone();
                with.push(PastContact { at: Timestamp(at), ..ask });
                // What is full before the contact is made is not the contact's doing; only windows that it joins are asked.
                caps.iter().filter(|cap| cap.channel.is_none_or(|c| c == ask.channel) && cap.purpose.is_none_or(|p| p == ask.purpose)).all(|cap| {
                    let near: Vec<_> = with.iter().copied().filter(|p| (p.at.0 - at).abs() < cap.per_ms).collect();
                    let starts: Vec<i64> = near.iter().map(|p| p.at.0).filter(|t| *t <= at).collect();
                    starts.iter().all(|from| {
                        let inside: Vec<_> = near.iter().copied().filter(|p| *from <= p.at.0 && p.at.0 < from + cap.per_ms).collect();
                        from + cap.per_ms <= at || fullest(cap, &inside) <= cap.count as usize
                    })
                })
            };
            match blocked(&caps, &history, ask.channel, ask.purpose, ask.at) {
                None => prop_assert!(fits(ask.at.0)),
                Some((_, opens)) => {
                    prop_assert!(opens > ask.at);
                    prop_assert!(fits(opens.0), "room at {}", opens.0);
                    for at in ask.at.0..opens.0 {
                        prop_assert!(!fits(at), "room already at {at}, before {}", opens.0);
                    }
                }
            }
        }

        /// Giving a contact back never takes room away.
        #[test]
        fn a_refund_never_blocks(caps in caps(), history in prop::collection::vec(contact(0..600), 1..10), ask in contact(600..700), which in 0..10_usize) {
            let mut fewer = history.clone();
            fewer.remove(which % history.len());
            let opens = |h: &[PastContact]| blocked(&caps, h, ask.channel, ask.purpose, ask.at).map_or(ask.at, |(_, at)| at);
            prop_assert!(opens(&fewer) <= opens(&history));
        }
    }
}
