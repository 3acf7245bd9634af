//! What a forecast assumes of the routes configured: rates from simulated carriers where they answer, published ones elsewhere.
use super::submit::channels;
use crate::channels::route::{RouteKind, RouteSpec};
use crate::domain::campaign::{Campaign, ReachRule};
use crate::domain::channel::Channel;
use crate::domain::planning::{Assumptions, ChannelAssumption, RouteCapacity};

/// Published rates, and for the channels whose routes are simulated the rates of their profiles: the forecast of a rehearsal
/// should foretell that rehearsal. A route that replays columns of a list follows no rate, and is left out.
pub fn assumptions(campaign: &Campaign, routes: &[RouteSpec]) -> Assumptions {
    let mut assumptions = Assumptions::default();
    for channel in channels(campaign) {
        let uses = |r: &RouteSpec| campaign.steps.iter().any(|s| s.channel == channel && (s.routes.is_empty() || s.routes.contains(&r.name)));
        let simulated = routes.iter().filter(|r| r.channel == channel && r.replay.is_none() && uses(r));
        let simulated: Vec<&RouteSpec> = simulated.filter(|r| matches!(r.kind, RouteKind::Simulator | RouteKind::RemoteSimulator)).collect();
        if let Some(assumed) = of_profiles(channel, &simulated) {
            assumptions.channels.insert(channel, assumed);
        }
    }
    assumptions
}

/// The mean of the routes' profiles, by weight.
fn of_profiles(channel: Channel, routes: &[&RouteSpec]) -> Option<ChannelAssumption> {
    let weights: f64 = routes.iter().map(|r| f64::from(r.weight)).sum();
    if weights <= 0.0 {
        return None;
    }
    let mut mean = ChannelAssumption::default();
    let mut names: Vec<String> = Vec::new();
    for route in routes {
        let name = route.profile_name().unwrap_or("written out in the settings").to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
        let expected = route.behaviour().expected(channel);
        let weight = f64::from(route.weight) / weights;
        for (disposition, rate) in expected.rates {
            *mean.rates.entry(disposition).or_insert(0.0) += rate * weight;
        }
        for (disposition, talk) in expected.talk_s {
            mean.talk_s.entry(disposition).or_default().extend(talk);
        }
        for (disposition, ms) in expected.delay_ms {
            let slowest = mean.delay_ms.entry(disposition).or_insert(0);
            *slowest = ms.max(*slowest);
        }
    }
    mean.source = format!("profile of the simulated carrier: {}", names.join(", "));
    Some(mean)
}

/// What configured routes can carry and cost, for a forecast: calls at the assumed talk time of those that are answered (a call
/// that nobody answers is free where the price is by time), texts by part.
pub fn capacities(routes: &[RouteSpec], assumptions: &Assumptions) -> Vec<RouteCapacity> {
    let cost = |route: &RouteSpec| if route.channel == Channel::Call { call_micros(route, assumptions) } else { route.price_micros(1, 0) };
    routes
        .iter()
        .map(|route| RouteCapacity { name: route.name.clone(), channel: route.channel, rate: Some(route.limit), cost_micros: cost(route) })
        .collect()
}

/// What a call costs on average, in integers: shares in parts per million.
fn call_micros(route: &RouteSpec, assumptions: &Assumptions) -> i64 {
    let assumed = assumptions.channels.get(&Channel::Call);
    let shares = assumptions.dispositions(Channel::Call, ReachRule::ConnectedSeconds(0));
    let of = |(disposition, share): (crate::domain::outcome::Disposition, f64)| {
        let talked = if disposition.is_reached() {
            match assumed.and_then(|a| a.talk_s.get(&disposition)).filter(|q| !q.is_empty()) {
                Some(quantiles) => {
                    let sum: i64 = quantiles.iter().map(|s| route.price_micros(1, (*s).min(route.longest_call_s()))).sum();
                    sum / i64::try_from(quantiles.len()).unwrap_or(1)
                }
                None => route.price_micros(1, assumed.map_or(0, |a| whole(a.mean_talk_s))),
            }
        } else {
            route.price_micros(1, 0)
        };
        talked.saturating_mul(i64::from(whole(share * 1e6)))
    };
    shares.into_iter().map(of).fold(0_i64, i64::saturating_add) / 1_000_000
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a call and shares in ppm are small and not negative")]
fn whole(s: f64) -> u32 {
    s.clamp(0.0, 1e9).round() as u32
}
