//! Identifiers, each its own type so that one cannot be passed for another.
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A customer's row number in the customer book; never a telephone number or a name.
    CustomerId(i64)
);
id!(
    /// A campaign run. Positive: it contacts people. Negative: a rehearsal, which contacts nobody and uses up nobody's caps.
    CampaignId(i64)
);
id!(
    /// A frozen list.
    ListId(i64)
);
id!(
    /// A step's place in its journey, from 0.
    StepNo(u16)
);
id!(
    /// A configured route (one provider account) as interned by the store.
    RouteId(i32)
);
id!(
    /// A rule of the campaign's composed law, by its place in `Law::rules`; the text is kept with the campaign.
    RuleNo(u16)
);
id!(
    /// A batch of touches committed `Started` together; what a crash leaves open is found by it.
    BatchId(i64)
);

id!(
    /// A task on a worklist.
    TaskId(i64)
);

impl CampaignId {
    /// Whether this run is a rehearsal: it contacts nobody.
    pub fn is_rehearsal(self) -> bool {
        self.0 < 0
    }
}

/// Names one touch: the `seq`-th (from 0) of a customer in a campaign. The highest `seq` is the customer's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TouchKey {
    /// Whose.
    pub customer: CustomerId,
    /// In which campaign run.
    pub campaign: CampaignId,
    /// Which one, from 0.
    pub seq: u32,
}

impl std::fmt::Display for TouchKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.campaign, self.customer, self.seq)
    }
}

impl std::str::FromStr for TouchKey {
    type Err = String;
    /// Reads what `Display` writes (`campaign-customer-seq`; a rehearsal's campaign starts with `-`).
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.rsplitn(3, '-');
        let seq = parts.next().and_then(|p| p.parse().ok());
        let customer = parts.next().and_then(|p| p.parse().ok());
        let campaign = parts.next().and_then(|p| p.parse().ok());
        match (campaign, customer, seq) {
            (Some(campaign), Some(customer), Some(seq)) => Ok(Self { customer: CustomerId(customer), campaign: CampaignId(campaign), seq }),
            _ => Err(format!("expected a touch as campaign-customer-seq, found {text:?}")),
        }
    }
}
