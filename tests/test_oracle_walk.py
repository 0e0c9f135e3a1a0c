"""The oracle against stories told by hand: stages, timers, outcomes, and the end of the stream."""

from __future__ import annotations

import pytest

from schemas.entries import Entry
from schemas.journeys import Journey, Regress, Stage
from tests.oracle_walk import MINUTE
from tests.stories import SHOP, check, funnel, ms, on, stays, tell


def test_an_event_moves_forward_to_the_highest_stage_whose_rule_holds() -> None:
    rows = tell(
        """
        10:00:00 view
        10:01:00 view
        10:02:00 cart
        10:03:00 view
        10:04:00 pay
        10:05:00 buy_now
        10:06:00 other
        """
    )
    check(
        rows.transitions,
        """
        sequence  at        kind     from_stage  from_rank  to_stage  to_rank  from_entered_at  skipped
        1         10:00:00  enter    -           -          view      1        -                -
        2         10:02:00  advance  view        1          cart      2        10:00:00         -
        3         10:04:00  advance  cart        2          pay       4        10:02:00         -
        4         10:05:00  advance  pay         4          order     5        10:04:00         -
        """,
    )
    check(
        stays(rows),
        """
        entry_stage  furthest_stage  furthest_rank  outcome    abandoned_stage  path
        view         order           5              converted  -                view>cart>pay>order
        """,
    )


def test_earlier_stages_are_unobserved_at_the_start_and_skipped_later() -> None:
    rows = tell("10:00:00 cart \n 10:01:00 share")
    check(rows.transitions, "kind skipped\n enter -\n skip pay>order")


def test_evidence_moves_back_and_up_to_the_furthest_it_is_a_reentry() -> None:
    rows = tell(
        """
        10:00:00 emptied
        10:01:00 pay
        10:02:00 emptied
        10:03:00 cart
        10:04:00 pay
        10:05:00 undo
        10:06:00 undo
        10:07:00 order
        """
    )
    check(
        rows.transitions,
        """
        at        kind     from_stage  to_stage  skipped
        10:00:00  enter    -           view      -
        10:01:00  skip     view        pay       cart
        10:02:00  regress  pay         view      -
        10:03:00  reenter  view        cart      -
        10:04:00  reenter  cart        pay       -
        10:05:00  regress  pay         cart      -
        10:06:00  regress  cart        view      -
        10:07:00  advance  view        order     -
        """,
    )
    check(
        rows.visits,
        """
        stage  entered_at  left_at   left_by    settled
        view   10:00:00    10:01:00  advanced   yes
        pay    10:01:00    10:02:00  regressed  yes
        view   10:02:00    10:03:00  advanced   yes
        cart   10:03:00    10:04:00  advanced   yes
        pay    10:04:00    10:05:00  regressed  yes
        cart   10:05:00    10:06:00  regressed  yes
        view   10:06:00    10:07:00  advanced   yes
        order  10:07:00    10:07:00  converted  yes
        """,
    )


def test_at_one_time_lower_stages_come_first_whatever_the_ids_and_sessions_go_by_id() -> None:
    rows = tell("10:00:00 pay id=1 device=d1 user=u1 \n 10:00:00 view id=2 device=d2 \n 10:00:00 cart id=3")
    check(
        rows.transitions,
        """
        event_id  to_stage  device  person_id
        2         view      d2      u1
        3         cart      d1      u1
        1         pay       d1      u1
        """,
    )


def test_what_one_event_says_is_known_to_all_events_of_its_time() -> None:
    rows = tell("10:00:00 view id=1 \n 10:00:00 cart id=2 device=d user=u \n 10:00:01 pay device=e")
    check(rows.transitions, "to_stage device person_id\n view d u\n cart d u\n pay e u")


def test_a_transition_has_its_own_dims_and_else_those_known_by_then() -> None:
    rows = tell(
        """
        10:00:00 view device=mobile
        10:01:00 cart device=desktop source=mail user=u1
        10:02:00 pay country=NL value=990000 currency=EUR
        10:03:00 order campaign=x user=u2
        """
    )
    check(
        rows.transitions,
        """
        to_stage  device   source  country  campaign  person_id  value_e4  currency  from_device  from_country
        view      mobile   -       -        -         a          -         -         -            -
        cart      desktop  mail    -        -         u1         -         -         mobile       -
        pay       mobile   mail    NL       -         u1         990000    EUR       desktop      -
        order     mobile   mail    NL       x         u1         -         -         mobile       NL
        """,
    )


def test_a_path_ends_after_sixteen_steps() -> None:
    steps = [f"10:{minute:02}:00 {'emptied' if minute % 2 else 'cart'}" for minute in range(20)]
    (stay,) = stays(tell("\n".join(steps)))
    assert stay["path"] == ">".join(["cart", "view"] * 8)


# --- timers, outcomes --------------------------------------------------------------------------------


def test_a_timer_fires_at_the_deadline_after_the_last_activity_in_the_stage() -> None:
    rows = tell("10:00:00 cart \n 10:05:00 view \n 10:10:00 cart \n 10:20:00.001 view \n 10:21:00 cart")
    check(
        stays(rows),
        """
        outcome    abandoned_stage  visit_left_by  visit_left_at  visit_deadline_at  visit_settled  version
        abandoned  cart             abandoned      10:20:00       10:20:00           yes            7
        """,
    )


def test_activity_exactly_at_the_deadline_is_in_time() -> None:
    in_time = tell("10:00:00 cart \n 10:10:00 pay")
    assert sum(counts["recovered"] for counts in funnel(in_time)) == 0
    too_late = tell("10:00:00 cart \n 10:10:00.001 pay")
    check(too_late.visits[:1], "left_by left_at deadline_at\n advanced 10:10:00.001 10:10:00")
    assert sum(counts["recovered"] for counts in funnel(too_late)) == 1


def test_going_on_after_the_timer_is_counted_recovered_but_going_back_is_not() -> None:
    rows = tell("10:00:00 cart device=d \n 10:15:30 cart \n 10:20:00 order value=70000 currency=EUR")
    check(
        funnel(rows),
        """
        minute    stage  device  currency  entered  advanced  abandoned  recovered  converted  value_e4
        10:00:00  cart   d       -         1        -         -          -          -          -
        10:10:00  cart   d       -         -        -         1          -          -          -
        10:20:00  cart   d       -         -        1         -          1          -          -
        10:20:00  order  d       -         1        -         -          -          -          -
        10:20:00  order  d       EUR       -        -         -          -          1          70000
        """,
    )
    back = tell("10:00:00 cart \n 10:15:30 emptied")
    assert sum(counts["recovered"] + counts["advanced"] for counts in funnel(back)) == 0
    check(stays(back), "outcome abandoned_stage version\n abandoned view 4")


def test_a_timer_fires_after_the_last_event_but_not_after_the_close() -> None:
    at_close = tell("10:00:00 pay \n 10:10:00 view")
    check(at_close.visits, "left_by left_at\n abandoned 10:40:00")
    check(at_close.sessions, "version\n 4")
    after_close = tell("10:00:00 pay \n 10:09:59 view")
    check(after_close.visits, "left_by left_at deadline_at\n abandoned 10:09:59 10:40:00")
    check(after_close.sessions, "version\n 3")


def test_the_close_is_counted_when_the_gap_has_passed_and_a_fired_timer_not_again() -> None:
    rows = tell("10:00:00 pay channel=ads \n 10:05:00 view")
    check(
        funnel(rows),
        """
        minute    stage  channel  entered  abandoned
        10:00:00  pay    ads      1        -
        10:35:00  pay    ads      -        1
        """,
    )
    fired = tell("10:00:00 cart")
    check(funnel(fired), "minute entered abandoned\n 10:00:00 1 -\n 10:10:00 - 1")


def test_the_event_that_cuts_a_session_closes_it_and_comes_before_timers() -> None:
    story = "10:00:00 cart campaign=x \n 10:10:00 view campaign=y"
    cut = tell(story, split_on_campaign=True)
    check(cut.sessions, "started_at is_closed version\n 10:00:00 yes 2\n 10:10:00 yes 2")
    check(funnel(cut)[:2], "minute stage entered abandoned\n 10:00:00 cart 1 -\n 10:10:00 cart - 1")
    check(cut.visits[:1], "left_by left_at\n abandoned 10:00:00")


def test_outcomes_at_the_close() -> None:
    rows = tell(
        """
        10:00:00 view visitor=bounced
        10:00:00 view visitor=browsed
        10:00:01 view visitor=browsed
        10:00:02 cart visitor=abandoned
        10:00:03 order visitor=converted
        10:00:04 other visitor=elsewhere
        """
    )
    assert [row["visitor_id"] for row in stays(rows)] == [row["outcome"] for row in stays(rows)]
    assert len(rows.sessions) == 5


def test_a_timer_in_the_first_stage_makes_it_abandoned() -> None:
    first = Stage("view", 1, False, (Entry(on("view")),), 5 * MINUTE)
    short = Journey("short", 1, "visitor", (first, *SHOP.stages[1:]), 5, ())
    check(stays(tell("10:00:00 view", (short,))), "outcome abandoned_stage\n abandoned view")


def test_who_converted_stays_so_and_the_value_is_that_of_the_first_time() -> None:
    rows = tell(
        """
        10:00:00 order value=10000 currency=EUR
        10:01:00 order value=20000 currency=USD
        10:02:00 undo
        10:03:00 order value=30000 currency=USD
        10:04:00 share
        """
    )
    check(
        stays(rows),
        """
        outcome    value_e4  currency  path                    visit_stage  visit_left_by  visit_left_at
        converted  10000     EUR       order>cart>order>share  share        converted      10:04:00
        """,
    )
    assert sum(counts["converted"] for counts in funnel(rows)) == 1


# --- rules that look back --------------------------------------------------------------------------------

LOOKS_BACK = Journey(
    "looks_back",
    1,
    "visitor",
    (
        Stage("seen", 1, False, (Entry(on("view"), at_least=2), Entry(on("gift"))), None),
        Stage("asked", 2, False, (Entry(on("share"), after=1, not_before_ms=MINUTE),), None),
        Stage("paid", 3, False, (Entry(on("pay"), unless=2),), None),
    ),
    3,
    (Regress(1, on("undo")),),
)


def walked(story: str) -> list[str]:
    return [
        f"{row['at'] % 3_600_000 // MINUTE}:{row['to_stage']}"
        for row in tell(story, (LOOKS_BACK,)).transitions
    ]


def test_a_stage_may_ask_for_several_events() -> None:
    assert walked("10:00:00 view \n 10:01:00 cart \n 10:02:00 view") == ["2:seen"]
    assert walked("10:00:00 view \n 11:02:00 view") == [], "each session counts for itself"
    assert walked("10:00:00 view passive=1 \n 10:01:00 view") == []
    assert walked("10:00:00 view \n 10:01:00 gift \n 10:02:00 view") == ["1:seen"], "or another rule will do"


def test_a_stage_may_ask_for_another_one_before_it_and_for_time_since() -> None:
    assert walked("10:00:00 share \n 10:01:00 gift \n 10:02:00 share") == ["1:seen", "2:asked"]
    assert walked("10:00:00 gift \n 10:00:59.999 share") == ["0:seen"]
    assert walked("10:00:00 gift id=a \n 10:00:00 share id=b") == ["0:seen"]
    back = "10:00:00 gift \n 10:01:00 share \n 10:02:00 undo \n 10:02:30 share"
    assert walked(back) == ["0:seen", "1:asked", "2:seen", "2:asked"], "time counts from the first entry"


def test_a_stage_may_ask_that_another_one_was_not_entered() -> None:
    assert walked("10:00:00 gift \n 10:01:00 pay") == ["0:seen", "1:paid"]
    assert walked("10:00:00 gift \n 10:01:00 share \n 10:02:00 pay") == ["0:seen", "1:asked"]
    assert walked("10:00:00 gift \n 10:01:00 share \n 10:02:00 undo \n 10:03:00 pay") == [
        "0:seen",
        "1:asked",
        "2:seen",
    ]


# --- the end -----------------------------------------------------------------------------------------

DRAINED = """
10:00:00 cart visitor=a p=0
10:00:00 cart visitor=b p=0
10:20:00 view visitor=b p=0
10:00:00 cart visitor=c p=1
10:30:10.001 view visitor=d p=1
"""


def test_drained_applies_and_closes_only_what_the_highest_watermark_has_passed() -> None:
    rows = tell(DRAINED, end="drained")
    check(
        stays(rows),
        """
        visitor_id  events  is_closed  outcome    visit_left_by  visit_settled  version
        a           1       yes        abandoned  abandoned      yes            3
        b           2       no         open       abandoned      yes            3
        c           1       yes        abandoned  abandoned      yes            3
        """,
    )
    assert rows.conservation[1, ms("09:59:00")]["accepted"] == 1


def test_drained_per_visitor_goes_by_the_watermark_of_the_partition() -> None:
    rows = tell(DRAINED, end="drained", partitioned_by="visitor")
    check(
        stays(rows),
        """
        visitor_id  partition  is_closed  visit_left_by  visit_settled  visit_left_at
        a           -          no         abandoned      yes            10:10:00
        b           -          no         abandoned      yes            10:10:00
        c           1          yes        abandoned      yes            10:10:00
        """,
    )


def test_an_open_session_is_told_as_it_stands() -> None:
    """With all its events, also those that changed no stage."""
    story = """
    10:00:00  view url=/1
    10:01:00  cart url=/2
    10:05:00  cart url=/3 user=u
    10:06:00  view url=/4
    {}        view visitor=b
    """
    columns = "visitor_id events ended_at exit_url person_id visit_deadline_at visit_left_by version\n"
    before = stays(tell(story.format("10:15:10"), end="drained"))
    check(before, columns + "a 4 10:06:00 /4 u 10:15:00 open 4")
    after = stays(tell(story.format("10:15:10.001"), end="drained"))
    check(after, columns + "a 4 10:06:00 /4 u 10:15:00 abandoned 5")


def test_at_the_watermark_itself_nothing_has_happened_yet() -> None:
    story = "10:00:00 cart visitor=a \n 10:10:10 view visitor=b"
    check(stays(tell(story, end="drained")), "visit_left_by version\n open 1")
    later = story.replace("10:10:10", "10:10:10.001")
    check(stays(tell(later, end="drained")), "visit_left_by version\n abandoned 2")


def test_nobody_abandons_what_lies_beyond_the_conversion() -> None:
    share = Stage("share", 6, False, (Entry(on("share")),), 5 * MINUTE)
    beyond = Journey("beyond", 1, "visitor", (*SHOP.stages[:5], share), 5, ())
    rows = tell("10:00:00 order \n 10:01:00 share", (beyond,))
    check(rows.visits, "stage left_by settled\n order advanced yes\n share converted yes")
    assert sum(counts["abandoned"] for counts in funnel(rows)) == 0


def test_every_journey_goes_its_own_way() -> None:
    other = Journey("other", 2, "visitor", (Stage("seen", 1, False, (Entry(on("pay")),), None),), 1, ())
    rows = tell("10:00:00 view \n 10:01:00 pay", (SHOP, other))
    check(
        stays(rows),
        """
        journey  journey_version  path      outcome
        shop     1                view>pay  abandoned
        other    2                seen      converted
        """,
    )


@pytest.mark.parametrize("end", ["replay", "drained"])
def test_no_records_no_rows(end: str) -> None:
    rows = tell("bad", end=end)
    assert (rows.sessions, rows.transitions, rows.visits, rows.funnel) == ([], [], [], {})
