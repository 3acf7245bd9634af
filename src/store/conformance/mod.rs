//! What every store must do, as named cases over `dyn Store`. A store joins by one line: `run_all(async || Box::new(...))`.
//!
//! A case gets an empty store and panics with a clear text. After every case the kept tallies of every campaign must equal the
//! recounted ones, the sum must close, and the histogram must add up to the audience.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code, compiled for other crates' tests.

mod access;
mod approvals;
mod begin;
mod campaigns;
mod consents;
mod contacts;
mod engine;
mod inbox;
#[allow(missing_docs)] // Helpers of tests; their names say what they make.
pub mod kit;
mod lists;
mod money;
mod outbox;
mod people;
mod privacy;
mod reads;
mod record;
mod worklist;

use super::Store;
use crate::domain::tally::closed_sum;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use std::panic::AssertUnwindSafe;

/// A case: its name and what it does to an empty store.
pub type Case = (&'static str, fn(&dyn Store) -> LocalBoxFuture<'_, ()>);

macro_rules! cases {
    ($($module:ident: $($case:ident)*;)*) => {
        /// All cases.
        pub const CASES: &[Case] = &[$($((concat!(stringify!($module), "::", stringify!($case)), |store| Box::pin($module::$case(store))),)*)*];
    };
}

cases! {
    people: inserts_and_numbers_upwards merges_field_by_field same_row_is_a_duplicate consents_come_with_the_row ids_in_the_order_asked progress_goes_with_the_rows;
    lists: freeze_gives_the_fixed_checksum frozen_takes_nothing members_once pages_in_customer_order page_carries_what_is_needed unknown_list_gets_a_hint;
    consents: provenance_is_kept withdrawal_wins_a_tie older_record_does_not_override purposes_and_channels_are_apart unknown_customers_are_rejected suppression_on_all_or_one suppression_lapses complaint_stays;
    campaigns: versions_per_name_and_mode newest_run_wins open_runs_are_real_and_not_closed audience_must_be_frozen status_changes_allowed status_changes_refused wanted_is_polled waves_oldest_first rules_are_kept routes_are_interned purge_rehearsals histogram_adds_up;
    approvals: drafts_are_kept_and_handed_in an_approval_is_kept_and_may_become_void two_persons_lift_an_emergency_stop a_revision_is_approved_and_taken_up;
    begin: all_verdicts cursor_and_end_of_batch nobody_twice stale_fence_is_refused change_since_page_is_seen unchanged_is_as_read caps_across_campaigns ten_campaigns_one_touch rehearsals_see_real_and_themselves horizon_is_half_open conversion_is_seen due_head_is_begun due_head_gone_is_skipped bad_rows_write_nothing batch_only_for_started;
    record: reached_counts missed_and_retry put_back_gives_back refused_gives_back accepted_then_reached receipt_before_acceptance duplicates_are_held_back lattice_never_falls uncertain_is_resolved correction_cancels_the_retry correction_marks_a_started_head correction_of_the_head correction_with_a_next_row receipt_after_a_put_back_is_skipped what_was_accepted_is_never_put_back flags_are_never_lost unknown_touch_is_skipped stale_fence_is_refused later_step_keeps_reached bad_next_writes_nothing;
    reads: due_soonest_first due_only_of_these_steps awaiting_by_providers_name overdue_and_next_deadline orphans_after_a_new_fence emptied_batches_can_be_closed uncertain_are_listed scan_goes_on timeline_oldest_first call_off_closes call_off_twice receipts_are_kept;
    engine: touches_and_members_in_bulk rehearsals_are_another_time a_wave_is_counted_down sent_since_tells_what_stands ended_runs_schedule_nothing finished_runs_schedule_nothing further_corrections_start_nothing what_a_provider_has_taken_stays;
    contacts: a_contact_is_a_touch a_repeated_report_changes_nothing corrections_go_by_the_lattice contradictions_and_strangers_are_refused the_names_of_the_house_are_reserved later_campaigns_see_reported_contacts the_latest_hold_rules a_hold_and_consents_leave_each_other a_lifted_hold_brings_forward the_newest_wish_rules;
    money: facts_duplicates_and_conflicts facts_in_order credits_once_over_campaigns credits_are_replaced rehearsal_credits_bar_nobody credits_page_whole_groups exports_are_numbered references_by_range one_owner_at_a_time;
    access: tokens_are_numbered_and_found tokens_are_revoked_once a_use_only_moves_on audit_is_chained audit_is_filtered_and_paged keys_are_claimed_and_answered keys_go_stale_and_are_purged;
    privacy: found_by_phone_and_email one_batch_may_name_a_customer_twice erased_is_gone_and_sums_stand erased_is_gone_from_dead_letters_and_titles erased_is_not_begun erased_does_not_come_back_unasked receipts_are_forgotten_in_time dead_letters_are_forgotten_once_dealt_with forgotten_changes_are_asked_again sealing_anew_ends;
    inbox: a_repeated_message_changes_nothing receipts_are_open_until_the_engine_has_them what_is_given_up_becomes_a_dead_letter events_are_known_and_forgotten;
    outbox: settled_touches_are_told_to_whoever_asks rehearsals_are_not_told changes_of_status_are_told withdrawn_consents_are_told_once credits_are_told_as_they_change tasks_are_told deliveries_go_on_replay_and_end;
    worklist: a_key_makes_one_task lists_are_paged_in_order a_change_names_its_version tasks_wake_soonest_first touches_of_closed_tasks_are_told_once the_roster_and_its_loads the_newest_checkpoint_stands;
}

/// Runs every case on a store of its own and panics with the name and text of all that failed.
pub async fn run_all(make: impl AsyncFn() -> Box<dyn Store>) {
    let mut failures = Vec::new();
    for (name, case) in CASES {
        let store = make().await;
        let run = AssertUnwindSafe(async {
            case(&*store).await;
            check_sums(&*store).await;
        });
        if let Err(panic) = run.catch_unwind().await {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            failures.push(format!("{name}: {}", text.unwrap_or_else(|| "panicked without a text".into())));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases failed:\n{}", failures.len(), CASES.len(), failures.join("\n"));
}

/// What must hold of a store at every instant.
pub async fn check_sums(store: &dyn Store) {
    for run in store.campaigns().await.expect("campaigns") {
        let (id, name) = (run.id, &run.name);
        let kept = store.tallies(id).await.expect("tallies");
        let recounted = store.recount(id).await.expect("recount");
        let nonzero = |t: &crate::domain::tally::Tallies| t.0.iter().filter(|(_, n)| **n != 0).map(|(k, n)| (*k, *n)).collect::<Vec<_>>();
        assert_eq!(nonzero(&kept), nonzero(&recounted), "tallies of {name} ({id}): kept on the left, recounted from the rows on the right");
        if let Err(why) = closed_sum(run.audience, &kept) {
            panic!("the sum of {name} ({id}) does not close: {why}");
        }
        let bins = store.attempts_histogram(id).await.expect("histogram");
        assert_eq!(bins.iter().map(|b| b.customers).sum::<i64>(), run.audience, "the histogram of {name} ({id}) must add up to its audience");
    }
}
