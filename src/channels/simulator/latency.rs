//! How long things take: a latency as a profile writes it, and as it is drawn.
use crate::channels::text::{Share, Span, scale_ppm};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A distribution of a span of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Latency {
    /// Always the same.
    Fixed(Span),
    /// Log-normal: what times of conversations, rings and deliveries look like.
    Lognormal(Lognormal),
    /// Bands, each uniform within itself, for what is known as a histogram. Their shares make up 100 %.
    Steps(Vec<Band>),
}

impl Default for Latency {
    fn default() -> Self {
        Self::Fixed(Span(0))
    }
}

/// A log-normal distribution, cut off at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lognormal {
    /// Half are shorter.
    pub median: Span,
    /// Standard deviation of the natural logarithm: 0.5 is narrow, 1.5 is wide.
    pub sigma: f64,
    /// Never longer.
    pub max: Span,
}

/// One band of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// How many fall into it.
    pub share: Share,
    /// From here.
    pub from: Span,
    /// To here.
    pub to: Span,
}

impl Latency {
    /// What is wrong with it, if anything.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Fixed(_) => Ok(()),
            Self::Lognormal(l) if l.median.0 <= 0 || l.median > l.max => {
                Err(format!("a lognormal needs a median above 0 and at most its max ({}), found {}", l.max, l.median))
            }
            Self::Lognormal(l) if !(0.0..=5.0).contains(&l.sigma) => Err(format!("a lognormal needs a sigma from 0 to 5, found {}", l.sigma)),
            Self::Lognormal(_) => Ok(()),
            Self::Steps(bands) => {
                let sum: u64 = bands.iter().map(|b| u64::from(b.share.0)).sum();
                if sum != u64::from(Share::ALL.0) {
                    return Err(format!("the shares of the steps of a latency must make up 100%, found {}%", sum as f64 / 10_000.0));
                }
                match bands.iter().find(|b| b.from > b.to) {
                    Some(b) => Err(format!("a step of a latency must end after it begins, found {} to {}", b.from, b.to)),
                    None => Ok(()),
                }
            }
        }
    }

    /// Ready to be drawn from.
    pub(super) fn sampler(&self) -> Sampler {
        match self {
            Self::Fixed(span) => Sampler::Fixed(span.0),
            Self::Lognormal(l) => Sampler::Knots(knots(l)),
            Self::Steps(bands) => {
                let mut from = 0;
                let bands = bands.iter().map(|b| {
                    let start = from;
                    from += b.share.0;
                    (start, from, b.from.0, b.to.0)
                });
                Sampler::Steps(bands.collect())
            }
        }
    }
}

/// Pieces into which the unit interval is cut: within a piece the quantile function is taken as straight.
const PIECES: usize = 1024;

/// A distribution ready to be drawn from: a table, since a logarithm and an exponential a draw would cost more than the rest.
#[derive(Clone, Debug)]
pub(super) enum Sampler {
    /// Milliseconds.
    Fixed(i64),
    /// Quantiles at `0/PIECES ..= PIECES/PIECES`, in milliseconds.
    Knots(Box<[i64]>),
    /// Bands: from ppm, to ppm, from ms, to ms.
    Steps(Vec<(u32, u32, i64, i64)>),
}

impl Sampler {
    /// The span (milliseconds, never negative) for a uniform draw over 64 bits.
    pub fn draw(&self, draw: u64) -> i64 {
        match self {
            Self::Fixed(ms) => *ms,
            Self::Knots(knots) => {
                let place = (u128::from(draw) * PIECES as u128) >> 32;
                let (piece, within) = ((place >> 32) as usize, (place & 0xffff_ffff) as i64);
                let low = knots.get(piece).copied().unwrap_or(0);
                let high = knots.get(piece + 1).copied().unwrap_or(low);
                low + (((high - low) as i128 * within as i128) >> 32) as i64
            }
            Self::Steps(bands) => {
                let ppm = scale_ppm(draw);
                bands.iter().find(|band| ppm < band.1).map_or(0, |&(start, end, from, to)| {
                    from + (to - from) * i64::from(ppm.saturating_sub(start)) / i64::from(end.saturating_sub(start).max(1))
                })
            }
        }
    }
}

fn knots(l: &Lognormal) -> Box<[i64]> {
    let pieces = PIECES as f64;
    (0..=PIECES)
        .map(|i| {
            // The ends stand for the middle of the outermost half pieces: the distribution itself has none.
            let p = (i as f64 / pieces).clamp(0.5 / pieces, 1.0 - 0.5 / pieces);
            let ms = l.median.0 as f64 * (l.sigma * normal_quantile(p)).exp();
            (ms.round() as i64).clamp(0, l.max.0)
        })
        .collect()
}

/// The quantile of the standard normal distribution, by P. J. Acklam's rational approximation (relative error below 1.2e-9).
fn normal_quantile(p: f64) -> f64 {
    let tail = |q: f64| {
        (((((-7.784_894_002_430_293e-3 * q - 3.223_964_580_411_365e-1) * q - 2.400_758_277_161_838) * q - 2.549_732_539_343_734) * q
            + 4.374_664_141_464_968)
            * q
            + 2.938_163_982_698_783)
            / ((((7.784_695_709_041_462e-3 * q + 3.224_671_290_700_398e-1) * q + 2.445_134_137_142_996) * q + 3.754_408_661_907_416) * q + 1.0)
    };
    if p < 0.024_25 {
        tail((-2.0 * p.ln()).sqrt())
    } else if p > 1.0 - 0.024_25 {
        -tail((-2.0 * (1.0 - p).ln()).sqrt())
    } else {
        let q = p - 0.5;
        let r = q * q;
        (((((-3.969_683_028_665_376e1 * r + 2.209_460_984_245_205e2) * r - 2.759_285_104_469_687e2) * r + 1.383_577_518_672_69e2) * r
            - 3.066_479_806_614_716e1)
            * r
            + 2.506_628_277_459_239)
            * q
            / (((((-5.447_609_879_822_406e1 * r + 1.615_858_368_580_409e2) * r - 1.556_989_798_598_866e2) * r + 6.680_131_188_771_972e1) * r
                - 1.328_068_155_288_572e1)
                * r
                + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_quantile_agrees_with_printed_tables() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_964), (0.01, -2.326_348), (0.999, 3.090_232)] {
            assert!((normal_quantile(p) - z).abs() < 1e-5, "{p}: {}", normal_quantile(p));
        }
    }

    #[test]
    fn a_lognormal_has_its_median_and_its_quartile() {
        let l = Latency::Lognormal(Lognormal { median: Span(8_000), sigma: 0.6, max: Span(120_000) });
        let sampler = l.sampler();
        assert_eq!(sampler.draw(1 << 63), 8_000);
        // The third quartile of a log-normal is median * exp(0.674490 * sigma).
        let expected = 8_000.0 * (0.674_490_f64 * 0.6).exp();
        assert!((sampler.draw(3 << 62) as f64 - expected).abs() < 2.0);
        assert!(sampler.draw(u64::MAX) <= 120_000 && sampler.draw(0) >= 0);
    }

    #[test]
    fn steps_keep_to_their_bands() {
        let l = Latency::Steps(vec![
            Band { share: Share(600_000), from: Span(6_000), to: Span(10_000) },
            Band { share: Share(400_000), from: Span(18_000), to: Span(22_000) },
        ]);
        l.check().unwrap();
        let sampler = l.sampler();
        let draws: Vec<i64> = (0..1000u64).map(|i| sampler.draw(i * (u64::MAX / 1000))).collect();
        assert!(draws.iter().all(|ms| (6_000..=10_000).contains(ms) || (18_000..=22_000).contains(ms)));
        let first = draws.iter().filter(|ms| **ms <= 10_000).count();
        assert!((599..=601).contains(&first), "{first}");
    }

    #[test]
    fn bad_latencies_are_named() {
        assert!(Latency::Steps(vec![Band { share: Share(1), from: Span(0), to: Span(1) }]).check().unwrap_err().contains("100%"));
        assert!(Latency::Lognormal(Lognormal { median: Span(0), sigma: 1.0, max: Span(1) }).check().is_err());
        assert!(Latency::Lognormal(Lognormal { median: Span(1), sigma: 9.0, max: Span(1) }).check().unwrap_err().contains("sigma"));
    }
}
