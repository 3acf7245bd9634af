//! Secrets out of the system's source of randomness: the one place that draws them.
use super::{DeskError, DeskResult};
use ring::rand::{SecureRandom, SystemRandom};

/// Random bytes that nobody can guess.
pub fn random<const N: usize>() -> DeskResult<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| DeskError::Broken("the system gives no randomness; no secret can be made".to_owned()))?;
    Ok(bytes)
}
