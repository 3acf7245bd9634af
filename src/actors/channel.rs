//! A route: pulls touches by credit, paces them, hands them to its carrier, passes what the carrier says to the recorder.
use super::client::{Client, lookahead, together, two_seconds};
use super::hosted::Sizes;
use super::limits::{LimitOf, Limits};
use super::machine::Machine;
use super::perform::Started;
use super::recorder::{self, InFlight, Told};
use super::running::{Route, Running};
use super::standing::{RouteLoad, Stand};
use super::{Effect, Note, campaign, conductor};
use crate::channels::{CarrierEvent, Dispatch, Receipt};
use crate::domain::ids::{CampaignId, CustomerId, RouteId, TouchKey};
use crate::domain::outcome::{Outcome, Reason, SendResult};
use crate::domain::time::{SECOND, Timestamp};
use crate::store::SentParts;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Touches of one campaign sent before the next campaign of the same priority has its turn.
const TURN: usize = 50;
/// Refusals of service in a row before the route rests until the carrier's own time.
const TRIP: usize = 20;

/// What it is told.
#[derive(Debug)]
pub enum Input {
    /// A campaign uses this route, or goes on with a new definition.
    Join(Arc<Running>),
    /// A campaign has ended.
    Leave(CampaignId),
    /// The answer to an ask.
    Deliver {
        /// From whom.
        campaign: CampaignId,
        /// Committed `Started`.
        started: Vec<Started>,
        /// Whether they may go out; else they are given back.
        send: bool,
    },
    /// The other answer to an ask.
    Nothing {
        /// From whom.
        campaign: CampaignId,
        /// When to ask again; `None`: when called.
        until: Option<Timestamp>,
    },
    /// A campaign that had nothing has something again.
    Hungry(CampaignId),
    /// Give back what is not yet sent of a campaign.
    PutBack(CampaignId),
    /// The carrier says.
    Events(Vec<CarrierEvent>),
    /// Ask the carrier about touches in doubt.
    Query(Vec<TouchKey>),
    /// So many of its outcomes are committed.
    Recorded(usize),
    /// What processes before this one have sent, as far as the longest limit looks back.
    Resume {
        /// By the ledger, oldest first.
        past: Arc<Vec<SentParts>>,
        /// Something was sent a moment ago: short limits hold for their span.
        hold: bool,
    },
    /// These customers opted out: give back what is not yet sent to them, so that they are asked again.
    Withdrawn(Arc<HashSet<CustomerId>>),
    /// The process ends: give back what is not sent, wait for what is.
    Drain,
    /// Look at the clock.
    Wake,
}

/// The machine.
#[derive(Debug)]
pub struct Channel {
    route: Route,
    limits: Limits,
    /// Touches asked for, waiting, in flight or not yet recorded, at most.
    credit: usize,
    /// Touches asked for or waiting, at most.
    ahead: usize,
    sizes: Sizes,
    clients: BTreeMap<CampaignId, Client>,
    in_flight: HashMap<TouchKey, InFlight>,
    unrecorded: usize,
    /// Whose turn it is among equals: the campaign that was served last.
    last_served: CampaignId,
    paced_until: Option<Timestamp>,
    /// Asks in progress since this order number, so that equals are asked in turn.
    last_asked: CampaignId,
    not_sent_in_a_row: usize,
    closed_until: Option<Timestamp>,
    /// The breaker has just closed again: one touch at a time, until the carrier takes one.
    probing: bool,
    /// When it was last told anything.
    seen: Timestamp,
    draining: bool,
    drained_told: bool,
}

impl Channel {
    /// For a route; sets its limits.
    pub fn new(route: Route, limits: Limits, sizes: Sizes) -> Self {
        if let Some(rate) = route.limit {
            limits.set(LimitOf::Route(route.id), rate);
        }
        if let Some((name, Some(rate))) = &route.provider {
            limits.set(LimitOf::Provider(name.clone()), *rate);
        }
        Self {
            credit: usize::try_from(route.concurrency).unwrap_or(usize::MAX).clamp(1, sizes.credit.max(1)),
            ahead: route.limit.map_or(sizes.credit, |rate| two_seconds(rate.count, rate.per_ms)).clamp(1, sizes.credit.max(1)),
            sizes,
            route,
            limits,
            clients: BTreeMap::new(),
            in_flight: HashMap::new(),
            unrecorded: 0,
            last_served: CampaignId(0),
            paced_until: None,
            last_asked: CampaignId(0),
            not_sent_in_a_row: 0,
            closed_until: None,
            probing: false,
            seen: Timestamp(i64::MIN),
            draining: false,
            drained_told: false,
        }
    }

    fn queued(&self) -> usize {
        self.clients.values().map(|c| c.queue.len()).sum()
    }

    /// What may be asked for: what the limit lets through in two seconds, within what may be in hand altogether. (Calls last
    /// minutes: were they counted against two seconds of the limit, the limit would never be reached.)
    fn free(&self) -> usize {
        let unsent = self.clients.values().map(|c| c.asked).sum::<usize>() + self.queued();
        let free = self.ahead.saturating_sub(unsent).min(self.credit.saturating_sub(unsent + self.in_flight.len() + self.unrecorded));
        if self.probing { free.min(1_usize.saturating_sub(unsent + self.in_flight.len())) } else { free }
    }

    fn is_closed(&self, at: Timestamp) -> bool {
        self.closed_until.is_some_and(|until| at < until)
    }

    /// Offers free credit: to the highest priority that may have something, in equal shares, beginning after the one asked last.
    fn ask(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        if self.draining || self.is_closed(at) {
            return;
        }
        let mut free = self.free();
        // Small asks make small batches: wait until a quarter of the credit is free, or nothing is left to send.
        if free == 0 || (free < self.ahead.min(self.credit) / 4 && self.queued() > 0) {
            return;
        }
        let ready = |c: &Client| c.asked == 0 && c.ask_at <= at && c.queue.len() < lookahead(c);
        let Some(highest) = self.clients.values().filter(|c| ready(c)).map(|c| c.running.campaign.priority).max() else { return };
        let equals: Vec<CampaignId> =
            self.clients.iter().filter(|(_, c)| ready(c) && c.running.campaign.priority == highest).map(|(id, _)| *id).collect();
        let split = equals.partition_point(|id| *id <= self.last_asked);
        let order: Vec<CampaignId> = equals.iter().skip(split).chain(equals.iter().take(split)).copied().collect();
        let share = (free / order.len().max(1)).clamp(1, self.sizes.batch);
        for id in order {
            if free == 0 {
                break;
            }
            if let Some(client) = self.clients.get_mut(&id) {
                let n = share.min(free).min(lookahead(client).saturating_sub(client.queue.len()).max(1));
                client.asked = n;
                free -= n;
                self.last_asked = id;
                effects.push(Effect::Tell(Note::Campaign(id, campaign::Input::Ask { route: self.route.id, n })));
            }
        }
    }

    /// Sends what the limits allow, campaigns of the highest priority first, equals in turns.
    fn send(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        if self.paced_until.is_some_and(|until| at < until) || self.is_closed(at) {
            return;
        }
        self.paced_until = None;
        let mut batch: Vec<Dispatch> = Vec::new();
        let mut held: Vec<CampaignId> = Vec::new();
        let mut again: Option<Timestamp> = None;
        while let Some(id) = self.next_to_serve(&held) {
            let (sent, until) = self.serve(at, id, &mut batch, effects);
            self.last_served = id;
            if let Some(until) = until {
                again = Some(again.map_or(until, |a| a.min(until)));
                held.push(id);
            } else if sent == 0 {
                held.push(id);
            }
        }
        self.paced_until = again;
        if !batch.is_empty() {
            effects.push(Effect::Send(self.route.id, batch));
        }
    }

    fn next_to_serve(&self, held: &[CampaignId]) -> Option<CampaignId> {
        let waiting = || self.clients.iter().filter(|(id, c)| !c.queue.is_empty() && !held.contains(id));
        let highest = waiting().map(|(_, c)| c.running.campaign.priority).max()?;
        let equals = || waiting().filter(move |(_, c)| c.running.campaign.priority == highest).map(|(id, _)| *id);
        equals().find(|id| *id > self.last_served).or_else(|| equals().next())
    }

    fn serve(&mut self, at: Timestamp, id: CampaignId, batch: &mut Vec<Dispatch>, effects: &mut Vec<Effect>) -> (usize, Option<Timestamp>) {
        let Some(client) = self.clients.get_mut(&id) else { return (0, None) };
        let late = client.take_late(at);
        if !late.is_empty() {
            let n = late.len();
            self.give_back(at, late, effects);
            return (n, None);
        }
        if self.probing && !self.in_flight.is_empty() {
            return (0, None);
        }
        let mut whose = vec![LimitOf::Campaign(id), LimitOf::Route(self.route.id)];
        if let Some((name, _)) = &self.route.provider {
            whose.push(LimitOf::Provider(name.clone()));
        }
        let turn = match (self.probing, self.clients.len()) {
            (true, _) => 1,
            (false, 1) => usize::MAX,
            (false, _) => TURN,
        };
        let Some(client) = self.clients.get_mut(&id) else { return (0, None) };
        let (n, again) = self.limits.take(at, &whose, client.queue.iter().take(turn).map(|s| s.dispatch.parts));
        for started in client.queue.drain(..n) {
            let Started { touch, batch: id, dispatch, .. } = started;
            let running = Arc::clone(&client.running);
            self.in_flight.insert(touch.key, InFlight { touch, batch: id, running, attributes: dispatch.attributes.clone() });
            batch.push(dispatch);
        }
        (n, again)
    }

    /// Nothing was sent: back to the schedule.
    fn give_back(&mut self, at: Timestamp, back: Vec<Started>, effects: &mut Vec<Effect>) {
        if back.is_empty() {
            return;
        }
        let told: Vec<Told> = back
            .into_iter()
            .filter_map(|Started { touch, batch, dispatch, .. }| {
                let running = Arc::clone(&self.clients.get(&touch.key.campaign)?.running);
                let outcome = Outcome { touch: touch.key, at, result: SendResult::NotSent { reason: Reason::PutBack, again_at: at } };
                Some(Told { in_flight: InFlight { touch, batch, running, attributes: dispatch.attributes }, outcome })
            })
            .collect();
        self.report(told, effects);
    }

    fn report(&mut self, told: Vec<Told>, effects: &mut Vec<Effect>) {
        if !told.is_empty() {
            self.unrecorded += told.len();
            effects.push(Effect::Tell(Note::Recorder(recorder::Input::Outcomes { route: self.route.id, told })));
        }
    }

    /// A limit holds across a restart: what was sent before counts in its windows.
    fn resume(&mut self, at: Timestamp, past: &[SentParts], hold: bool) {
        let of_route = || past.iter().filter(|sent| sent.route == self.route.id);
        let mut whose = vec![(LimitOf::Route(self.route.id), of_route().collect::<Vec<_>>())];
        if let Some((name, _)) = &self.route.provider {
            whose.push((LimitOf::Provider(name.clone()), of_route().collect()));
        }
        for id in self.clients.keys() {
            whose.push((LimitOf::Campaign(*id), of_route().filter(|sent| sent.campaign == *id).collect()));
        }
        for (of, sent) in whose {
            self.limits.resume(at, &of, sent.iter().map(|sent| (sent.at, sent.parts)), hold);
        }
    }

    fn give_back_all(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        let back: Vec<Started> = self.clients.values_mut().flat_map(Client::take_all).collect();
        self.give_back(at, back, effects);
    }

    fn events(&mut self, at: Timestamp, events: Vec<CarrierEvent>, effects: &mut Vec<Effect>) {
        let mut told = Vec::new();
        let mut receipts: Vec<Receipt> = Vec::new();
        for event in events {
            match event {
                CarrierEvent::Receipt(receipt) => receipts.push(receipt),
                CarrierEvent::Outcome(outcome) => {
                    // An answer for something not in flight is a carrier's repetition: the first one stands.
                    if let Some(in_flight) = self.in_flight.remove(&outcome.touch) {
                        self.watch(at, &outcome.result);
                        told.push(Told { in_flight, outcome });
                    }
                }
            }
        }
        self.report(told, effects);
        if self.is_closed(at) {
            // What waits here can go another way, or wait where it can be seen.
            self.give_back_all(at, effects);
        }
        if !receipts.is_empty() {
            effects.push(Effect::Tell(Note::Recorder(recorder::Input::Receipts(receipts))));
        }
    }

    /// A carrier that takes nothing any more is left in peace until the time it names, a second at least.
    fn watch(&mut self, at: Timestamp, result: &SendResult) {
        if let SendResult::NotSent { again_at, .. } = result {
            self.not_sent_in_a_row += 1;
            if self.not_sent_in_a_row >= TRIP || self.probing {
                self.closed_until = Some((*again_at).max(at.plus(SECOND)));
            }
        } else {
            self.not_sent_in_a_row = 0;
            self.probing = false;
        }
    }
}

impl Machine for Channel {
    type Input = Input;
    type Effect = Effect;
    fn step(&mut self, at: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        self.seen = self.seen.max(at);
        match input {
            Input::Join(running) => {
                if let Some(rate) = running.campaign.limits.rate {
                    self.limits.set(LimitOf::Campaign(running.id), rate);
                }
                match self.clients.get_mut(&running.id) {
                    Some(client) => client.revise(running, at),
                    None => {
                        self.clients.insert(running.id, Client::new(running));
                    }
                }
            }
            Input::Leave(id) => {
                self.clients.remove(&id);
            }
            Input::Deliver { campaign, started, send } => {
                let send = send && !self.draining && !self.is_closed(at);
                if let Some(client) = self.clients.get_mut(&campaign) {
                    let back = client.answered(started, send);
                    self.give_back(at, back, effects);
                }
            }
            Input::Nothing { campaign, until } => {
                if let Some(client) = self.clients.get_mut(&campaign) {
                    client.answered(Vec::new(), true);
                    client.ask_at = until.map_or(Timestamp::FAR, |until| together(until, self.sizes.due_grain_ms));
                }
            }
            Input::Hungry(id) => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.ask_at = at;
                }
            }
            Input::PutBack(id) => {
                let back = self.clients.get_mut(&id).map(Client::take_all).unwrap_or_default();
                self.give_back(at, back, effects);
            }
            Input::Withdrawn(who) => {
                let back: Vec<Started> = self.clients.values_mut().flat_map(|c| c.withdraw(&who)).collect();
                self.give_back(at, back, effects);
            }
            Input::Resume { past, hold } => self.resume(at, &past, hold),
            Input::Events(events) => self.events(at, events, effects),
            Input::Query(touches) => effects.push(Effect::Query(self.route.id, touches)),
            Input::Recorded(n) => self.unrecorded = self.unrecorded.saturating_sub(n),
            Input::Drain => {
                self.draining = true;
                self.give_back_all(at, effects);
            }
            Input::Wake => {}
        }
        if self.closed_until.is_some_and(|until| at >= until) {
            self.closed_until = None;
            self.not_sent_in_a_row = 0;
            self.probing = true;
        }
        self.send(at, effects);
        self.ask(at, effects);
        if self.draining && self.is_idle() && !self.drained_told {
            self.drained_told = true;
            effects.push(Effect::Tell(Note::Conductor(conductor::Input::Drained(self.route.id))));
        }
    }
    fn wakes_at(&self) -> Option<Timestamp> {
        // An ask that may be made already waits for something else (credit, an answer, room in the queue), which will be told.
        let asks = self.clients.values().filter(|c| c.asked == 0 && c.ask_at < Timestamp::FAR && c.ask_at > self.seen).map(|c| c.ask_at);
        let ask = if self.draining || self.free() == 0 { None } else { asks.min() };
        [self.paced_until, self.closed_until, ask].into_iter().flatten().min()
    }
    fn is_idle(&self) -> bool {
        self.queued() == 0 && self.in_flight.is_empty() && self.unrecorded == 0
    }
    fn stands(&self) -> Option<Stand> {
        let load = RouteLoad { in_flight: self.in_flight.len(), unsent: self.queued(), unrecorded: self.unrecorded };
        Some(Stand::Route(self.route.id, load))
    }
}

/// The route's number.
impl Channel {
    /// Its route.
    pub fn id(&self) -> RouteId {
        self.route.id
    }
}
