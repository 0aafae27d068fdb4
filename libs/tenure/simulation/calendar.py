"""The shop's days: how busy each is, and when its local hours are in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from math import cos, pi
from zoneinfo import ZoneInfo

import numpy as np

from tenure.simulation.chance import Chance, Floats
from tenure.simulation.settings import Seasons, Story

MICROSECONDS = 1_000_000
DAY_US = 86_400 * MICROSECONDS
_EPOCH = date(1970, 1, 1)


class Calendar:
    """Days are counted from the first one, 0."""

    def __init__(self, story: Story) -> None:
        self.start = story.start
        self.seasons: Seasons = story.seasons
        self._zone = ZoneInfo(story.calendar)
        self._chance = Chance.of(story.seed, "calendar", np.arange(1))
        self.hours: Floats = np.asarray(story.seasons.hours, dtype=np.float64)

    def date(self, day: int) -> date:
        return self.start + timedelta(days=day)

    def epoch_days(self, day: int) -> int:
        """Days since 1970-01-01, as Arrow's date32 counts them."""
        return (self.date(day) - _EPOCH).days

    @lru_cache(maxsize=4096)  # noqa: B019 (one calendar a process)
    def midnight_us(self, day: int) -> int:
        """Local midnight in UTC microseconds, by the offset at noon: the shop is closed when clocks change."""
        noon = datetime.combine(self.date(day), time(12), tzinfo=self._zone)
        offset = noon.utcoffset() or timedelta()
        midnight = datetime.combine(self.date(day), time(0), tzinfo=UTC) - offset
        return int(midnight.timestamp()) * MICROSECONDS

    def is_sale(self, day: int) -> bool:
        """Whether the shop's own sale, once a period at a day of chance, runs."""
        every, length = self.seasons.sale_every_days, self.seasons.sale_days
        first = int(self._chance.uniform("sale", day // every)[0] * (every - length + 1))
        return first <= day % every < first + length

    @lru_cache(maxsize=4096)  # noqa: B019
    def intensity(self, day: int) -> float:
        """What the day multiplies everyone's order rate by."""
        today = self.date(day)
        since_peak = (today - _day_of(today.year, self.seasons.season_peak)).days
        season = 1.0 + self.seasons.season_amplitude * cos(2.0 * pi * since_peak / 365.25)
        lift = self.seasons.sale_lift if self.is_sale(day) else 1.0
        for peak in self.seasons.peaks:
            if 0 <= (today - _day_of(today.year, peak.first)).days < peak.days:
                lift *= peak.lift
        return season * self.seasons.weekdays[today.weekday()] * lift


def _day_of(year: int, month_and_day: str) -> date:
    return date.fromisoformat(f"{year}-{month_and_day}")
