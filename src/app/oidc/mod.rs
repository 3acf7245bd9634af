//! The bank's identity provider: whoever shows a JWT that it signed is whom the JWT says, in our words.
mod claims;
mod jwt;
mod keys;

use super::Failure;
use crate::config::OidcConfig;
use crate::domain::access::Actor;
use crate::domain::time::Timestamp;
use keys::Keys;

/// Why nobody was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The JWT does not hold: for the log, never for whoever showed it.
    Refused(&'static str),
    /// There are no keys to check it with.
    Unreachable,
}

/// Those whom the identity provider knows.
pub struct Oidc {
    config: OidcConfig,
    issuer: String,
    keys: Keys,
}

impl Oidc {
    /// By the settings; `None`: no provider is named.
    pub fn new(config: &OidcConfig) -> Result<Option<Self>, Failure> {
        let Some(issuer) = config.issuer.clone() else { return Ok(None) };
        Ok(Some(Self { keys: Keys::new(config, &issuer)?, config: config.clone(), issuer }))
    }

    /// Who shows this JWT.
    pub async fn admit(&self, text: &str, at: Timestamp) -> Result<Actor, Unknown> {
        let jwt = jwt::Jwt::read(text).map_err(Unknown::Refused)?;
        let key = self.keys.find(jwt.kid(), jwt.algorithm(), at).await?;
        let claims = jwt.verified(&key).map_err(Unknown::Refused)?;
        claims::hold(&claims, &self.issuer, &self.config.audience, at).map_err(Unknown::Refused)?;
        claims::actor(&claims, &self.config).map_err(Unknown::Refused)
    }
}
