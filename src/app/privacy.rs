//! Keys, erasing, forgetting.
use super::{App, Failure};
use crate::clock::sleep_ms;
use crate::config::Config;
use crate::desk::doctor::Check;
use crate::desk::erase;
use crate::desk::retention::{self, Forgotten};
use crate::desk::rotate::{self, Rotation};
use crate::domain::access::Actor;
use crate::domain::contact::Phone;
use crate::store::privacy::Erased;
pub use crate::store::privacy::SealedUnder;
use crate::store::sealing::{KeyRing, KeySource, key_file_beside, new_key};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The keys that the settings name.
pub(super) fn key_source(config: &Config) -> Result<KeySource, Failure> {
    let personal = &config.personal_data;
    let ring = match (&personal.key, &personal.key_file) {
        (Some(key), _) => KeyRing::parse(key.reveal()).map_err(|e| Failure::use_(format!("TOUCHLINE_PERSONAL_DATA_KEY: {e}")))?,
        (None, Some(path)) => KeyRing::read(path).map_err(|e| Failure::use_(format!("personal_data.key_file: {e}")))?,
        (None, None) => return Ok(KeySource::Beside),
    };
    Ok(KeySource::Ring(Arc::new(ring)))
}

/// The keys of a store, by name.
#[derive(Clone, Debug, Serialize)]
pub struct Keys {
    /// Where they come from.
    pub source: String,
    /// What is sealed under which.
    pub under: Vec<SealedUnder>,
}

/// A new key, as it stands in a key file.
pub fn fresh_key() -> Result<Zeroizing<String>, Failure> {
    new_key().map_err(Failure::no)
}

/// From a daemon's start to its first round of forgetting, and between two rounds, in milliseconds.
const FIRST_ROUND_MS: u64 = 10 * 60 * 1_000;
const ROUND_MS: u64 = 24 * 60 * 60 * 1_000;

/// Forgets once a day for as long as the daemon lives. A round that fails is told and made again the next day; nothing hangs on it.
pub(super) async fn forget_daily(app: Arc<App>) {
    sleep_ms(FIRST_ROUND_MS).await;
    loop {
        match app.retention(false).await {
            Ok(all) => {
                for each in all.iter().filter(|f| f.rows > 0) {
                    tracing::info!(what = each.what.name(), rows = each.rows, before = each.before, "kept long enough, and removed");
                }
            }
            Err(failure) => tracing::warn!("what has been kept long enough could not be removed: {}", failure.text),
        }
        sleep_ms(ROUND_MS).await;
    }
}

impl App {
    /// Which keys seal what.
    pub async fn keys(&self) -> Result<Keys, Failure> {
        let personal = &self.config.personal_data;
        let source = match (&personal.key, &personal.key_file, self.config.store_url().strip_prefix("sqlite:")) {
            (Some(_), _, _) => "TOUCHLINE_PERSONAL_DATA_KEY".to_owned(),
            (None, Some(file), _) => file.display().to_string(),
            (None, None, Some(path)) => key_file_beside(Path::new(path.trim_start_matches("//"))).display().to_string(),
            (None, None, None) => "this store seals nothing: nothing of it is at rest".to_owned(),
        };
        Ok(Keys { source, under: self.store.sealed_under().await? })
    }

    /// How many customers there are.
    pub async fn customers(&self) -> Result<u64, Failure> {
        Ok(u64::try_from(self.store.customer_count().await?).unwrap_or(0))
    }

    /// Seals everything anew under the first key.
    pub async fn rotate_keys(&self, whole: bool, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Rotation, Failure> {
        Ok(rotate::rotate(self.store.as_ref(), whole, progress).await?)
    }

    /// Erases a customer.
    pub async fn erase(&self, actor: &Actor, reference: &str, why: &str) -> Result<Erased, Failure> {
        Ok(erase::erase(self.store.as_ref(), actor, reference, why, self.now()).await?)
    }

    /// Lets an erased customer be taken in again.
    pub async fn readmit(&self, reference: Option<&str>, phone: Option<&str>, why: &str) -> Result<(), Failure> {
        let phone = phone.map(Phone::new);
        Ok(erase::readmit(self.store.as_ref(), reference, phone.as_ref(), why).await?)
    }

    /// Forgets what has been kept long enough; `dry`: only counts it.
    pub async fn retention(&self, dry: bool) -> Result<Vec<Forgotten>, Failure> {
        let (store, policy) = (self.store.as_ref(), &self.config.retention);
        let at = self.now();
        if dry {
            return Ok(retention::preview(store, policy, at).await?);
        }
        // Rejected rows and records of intakes are files. A daemon lives longer than they may be kept.
        if let Err(fault) = self.intakes(None).clean() {
            tracing::warn!(%fault, "rejected rows of old intakes could not be removed; look at the data folder's `intakes`");
        }
        Ok(retention::retention_round(store, policy, at).await?)
    }

    /// How the doctor finds the keys.
    pub(super) async fn key_checks(&self) -> Result<Vec<Check>, Failure> {
        if self.store.kind() == "memory" {
            return Ok(Vec::new());
        }
        let under = self.store.sealed_under().await?;
        Ok(Check::of_keys(self.config.personal_data_key_is_beside(), &under))
    }
}
