//! Names for codes: what a touch's numbers are called in an export.
use super::FinanceError;
use super::totals::{HOLDOUT, TREATED};
use crate::domain::campaign::Campaign;
use crate::domain::channel::Channel;
use crate::domain::experiment::is_held_out;
use crate::domain::ids::{CustomerId, RouteId, RuleNo, StepNo};
use crate::domain::outcome::Reason;
use crate::domain::touch::State;
use crate::store::{CampaignRow, Store};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// The part of a campaign that its exports speak of. It is kept in the manifest, so that an export can be verified and
/// corrected without the campaign file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Labels {
    /// The campaign's name, by which the holdout is drawn.
    pub campaign: String,
    /// Share of the holdout in parts per million.
    pub holdout_ppm: u32,
    /// Steps in their order.
    pub steps: Vec<StepLabel>,
    /// Conversion rules in their order.
    pub conversions: Vec<ConversionLabel>,
}

/// A step's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StepLabel {
    /// The step's.
    pub name: String,
    /// Its content variants'.
    pub variants: Vec<String>,
}

/// Which facts a conversion rule takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConversionLabel {
    /// The rule's name.
    pub name: String,
    /// Kind of fact.
    pub fact: String,
    /// Product, if only one counts.
    pub product: Option<String>,
}

impl From<&Campaign> for Labels {
    fn from(campaign: &Campaign) -> Self {
        let step =
            |s: &crate::domain::campaign::Step| StepLabel { name: s.name.clone(), variants: s.content.iter().map(|v| v.name.clone()).collect() };
        let conversion =
            |c: &crate::domain::campaign::ConversionRule| ConversionLabel { name: c.name.clone(), fact: c.fact.clone(), product: c.product.clone() };
        Self {
            campaign: campaign.name.clone(),
            holdout_ppm: campaign.audience.holdout_ppm,
            steps: campaign.steps.iter().map(step).collect(),
            conversions: campaign.conversions.iter().map(conversion).collect(),
        }
    }
}

impl Labels {
    /// Which arm a customer is assigned to.
    pub fn arm(&self, customer: CustomerId) -> &'static str {
        if is_held_out(&self.campaign, customer, self.holdout_ppm) { HOLDOUT } else { TREATED }
    }
}

/// The distinct names of one column: built once, shared by every batch.
#[derive(Clone, Debug)]
pub struct Dictionary(ArrayRef);

impl Dictionary {
    /// Of these names.
    pub fn new<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Self {
        Self(Arc::new(StringArray::from_iter_values(names)))
    }
    /// A column of these places in it.
    pub fn column(&self, places: Vec<i32>) -> Result<ArrayRef, FinanceError> {
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from(places), Arc::clone(&self.0))?))
    }
    /// A column in which some have no name.
    pub fn sparse_column(&self, places: Vec<Option<i32>>) -> Result<ArrayRef, FinanceError> {
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from(places), Arc::clone(&self.0))?))
    }
}

/// Every dictionary that a campaign's rows need.
#[derive(Debug)]
pub struct Names {
    /// By place in `State::ALL`, which is its code.
    pub states: Dictionary,
    /// By place in `Reason::ALL`.
    pub reasons: Dictionary,
    /// Place in `Reason::ALL` by code.
    reason_places: Vec<i32>,
    /// By place in `Channel::ALL`.
    pub channels: Dictionary,
    /// By step number.
    pub steps: Dictionary,
    step_count: usize,
    /// Variants of all steps, one step after another.
    pub variants: Dictionary,
    /// Where a step's variants begin, and how many there are.
    variant_places: Vec<(usize, usize)>,
    /// Routes.
    pub routes: Dictionary,
    route_places: HashMap<RouteId, i32>,
    /// Rules as `preset/name`, by number.
    pub rules: Dictionary,
    rule_count: usize,
    /// The campaign's currency alone.
    pub currency: Dictionary,
    /// Treated (0) and holdout (1).
    pub arms: Dictionary,
}

fn place(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

impl Names {
    /// As the store knows them now.
    pub async fn load(store: &dyn Store, run: &CampaignRow, labels: &Labels) -> Result<Self, FinanceError> {
        let routes = store.routes().await?;
        let rules = store.rules(run.id).await?;
        let most = Reason::ALL.iter().map(|r| usize::from(r.code())).max().unwrap_or(0);
        let mut reason_places = vec![0; most + 1];
        for (i, reason) in Reason::ALL.iter().enumerate() {
            if let Some(p) = reason_places.get_mut(usize::from(reason.code())) {
                *p = place(i);
            }
        }
        let mut begins = 0;
        let variant_places = labels
            .steps
            .iter()
            .map(|s| {
                let at = (begins, s.variants.len());
                begins += s.variants.len();
                at
            })
            .collect();
        Ok(Self {
            states: Dictionary::new(State::ALL.iter().map(|s| s.name())),
            reasons: Dictionary::new(Reason::ALL.iter().map(|r| r.name())),
            reason_places,
            channels: Dictionary::new(Channel::ALL.map(Channel::name)),
            steps: Dictionary::new(labels.steps.iter().map(|s| &s.name)),
            step_count: labels.steps.len(),
            variants: Dictionary::new(labels.steps.iter().flat_map(|s| &s.variants)),
            variant_places,
            routes: Dictionary::new(routes.iter().map(|(_, name)| name)),
            route_places: routes.iter().enumerate().map(|(i, (id, _))| (*id, place(i))).collect(),
            rules: Dictionary::new(rules.iter().map(|r| format!("{}/{}", r.preset, r.name))),
            rule_count: rules.len(),
            currency: Dictionary::new([run.currency.code()]),
            arms: Dictionary::new([TREATED, HOLDOUT]),
        })
    }
    /// Of a state.
    pub fn state(&self, state: State) -> i32 {
        i32::from(state.code())
    }
    /// Of a reason.
    pub fn reason(&self, reason: Reason) -> i32 {
        self.reason_places.get(usize::from(reason.code())).copied().unwrap_or(0)
    }
    /// Of a channel.
    pub fn channel(&self, channel: Channel) -> i32 {
        i32::from(channel.code()) - 1
    }
    /// Of a step.
    pub fn step(&self, step: StepNo) -> Result<i32, FinanceError> {
        if usize::from(step.0) < self.step_count {
            return Ok(i32::from(step.0));
        }
        Err(FinanceError::Ledger(format!(
            "the ledger has a touch of step {step}, but the campaign file has {} steps: it is not the file that was approved",
            self.step_count
        )))
    }
    /// Of a step's variant; `None`: the step has no content.
    pub fn variant(&self, step: StepNo, variant: u8) -> Option<i32> {
        let (begins, count) = *self.variant_places.get(usize::from(step.0))?;
        (usize::from(variant) < count).then(|| place(begins + usize::from(variant)))
    }
    /// Of a route.
    pub fn route(&self, route: RouteId) -> Result<i32, FinanceError> {
        self.route_places
            .get(&route)
            .copied()
            .ok_or_else(|| FinanceError::Ledger(format!("route {route} came into use while the export was being made: make it again")))
    }
    /// Of a rule; `None` for number 0, "no rule applied".
    pub fn rule(&self, rule: RuleNo) -> Result<Option<i32>, FinanceError> {
        match usize::from(rule.0) {
            0 => Ok(None),
            n if n < self.rule_count => Ok(Some(place(n))),
            n => Err(FinanceError::Ledger(format!("the ledger names rule {n}, but {} rules are kept with the campaign", self.rule_count))),
        }
    }
}
