//! From a committed touch to what a carrier gets.
use crate::channels::{Dispatch, Message};
use crate::domain::channel::Channel;
use crate::domain::contact::Address;
use crate::domain::decision::{Member, Written};
use crate::domain::touch::Touch;
use std::sync::Arc;

/// The dispatch of a started touch; `None` when the touch has no channel or route (then it was not started).
pub fn dispatch(touch: &Touch, member: &Member, written: Option<Written>) -> Option<Dispatch> {
    let channel = touch.channel?;
    let message = written.map(|w| Message { subject: w.subject, body: w.body });
    Some(Dispatch {
        touch: touch.key,
        route: touch.route?,
        channel,
        step: touch.step,
        attempt: touch.attempt,
        address: address(member, channel)?,
        message,
        parts: touch.parts,
        attributes: member.attributes.as_ref().map(Arc::clone),
    })
}

fn address(member: &Member, channel: Channel) -> Option<Address> {
    match channel {
        Channel::Call | Channel::Sms => member.phone.as_ref().map(|p| Address::new(p.reveal())),
        Channel::Push => member.push.as_ref().map(|p| Address::new(p.reveal())),
        Channel::Email => member.email.as_ref().map(|e| Address::new(e.reveal())),
        // A task goes to the customer's own RM, or to the desk when there is none.
        Channel::Worklist => Some(Address::new(member.person.as_ref().and_then(|p| p.rm.as_deref()).unwrap_or("desk"))),
    }
}
