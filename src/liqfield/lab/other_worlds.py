"""A market of another make than ours: what somebody else would write to test a liquidation map.

One instrument, by the minute, from the words of the issue alone; it shares no code with the
built-in market nor with the estimator. Price: stochastic volatility and jumps. Every minute what
the mark has passed is force-closed, a constant share of volume replaces positions, open interest
goes its own way back to its mean, and both sides are filled up to it by new positions at traded
prices, each with its own exact liquidation price. No collateral wanders, nobody leaves because the
market is lively, and unless `stop_share` says so nobody has a stop.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

from liqfield.model.durations import DAY_NS, MINUTE_NS
from liqfield.model.events import FloatArray, IntArray

BEGIN_NS = 1_748_736_000_000_000_000  # 2025-06-01 00:00 UTC, when the public files begin
TICKS = 12  # prices a minute
DAY = 1440  # minutes
# USD of position value from which a tier holds, highest leverage, maintenance rate, deduction: USD.
TIER_FLOOR: FloatArray = np.array([0.0, 300e3, 800e3, 3e6, 12e6, 70e6])
TIER_TOP: FloatArray = np.array([125.0, 100.0, 75.0, 50.0, 25.0, 20.0])
TIER_RATE: FloatArray = np.array([0.004, 0.005, 0.0065, 0.01, 0.02, 0.025])
TIER_CUT: FloatArray = np.array([0.0, 300.0, 1500.0, 12e3, 132e3, 482e3])
TIER_CAP: FloatArray = np.append(TIER_FLOOR[1:], np.inf)
POINTS: FloatArray = np.array([5.0, 10.0, 20.0, 25.0, 50.0, 75.0, 100.0, 125.0])


class OtherWorld(msgspec.Struct, frozen=True, kw_only=True):
    """A world's laws.

    churn            share of volume that replaces positions
    turnover         volume, open interests a day
    volatility       sd of log price a day; jumps_per_day of `jump` (sd of log price)
    isolated_share   of positions (by coins opened): at a point of the menu, weights below
    menu             weights of POINTS
    median, sigma    log-normal effective leverage of the others, by coins opened
    taker_factor     takers' median over the makers', squared: each goes half of the way
    exit_power       who leaves: hazard in proportion to leverage ** exit_power
    stop_share       share of positions with a stop between 30 and 90 % of the way to liquidation
    open_interest    coins, its mean; interest_sd, interest_days: of its logarithm about the mean
    begun            open interest at the start as a share of its mean
    size_usd         mean position, log-normal with sigma 1
    hidden_days      simulated before the files begin
    feed             klines | trades | complete | second: what is shown, see app/study/other_worlds
    """

    name: str
    feed: str = "klines"
    days: float = 8.0
    hidden_days: float = 3.0
    churn: float = 0.02
    turnover: float = 5.0
    volatility: float = 0.03
    jumps_per_day: float = 0.5
    jump: float = 0.01
    isolated_share: float = 0.5
    menu: tuple[float, ...] = (1.0, 2.0, 2.0, 1.0, 1.5, 0.7, 1.0, 0.4)
    median: float = 5.0
    sigma: float = 0.8
    taker_factor: float = 1.5
    exit_power: float = 0.0
    stop_share: float = 0.0
    open_interest: float = 20_000.0
    interest_sd: float = 0.07
    interest_days: float = 1.5
    begun: float = 1.0
    size_usd: float = 40e3
    price: float = 60_000.0


class Shot(msgspec.Struct, frozen=True, eq=False):
    """Every position after a minute: levels USD, coins; index 0 longs, 1 shorts."""

    at_ns: int
    mark: float
    levels: tuple[FloatArray, FloatArray]
    coins: tuple[FloatArray, FloatArray]


class OtherTruth(msgspec.Struct, frozen=True, eq=False):
    """What happened from BEGIN_NS on; [n] by the minute.

    path USD [n, TICKS]; volume, bought, opened (mean of both sides), interest coins [n]; prints
    [k, 5]: ns since BEGIN_NS, side (0 a long was closed), coins, bankruptcy price, mark then.
    """

    path: FloatArray
    volume: FloatArray
    bought: FloatArray
    opened: FloatArray
    interest: FloatArray
    prints: FloatArray
    shots: list[Shot]


def liquidation_levels(
    sign: float, entry: FloatArray, coins: FloatArray, leverage: FloatArray
) -> FloatArray:
    """USD at which margin notional / leverage falls to the maintenance of the tier that holds the
    position's value there; 0 for a long that no price liquidates. sign: +1 long, -1 short."""
    value = entry * coins
    # equity margin + sign q (P - E) = P q rate - cut, for every tier at once
    top = (sign * value - value / leverage)[:, None] - TIER_CUT
    price = top / (coins[:, None] * (sign - TIER_RATE))
    at = price * coins[:, None]
    fits = (at >= TIER_FLOOR * (1.0 - 1e-9)) & (at < TIER_CAP * (1.0 + 1e-9))
    chosen = price[np.arange(len(price)), fits.argmax(axis=1)]
    return np.where(fits.any(axis=1), chosen, 0.0)


class _Side:
    """Positions of one side in columns; rows: entry, coins, leverage, level, stop."""

    def __init__(self, sign: float) -> None:
        self.sign = sign
        self._rows = np.zeros((5, 1024))
        self.count = 0
        self.coins = 0.0

    @property
    def rows(self) -> FloatArray:
        rows: FloatArray = self._rows[:, : self.count]
        return rows

    def add(self, rows: FloatArray) -> None:
        while self.count + rows.shape[1] > self._rows.shape[1]:
            self._rows = np.concatenate((self._rows, np.zeros_like(self._rows)), axis=1)
        self._rows[:, self.count : self.count + rows.shape[1]] = rows
        self.count += rows.shape[1]
        self.coins += float(rows[1].sum())

    def remove(self, at: IntArray) -> FloatArray:
        """Take out the rows of these distinct places; the last ones fill the holes."""
        gone: FloatArray = self._rows[:, at]
        if not len(at):
            return gone
        left = self.count - len(at)
        stays = np.ones(len(at), bool)
        stays[at[at >= left] - left] = False
        self._rows[:, at[at < left]] = self._rows[:, left + np.flatnonzero(stays)]
        self.count = left
        self.coins -= float(gone[1].sum())
        return gone

    def passed(self, row: int, low: float, high: float) -> FloatArray:
        """Those whose level (row 3) or stop (row 4) the mark has passed on its way, taken out."""
        price = self._rows[row, : self.count]
        hit = price >= low if self.sign > 0.0 else price <= high
        return self.remove(np.flatnonzero(hit))

    def close(self, coins: float, power: float, rng: np.random.Generator) -> None:
        """So many coins leave, position after position by their hazard, the last one in part."""
        while coins > 1e-9 and self.count:
            mean = self.coins / self.count
            at = rng.integers(self.count, size=int(1.5 * coins / mean) + 3)
            if power:
                hazard = (self._rows[2, at] / TIER_TOP[0]) ** power
                at = at[rng.random(len(at)) < hazard]
            _, first = np.unique(at, return_index=True)
            at = at[np.sort(first)]  # drawn again: does not count
            sums = np.cumsum(self._rows[1, at])
            whole = int(np.searchsorted(sums, coins, side="right"))
            rest = coins - (float(sums[whole - 1]) if whole else 0.0)
            if whole < len(at):
                self._cut(int(at[whole]), rest)
                rest = 0.0
            self.remove(at[:whole])
            coins = rest

    def _cut(self, at: int, coins: float) -> None:
        self._rows[1, at] -= coins
        self.coins -= coins
        entry, left, leverage = self._rows[:3, at : at + 1]
        self._rows[3, at] = liquidation_levels(self.sign, entry, left, leverage)[0]


def _paths(spec: OtherWorld, minutes: int, rng: np.random.Generator) -> tuple[FloatArray, ...]:
    """(price [minutes, TICKS], volatility over its mean [minutes], volume over its mean)."""
    keep = math.exp(-1.0 / 360.0)
    shocks = rng.normal(0.0, 0.4 * math.sqrt(1.0 - keep * keep), minutes)
    log_vol = np.zeros(minutes)
    for m in range(1, minutes):
        log_vol[m] = keep * log_vol[m - 1] + shocks[m]
    lively = np.exp(log_vol - 0.08)
    sd = spec.volatility * lively / math.sqrt(DAY * TICKS)
    steps = rng.normal(0.0, 1.0, (minutes, TICKS)) * sd[:, None]
    jumps = rng.random((minutes, TICKS)) < spec.jumps_per_day / (DAY * TICKS)
    steps += np.where(jumps, rng.normal(0.0, spec.jump, (minutes, TICKS)), 0.0)
    price = spec.price * np.exp(np.cumsum(steps.ravel())).reshape(minutes, TICKS)
    volume = (0.5 + 0.5 * lively) * np.exp(rng.normal(-0.125, 0.5, minutes))
    return price, lively, volume


def _interest(spec: OtherWorld, minutes: int, rng: np.random.Generator) -> FloatArray:
    """Coins by the minute, [minutes + 1]: a mean-reverting walk of five-minute knots."""
    knots = minutes // 5 + 2
    keep = math.exp(-5.0 / DAY / spec.interest_days)
    shocks = rng.normal(0.0, spec.interest_sd * math.sqrt(1.0 - keep * keep), knots)
    x = np.full(knots, math.log(spec.begun))
    for n in range(1, knots):
        x[n] = keep * x[n - 1] + shocks[n]
    coins: FloatArray = spec.open_interest * np.exp(
        np.interp(np.arange(minutes + 1) / 5.0, np.arange(knots), x)
    )
    return coins


def opened_leverage(
    spec: OtherWorld,
    notional: FloatArray,
    is_taker: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> FloatArray:
    """A leverage for each new position of `notional` USD, no more than its tier allows."""
    n = len(notional)
    factor = math.sqrt(spec.taker_factor)
    shift = np.where(is_taker, factor, 1.0 / factor)
    smooth = spec.median * shift * np.exp(rng.normal(0.0, spec.sigma, n))
    weights = np.array(spec.menu)
    point = rng.choice(POINTS, n, p=weights / weights.sum())
    wanted = np.where(rng.random(n) < spec.isolated_share, point, np.maximum(smooth, 1.01))
    top = TIER_TOP[np.searchsorted(TIER_FLOOR, notional, side="right") - 1]
    return np.minimum(wanted, top)


class _Market:
    def __init__(self, spec: OtherWorld, rng: np.random.Generator) -> None:
        self.spec, self.rng = spec, rng
        self.sides = _Side(1.0), _Side(-1.0)
        self.prints: list[FloatArray] = []

    def open(self, index: int, coins: float, path: FloatArray, buys: float, at_ns: int) -> None:
        """So many coins of one side are opened along the path, by takers and by makers; those whose
        level it passes later on are force-closed at once."""
        spec, rng, side = self.spec, self.rng, self.sides[index]
        if coins <= 1e-9:
            return
        number = max(int(rng.poisson(coins * path[-1] / spec.size_usd)), 1)
        size = np.exp(rng.normal(0.0, 1.0, number))
        size *= coins / size.sum()
        tick = rng.integers(len(path), size=number)
        entry = path[tick]
        taken = buys if index == 0 else 1.0 - buys
        leverage = opened_leverage(spec, size * entry, rng.random(number) < taken, rng)
        level = liquidation_levels(side.sign, entry, size, leverage)
        way = rng.uniform(0.3, 0.9, number)
        stop = np.where(rng.random(number) < spec.stop_share, entry + way * (level - entry), np.nan)
        rows = np.stack((entry, size, leverage, level, stop))
        back = path[::-1]
        worst = (np.minimum if index == 0 else np.maximum).accumulate(back)[::-1][tick]
        fallen = level >= worst if index == 0 else level <= worst
        side.add(rows[:, ~fallen])
        self._print(index, rows[:, fallen], path, at_ns)

    def force(self, index: int, low: float, high: float, path: FloatArray, at_ns: int) -> float:
        """Liquidate what the mark has passed on its path from at_ns on; coins."""
        gone = self.sides[index].passed(3, low, high)
        self._print(index, gone, path, at_ns)
        return float(gone[1].sum())

    def _print(self, index: int, gone: FloatArray, path: FloatArray, at_ns: int) -> None:
        if not gone.shape[1]:
            return
        entry, coins, leverage, level, _ = gone
        # the first price on the path that is as bad as the level
        if index == 0:
            first = np.searchsorted(-np.minimum.accumulate(path), -level)
        else:
            first = np.searchsorted(np.maximum.accumulate(path), level)
        tick = np.minimum(first, len(path) - 1)
        at = at_ns + (tick + self.rng.random(len(tick))) * (MINUTE_NS / TICKS)
        bankrupt = entry * (1.0 - self.sides[index].sign / leverage)
        self.prints.append(
            np.stack((at, np.full(len(at), float(index)), coins, bankrupt, path[tick]), axis=1)
        )

    def minute(
        self, path: FloatArray, before: float, interest: float, volume: float, buys: float, at: int
    ) -> tuple[float, float]:
        """One minute; path [TICKS], before: the mark at its start. Returns coins (opened a side on
        average, traded at least)."""
        spec = self.spec
        low, high = min(before, path.min()), max(before, path.max())
        opened, least = [0.0, 0.0], 0.0
        for index, side in enumerate(self.sides):
            was = side.coins
            left = float(side.passed(4, low, high)[1].sum())
            left += self.force(index, low, high, path, at)
            leaving = spec.churn * volume + max(was - interest, 0.0)
            side.close(max(min(leaving, was) - left, 0.0), spec.exit_power, self.rng)
            # What falls again within its first minute is opened once more at the minute's end.
            for way in (path, path[-1:]):
                missing = interest - side.coins
                opened[index] += max(missing, 0.0)
                self.open(index, missing, way, buys, at)
            least = max(least, opened[index] + max(was - interest, 0.0))
        return 0.5 * (opened[0] + opened[1]), least

    def shot(self, at_ns: int, mark: float) -> Shot:
        longs, shorts = (side.rows[[1, 3]].copy() for side in self.sides)
        return Shot(at_ns, mark, (longs[1], shorts[1]), (longs[0], shorts[0]))


def simulate(spec: OtherWorld, seed: int, every_ns: int = 4 * 60 * MINUTE_NS) -> OtherTruth:
    """Play a world; positions are kept every so often from BEGIN_NS on."""
    rng = np.random.default_rng(seed)
    hidden = round(spec.hidden_days * DAY)
    minutes = hidden + round(spec.days * DAY)
    price, _, pace = _paths(spec, minutes, rng)
    interest = _interest(spec, minutes, rng)
    volume = spec.open_interest * spec.turnover / DAY * pace
    bought = np.clip(0.5 + 0.1 * rng.normal(0.0, 1.0, minutes), 0.1, 0.9)
    market = _Market(spec, rng)
    for index in range(2):
        market.open(index, float(interest[0]), np.array([spec.price]), 0.5, 0)
    opened = np.empty(minutes)
    shots = []
    before = spec.price
    for m in range(minutes):
        at = BEGIN_NS + (m - hidden) * MINUTE_NS
        opened[m], least = market.minute(
            price[m], before, interest[m + 1], volume[m], bought[m], at - BEGIN_NS
        )
        volume[m] = max(volume[m], least)
        before = price[m, -1]
        if m == hidden - 1:
            market.prints.clear()
        if m >= hidden and (at + MINUTE_NS) % every_ns == 0:
            shots.append(market.shot(at + MINUTE_NS, before))
    prints = np.concatenate(market.prints) if market.prints else np.empty((0, 5))
    shown = slice(hidden, None)
    return OtherTruth(
        path=price[shown],
        volume=volume[shown],
        bought=bought[shown] * volume[shown],
        opened=opened[shown],
        interest=interest[1:][shown],
        prints=prints[np.argsort(prints[:, 0], kind="stable")],
        shots=shots,
    )


def days_of(spec: OtherWorld) -> list[int]:
    """ns at which each UTC day of the files begins."""
    return [BEGIN_NS + day * DAY_NS for day in range(math.ceil(spec.days))]
