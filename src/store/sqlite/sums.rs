//! Tallies of many rows: rows that differ only in money, parts and seconds are counted together, so that a batch of 5,000 makes a
//! dozen entries and not 40,000 look-ups.
use crate::domain::tally::{Tallies, Tally, Weight};

/// Weights seen, each with how many rows bear it and what they add up to.
#[derive(Default)]
pub(super) struct Sums(Vec<Sum>);

struct Sum {
    weight: Weight,
    is_head: bool,
    n: i64,
    cost_micros: i64,
    parts: i64,
    seconds: i64,
}

impl Sums {
    /// Adds (`sign` 1) or takes back (`sign` -1) a row; see [`Weight::add_to`].
    pub fn add(&mut self, weight: Weight, is_head: bool, sign: i64) {
        let (cost_micros, parts, seconds) = (weight.cost_micros, i64::from(weight.parts), i64::from(weight.connected_s));
        let weight = Weight { cost_micros: 0, parts: 0, connected_s: 0, ..weight };
        // A few dozen kinds at most; beyond that the latest are searched.
        let place = self.0.iter().rev().take(64).position(|s| s.weight == weight && s.is_head == is_head).map(|back| self.0.len() - 1 - back);
        let place = place.unwrap_or_else(|| {
            self.0.push(Sum { weight, is_head, n: 0, cost_micros: 0, parts: 0, seconds: 0 });
            self.0.len() - 1
        });
        if let Some(sum) = self.0.get_mut(place) {
            sum.n += sign;
            sum.cost_micros += sign * cost_micros;
            sum.parts += sign * parts;
            sum.seconds += sign * seconds;
        }
    }

    /// Adds all of it to `tallies`.
    pub fn flush(self, tallies: &mut Tallies) {
        for sum in self.0 {
            sum.weight.add_to(tallies, sum.is_head, sum.n);
            if sum.weight.state.stands() {
                tallies.add(Tally::CostMicros, 0, sum.cost_micros);
                tallies.add(Tally::Parts, 0, sum.parts);
                tallies.add(Tally::ConnectedSeconds, 0, sum.seconds);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::Channel;
    use crate::domain::ids::RouteId;
    use crate::domain::outcome::Reason;
    use crate::domain::touch::State;

    #[test]
    fn sums_are_the_weights_added_one_by_one() {
        let (mut sums, mut one_by_one) = (Sums::default(), Tallies::default());
        for n in 0..400_i64 {
            let state = State::ALL[(n % 11) as usize];
            let weight = Weight {
                state,
                reason: Reason::ALL[(n % 29) as usize],
                flags: (n % 2) as u32,
                channel: Channel::from_code(n % 6),
                route: Some(RouteId((n % 3) as i32)),
                cost_micros: n * 17,
                parts: (n % 4) as u16,
                connected_s: (n * 3) as u32,
            };
            let sign = if n % 5 == 0 { -1 } else { 1 };
            sums.add(weight, n % 3 != 0, sign);
            weight.add_to(&mut one_by_one, n % 3 != 0, sign);
        }
        let mut tallies = Tallies::default();
        sums.flush(&mut tallies);
        assert_eq!(tallies, one_by_one);
    }
}
