//! Assignment to holdout and to content variants: salted by campaign, stable for ever, the same on every machine.
use super::ids::CustomerId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

fn draw(salt: &str, what: u64, customer: CustomerId) -> u64 {
    let seed = xxh3_64_with_seed(salt.as_bytes(), what);
    xxh3_64_with_seed(&customer.0.to_le_bytes(), seed)
}

/// Whether the customer is in the holdout of the campaign whose name is `salt`; `ppm` is its share in parts per million.
pub fn is_held_out(salt: &str, customer: CustomerId, ppm: u32) -> bool {
    ppm > 0 && draw(salt, 1, customer) % 1_000_000 < u64::from(ppm)
}

/// Which of the variants (by relative weight) the customer gets in the step named `step`.
pub fn variant(salt: &str, step: &str, customer: CustomerId, weights: &[u32]) -> u8 {
    let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
    if total == 0 || weights.len() < 2 {
        return 0;
    }
    let mut left = draw(salt, xxh3_64_with_seed(step.as_bytes(), 2), customer) % total;
    for (i, weight) in weights.iter().enumerate() {
        if left < u64::from(*weight) {
            return u8::try_from(i).unwrap_or(u8::MAX);
        }
        left -= u64::from(*weight);
    }
    0
}
