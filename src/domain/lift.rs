//! What the campaign changed: customers assigned to be contacted against the holdout that was left alone.
//!
//! Intention to treat: the treated arm is everybody who was *assigned* to be contacted, reached or not. Comparing only those
//! reached would compare people who answer telephones with people chosen at random.
//!
//! Rates: difference of two independent proportions with the unpooled (Wald) standard error, `sqrt(p1 q1 / n1 + p2 q2 / n2)`
//! (Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17 (1998)
//! 873-890, method 1). Amounts: Welch's test for unequal variances (Welch, Biometrika 34 (1947) 28-35), with the
//! Welch-Satterthwaite degrees of freedom. The quantile of Student's t is found by bisection of its distribution function,
//! which is the regularised incomplete beta function by continued fraction (Abramowitz & Stegun 26.5.8, 26.7.1).
use serde::{Deserialize, Serialize};

/// The 97.5 % quantile of the standard normal distribution.
const Z_975: f64 = 1.959_963_984_540_054;

/// What is known of one arm. Amounts are of one currency, in its units; customers without a fact count with 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Customers assigned to it.
    pub customers: u64,
    /// Of those, with at least one fact in the window.
    pub converted: u64,
    /// Sum of the customers' amounts.
    pub sum: f64,
    /// Sum of the squares of the customers' amounts.
    pub sum_of_squares: f64,
}

impl Arm {
    /// Adds one customer; `amount`: `None` when nothing came about in the window.
    pub fn add(&mut self, amount: Option<f64>) {
        self.customers += 1;
        if let Some(amount) = amount {
            self.converted += 1;
            self.sum += amount;
            self.sum_of_squares += amount * amount;
        }
    }
    fn rate(&self) -> f64 {
        self.converted as f64 / self.customers as f64
    }
    fn mean(&self) -> f64 {
        self.sum / self.customers as f64
    }
    /// The sample variance (divisor n - 1).
    fn variance(&self) -> f64 {
        let n = self.customers as f64;
        ((self.sum_of_squares - self.sum * self.sum / n) / (n - 1.0)).max(0.0)
    }
}

/// An estimated difference, treated less holdout.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Estimate {
    /// The difference.
    pub estimate: f64,
    /// Its standard error.
    pub se: f64,
    /// Its 95 % interval.
    pub ci95: [f64; 2],
}

/// Why there is no estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoEstimate {
    /// Fewer than two customers are treated.
    #[error("fewer than 2 customers are treated: nothing can be compared")]
    TreatedTooSmall,
    /// Fewer than two customers are in the holdout.
    #[error("fewer than 2 customers are in the holdout: set `audience.holdout` to measure lift")]
    HoldoutTooSmall,
}

fn enough(treated: &Arm, holdout: &Arm) -> Result<(), NoEstimate> {
    match () {
        () if treated.customers < 2 => Err(NoEstimate::TreatedTooSmall),
        () if holdout.customers < 2 => Err(NoEstimate::HoldoutTooSmall),
        () => Ok(()),
    }
}

/// Difference of the conversion rates (0..1).
pub fn rate_difference(treated: &Arm, holdout: &Arm) -> Result<Estimate, NoEstimate> {
    enough(treated, holdout)?;
    let part = |arm: &Arm| arm.rate() * (1.0 - arm.rate()) / arm.customers as f64;
    let se = (part(treated) + part(holdout)).sqrt();
    Ok(around(treated.rate() - holdout.rate(), se, Z_975))
}

/// Difference of the mean amounts per customer, in units of the arms' currency.
pub fn amount_difference(treated: &Arm, holdout: &Arm) -> Result<Estimate, NoEstimate> {
    enough(treated, holdout)?;
    let (a, b) = (treated.variance() / treated.customers as f64, holdout.variance() / holdout.customers as f64);
    let estimate = treated.mean() - holdout.mean();
    let se = (a + b).sqrt();
    if se == 0.0 {
        return Ok(around(estimate, 0.0, 0.0));
    }
    let df = (a + b).powi(2) / (a * a / (treated.customers as f64 - 1.0) + b * b / (holdout.customers as f64 - 1.0));
    Ok(around(estimate, se, t_quantile_975(df)))
}

fn around(estimate: f64, se: f64, factor: f64) -> Estimate {
    Estimate { estimate, se, ci95: [estimate - factor * se, estimate + factor * se] }
}

/// The 97.5 % quantile of Student's t with `df` degrees of freedom (at least 1, not necessarily whole).
pub fn t_quantile_975(df: f64) -> f64 {
    // P(|T| > t) = I_x(df/2, 1/2) with x = df / (df + t^2); it falls as t grows. df = 1 gives 12.71, the largest we need.
    let (mut low, mut high) = (1.9, 13.0);
    for _ in 0..80 {
        let t: f64 = (low + high) / 2.0;
        if incomplete_beta(df / 2.0, 0.5, df / (df + t * t)) > 0.05 { low = t } else { high = t }
    }
    (low + high) / 2.0
}

/// The regularised incomplete beta function.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    // The fraction converges quickly on this side; the other is its mirror image.
    if x < (a + 1.0) / (a + b + 2.0) { front * beta_fraction(a, b, x) / a } else { 1.0 - front * beta_fraction(b, a, 1.0 - x) / b }
}

/// The continued fraction of the incomplete beta function by Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let floor = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / floor(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    // Takes O(sqrt(max(a, b))) terms: 10,000 are enough for a hundred million degrees of freedom.
    for m in 1..10_000_u32 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / floor(1.0 + even * d);
        c = floor(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / floor(1.0 + odd * d);
        c = floor(1.0 + odd / c);
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h
}

/// The logarithm of the gamma function for arguments above 0: Stirling's series (Abramowitz & Stegun 6.1.41), with the
/// argument lifted above 15 by the recurrence, where five terms are good to 15 digits.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut lifted) = (x, 0.0);
    while x < 15.0 {
        lifted -= x.ln();
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r / 1188.0)))) / x;
    lifted + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Published table of the two-sided 5 % points (NIST/SEMATECH e-Handbook 1.3.6.7.2 gives three decimals; more from R's `qt`).
    #[test]
    fn quantiles_of_students_t_are_those_of_the_tables() {
        for (df, t) in
            [(1.0, 12.706_204_7), (2.0, 4.302_652_73), (3.0, 3.182_446_31), (5.0, 2.570_581_84), (10.0, 2.228_138_85), (30.0, 2.042_272_46)]
        {
            assert!((t_quantile_975(df) - t).abs() < 1e-7, "df {df}: {}", t_quantile_975(df));
        }
        assert!((t_quantile_975(1e7) - Z_975).abs() < 1e-6);
    }

    /// Newcombe 1998, Table II, example (a): 56/70 against 48/80, method 1: 0.0575 to 0.3425.
    #[test]
    fn the_rate_difference_is_that_of_newcombes_example() {
        let arm = |customers, converted| Arm { customers, converted, sum: 0.0, sum_of_squares: 0.0 };
        let e = rate_difference(&arm(70, 56), &arm(80, 48)).unwrap();
        assert!((e.estimate - 0.2).abs() < 1e-12);
        assert!((e.ci95[0] - 0.0575).abs() < 5e-5 && (e.ci95[1] - 0.3425).abs() < 5e-5, "{e:?}");
    }

    /// By hand: {1,2,3,4} against {0,0,1,1}: difference 2, variances 5/3 and 1/3, se^2 = 5/12 + 1/12 = 1/2,
    /// df = (1/2)^2 / ((5/12)^2/3 + (1/12)^2/3) = 0.25 * 3 * 144 / 26 = 4.153846.
    #[test]
    fn welch_by_hand() {
        let (mut a, mut b) = (Arm::default(), Arm::default());
        [1.0, 2.0, 3.0, 4.0].into_iter().for_each(|v| a.add(Some(v)));
        [None, None, Some(1.0), Some(1.0)].into_iter().for_each(|v| b.add(v));
        let e = amount_difference(&a, &b).unwrap();
        assert!((e.estimate - 2.0).abs() < 1e-12 && (e.se - 0.5_f64.sqrt()).abs() < 1e-12);
        let factor = t_quantile_975(108.0 / 26.0);
        assert!((e.ci95[1] - 2.0 - factor * e.se).abs() < 1e-9);
        assert!(factor < t_quantile_975(4.0) && factor > t_quantile_975(5.0));
    }

    #[test]
    fn small_arms_give_a_reason_and_no_number() {
        let arm = |customers| Arm { customers, ..Arm::default() };
        assert_eq!(rate_difference(&arm(100), &arm(1)), Err(NoEstimate::HoldoutTooSmall));
        assert_eq!(amount_difference(&arm(0), &arm(100)), Err(NoEstimate::TreatedTooSmall));
        assert_eq!(rate_difference(&arm(2), &arm(2)).unwrap().estimate, 0.0);
        assert_eq!(amount_difference(&arm(2), &arm(2)).unwrap().ci95, [0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn swapping_the_arms_mirrors_the_estimate(n in 2_u64..10_000, m in 2_u64..10_000, p in 0.0..1.0_f64, q in 0.0..1.0_f64) {
            let arm = |n: u64, p: f64| Arm { customers: n, converted: (n as f64 * p) as u64, sum: n as f64 * p, sum_of_squares: n as f64 * p };
            let (a, b) = (arm(n, p), arm(m, q));
            let (x, y) = (rate_difference(&a, &b).unwrap(), rate_difference(&b, &a).unwrap());
            prop_assert!((x.estimate + y.estimate).abs() < 1e-12 && (x.se - y.se).abs() < 1e-12);
            let w = amount_difference(&a, &b).unwrap();
            prop_assert!(w.ci95[0] <= w.estimate && w.estimate <= w.ci95[1]);
        }
    }
}
