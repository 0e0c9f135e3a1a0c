"""What there is to tell of an episode: rates, losses with their interval, cause, verdict, severity."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect import figures, verdict
from pipeline.core.detect.cause import Explanation, explain
from pipeline.core.detect.cusum import RATE_MOST, SEEING_MINUTES, smallest
from pipeline.core.detect.episodes import FIRING, SILENCE, Episode, Open
from pipeline.core.detect.layout import BUCKET, EXPECTED, SETTLED, SKIPPED, SLOTS, WENT_ON
from pipeline.core.detect.minutes import Scope
from pipeline.core.detect.settings import Settings
from pipeline.core.detect.state import State


class Teller:
    """Reads the state, changes nothing."""

    def __init__(self, settings: Settings, state: State) -> None:
        self._settings = settings
        self._state = state

    def episode(self, episode: Open, at: int) -> Episode:
        if episode.rule == SILENCE:
            return self._silence(episode, at)
        settings = self._settings
        scopes, phi = self._state.scopes, float(self._state.steps["phi"][episode.step])
        n, k, expected = episode.settled, episode.went_on, episode.expected
        why = self.explain(episode, at)
        lost, low, high = figures.lost(n, k, expected, phi, settings.margin)
        rate = expected / n if n else self.rate(episode.row)
        band = figures.band(int(n), rate, phi)
        scope = scopes[episode.row]
        cause = why.cause or (scope if scope.segment else None)
        judged = self._judge_drop(episode, at, lost)
        return self._made(
            episode, at, cause, judged, (k / n if n else 0.0, rate, *band), (lost, low, high), why
        )

    def _silence(self, episode: Open, at: int) -> Episode:
        record = self._state.rows[episode.row]
        minutes = max(1, at + 1 - episode.started_at)
        missing = max(0.0, episode.expected - episode.settled)
        burst = float(self._state.steps["burst"][episode.step])
        half = figures.Z95 * math.sqrt(burst * max(episode.expected, 1.0))
        rate = self.rate(episode.row) if record["base"] > 0 else 1.0
        lost = tuple(max(0.0, missing + d) * rate for d in (0.0, -half, half))
        expected = episode.expected / minutes
        band = max(0.0, expected - half / minutes), expected + half / minutes
        scope = self._state.scopes[episode.row]
        judged = self._judge_silence(episode, at, missing * rate)
        shown = (episode.settled / minutes, expected, *band)
        return self._made(episode, at, scope if scope.segment else None, judged, shown, lost, Explanation())

    def _made(
        self,
        episode: Open,
        at: int,
        cause: Scope | None,
        judged: str,
        shown: tuple[float, ...],
        lost: tuple[float, ...],
        why: Explanation,
    ) -> Episode:
        observed, expected, low, high = shown
        order_rate, value_e4 = self._orders(episode.row)
        money = [round(goers * order_rate * value_e4) for goers in lost]
        return Episode(
            id=episode.id,
            rule=episode.rule,
            scope=self._state.scopes[episode.row],
            state=FIRING,
            started_at=episode.started_at,
            detected_at=episode.detected_at,
            resolved_at=None,
            cause=cause,
            verdict=judged,
            observed=observed,
            expected=expected,
            low=low,
            high=high,
            entrants=int(episode.settled),
            lost=lost[0],
            lost_low=lost[1],
            lost_high=lost[2],
            order_rate=order_rate,
            lost_value_e4=money[0],
            lost_value_low_e4=money[1],
            lost_value_high_e4=money[2],
            severity=self._severity(episode, at, money[0], 1.0 - observed / expected if expected else 0.0),
            smallest=episode.smallest,
            mix=why.mix,
            mix_dimension=why.mix_dimension,
            unaffected=why.unaffected,
            reason=_reason(episode.rule, observed, expected, why),
            changes=episode.changes,
        )

    def _severity(self, episode: Open, at: int, value_e4: int, drop: float) -> str:
        """From money per hour; where no value is known, from how much of the step is gone."""
        hours = max(1, at + 1 - episode.started_at) / 60
        if self._state.rows["value_e4"][episode.row] > 0:
            an_hour = value_e4 / hours
            if an_hour >= self._settings.critical_value_e4_per_hour:
                return "critical"
            return "warning" if an_hour >= self._settings.warning_value_e4_per_hour else "info"
        return "critical" if drop >= 0.5 else "warning"

    def _orders(self, row: int) -> tuple[float, float]:
        """Orders for each who goes on from here within the horizon, and what an order is worth, in 1/10,000;
        where the last step tells no value, what is at stake here.
        """
        later = self._later(row)
        known = [self._in_the_end(one) for one in later[:-1] if self._state.rows["base"][one] > 0]
        at_the_end = _value_of_one(self._state.rows[later[-1]]) if later else 0.0
        return self._slower(row) * math.prod(known), at_the_end or _value_of_one(self._state.rows[row])

    def _later(self, row: int) -> list[int]:
        """The whole steps behind this one, in order: from kind to kind of objects, then the last stage."""
        scopes, mine = self._state.scopes, self._state.scopes[row]
        steps = [one for one in self._state.steps["whole"].tolist() if self.same_journey(one, row)]
        steps.sort(key=lambda one: scopes[one].rank)
        stages = [one for one in steps if not scopes[one].is_kind]
        behind = [one for one in steps if scopes[one].rank > mine.rank]
        if mine.is_kind:
            return behind + stages[-1:]
        return [one for one in behind if not scopes[one].is_kind]

    def _in_the_end(self, row: int) -> float:
        """The share of those in a whole step who go on, within an hour instead of the step's horizon."""
        return min(RATE_MOST, self.rate(row) * self._slower(row))

    def _slower(self, row: int) -> float:
        """How many go on within an hour for each who does within the horizon, from when that was learnt."""
        record = self._state.steps[self._state.rows["step"][row]]
        settled, went_on = record["warm"]
        at = record["horizon"]
        if at < 0 or not went_on[at] or not settled[-1]:
            return 1.0
        return max(1.0, float(went_on[-1] / settled[-1] * settled[at] / went_on[at]))

    def window(self, episode: Open, at: int) -> NDArray[np.int64]:
        """The ring's places of the episode's entries, as far back as the ring goes."""
        first = max(episode.started_at // BUCKET, at // BUCKET - SLOTS + 1)
        return np.arange(first, at // BUCKET + 1) % SLOTS

    def explain(self, episode: Open, at: int) -> Explanation:
        rows, mine = self._state.rows, self._state.members[episode.step]
        back = int(self._state.horizons()[episode.step])
        sums = rows["ring"][mine][:, :3, self.window(episode, at - back)].sum(axis=2, dtype=np.float64)
        expected = np.minimum(sums[:, EXPECTED] * rows["gain"][mine], RATE_MOST * sums[:, SETTLED])
        scopes = [self._state.scopes[row] for row in mine.tolist()]
        phi = float(self._state.steps["phi"][episode.step])
        return explain(scopes, sums[:, SETTLED], sums[:, WENT_ON], expected, phi)

    def _skipped(self, row: int, episode: Open, at: int) -> tuple[float, float]:
        """(who skipped this scope in the episode's window, who usually would have)."""
        record = self._state.rows[row]
        window = self.window(episode, at)
        usual = float(record["skippers"]) / max(1.0, float(record["entrants"]))
        expected = usual * float(record["rate"]) * (BUCKET * (len(window) - 1) + at % BUCKET + 1)
        return float(record["ring"][SKIPPED, window].sum(dtype=np.float64)), expected

    def _judge_drop(self, episode: Open, at: int, lost: float) -> str:
        """Who does not turn up in the next step, but in one behind it, has been in the next one.

        Of M whose next step is not told of, a share p goes on from there and is seen: M·p skip it and M·(1 -
        p) look lost.
        """
        later = self._later(episode.row)
        if not later:
            return verdict.SHOP
        following = later[0]
        rate = self.rate(following) if self._state.rows["base"][following] > 0 else 0.0
        seen = lost * min(1.0, rate / max(1.0 - rate, 0.01))
        return verdict.judge(seen, *self._skipped(following, episode, at)) if rate > 0.02 else verdict.UNSURE

    def _judge_silence(self, episode: Open, at: int, missing: float) -> str:
        return verdict.judge(missing, *self._skipped(episode.row, episode, at))

    def smallest(self, row: int, rule: str) -> float:
        record = self._state.rows[row]
        if rule == SILENCE:
            return 1.0 - self._settings.silent_share
        entrants = float(record["rate"]) * SEEING_MINUTES
        rate = float(record["base"] * record["gain"])
        phi = float(self._state.steps["phi"][record["step"]])
        return smallest(entrants, rate, float(record["margin"]), phi, record["limit"])

    def rate(self, row: int) -> float:
        record = self._state.rows[row]
        return float(min(record["base"] * record["gain"], RATE_MOST))

    def came(self, row: int, episode: Open, at: int) -> tuple[float, float]:
        """(who entered this scope in the episode's window, who usually would have)."""
        record = self._state.rows[row]
        back = int(self._state.horizons()[episode.step])
        window = self.window(episode, at - back)
        minutes = BUCKET * (len(window) - 1) + (at - back) % BUCKET + 1
        usual = float(record["rate"] * record["flow"]) * minutes
        return float(record["ring"][SETTLED, window].sum(dtype=np.float64)), usual

    def same_journey(self, one: int, other: int) -> bool:
        return self._state.scopes[one][:2] == self._state.scopes[other][:2]


def _value_of_one(record: np.void) -> float:
    """What one entrant has at stake, in 1/10,000."""
    return float(record["value_e4"]) / max(1.0, float(record["entrants"]))


def _reason(rule: str, observed: float, expected: float, why: Explanation) -> str:
    if rule == SILENCE:
        return f"{observed:.2f} entrants a minute instead of {expected:.2f}"
    text = f"{observed:.1%} go on instead of {expected:.1%}"
    if why.mix >= 0.5:
        text += f"; {why.mix:.0%} of it is another mix of {why.mix_dimension}"
    return text
