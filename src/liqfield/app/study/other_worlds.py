"""Does the map work on markets that are not of our make? `lab/other_worlds.py`, by the public path.

A world is written as the files that vendors publish, `liqfield map`'s own code reads them and draws
a map every 4 h, and a user's reading of those maps is set against every position: bins of 0.1 %
within 8 % of the mark, beside the naive ladder, the shifted volume profile and the same filter told
the world's law of openings, who leaves and the coins opened.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from liqfield.app.maps import MapTimes, maps_of
from liqfield.app.sources import open_source
from liqfield.app.study.worlds import on_window
from liqfield.density import law as laws
from liqfield.density.estimator import DensityEstimator
from liqfield.density.openings import Told
from liqfield.lab.other_worlds import (
    BEGIN_NS,
    TICKS,
    OtherTruth,
    OtherWorld,
    Shot,
    opened_leverage,
    simulate,
)
from liqfield.model.durations import DAY_NS, MINUTE_NS, MS, SECOND_NS
from liqfield.model.errors import SettingError
from liqfield.model.estimates import LiquidationDensity
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.grid import PriceGrid
from liqfield.store.atomic import write_atomic
from liqfield.verify import baselines
from liqfield.verify.field import FieldScore, field_window, gap_closed, mean_score, score_field

BURN_DAYS = 3.0
TICK_NS = MINUTE_NS // TICKS
US_NS = 1_000
SYMBOL = "BTCUSDT"

OTHERS: tuple[OtherWorld, ...] = (
    OtherWorld(name="base"),
    OtherWorld(name="complete", feed="complete"),
    OtherWorld(name="second", feed="second", churn=0.05, volatility=0.045),
    OtherWorld(name="isolated", isolated_share=1.0, feed="complete"),
    OtherWorld(name="cross", isolated_share=0.0, feed="trades"),
    OtherWorld(name="cross-heavy", isolated_share=0.0, median=10.0, feed="complete", churn=0.05),
    OtherWorld(name="light", isolated_share=0.15, median=3.0, turnover=10.0, stop_share=0.5),
    OtherWorld(name="busy", churn=0.1, turnover=10.0, exit_power=0.5, feed="complete"),
    OtherWorld(name="calm", volatility=0.015, turnover=1.0, feed="second", isolated_share=0.3),
    OtherWorld(
        name="growing",
        feed="complete",
        isolated_share=1.0,
        menu=(1, 1, 1, 1, 1, 0, 1, 0),
        begun=0.1,
        hidden_days=0.0,
        interest_days=4.0,
        interest_sd=0.03,
        turnover=1.0,
    ),
    OtherWorld(name="young", begun=0.2, hidden_days=0.0, interest_days=3.0, feed="complete"),
)
"""Looked at while building with seed 1; `growing` was written after that and never tuned on."""


class OtherReport(msgspec.Struct, frozen=True):
    """Mean scores over the maps of one world, and the share of the gap to the ceiling closed.

    turned_true, turned: open interest replaced a day, in the world and by the map's own account.
    """

    name: str
    seed: int
    feed: str
    maps: int
    naive: FieldScore
    profile: FieldScore
    ours: FieldScore
    ceiling: FieldScore
    closed_correlation: float
    closed_wasserstein: float
    turned_true: float
    turned: float


# ---- the public files ---------------------------------------------------------------------------


def _date(day_ns: int) -> str:
    return f"{datetime.fromtimestamp(day_ns / 1e9, UTC):%Y-%m-%d}"


def _csv(path: Path, head: str, rows: Iterable[str]) -> None:
    text = "\n".join((head, *rows)) + "\n"
    packed = gzip.compress(text.encode(), 1) if path.suffix == ".gz" else text.encode()
    write_atomic(path, packed)


def _trades(truth: OtherTruth, minutes: range) -> Iterator[tuple[int, float, float, bool]]:
    """(ns, price, coins, taker bought): a purchase and a sale a tick."""
    for m in minutes:
        buy, sell = truth.bought[m] / TICKS, (truth.volume[m] - truth.bought[m]) / TICKS
        for tick in range(TICKS):
            at, price = BEGIN_NS + m * MINUTE_NS + tick * TICK_NS, float(truth.path[m, tick])
            yield at + TICK_NS // 3, price, buy, True
            yield at + TICK_NS // 2, price, sell, False


def _write_vision(truth: OtherTruth, minutes: range, day_ns: int, folder: Path, feed: str) -> None:
    """A day of data.binance.vision."""
    date = _date(day_ns)
    candles, marks, metrics = [], [], []
    for m in minutes:
        path = truth.path[m]
        first = truth.path[m - 1, -1] if m else path[0]
        low, high = min(first, path.min()), max(first, path.max())
        at = (BEGIN_NS + m * MINUTE_NS) // MS
        ohlc = f"{at},{first:.1f},{high:.1f},{low:.1f},{path[-1]:.1f}"
        volume, bought = float(truth.volume[m]), float(truth.bought[m])
        candles.append(
            f"{ohlc},{volume:.3f},{at + 59_999},{volume * path[-1]:.1f},99,{bought:.3f},"
            f"{bought * path[-1]:.1f},0"
        )
        marks.append(f"{ohlc},0,{at + 59_999},0,60,0,0,0")
        if (m + 1) % 5 == 0:
            when = datetime.fromtimestamp((BEGIN_NS + (m + 1) * MINUTE_NS) / 1e9, UTC)
            coins = float(truth.interest[m])
            metrics.append(
                f"{when:%Y-%m-%d %H:%M:%S},{SYMBOL},{coins:.3f},{coins * path[-1]:.2f},,,,"
            )
    kline = (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
        "taker_buy_quote_volume,ignore"
    )
    if feed == "trades":
        _csv(
            folder / "aggTrades" / f"{SYMBOL}-aggTrades-{date}.csv",
            "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
            (
                f"{at // MS},{price:.1f},{coins:.4f},{n},{n},{at // MS},"
                f"{'false' if is_buy else 'true'}"
                for n, (at, price, coins, is_buy) in enumerate(_trades(truth, minutes))
            ),
        )
    else:
        _csv(folder / "klines" / f"{SYMBOL}-1m-{date}.csv", kline, candles)
    _csv(folder / "markPriceKlines" / f"{SYMBOL}-1m-{date}.csv", kline, marks)
    _csv(
        folder / "metrics" / f"{SYMBOL}-metrics-{date}.csv",
        "create_time,symbol,sum_open_interest,sum_open_interest_value,"
        "count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,count_long_short_ratio,"
        "sum_taker_long_short_vol_ratio",
        metrics,
    )


def _shown(prints: FloatArray, feed: str) -> FloatArray:
    """What a feed shows of all prints: everything, or the largest of each second."""
    if feed == "complete":
        return prints
    second = (prints[:, 0] // SECOND_NS).astype(np.int64)
    order = np.lexsort((-prints[:, 2], second))
    _, first = np.unique(second[order], return_index=True)
    return prints[order[first]]


def _write_tardis(truth: OtherTruth, minutes: range, day_ns: int, folder: Path, feed: str) -> None:
    """A day of Tardis.dev; open interest of every tick lies between those of the minutes."""
    exchange = "bybit" if feed == "complete" else "binance-futures"
    date = _date(day_ns)

    def head(at: int) -> str:
        return f"{exchange},{SYMBOL},{at // US_NS},{at // US_NS + 5000}"

    lead = "exchange,symbol,timestamp,local_timestamp"
    _csv(
        folder / f"{exchange}_trades_{date}_{SYMBOL}.csv.gz",
        f"{lead},id,side,price,amount",
        (
            f"{head(at)},{at // US_NS},{'buy' if is_buy else 'sell'},{price:.1f},{coins:.4f}"
            for at, price, coins, is_buy in _trades(truth, minutes)
        ),
    )
    ticker = []
    for m in minutes:
        before = truth.interest[m - 1] if m else truth.interest[m]
        for tick in range(TICKS):
            at = BEGIN_NS + m * MINUTE_NS + (tick + 1) * TICK_NS - TICK_NS // 10
            coins = before + (truth.interest[m] - before) * (tick + 1) / TICKS
            price = truth.path[m, tick]
            ticker.append(f"{head(at)},,,,{coins:.3f},{price:.1f},{price:.1f},{price:.2f}")
    _csv(
        folder / f"{exchange}_derivative_ticker_{date}_{SYMBOL}.csv.gz",
        f"{lead},funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,"
        "index_price,mark_price",
        ticker,
    )
    of_day = truth.prints[:, 0] + BEGIN_NS
    rows = truth.prints[(of_day >= day_ns) & (of_day < day_ns + DAY_NS)]
    rows = _shown(rows, feed)
    column = 3 if feed == "complete" else 4  # bankruptcy price there, fill price here
    _csv(
        folder / f"{exchange}_liquidations_{date}_{SYMBOL}.csv.gz",
        f"{lead},id,side,price,amount",
        (
            f"{head(BEGIN_NS + int(row[0]))},{n},{'buy' if row[1] else 'sell'},{row[column]:.1f},"
            f"{row[2]:.5f}"
            for n, row in enumerate(rows)
        ),
    )


def write_public(spec: OtherWorld, truth: OtherTruth, folder: Path) -> tuple[str, str]:
    """The world as a vendor publishes it; (source for `liqfield map`, instrument)."""
    folder.mkdir(parents=True, exist_ok=True)
    is_vision = spec.feed in ("klines", "trades")
    write = _write_vision if is_vision else _write_tardis
    per_day = DAY_NS // MINUTE_NS
    for day in range(math.ceil(spec.days)):
        minutes = range(day * per_day, min((day + 1) * per_day, len(truth.volume)))
        write(truth, minutes, BEGIN_NS + day * DAY_NS, folder, spec.feed)
    venue = "bybit" if spec.feed == "complete" else "binance"
    return f"{'binance-vision' if is_vision else 'tardis'}:{folder}", f"{venue}:{SYMBOL}"


# ---- scoring ------------------------------------------------------------------------------------


def truth_on(shot: Shot, grid: PriceGrid) -> FloatArray:
    """USD [2, n] of all positions whose level lies on the grid."""
    out = np.zeros((2, grid.count))
    for side in range(2):
        level = np.maximum(shot.levels[side], 1.0)
        at: IntArray = np.floor(np.log(level) / grid.width).astype(np.int64) - grid.first_bin
        inside = (at >= 0) & (at < grid.count)
        out[side] = np.bincount(at[inside], shot.coins[side][inside], grid.count) * shot.mark
    return out


def _naive(truth: OtherTruth, shot: Shot, grid: PriceGrid) -> tuple[FloatArray, FloatArray]:
    """The ladder and the shifted profile, USD [2, n], of five-minute and one-minute looks."""
    until = (shot.at_ns - BEGIN_NS) // MINUTE_NS
    centres, mark = np.log(grid.centres()), math.log(shot.mark)
    x = np.log(truth.path[:until, -1])
    interest = truth.interest[:until][4::5]
    change = np.diff(interest, prepend=interest[0])
    ladder = baselines.naive_ladder(centres, mark, x[4::5], change)
    profile = baselines.shifted_profile(centres, mark, x, truth.volume[:until])
    return ladder * shot.mark, profile * shot.mark


def true_law(spec: OtherWorld) -> FloatArray:
    """float64[2 taker maker, 40]: shares of opened coins by the filter's classes."""
    rng = np.random.default_rng(0)
    notional = spec.size_usd / math.exp(0.5) * np.exp(rng.normal(0.0, 1.0, 200_000))
    out = []
    for is_taker in (True, False):
        drawn = opened_leverage(spec, notional, np.full(len(notional), is_taker), rng)
        # exact points of the menu are the isolated ones
        isolated = np.isin(drawn, laws.MENU)
        point = np.abs(np.log(drawn[:, None] / laws.MENU)).argmin(axis=1)
        cross = np.clip(np.searchsorted(laws.EDGES, drawn) - 1, 0, 19) + 20
        share = np.bincount(np.where(isolated, point, cross), notional, laws.CLASSES)
        out.append(share / share.sum())
    return np.stack(out)


def told(spec: OtherWorld, truth: OtherTruth) -> Told:
    """What the ceiling is told: law, exits, coins opened (evenly within their minute)."""
    opened = np.cumsum(np.repeat(truth.opened / TICKS, TICKS))
    return Told(
        weights=true_law(spec),
        rates=laws.CLASS_LEVERAGE**spec.exit_power,
        begin_ns=BEGIN_NS,
        every_ns=TICK_NS,
        opened=np.concatenate(([0.0], opened)),
    )


def _read(density: LiquidationDensity, grid: PriceGrid) -> tuple[FloatArray, ...]:
    """Mean, p10, p90 USD [2, n] as a user of the file adds them up to bins of 0.1 %."""
    usd = density.notional_usd.sum(axis=1)
    parts = usd, np.minimum(density.p10, usd), np.maximum(density.p90, usd)
    return tuple(on_window(part, density.grid, grid) for part in parts)


def scored(
    source: str, instrument_id: str, shots: Sequence[Shot], estimator: DensityEstimator
) -> FieldScore:
    """Draw the maps as `liqfield map` does and score them."""
    wanted = {shot.at_ns: shot for shot in shots}
    times = MapTimes(at_ns=tuple(wanted))
    found = []
    for at_ns, density in maps_of(open_source(source), instrument_id, times, None, estimator):
        shot = wanted[at_ns]
        grid = field_window(shot.mark)
        usd, p10, p90 = _read(density, grid)
        found.append(score_field(usd, truth_on(shot, grid), p10, p90))
    return mean_score(found)


def study_other(
    spec: OtherWorld, seed: int, folder: Path, burn_days: float = BURN_DAYS
) -> OtherReport:
    """One world: simulate, write, map, score the maps after the first days."""
    truth = simulate(spec, seed)
    shots = [s for s in truth.shots if s.at_ns >= BEGIN_NS + burn_days * DAY_NS]
    ladders, profiles = [], []
    for shot in shots:
        grid = field_window(shot.mark)
        ladder, profile = _naive(truth, shot, grid)
        ladders.append(score_field(ladder, truth_on(shot, grid)))
        profiles.append(score_field(profile, truth_on(shot, grid)))
    source, instrument_id = write_public(spec, truth, folder / f"{spec.name}-{seed}")
    of = open_source(source).instrument(instrument_id)
    mine = DensityEstimator(of)
    ours = scored(source, instrument_id, shots, mine)
    best = scored(source, instrument_id, shots, DensityEstimator(of, told=told(spec, truth)))
    naive = mean_score(ladders)
    days = len(truth.volume) * MINUTE_NS / DAY_NS
    return OtherReport(
        name=spec.name,
        seed=seed,
        feed=spec.feed,
        maps=len(shots),
        naive=naive,
        profile=mean_score(profiles),
        ours=ours,
        ceiling=best,
        closed_correlation=gap_closed(ours.correlation, naive.correlation, best.correlation),
        closed_wasserstein=gap_closed(
            ours.wasserstein_bp, naive.wasserstein_bp, best.wasserstein_bp
        ),
        turned_true=float(truth.opened.sum() / truth.interest.mean() / days),
        turned=mine.trust.turned / days,
    )


def study_others(names: Iterable[str], seed: int, folder: Path) -> list[OtherReport]:
    """Every other world, or those named. Raises SettingError for a name that none has."""
    by_name = {spec.name: spec for spec in OTHERS}
    wanted = list(names) or list(by_name)
    for name in wanted:
        if name not in by_name:
            raise SettingError(f"no world {name}; names: {', '.join(by_name)}")
    return [study_other(by_name[name], seed, folder) for name in wanted]
