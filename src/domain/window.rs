//! Lawful windows and the composed law. (Filled in by the law room's author.)
use super::caps::Cap;
use super::channel::Channel;
use super::consent::{ConsentState, Purpose};
use super::law::{ConsentVerdict, LawBook, Rule, Whereabouts, WindowVerdict};
use super::time::Timestamp;

/// The composed law of one campaign.
#[derive(Clone, Debug)]
pub struct Law {
    rules: Vec<Rule>,
    caps: Vec<Cap>,
    purpose: Purpose,
}

impl Law {
    /// Composes the named presets and the campaign's own caps. Every fault at once: unknown preset (with the nearest name),
    /// a preset not in force, none that covers a channel in use.
    pub fn compose(_presets: &[String], purpose: Purpose, _channels: &[Channel], own_caps: &[Cap]) -> Result<Self, Vec<String>> {
        Ok(Self { rules: Vec::new(), caps: own_caps.to_vec(), purpose })
    }
}

impl LawBook for Law {
    fn rules(&self) -> &[Rule] {
        &self.rules
    }
    fn window(&self, _at: Timestamp, _channel: Channel, _whereabouts: Whereabouts) -> WindowVerdict {
        WindowVerdict::Open { until: Timestamp::FAR, rule: super::ids::RuleNo(0) }
    }
    fn consent(&self, _channel: Channel, _state: ConsentState) -> ConsentVerdict {
        ConsentVerdict::Allowed(super::ids::RuleNo(0))
    }
    fn caps(&self) -> &[Cap] {
        &self.caps
    }
    fn purpose(&self) -> Purpose {
        self.purpose
    }
}
