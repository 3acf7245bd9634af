//! Chance as a function: every draw for a touch follows from the seed, the touch and the attempt alone, so that order, threads and
//! restarts change nothing.
use crate::domain::ids::TouchKey;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a draw decides. Each has its own number, so that asking one question more never changes the answer to another.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(super) enum Question {
    Refused = 1,
    Outcome,
    Split,
    After,
    Talk,
    Accept,
    TimeOut,
    TimeOutWait,
    TimeOutReceipt,
    Early,
    Contradicted,
    ContradictedAfter,
    /// Follow-up receipts and the receipt faults, by the place of the receipt (`Draws::nth`).
    Later,
    LaterAfter,
    Lost,
    Late,
    LateBy,
    Repeated,
    RepeatedApart,
}

/// The draws of one attempt of one touch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws(u64);

impl Draws {
    #[inline]
    pub fn new(seed: u64, touch: TouchKey, attempt: u16) -> Self {
        let mut bytes = [0; 22];
        // A rehearsal is numbered anew each time, and the same seed must give the same rehearsal.
        let campaign = if touch.campaign.is_rehearsal() { 0 } else { touch.campaign.0 };
        let parts =
            touch.customer.0.to_le_bytes().into_iter().chain(campaign.to_le_bytes()).chain(touch.seq.to_le_bytes()).chain(attempt.to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        Self(xxh3_64_with_seed(&bytes, seed))
    }

    /// Uniform over 64 bits.
    #[inline]
    pub fn ask(self, question: Question) -> u64 {
        self.nth(question, 0)
    }

    /// Uniform over 64 bits, the `n`-th of its kind (n below 2^32).
    #[inline]
    pub fn nth(self, question: Question, n: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014): a Weyl step to a place of its own, then the mixer.
        let place = (n << 8) | question as u64;
        let mut z = self.0.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
