//! The end of a budget: a hard stop, after what is under way has shown what it costs.
use super::{Campaign, Effect, Give};
use crate::domain::outcome::Reason;
use crate::store::Candidate;

impl Campaign {
    /// What is under way may cost less than was reserved for it: the campaign ends when nothing is under way and there is still no
    /// room for one touch more.
    pub(super) fn out_of_budget(&mut self, seen_change: i64, rest: Option<Vec<Candidate>>, last: bool, effects: &mut Vec<Effect>) {
        if let Some(rest) = rest {
            self.held = Some(Give { members: rest.into_iter().map(|c| c.member).collect(), seen_change, last });
        }
        if self.outstanding == 0 {
            self.close(Reason::Budget, effects);
        } else {
            self.out_of_budget_at = Some(self.spent());
        }
    }

    pub(super) fn try_budget_again(&mut self, effects: &mut Vec<Effect>) {
        if self.out_of_budget_at.is_some_and(|then| self.spent() < then || self.outstanding == 0) {
            self.out_of_budget_at = None;
            self.call_resting(effects);
        }
    }
}
