//! The inbox and the outbox of a store that fails when it is told to.
use super::Faulty;
use async_trait::async_trait;
use touchline::domain::ids::{CampaignId, TouchKey};
use touchline::domain::time::Timestamp;
use touchline::store::StoreResult;
use touchline::store::inbox::{DeadLetter, Inbox, InboxReceipt, NewDeadLetter, Post, Rating};
use touchline::store::outbox::{EventRow, NewWebhook, Outbox, Standing, Webhook};

#[async_trait]
impl Inbox for Faulty {
    async fn take_post(&self, post: &Post<'_>) -> StoreResult<bool> {
        self.next_call("take_post")?;
        self.inner.take_post(post).await
    }
    async fn open_receipts(&self, due: Option<Timestamp>, after: i64, limit: usize) -> StoreResult<Vec<InboxReceipt>> {
        self.next_call("open_receipts")?;
        self.inner.open_receipts(due, after, limit).await
    }
    async fn confirm_receipts(&self, receipts: &[(i64, TouchKey)]) -> StoreResult<Vec<i64>> {
        self.next_call("confirm_receipts")?;
        self.inner.confirm_receipts(receipts).await
    }
    async fn receipts_handed(&self, ids: &[i64], next_at: Timestamp) -> StoreResult<()> {
        self.next_call("receipts_handed")?;
        self.inner.receipts_handed(ids, next_at).await
    }
    async fn bury_receipts(&self, buried: &[(i64, NewDeadLetter)], at: Timestamp) -> StoreResult<()> {
        self.next_call("bury_receipts")?;
        self.inner.bury_receipts(buried, at).await
    }
    async fn keep_dead_letters(&self, letters: &[NewDeadLetter], at: Timestamp) -> StoreResult<()> {
        self.next_call("keep_dead_letters")?;
        self.inner.keep_dead_letters(letters, at).await
    }
    async fn dead_letters(&self, open: bool, after: i64, limit: usize) -> StoreResult<Vec<DeadLetter>> {
        self.next_call("dead_letters")?;
        self.inner.dead_letters(open, after, limit).await
    }
    async fn dead_letter(&self, id: i64) -> StoreResult<Option<DeadLetter>> {
        self.next_call("dead_letter")?;
        self.inner.dead_letter(id).await
    }
    async fn close_dead_letter(&self, id: i64, how: &str, at: Timestamp) -> StoreResult<bool> {
        self.next_call("close_dead_letter")?;
        self.inner.close_dead_letter(id, how, at).await
    }
    async fn known_events(&self, events: &[(String, String)]) -> StoreResult<Vec<bool>> {
        self.next_call("known_events")?;
        self.inner.known_events(events).await
    }
    async fn keep_events(&self, events: &[(String, String)], ratings: &[Rating], at: Timestamp) -> StoreResult<()> {
        self.next_call("keep_events")?;
        self.inner.keep_events(events, ratings, at).await
    }
    async fn ratings(&self, campaign: Option<CampaignId>) -> StoreResult<[i64; 5]> {
        self.next_call("ratings")?;
        self.inner.ratings(campaign).await
    }
    async fn forget_messages(&self, before: Timestamp) -> StoreResult<u64> {
        self.next_call("forget_messages")?;
        self.inner.forget_messages(before).await
    }
}

#[async_trait]
impl Outbox for Faulty {
    async fn add_webhook(&self, new: &NewWebhook) -> StoreResult<Webhook> {
        self.next_call("add_webhook")?;
        self.inner.add_webhook(new).await
    }
    async fn webhooks(&self) -> StoreResult<Vec<Webhook>> {
        self.next_call("webhooks")?;
        self.inner.webhooks().await
    }
    async fn webhook(&self, id: i64) -> StoreResult<Webhook> {
        self.next_call("webhook")?;
        self.inner.webhook(id).await
    }
    async fn remove_webhook(&self, id: i64) -> StoreResult<()> {
        self.next_call("remove_webhook")?;
        self.inner.remove_webhook(id).await
    }
    async fn enable_webhook(&self, id: i64, at: Timestamp) -> StoreResult<Webhook> {
        self.next_call("enable_webhook")?;
        self.inner.enable_webhook(id, at).await
    }
    async fn replay_webhook(&self, id: i64, since: Timestamp) -> StoreResult<u64> {
        self.next_call("replay_webhook")?;
        self.inner.replay_webhook(id, since).await
    }
    async fn outgoing(&self, webhook: &Webhook, limit: usize) -> StoreResult<(Vec<EventRow>, i64)> {
        self.next_call("outgoing")?;
        self.inner.outgoing(webhook, limit).await
    }
    async fn report_delivery(&self, id: i64, from: i64, to: i64, standing: Standing) -> StoreResult<bool> {
        self.next_call("report_delivery")?;
        self.inner.report_delivery(id, from, to, standing).await
    }
    async fn trim_events(&self, before: Timestamp) -> StoreResult<u64> {
        self.next_call("trim_events")?;
        self.inner.trim_events(before).await
    }
}
