"""From statistics to episodes: which alarm is one of its own, which part of another, and when it ends."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect.cusum import RATE_LEAST, nearness, recovery
from pipeline.core.detect.episodes import DROP, RESOLVED, SILENCE, Episode, Open, identify
from pipeline.core.detect.layout import EXPECTED, WENT_ON
from pipeline.core.detect.settings import DROPS, Settings
from pipeline.core.detect.state import State
from pipeline.core.detect.telling import Teller

HOLD = 0.25
"""Of its threshold: a silence waits while the steps before it look so suspicious."""
SOON_MINUTES = 3
"""It waits for their horizon and so long."""
BEFORE_MINUTES = 60
"""An earlier step's episode explains the silence of a later one if it began at most so long after it."""
LOOK_MINUTES = 5
"""How often cause and verdict of what is firing are looked at again."""
MIX_MOST = 0.8
"""Of a drop: if another mix of entrants makes so much of it, nobody is called."""
CROWD = 2.0
"""Times its usual entrants."""
ALIKE = 0.8
"""Of what is usual: as many as usual."""
NEARLY = 0.95
"""The same where it is known better: by what the rest of the step says of today."""
MOST_IDLE = 0.8
"""Of those who came and do not go on, so many came in addition."""
WORSE = 1.5
"""A loss that has grown by this is told of again."""


class Incidents:
    """What is firing, and what has been until a moment ago."""

    def __init__(self, settings: Settings, state: State) -> None:
        self._settings = settings
        self._state = state
        self._teller = Teller(settings, state)
        self.open: list[Open] = []  # also those that have ended within the cool-down

    def firing(self) -> list[Open]:
        return [episode for episode in self.open if episode.resolved_at < 0]

    def steps_firing(self, rule: str) -> set[int]:
        """The steps of episodes that are firing by this rule, and those that they explain."""
        mine = [episode for episode in self.firing() if episode.rule == rule]
        return {step for episode in mine for step in (episode.step, *episode.absorbed)}

    def apply(self, at: int, counts: NDArray[np.int64], silence: float) -> list[Episode]:
        """What a minute changes. `silence` is the threshold of the tests of arrivals."""
        changed: list[Episode] = []
        for episode in self.firing():
            self._advance(episode, at, counts)
            if self._over(episode, at):
                changed.append(self._resolve(episode, at))
            elif (at - episode.detected_at) % LOOK_MINUTES == 0:
                changed += self._tell_if_new(episode, at)
        self.open = [
            episode
            for episode in self.open
            if episode.resolved_at < 0 or at - episode.resolved_at <= self._settings.cool_down_minutes
        ]
        rows = self._state.rows
        highest = nearness(rows["cusum"], rows["limit"])
        called = np.flatnonzero(highest >= 1.0)
        if len(called):
            changed += self._drops(at, called, highest)
        quiet = np.flatnonzero(rows["quiet"] >= silence)
        if len(quiet):
            changed += self._silences(at, quiet, highest, silence)
        return changed

    def _drops(self, at: int, called: NDArray[np.int64], highest: NDArray[np.float64]) -> list[Episode]:
        rows, scopes = self._state.rows, self._state.scopes
        changed = []
        order = sorted(called.tolist(), key=lambda r: (bool(scopes[r].segment), -highest[r], scopes[r]))
        for row in order:
            step = int(rows["step"][row])
            test = int((rows["cusum"][row] / rows["limit"][row]).argmax())
            started = int(rows["since"][row, test])
            if self._part_of_another(row, step, started):
                continue
            settled, went_on, expected = rows["gathered"][row, test].tolist()
            found = Open("", DROP, row, step, test, started, at)
            found.settled, found.went_on, found.expected = settled, went_on, expected
            if self._nobody_is_missing(found, at):  # so far: when the crowd has gone it is soon forgotten
                rows["cusum"][row] = np.minimum(rows["cusum"][row], rows["limit"][row])
            else:
                changed.append(self._begin(found, at))
        return changed

    def _nobody_is_missing(self, found: Open, at: int) -> bool:
        """Whether a rate fell only because others came as well: another mix, or a crowd in one segment.

        A campaign that brings the curious, or a bot, lowers a rate and takes no order away.
        """
        why = self._teller.explain(found, at)
        if why.mix >= MIX_MOST:
            return True
        row = self._state.scopes.index(why.cause) if why.cause else found.row
        return bool(self._state.scopes[row].segment) and self._is_crowd(row, found, at)

    def _is_crowd(self, row: int, found: Open, at: int) -> bool:
        """Whether a segment has at least twice its entrants and hardly fewer who go on; or if, against what
        the rest of the step says of today, those who came in addition are those who do not go on. And nobody
        is missing in the rest of the step: they were not only named anew.
        """
        came, usual = self._teller.came(row, found, at)
        all_came, all_usual = self._teller.came(int(self._state.steps["whole"][found.step]), found, at)
        rest, rest_usual = all_came - came, all_usual - usual
        if rest_usual <= 0.0 or rest < ALIKE * rest_usual:  # or arrivals are not known yet
            return False
        window = self._teller.window(found, at - int(self._state.horizons()[found.step]))
        goers = float(self._state.rows["ring"][row, WENT_ON, window].sum(dtype=np.float64))
        rate = self._teller.rate(row)
        if came >= CROWD * usual and goers >= ALIKE * usual * rate - 3.0 * math.sqrt(usual * rate):
            return True
        today = usual * rest / rest_usual
        more, idle = came - today, came - goers / max(rate, RATE_LEAST)
        as_many = goers >= NEARLY * today * rate - math.sqrt(today * rate)
        burst = float(self._state.steps["burst"][found.step])
        return as_many and more >= MOST_IDLE * idle and more >= 3.0 * math.sqrt(today * burst)

    def _silences(
        self, at: int, quiet: NDArray[np.int64], highest: NDArray[np.float64], limit: float
    ) -> list[Episode]:
        rows, scopes = self._state.rows, self._state.scopes
        changed = []
        for row in sorted(quiet.tolist(), key=lambda r: (bool(scopes[r].segment), scopes[r])):
            step = int(rows["step"][row])
            started = int(rows["quiet_since"][row])
            if self._silenced_by_another(row, step, started) or self._wait(at, row, started, highest, limit):
                continue
            found = Open("", SILENCE, row, step, 0, started, at)
            found.settled = float(rows["quiet_entered"][row])
            found.expected = float(rows["quiet_expected"][row])
            changed.append(self._begin(found, at))
        return changed

    def _part_of_another(self, row: int, step: int, started: int) -> bool:
        """An episode of the same step, or one of the same journey that began together with it.

        A whole step that falls is not hidden behind a segment of another; a kind of object and the stage that
        it stands for are no others.
        """
        scopes = self._state.scopes
        for episode in self.firing():
            together = abs(episode.started_at - started) <= self._settings.together_minutes
            twins = scopes[row].stands_with(scopes[episode.row])
            hidden = scopes[episode.row].segment and not scopes[row].segment and not twins
            if episode.step == step or (
                together and not hidden and self._teller.same_journey(episode.row, row)
            ):
                return _absorb(episode, step)
        return False

    def _silenced_by_another(self, row: int, step: int, started: int) -> bool:
        """An episode of the same step or of an earlier one: fewer go on there, so fewer come here."""
        scopes = self._state.scopes
        for episode in self.firing():
            earlier = scopes[episode.row].place <= scopes[row].place
            before = episode.started_at <= started + BEFORE_MINUTES
            same = episode.step == step and episode.rule == SILENCE
            part = scopes[episode.row].segment and not scopes[row].segment
            if same or (earlier and before and not part and self._teller.same_journey(episode.row, row)):
                return _absorb(episode, step)
        return False

    def _wait(self, at: int, row: int, started: int, highest: NDArray[np.float64], limit: float) -> bool:
        """Whether an earlier step of the journey may soon be called, of whose trouble this is a part.

        Who does not go on there is missing here at once, but lost there only after the horizon.
        """
        scopes, rows = self._state.scopes, self._state.rows
        back = self._state.horizons().tolist()
        for step, whole in enumerate(self._state.steps["whole"].tolist()):
            if not self._teller.same_journey(whole, row) or scopes[whole].place >= scopes[row].place:
                continue
            soon = back[step] >= 0 and at - started < back[step] + SOON_MINUTES
            if soon or highest[whole] >= HOLD or rows["quiet"][whole] >= HOLD * limit:
                return True
        return False

    def _begin(self, found: Open, at: int) -> Episode:
        scope = self._state.scopes[found.row]
        found.id = identify(scope, found.rule, found.started_at)
        for known in self.open:
            if known.rule == found.rule and known.step == found.step:  # it has ended a moment ago: it goes on
                known.resolved_at, known.back, known.back_since = -1, 0.0, -1
                return self._tell(known, at)
        found.smallest = self._teller.smallest(found.row, found.rule)
        self.open.append(found)
        return self._tell(found, at)

    def _advance(self, episode: Open, at: int, counts: NDArray[np.int64]) -> None:
        """One more minute of what is firing, and of the evidence that it is over."""
        record = self._state.rows[episode.row]
        n, k, entered = counts[episode.row, :3].tolist()
        if episode.rule == SILENCE:
            rate = float(record["rate"] * record["flow"])
            episode.settled += entered
            episode.expected += rate
            normal, share = self._settings.silent_normal, self._settings.silent_share
            step = entered * float(np.log(normal / share)) - (normal - share) * rate
            step /= float(self._state.steps["burst"][episode.step])
        else:
            rate = self._teller.rate(episode.row)
            episode.settled += n
            episode.went_on += k
            episode.expected += n * rate
            null = rate * (1.0 - float(record["margin"]))
            phi = float(self._state.steps["phi"][episode.step])
            step = recovery(n, k, null, DROPS[episode.test], phi) if n else 0.0
        back = max(0.0, episode.back + step)
        if back > 0.0 and episode.back == 0.0:
            episode.back_since = at
        episode.back = back

    def _over(self, episode: Open, at: int) -> bool:
        settings = self._settings
        long_enough = at - episode.back_since >= settings.resolve_minutes
        recovered = episode.back >= settings.resolve_evidence and long_enough
        return recovered or at - episode.detected_at >= settings.accept_minutes

    def _resolve(self, episode: Open, at: int) -> Episode:
        told = self._teller.episode(episode, at)
        episode.resolved_at = at
        episode.changes += 1
        rows = self._state.rows
        for step in {episode.step, *episode.absorbed}:
            for name in ("cusum", "gathered", "quiet", "quiet_entered", "quiet_expected"):
                rows[name][self._state.members[step]] = 0.0
        if at - episode.detected_at >= self._settings.accept_minutes:
            self._accept(episode)
            self.open.remove(episode)  # if it falls again, that is another episode
        return replace(told, state=RESOLVED, resolved_at=at, changes=episode.changes)

    def _accept(self, episode: Open) -> None:
        """What has lasted so long is what is normal now: what was learnt is brought to it."""
        seen = episode.settled if episode.rule == SILENCE else episode.went_on
        scale = min(1.0, (seen + 1.0) / (episode.expected + 1.0))
        step, rows = self._state.steps[episode.step], self._state.rows
        mine = self._state.members[episode.step]
        if episode.rule == SILENCE:
            step["a"][:] *= scale
            rows["rate"][mine] *= scale
            return
        rows["ring"][mine, : EXPECTED + 1] = 0.0
        if self._state.scopes[episode.row].segment:
            rows["went"][episode.row] *= scale
            rows["ratio"][episode.row] *= scale
            rows["gain"][episode.row] *= scale
        else:
            step["k"][:] *= scale
            rows["base"][mine] *= scale

    def _tell_if_new(self, episode: Open, at: int) -> list[Episode]:
        told = self._teller.episode(episode, at)
        words = [told.severity, str(told.cause), told.verdict]
        more = told.lost > WORSE * max(episode.told_lost, 5.0)
        return [self._tell(episode, at)] if words != episode.told or more else []

    def _tell(self, episode: Open, at: int) -> Episode:
        episode.changes += 1
        told = self._teller.episode(episode, at)
        episode.told = [told.severity, str(told.cause), told.verdict]
        episode.told_lost = told.lost
        return told


def _absorb(episode: Open, step: int) -> bool:
    if step != episode.step and step not in episode.absorbed:
        episode.absorbed.append(step)
    return True
