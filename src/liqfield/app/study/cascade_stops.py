"""Where cascades stop and how much they force: the outlook, the projection and simple rules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from liqfield.app.study.cascade_tape import Ahead
from liqfield.app.study.cascade_world import GAP_S, SIGN, World
from liqfield.app.study.intervals import bootstrap, bootstrap_median, quartiles, share
from liqfield.cascade.projection import ProjectionSettings
from liqfield.model.events import FloatArray

Row = dict[str, float]
PUSH_MIN = 1.0  # the flow of the last ten seconds is taken to go on for so long
LEAST_PUSH = 0.5  # of the usual traded volume: a lull of ten seconds does not end a move
PACE_S = 20.0  # and the move for so long: where news moves the quotes, little flow tells of it
USUAL_WAY = 0.0278  # median way still to go on the tuning seeds 400-404, log price
USUAL_FORCED = 0.0115  # median forced still to come on tuning seeds 500-506, of open interest
RULES = ("outlook", "projection", "usual", "cluster", "root", "here")
LEAST_USD = 1e5  # of forced dollars: below this a factor says nothing


def net_usd(world: World, at: int, span_s: int = 10) -> float:
    """Net aggressive flow of the seconds up to `at`; bought > 0."""
    told = world.told[max(at - span_s, 0) : at]
    return sum(around.net_flow * around.price for second in told for around in second.around)


def pushed_usd(world: World, seen: Ahead, settings: ProjectionSettings) -> float:
    """The push that a projection is asked about: the flow of a minute at the pace of the last ten
    seconds, or what holds the price (stressed depth) on the way of PACE_S, whichever is more."""
    at, sign = seen.at, SIGN[seen.side]
    usual = float(world.volume_s[at - 1]) / at  # USD a second, both sides
    flow = max(sign * net_usd(world, at), LEAST_PUSH * usual * 10.0) * 6.0 * PUSH_MIN
    before = world.told[max(at - 11, 0)].around
    moved = sign * math.log(seen.price / before[-1].price) if before else 0.0
    ways = np.abs(np.log(seen.way.price[1:] / seen.way.price[0]))
    depth = np.cumsum(seen.way.depth_usd) * settings.depth_stress
    return max(flow, float(np.interp(max(moved, 0.0) * PACE_S / 10.0, ways, depth, left=0.0)))


def stop_rows(world: World, warm_s: float, settings: ProjectionSettings | None = None) -> list[Row]:
    """Each moment at which a cascade was seen: what was said and what was true.

    truth: way from there to the extreme until 12 s after the end, log price; names of RULES: the
    way that a rule says. Dollars: forced from there on.
    """
    rows = []
    seconds, sides, usd = world.forced
    for seen, outlook, factor in zip(world.ahead, world.outlooks, world.map_factors, strict=True):
        side, at = seen.side, seen.at
        mine = [c for c in world.cascades if c.side == side and c.start - 2 <= at <= c.end + 15]
        if at < warm_s or not mine or outlook is None:
            continue
        end = mine[0].end + GAP_S
        stretch = SIGN[side] * (world.price[at - 1 : int(end) + 1] - math.log(seen.price))
        if not len(stretch):
            continue
        usual = float(world.volume_s[at - 1]) / at
        flow = max(SIGN[side] * net_usd(world, at), LEAST_PUSH * usual * 10.0) * 6.0 * PUSH_MIN
        push = pushed_usd(world, seen, settings or ProjectionSettings())
        found = seen.way.scaled(factor).project(push, settings)
        truth = max(float(stretch.max()), 0.0)
        day = world.readings[at - 1].move_sd_s * math.sqrt(86_400.0)
        around = world.told[at - 1].around[-1]
        low, middle, high = outlook.forced_usd or (math.nan, math.nan, math.nan)

        def way(price: float, start: float = seen.price) -> float:
            return abs(math.log(price / start))

        rows.append(
            {
                "truth": truth,
                "outlook": way(outlook.stop_price),
                "near": way(outlook.stop_price_near),
                "far": way(outlook.stop_price_far),
                "projection": way(found.stop_price),
                "projection_near": way(found.stop_price_near),
                "projection_far": way(found.stop_price_far),
                "cluster": seen.fuel,
                "root": day * math.sqrt(flow / max(usual * 86_400.0, 1.0)),
                "here": 0.0,
                "usual": USUAL_WAY,
                "forced": float(usd[(sides == side) & (seconds > at) & (seconds <= end)].sum()),
                "forced_outlook": middle,
                "forced_low": low,
                "forced_high": high,
                "forced_projection": found.forced_usd,
                "forced_projection_low": found.forced_usd_p10,
                "forced_projection_high": found.forced_usd_p90,
                "forced_usual": USUAL_FORCED * around.open_interest * around.price,
                "forced_map": seen.way.forced().until(truth),
            }
        )
    return rows


def stops(worlds: Sequence[World], warm_s: float) -> dict[str, object]:
    """Errors in basis points, factors of dollars, shares of truths inside the fans; intervals over
    worlds."""
    by_world = [stop_rows(w, warm_s) for w in worlds]
    rows = [row for part in by_world for row in part]
    if not rows:
        return {"runs": 0}
    out: dict[str, object] = {"runs": len(rows), "truth_bp": _column(rows, "truth", 1e4)}
    for name in RULES:
        errors = [[abs(r[name] - r["truth"]) * 1e4 for r in part] for part in by_world]
        out[f"error_bp_{name}"] = quartiles(_finite(errors))
        out[f"median_error_bp_{name}"] = bootstrap_median(errors)
        if name != "outlook":
            gains = [
                [(abs(r[name] - r["truth"]) - abs(r["outlook"] - r["truth"])) * 1e4 for r in part]
                for part in by_world
            ]
            out[f"median_gain_bp_over_{name}"] = bootstrap_median(gains)
    for fan, low, high in (
        ("outlook", "near", "far"),
        ("projection", "projection_near", "projection_far"),
    ):
        out[f"fan_width_bp_{fan}"] = quartiles(
            np.array([(row[high] - row[low]) * 1e4 for row in rows])
        )
        out[f"coverage_{fan}"] = _coverage(by_world, "truth", low, high)
    out["coverage_forced"] = _coverage(by_world, "forced", "forced_low", "forced_high")
    out["coverage_forced_projection"] = _coverage(
        by_world, "forced", "forced_projection_low", "forced_projection_high"
    )
    for name in ("outlook", "projection", "usual", "map"):
        logs = [
            [
                math.log(max(r[f"forced_{name}"], 1.0) / r["forced"])
                for r in part
                if r["forced"] >= LEAST_USD
            ]
            for part in by_world
        ]
        out[f"forced_ratio_{name}"] = quartiles(np.exp(_finite(logs)))
        out[f"log_factor_{name}"] = bootstrap_median([[abs(x) for x in part] for part in logs])
    return out


def _column(rows: Sequence[Row], name: str, scale: float) -> list[float]:
    return quartiles(np.array([row[name] for row in rows]) * scale)


def _finite(parts: Sequence[Sequence[float]]) -> FloatArray:
    values: FloatArray = np.array([value for part in parts for value in part])
    finite: FloatArray = values[np.isfinite(values)]
    return finite


def _coverage(
    by_world: Sequence[Sequence[Row]], truth: str, low: str, high: str
) -> dict[str, float]:
    tallies = [
        {
            "inside": float(sum(r[low] <= r[truth] <= r[high] for r in part)),
            "runs": float(len(part)),
        }
        for part in by_world
    ]
    return bootstrap(tallies, share("inside", "runs"))
