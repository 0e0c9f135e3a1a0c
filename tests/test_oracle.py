"""The oracle against stories told by hand: records and sessions."""

from __future__ import annotations

from tests.oracle_walk import MINUTE
from tests.stories import check, fates, ms, tell


def test_every_record_has_one_fate_in_the_minute_of_the_watermark_before_it() -> None:
    rows = tell(
        """
        10:01:00  view id=1
        10:01:30  view id=2
        10:01:00  view id=1
        bad
        10:01:19  view id=3
        10:01:20  view id=4
        10:01:40  test id=5
        10:01:29  view id=6
        """,
        is_filtered=lambda event: event["event"] == "test",
    )
    check(
        fates(rows),
        """
        p  minute    received  accepted  duplicate  late  rejected  filtered
        0  -         1         1         -          -     -         -
        0  10:00:00  1         1         -          -     -         -
        0  10:01:00  6         1         1          2     1         1
        """,
    )
    assert (rows.rejected, rows.late) == ([(0, 4)], [(0, 5), (0, 8)])
    check(rows.sessions, "started_at ended_at events\n 10:01:00 10:01:30 3")


def test_late_is_below_the_watermark_and_not_at_it() -> None:
    assert tell("10:00:10 view \n 10:00:00 view").late == []
    assert tell("10:00:10.001 view \n 10:00:00 view").late == [(0, 2)]


def test_a_partition_is_late_by_its_own_watermark_only() -> None:
    assert tell("12:00:00 view p=0 \n 10:00:00 view p=1").late == []


def test_a_duplicate_is_one_until_the_watermark_has_passed_its_window() -> None:
    first, same = "10:00:00 view id=1", "10:00:00 view id=1"
    at_window = tell(f"{first}\n 10:10:10 view \n {same}")
    assert at_window.conservation[0, ms("10:10:00")]["duplicate"] == 1
    beyond = tell(f"{first}\n 10:10:10.001 view \n {same}")
    assert beyond.late == [(0, 3)]


def test_duplicate_means_same_site_visitor_and_id_and_a_missing_id_is_never_one() -> None:
    rows = tell("10:00:00 view id=1 \n 10:00:00 view id=1 visitor=b \n 10:00:00 view id=1 site=x")
    assert len(rows.sessions) == 3
    check(tell("10:00:00 view \n 10:00:00 view").sessions, "events\n 2")


def test_a_late_record_sent_again_is_a_duplicate() -> None:
    rows = tell("10:01:00 view \n 10:00:00 view id=1 \n 10:00:00 view id=1")
    assert rows.late == [(0, 2)]
    assert rows.conservation[0, ms("10:00:00")]["duplicate"] == 1


def test_a_clock_over_five_minutes_ahead_is_clamped_and_none_leads_the_watermark() -> None:
    rows = tell("10:05:00 view received=10:00:00 visitor=b \n 10:00:00 view received=10:00:00")
    assert rows.late == []
    check(rows.sessions, "visitor_id started_at\n b 10:05:00\n a 10:00:00")
    check(tell("10:05:00.001 view received=10:00:00").sessions, "started_at\n 10:00:00")


def test_a_copy_by_another_partition_is_dropped_in_total_order() -> None:
    rows = tell(
        "10:00:01 view id=1 p=0 url=/0 \n 10:00:00 view id=1 p=1 url=/1 \n 10:10:00.001 view id=1 p=2"
    )
    assert rows.copies == [(0, 1)]
    check(rows.sessions, "events entry_url\n 2 /1")
    assert tell("10:00:00 view id=1 p=0 \n 10:10:00 view id=1 p=1").copies == [(1, 1)], (
        "the window's last moment"
    )
    per_visitor = tell("10:00:00 view id=1 p=0 \n 10:00:00 view id=1 p=1", partitioned_by="visitor")
    assert per_visitor.copies == []
    check(per_visitor.sessions, "partition events\n - 1\n 1 1")


# --- sessions ----------------------------------------------------------------------------------------


def test_only_a_gap_greater_than_the_gap_starts_a_session_in_event_time() -> None:
    rows = tell("10:30:00 view p=0 \n 11:00:00.001 view p=0 \n 10:00:00 view p=1")
    check(
        rows.sessions,
        """
        started_at    ended_at      events  is_continuation  is_closed  version
        10:00:00      10:30:00      2       no               yes        3
        11:00:00.001  11:00:00.001  1       no               yes        2
        """,
    )


def test_a_session_that_gets_too_long_goes_on_in_a_flagged_one() -> None:
    rows = tell("10:00:00 view \n 10:20:00 view \n 10:20:00.001 view", length_max_ms=20 * MINUTE)
    check(rows.sessions, "started_at is_continuation\n 10:00:00 no\n 10:20:00.001 yes")


def test_midnight_and_campaign_split_only_where_asked_for() -> None:
    night = "23:59:00 view \n 1d00:00:00 view"
    check(tell(night).sessions, "events\n 2")
    check(tell(night, split_at_midnight=True).sessions, "started_at\n 23:59:00\n 1d00:00:00")
    campaigns = "10:00:00 view \n 10:01:00 view campaign=x \n 10:02:00 view \n 10:03:00 view campaign=y"
    check(tell(campaigns).sessions, "events campaign\n 4 x")
    check(tell(campaigns, split_on_campaign=True).sessions, "events campaign\n 3 x\n 1 y")


def test_two_campaigns_at_the_very_start_are_one_session() -> None:
    rows = tell("10:00:00 view id=1 campaign=x \n 10:00:00 view id=2 campaign=y", split_on_campaign=True)
    check(rows.sessions, "events campaign\n 2 x")


def test_passive_events_start_extend_and_enter_nothing() -> None:
    rows = tell("10:00:00 cart passive=1 \n 10:10:00 view \n 10:35:00 view passive=1 \n 10:45:00 view")
    check(rows.sessions, "started_at ended_at events\n 10:10:00 10:10:00 1\n 10:45:00 10:45:00 1")


def test_an_id_that_begins_another_comes_before_it() -> None:
    rows = tell("10:00:00 view id=e1 url=/late \n 10:00:00 view id=e url=/early")
    check(rows.sessions, "entry_url exit_url\n /early /late")


def test_session_facts_are_those_of_the_first_event_that_has_them() -> None:
    rows = tell(
        """
        10:00:00 view id=b device=tablet url=/second
        10:00:00 view id=a country=NL
        10:01:00 view device=mobile user=u1 source=ads
        10:02:00 view user=u2 url=/last
        10:03:00 view
        """
    )
    check(
        rows.sessions,
        """
        person_id  device  country  source  channel  entry_url  exit_url
        u1         tablet  NL       ads     -        /second    /last
        """,
    )
