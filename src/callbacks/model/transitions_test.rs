use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::callbacks::model::testing::contact;
use crate::cxone::ContactId;
use crate::placement::NOTICE;

fn at(time: &str) -> Timestamp {
    format!("2026-11-20T{time}Z").parse().unwrap()
}

/// Accepted at 14:00, to be called from 15:00 to 17:00.
fn accepted() -> Callback {
    testing::accepted(0, at("15:00:00"), at("14:00:00"))
}

fn placed(start: &str) -> Callback {
    let mut callback = accepted();
    callback.place(at(start));
    callback
}

fn scheduled(start: &str) -> Callback {
    let mut callback = placed(start);
    callback.schedule(contact(&callback, at(start)), None, at("14:00:01"));
    callback
}

fn failure() -> Failure {
    Failure::new(FailureCode::CxoneUnavailable, "down")
}

#[test]
fn a_placement_keeps_the_first_start_that_cxone_may_have() {
    let mut callback = placed("15:00:00");
    assert_eq!(callback.possible_contact().only_start(), Some(at("15:00:00")));
    callback.place(at("15:30:00"));
    callback.place(at("16:00:00"));
    assert_eq!(callback.dispatch_time, Some(at("16:00:00")));
    assert_eq!(callback.earlier_dispatch_time, Some(at("15:00:00")));
    assert_eq!(callback.shown_dispatch_time(), Some(at("15:00:00")));
    assert_eq!(callback.possible_contact().only_start(), None);
    assert!(callback.possible_contact().exists());
}

#[test]
fn a_contact_that_was_not_created_leaves_what_was_possible_before() {
    let before = accepted().possible_contact();
    let mut callback = placed("15:00:00");
    callback.restore_placement(before);
    assert_eq!(callback, accepted());

    let before = placed("15:00:00").possible_contact();
    callback = placed("15:00:00");
    callback.place(at("16:00:00"));
    callback.restore_placement(before);
    assert_eq!(callback, placed("15:00:00"));
}

#[test]
fn a_scheduled_callback_has_its_contact_and_starts_its_sms() {
    let mut callback = placed("15:00:00");
    callback.place(at("16:00:00"));
    callback.failure = Some(failure());
    callback.schedule(contact(&callback, at("15:00:00")), None, at("14:00:01"));
    assert_eq!(callback.status, Status::Scheduled);
    assert_eq!((callback.dispatch_time, callback.earlier_dispatch_time), (Some(at("15:00:00")), None));
    assert_eq!(callback.contact_id, Some(ContactId::Own(callback.id)));
    assert_eq!(callback.failure, None);
    assert_eq!(callback.confirmation, Confirmation::Pending);
    assert_eq!(callback.confirmation_started_at, Some(at("14:00:01")));
    assert!(callback.due_at.is_some());
}

#[test]
fn a_skipped_sms_leaves_nothing_to_do() {
    let mut callback = placed("15:00:00");
    callback.schedule(contact(&callback, at("15:00:00")), Some(SkipReason::Landline), at("14:00:01"));
    assert_eq!((callback.status, callback.confirmation), (Status::Scheduled, Confirmation::Skipped));
    assert_eq!((callback.skip_reason, callback.confirmation_started_at), (Some(SkipReason::Landline), None));
    assert_eq!(callback.due_at, None);
}

#[test]
fn an_attempt_is_deferred_to_the_next_time_at_which_its_result_can_change() {
    for (callback, now, wanted, due_at, why) in [
        (accepted(), "14:00:00", "14:05:00", "14:05:00", "nothing changes before"),
        (accepted(), "16:59:00", "17:04:00", "16:59:30", "the last chance to place it"),
        (accepted(), "16:59:30", "17:04:30", "17:00:00", "the end of the window"),
        (placed("15:00:00"), "14:58:00", "15:03:00", "14:59:45", "the notice before the start"),
        (placed("15:00:00"), "14:59:50", "15:04:50", "15:00:06", "the start has passed"),
        (placed("15:00:00"), "15:00:06", "15:05:06", "15:05:06", "the start passed long ago"),
        (placed("16:59:00"), "16:59:10", "17:04:10", "17:00:00", "the end of the window, after the start"),
        (scheduled("15:00:00"), "14:58:00", "15:03:00", "15:00:00", "an SMS after the start is too late"),
        (scheduled("15:00:00"), "14:58:00", "14:58:30", "14:58:30", "an SMS before the start"),
    ] {
        let mut callback = callback;
        callback.defer(failure(), at(wanted), at(now), NOTICE);
        assert_eq!(callback.due_at, Some(at(due_at)), "{why}");
        assert_eq!(callback.failure, Some(failure()), "{why}");
    }
}

#[test]
fn a_deferred_attempt_is_due_at_a_whole_millisecond() {
    let mut callback = accepted();
    callback.defer(failure(), at("14:05:00.0019999"), at("14:00:00"), NOTICE);
    assert_eq!(callback.due_at, Some(at("14:05:00.001")));
}

#[test]
fn a_failed_callback_has_no_dispatch_time() {
    let mut callback = placed("15:00:00");
    callback.place(at("16:00:00"));
    callback.fail(failure());
    assert_eq!(callback.status, Status::Failed);
    assert_eq!((callback.dispatch_time, callback.earlier_dispatch_time), (None, None));
    assert_eq!((callback.due_at, callback.failure), (None, Some(failure())));
}

#[test]
fn an_expired_callback_says_what_prevented_it() {
    let deferred = Callback { failure: Some(failure()), ..accepted() };
    for (callback, detail) in [
        (accepted(), "before the contact could be created"),
        (deferred, "the last attempt: down"),
        (placed("15:00:00"), "it may have it"),
    ] {
        let mut expired = callback.clone();
        expired.expire();
        let failure = expired.failure.unwrap();
        assert_eq!((expired.status, expired.due_at), (Status::Expired, None));
        assert_eq!(failure.code, FailureCode::WindowPassed);
        assert!(failure.detail.contains(detail), "{}", failure.detail);
        assert_eq!(expired.dispatch_time, callback.dispatch_time);
    }
}

#[test]
fn a_window_is_open_until_the_notice_or_to_its_end_if_cxone_may_have_the_contact() {
    for (callback, now, has_passed) in [
        (accepted(), "16:59:45", false),
        (accepted(), "16:59:46", true),
        (placed("15:00:00"), "16:59:46", false),
        (placed("15:00:00"), "17:00:00", true),
    ] {
        assert_eq!(callback.window_has_passed(at(now), NOTICE), has_passed, "{now}");
    }
}

#[test]
fn an_sms_ends_the_work_on_a_callback() {
    let mut sent = scheduled("15:00:00");
    sent.failure = Some(failure());
    sent.confirm("session".into());
    assert_eq!((sent.confirmation, sent.sms_session_id.as_deref()), (Confirmation::Sent, Some("session")));
    assert_eq!((sent.failure, sent.due_at), (None, None));

    for confirmation in [Confirmation::Failed, Confirmation::Unknown] {
        let mut failed = scheduled("15:00:00");
        failed.fail_confirmation(confirmation, failure());
        assert_eq!((failed.status, failed.confirmation), (Status::Scheduled, confirmation));
        assert_eq!((failed.failure, failed.due_at), (Some(failure()), None));
    }
}

#[test]
fn an_sms_that_was_not_sent_may_be_started_again() {
    let mut callback = scheduled("15:00:00");
    callback.reset_confirmation();
    assert_eq!((callback.confirmation, callback.confirmation_started_at), (Confirmation::Pending, None));
}

#[test]
fn nothing_is_due_before_the_window_ends_if_nothing_can_be_learned() {
    let mut callback = placed("15:00:00");
    callback.defer_to_window_end(failure());
    assert_eq!((callback.due_at, callback.failure), (Some(at("17:00:00")), Some(failure())));
}

#[test]
fn the_audit_entry_masks_the_number_and_leaves_out_what_is_absent() {
    let entry = accepted().entry(
        Uuid::nil(),
        at("14:00:01"),
        crate::audit::Action::CallbackAccepted,
        crate::audit::Outcome::Succeeded,
        Status::Accepted,
    );
    let json = entry.into_json();
    assert_eq!(
        json["detail"],
        serde_json::json!({
            "phoneNumber": accepted().phone_number.masked(), "requestedStart": "2026-11-20T15:00:00Z",
            "requestedEnd": "2026-11-20T17:00:00Z", "attempts": 0,
        })
    );
    assert_eq!((json["latencyMs"].as_i64(), json["newState"].as_str()), (Some(1000), Some("accepted")));
    assert!(!json.to_string().contains(accepted().phone_number.as_str()));
}
