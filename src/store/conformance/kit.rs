//! What cases are made of.
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentRecord, ConsentState, Purpose};
use crate::domain::contact::{EmailAddress, Phone, PushToken};
use crate::domain::ids::{CampaignId, CustomerId, ListId, RouteId, RuleNo, StepNo, TouchKey};
use crate::domain::money::{Currency, Money};
use crate::domain::outcome::Reason;
use crate::domain::tally::{Tallies, Tally};
use crate::domain::time::{DAY, HOUR, Timestamp};
use crate::domain::touch::{State, Touch};
use crate::store::{
    Before, BeginRequest, Begun, CampaignRow, Candidate, CustomerInput, Needs, NewCampaign, Recorded, Settled, Status, StatusChange, Store,
    StoreError,
};

/// 2026-11-24T00:00:00Z.
pub const T0: Timestamp = Timestamp(1_795_478_400_000);
/// What one call costs in these cases: 0.15.
pub const COST: i64 = 150_000;

/// A way to spoil a row, and what it is called.
pub type Fault = (&'static str, fn(&mut Touch));

/// `h` hours after `T0`.
pub fn hours(h: i64) -> Timestamp {
    T0.plus(h * HOUR)
}

pub fn reference(n: usize) -> String {
    format!("C{n:05}")
}

pub fn person(n: usize) -> CustomerInput {
    CustomerInput {
        reference: reference(n),
        phone: Some(Phone::new(format!("+8613800{n:06}"))),
        email: Some(EmailAddress::new(format!("c{n}@customers.example"))),
        push: Some(PushToken::new(format!("token-{n}"))),
        timezone: Some(chrono_tz::Asia::Shanghai),
        language: Some("zh-CN".into()),
        branch: Some("north".into()),
        rm: Some("rm-7".into()),
        attributes: [("balance".to_owned(), serde_json::json!(n))].into_iter().collect(),
        consents: Vec::new(),
    }
}

/// Puts customers 1 to `n`; their numbers, ascending.
pub async fn people(store: &dyn Store, n: usize) -> Vec<CustomerId> {
    let batch: Vec<_> = (1..=n).map(person).collect();
    store.put_customers(&batch, None).await.expect("put customers");
    let references: Vec<String> = (1..=n).map(reference).collect();
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    store.customer_ids(&references).await.expect("ids").into_iter().map(|id| id.expect("a customer put before")).collect()
}

/// A frozen list of everybody.
pub async fn everybody(store: &dyn Store, name: &str) -> ListId {
    let list = store.open_list(name, T0).await.expect("open list");
    store.add_all_customers(list).await.expect("add all");
    store.freeze_list(list, T0).await.expect("freeze").id
}

pub fn handed_in(name: &str, list: ListId, rehearsal: bool, at: Timestamp) -> NewCampaign {
    NewCampaign {
        name: name.into(),
        rehearsal,
        source: format!("campaign: {name}\n"),
        hash: "00ff".into(),
        audience: list,
        list,
        currency: Currency::CNY,
        by: "tester".into(),
        at,
    }
}

pub async fn campaign(store: &dyn Store, name: &str, list: ListId, rehearsal: bool) -> CampaignRow {
    store.create_campaign(&handed_in(name, list, rehearsal, T0), &[]).await.expect("create campaign")
}

pub fn change(to: Status, at: Timestamp) -> StatusChange {
    StatusChange { to, by: "tester".into(), why: "because".into(), at, reason: None }
}

pub fn consent(channel: Channel, state: ConsentState, at: Timestamp) -> ConsentRecord {
    ConsentRecord { channel, purpose: Purpose::Marketing, state, at, source: "branch form".into() }
}

pub fn cny(minor: i64) -> Money {
    Money { minor, currency: Currency::CNY }
}

/// Customers, one campaign over all of them, a route, and the ownership of the store.
pub struct Bed<'a> {
    pub store: &'a dyn Store,
    pub fence: i64,
    pub run: CampaignId,
    pub list: ListId,
    pub route: RouteId,
    pub ids: Vec<CustomerId>,
}

pub async fn bed(store: &dyn Store, customers: usize) -> Bed<'_> {
    let ids = people(store, customers).await;
    let list = everybody(store, "everybody").await;
    let run = campaign(store, "bed", list, false).await.id;
    let route = store.route_id("sip-north").await.expect("route");
    let fence = store.acquire(false, T0).await.expect("acquire");
    Bed { store, fence, run, list, route, ids }
}

impl Bed<'_> {
    pub fn key(&self, customer: usize, seq: u32) -> TouchKey {
        TouchKey { customer: self.ids[customer], campaign: self.run, seq }
    }

    /// A started call.
    pub fn started(&self, key: TouchKey, at: Timestamp) -> Touch {
        started(key, self.route, at)
    }

    pub fn request(&self, run: CampaignId, at: Timestamp, candidates: Vec<Candidate>, seen_change: i64) -> BeginRequest {
        BeginRequest {
            campaign: run,
            purpose: Purpose::Marketing,
            fence: self.fence,
            at,
            candidates,
            seen_change,
            history_ms: 30 * DAY,
            conversion_facts: Vec::new(),
            conversion_since: T0,
            wave: None,
        }
    }

    /// The next `limit` members after the cursor, as first-time candidates.
    pub async fn first_timers(&self, run: CampaignId, limit: usize) -> (Vec<Candidate>, i64) {
        let cursor = self.store.campaign_by_id(run).await.expect("campaign").cursor;
        let page = self.store.page(self.list, cursor, limit, Needs::default()).await.expect("page");
        (page.members.into_iter().map(|member| Candidate { member, head: None }).collect(), page.seen_change)
    }

    /// What is due in any of the first four steps, as candidates.
    pub async fn due(&self, run: CampaignId, at: Timestamp) -> (Vec<Candidate>, i64) {
        let steps = [StepNo(0), StepNo(1), StepNo(2), StepNo(3)];
        let due = self.store.due(run, at, &steps, 100, Needs::default()).await.expect("due");
        (due.touches.into_iter().map(|(head, member)| Candidate { member, head: Some(head) }).collect(), due.seen_change)
    }

    /// Starts the next `limit` members.
    pub async fn start(&self, limit: usize, at: Timestamp) -> Begun {
        let (candidates, seen) = self.first_timers(self.run, limit).await;
        self.start_these(self.run, candidates, seen, at).await
    }

    pub async fn start_these(&self, run: CampaignId, candidates: Vec<Candidate>, seen: i64, at: Timestamp) -> Begun {
        let route = self.route;
        let request = self.request(run, at, candidates, seen);
        let mut decide = |c: &Candidate, _: crate::store::ContactFacts<'_>| Some(begun_of(c, run, route, at));
        self.store.begin(request, &mut decide).await.expect("begin")
    }

    /// Starts what is due.
    pub async fn start_due(&self, at: Timestamp) -> Begun {
        let (candidates, seen) = self.due(self.run, at).await;
        self.start_these(self.run, candidates, seen, at).await
    }

    pub async fn record(&self, settlements: &[Settled]) -> Recorded {
        self.store.record(self.fence, settlements, &[]).await.expect("record")
    }

    pub async fn stored(&self, key: TouchKey) -> Touch {
        self.store.touch(key).await.expect("touch").unwrap_or_else(|| panic!("touch {key} is not stored"))
    }

    pub async fn tally(&self, tally: Tally, key: i64) -> i64 {
        self.store.tallies(self.run).await.expect("tallies").get(tally, key)
    }

    pub async fn customers(&self, state: State) -> i64 {
        let audience = i64::try_from(self.ids.len()).expect("few");
        self.store.tallies(self.run).await.expect("tallies").customers(audience)[&state]
    }
}

pub fn started(key: TouchKey, route: RouteId, at: Timestamp) -> Touch {
    Touch {
        key,
        step: StepNo(0),
        attempt: 1,
        channel: Some(Channel::Call),
        route: Some(route),
        variant: 0,
        state: State::Started,
        reason: Reason::None,
        rule: RuleNo(0),
        due_at: None,
        started_at: Some(at),
        ended_at: None,
        connected_s: 0,
        cost_micros: COST,
        parts: 1,
        flags: 0,
        agenda: None,
        provider_ref: None,
    }
}

/// The candidate's touch, started: its due head again, or its first.
pub fn begun_of(candidate: &Candidate, run: CampaignId, route: RouteId, at: Timestamp) -> Touch {
    match &candidate.head {
        Some(head) => Touch {
            state: State::Started,
            reason: Reason::None,
            started_at: Some(at),
            route: Some(route),
            channel: Some(Channel::Call),
            cost_micros: COST,
            parts: 1,
            ..head.clone()
        },
        None => started(TouchKey { customer: candidate.member.id, campaign: run, seq: 0 }, route, at),
    }
}

/// The touch as it ends.
pub fn ended(touch: &Touch, state: State, reason: Reason, at: Timestamp) -> Settled {
    let connected_s = if state == State::Reached { 42 } else { 0 };
    Settled {
        before: Before::of(touch),
        touch: Touch { state, reason, ended_at: Some(at), connected_s, ..touch.clone() },
        next: None,
        receipt_by: None,
    }
}

/// Taken by the provider.
pub fn accepted(touch: &Touch, name: &str, receipt_by: Timestamp) -> Settled {
    Settled { before: Before::of(touch), touch: Touch { provider_ref: Some(name.into()), ..touch.clone() }, next: None, receipt_by: Some(receipt_by) }
}

/// Not sent: back to the schedule.
pub fn put_back(touch: &Touch, due: Timestamp, at: Timestamp) -> Settled {
    let back = Touch {
        state: State::Scheduled,
        reason: Reason::NotSent,
        due_at: Some(due),
        started_at: None,
        ended_at: Some(at),
        cost_micros: 0,
        parts: 0,
        flags: touch.flags | crate::domain::touch::WAS_PUT_BACK,
        ..touch.clone()
    };
    Settled { before: Before::of(touch), touch: back, next: None, receipt_by: None }
}

/// The row after a touch, waiting.
pub fn waiting(touch: &Touch, step: u16, reason: Reason, due: Timestamp) -> Touch {
    Touch {
        key: TouchKey { seq: touch.key.seq + 1, ..touch.key },
        step: StepNo(step),
        attempt: if touch.step == StepNo(step) { touch.attempt + 1 } else { 1 },
        route: None,
        state: State::Scheduled,
        reason,
        due_at: Some(due),
        started_at: None,
        ended_at: None,
        connected_s: 0,
        cost_micros: 0,
        parts: 0,
        provider_ref: None,
        ..touch.clone()
    }
}

/// Missed, with a retry.
pub fn missed(touch: &Touch, reason: Reason, at: Timestamp, retry: Timestamp) -> Settled {
    Settled { next: Some(waiting(touch, touch.step.0, Reason::Retry, retry)), ..ended(touch, State::Missed, reason, at) }
}

pub fn nonzero(tallies: &Tallies) -> Vec<((Tally, i64), i64)> {
    tallies.0.iter().filter(|(_, n)| **n != 0).map(|(k, n)| (*k, *n)).collect()
}

pub fn expect_conflict<T: std::fmt::Debug>(result: Result<T, StoreError>, what: &str) {
    assert!(matches!(result, Err(StoreError::Conflict(_))), "{what}: expected a conflict, found {result:?}");
}

pub fn expect_fenced<T: std::fmt::Debug>(result: Result<T, StoreError>, what: &str) {
    assert!(matches!(result, Err(StoreError::Fenced(_))), "{what}: expected the stale number to be fenced, found {result:?}");
}
