"""The slow twin of the attribution: lists of dicts, one level at a time, no clever order."""

from __future__ import annotations

from collections.abc import Sequence

Row = tuple[int, int, float, float]  # is_ask, tick, before, after
Told = tuple[int, int, float, int]  # is_ask, tick, coins, event_ns


class SlowAttribution:
    """by_level[(is_ask, tick)] = [added, filled, cancelled] coins since the beginning."""

    def __init__(self, start_ns: int, tolerance_ns: int) -> None:
        self.by_level: dict[tuple[int, int], list[float]] = {}
        self.at_ns = start_ns
        self.tolerance_ns = tolerance_ns
        self.waiting: list[list[float]] = []  # [is_ask, tick, coins, event_ns]
        self.losses: list[list[float]] = []  # [is_ask, tick, since, until, coins left]

    def trades(self, trades: Sequence[Told]) -> None:
        for is_ask, tick, coins, at_ns in trades:
            left = coins
            if at_ns <= self.at_ns:
                left -= self._from_the_past(is_ask, tick, coins, at_ns)
                if at_ns <= self.at_ns - self.tolerance_ns:
                    self._refilled(is_ask, tick, left)
                    continue
            if left > 0.0:
                self.waiting.append([is_ask, tick, left, at_ns])

    def message(self, rows: Sequence[Row], at_ns: int) -> None:
        since, self.at_ns = self.at_ns, max(at_ns, self.at_ns)
        for is_ask, tick, before, after in rows:
            cell = self._cell(is_ask, tick)
            if after > before:
                cell[0] += after - before
            lost = before - after
            for trade in self.waiting:
                if lost <= 0.0:
                    break
                in_time = since - self.tolerance_ns < trade[3] <= self.at_ns
                if (trade[0], trade[1]) == (is_ask, tick) and in_time:
                    part = min(lost, trade[2])
                    trade[2] -= part
                    lost -= part
                    cell[1] += part
            if lost > 0.0:
                cell[2] += lost
                self.losses.append([is_ask, tick, since, self.at_ns, lost])
        kept = []
        for trade in self.waiting:
            if trade[2] <= 0.0:
                continue
            if trade[3] > self.at_ns - self.tolerance_ns:
                kept.append(trade)
                continue
            is_ask, tick, left, told_ns = int(trade[0]), int(trade[1]), trade[2], int(trade[3])
            self._refilled(is_ask, tick, left - self._from_the_past(is_ask, tick, left, told_ns))
        self.waiting = kept

    def _cell(self, is_ask: int, tick: int) -> list[float]:
        return self.by_level.setdefault((is_ask, tick), [0.0, 0.0, 0.0])

    def _refilled(self, is_ask: int, tick: int, coins: float) -> None:
        cell = self._cell(is_ask, tick)
        cell[0] += coins
        cell[1] += coins

    def _from_the_past(self, is_ask: int, tick: int, coins: float, at_ns: int) -> float:
        moved = 0.0
        here = [loss for loss in self.losses if (loss[0], loss[1]) == (is_ask, tick)]
        covering = [loss for loss in here if loss[2] < at_ns <= loss[3]]
        around = [
            loss
            for loss in here
            if loss not in covering
            and loss[2] - self.tolerance_ns < at_ns <= loss[3] + self.tolerance_ns
        ]
        for loss in covering + around:
            part = min(coins - moved, loss[4])
            loss[4] -= part
            moved += part
        cell = self._cell(is_ask, tick)
        cell[1] += moved
        cell[2] -= moved
        return moved
