//! When a campaign asks providers what became of touches in doubt, and how long its end waits for the last answers.
use crate::domain::time::{SECOND, Timestamp};

/// Between two questions, in milliseconds.
const PERIOD_MS: i64 = 30 * SECOND;
/// The end of a campaign waits so long for answers, in milliseconds.
const GRACE_MS: i64 = 3 * SECOND;

/// The questions of one campaign.
#[derive(Debug)]
pub struct Doubt {
    /// Some route of the campaign can be asked.
    askable: bool,
    next: Option<Timestamp>,
    /// Asked for the last time: the end comes then.
    ends: Option<Timestamp>,
    wake_end: Option<Timestamp>,
}

impl Doubt {
    /// For a campaign on routes that can be asked, or not.
    pub fn new(askable: bool) -> Self {
        Self { askable, next: None, ends: None, wake_end: None }
    }
    /// Whether to ask now, with so many touches in doubt.
    pub fn asks(&mut self, at: Timestamp, in_doubt: i64) -> bool {
        self.wake_end = self.wake_end.filter(|end| at < *end);
        if !self.askable || in_doubt == 0 {
            self.next = None;
            return false;
        }
        let due = self.next.is_none_or(|next| at >= next);
        if due {
            self.next = Some(at.plus(PERIOD_MS));
        }
        due
    }
    /// Nothing but doubt is left: whether the end still waits, and whether to ask a last time for it.
    pub fn holds_end(&mut self, at: Timestamp, in_doubt: i64) -> (bool, bool) {
        if !self.askable || in_doubt == 0 {
            return (false, false);
        }
        match self.ends {
            None => {
                self.ends = Some(at.plus(GRACE_MS));
                self.wake_end = self.ends;
                (true, true)
            }
            Some(ends) => (at < ends, false),
        }
    }
    /// When it wants to look at the clock.
    pub fn wakes_at(&self, at_most: Option<Timestamp>) -> Option<Timestamp> {
        [self.next, self.wake_end, at_most].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_at_once_then_once_a_period_and_never_without_doubt() {
        let mut doubt = Doubt::new(true);
        assert!(!doubt.asks(Timestamp(0), 0));
        assert!(doubt.asks(Timestamp(1_000), 3));
        assert!(!doubt.asks(Timestamp(2_000), 3));
        assert!(doubt.asks(Timestamp(31_000), 2));
        assert!(!Doubt::new(false).asks(Timestamp(0), 9), "a route that cannot be asked");
    }

    #[test]
    fn the_end_waits_once_for_the_last_answers() {
        let mut doubt = Doubt::new(true);
        assert_eq!(doubt.holds_end(Timestamp(0), 1), (true, true));
        assert_eq!(doubt.holds_end(Timestamp(2_999), 1), (true, false));
        assert_eq!(doubt.holds_end(Timestamp(3_000), 1), (false, false));
        assert_eq!(Doubt::new(true).holds_end(Timestamp(0), 0), (false, false));
    }
}
