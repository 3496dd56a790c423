"""Projection: follow forced flow through resting depth to the price where it stops.

Bins are ordered away from the start. Price leaves bin i when the flow so far covers the depth so
far: push + sum(forced[0..i]) >= sum(depth[0..i]). The first bin where it does not is the stop: a
fixed point, because everything triggered before it is already in the sum. The fan draws both sides
from what is known of them: forced notional from its 80 % interval (one shared factor a draw,
because a map that is too high is too high everywhere, and one a bin), depth from a log-normal
around its stressed value.
"""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

import msgspec
import numpy as np

from liqfield.model.errors import ModelError
from liqfield.model.events import FloatArray, IntArray

_Z90 = 1.2815515655446004  # 90 % quantile of the normal law


class ProjectionSettings(msgspec.Struct, frozen=True):
    """depth_stress: depth under a cascade against depth now (books thin 3.4 times at the median in
    published cascades: 0.3 is the cautious end, 1 the naive one). depth_sigma: its log-sd.
    push_log_sd: of the push: how long a pace goes on is hardly known; ended_share: chance that it
    is over already. map_log_sd: of the whole map, beside the interval of its bins. Where they come
    from stands in docs/cascade.md."""

    draws: int = 256
    seed: int = 1
    depth_stress: float = 0.5
    depth_sigma: float = 0.5
    push_log_sd: float = 0.7
    ended_share: float = 0.12
    map_log_sd: float = 0.75
    shared_share: float = 0.7  # of the estimate's log-variance that is common to all bins


class Projection(msgspec.Struct, frozen=True, eq=False):
    """Where it stops. Prices USD; *_p10 and *_p90 bound the fan by distance travelled.

    path_forced_usd, path_depth_usd: cumulative over the bins of the input, central case.
    beyond_share: share of draws that run past the last bin; then the far bound is that bin's edge.
    """

    start_price: float
    stop_price: float
    stop_price_near: float  # 10 % of draws travel less than this
    stop_price_far: float  # 10 % travel farther
    forced_usd: float
    forced_usd_p10: float
    forced_usd_p90: float
    beyond_share: float
    path_price: FloatArray
    path_forced_usd: FloatArray
    path_depth_usd: FloatArray


def project(
    price: FloatArray,
    forced_usd: FloatArray,
    forced_p10: FloatArray,
    forced_p90: FloatArray,
    depth_usd: FloatArray,
    *,
    push_usd: float = 0.0,
    depth_log_sd: FloatArray | None = None,
    settings: ProjectionSettings | None = None,
) -> Projection:
    """Run from price[0] outwards.

    price: float64[n + 1] edges ordered away from the start (falling for longs). The other arrays
    are float64[n] USD per bin, forced_* of the side that is hit on this way. depth_log_sd: what
    the depth of each bin lacks in knowledge beyond `depth_sigma`: 0 inside the visible book.
    """
    chosen = settings or ProjectionSettings()
    n = len(forced_usd)
    if n == 0 or len(price) != n + 1 or len(depth_usd) != n:
        raise ModelError(f"{len(price)} edges, {n} forced and {len(depth_usd)} depth bins")
    steps = np.diff(price)
    if not (bool(np.all(steps < 0.0)) or bool(np.all(steps > 0.0))):
        raise ModelError("price edges must run away from the start")
    flow = push_usd + np.cumsum(forced_usd)
    depth = np.cumsum(depth_usd * chosen.depth_stress)
    stop, forced = _stop(price, flow[None, :], depth[None, :], push_usd)
    rng = np.random.default_rng(chosen.seed)
    unseen = np.zeros(n) if depth_log_sd is None else depth_log_sd
    flows, depths = _draws(rng, forced_usd, forced_p10, forced_p90, depth_usd, unseen, chosen)
    push_z = _common(chosen.draws)[0]
    pushes = push_usd * np.exp(chosen.push_log_sd * push_z)
    if chosen.ended_share > 0.0:
        pushes[push_z < NormalDist().inv_cdf(chosen.ended_share)] = 0.0
    stops, totals = _stop(price, pushes + flows, depths, pushes[:, 0])
    travelled = np.abs(stops - price[0])
    near, far = np.quantile(travelled, (0.1, 0.9))
    sign = 1.0 if price[-1] > price[0] else -1.0
    low, high = np.quantile(totals, (0.1, 0.9))
    return Projection(
        start_price=float(price[0]),
        stop_price=float(stop[0]),
        stop_price_near=float(price[0] + sign * near),
        stop_price_far=float(price[0] + sign * far),
        forced_usd=float(forced[0]),
        forced_usd_p10=float(low),
        forced_usd_p90=float(high),
        beyond_share=float(np.mean(stops == price[-1])),
        path_price=price,
        path_forced_usd=flow,
        path_depth_usd=depth,
    )


def _stop(
    price: FloatArray, flow: FloatArray, depth: FloatArray, push_usd: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """(stop price, forced USD) a row of flow[d, n] and depth[d, n], both cumulative."""
    holds = flow < depth
    stopped = holds.any(axis=1)
    at = np.where(stopped, holds.argmax(axis=1), flow.shape[1] - 1)
    row = np.arange(len(at))
    before = np.where(at > 0, depth[row, np.maximum(at - 1, 0)], 0.0)
    width = np.maximum(depth[row, at] - before, 1e-300)
    # Within the last bin the flow eats its share of the bin's depth.
    share = np.where(stopped, np.clip((flow[row, at] - before) / width, 0.0, 1.0), 1.0)
    stops = price[at] + share * (price[at + 1] - price[at])
    return stops, flow[row, at] - push_usd


def _draws(
    rng: np.random.Generator,
    forced: FloatArray,
    p10: FloatArray,
    p90: FloatArray,
    depth: FloatArray,
    unseen: FloatArray,
    settings: ProjectionSettings,
) -> tuple[FloatArray, FloatArray]:
    """Cumulative forced flow and depth, float64[draws, n] each."""
    positive = (forced > 0.0) & (p90 > 0.0)
    ratio = np.where(positive, p90 / np.maximum(np.maximum(p10, forced * 1e-3), 1e-300), 1.0)
    sigma = np.log(np.maximum(ratio, 1.0)) / (2.0 * _Z90)
    _, depth_z, shared_z, map_z = _common(settings.draws)
    shared = shared_z * np.sqrt(settings.shared_share)
    whole = np.exp(settings.map_log_sd * map_z)
    own = rng.standard_normal((settings.draws, len(forced))) * np.sqrt(1 - settings.shared_share)
    flows = whole * np.cumsum(forced * np.exp(sigma * (shared + own)), axis=1)
    # One draw thins or thickens the whole book: it errs together as well.
    thin = settings.depth_stress * np.exp(np.sqrt(settings.depth_sigma**2 + unseen**2) * depth_z)
    return flows, np.cumsum(depth * thin, axis=1)


@functools.cache
def _common(draws: int) -> FloatArray:
    """float64[4, draws, 1]: what is common to a whole draw, four normal variables evenly spread.

    A lattice (Kronecker sequence of the root of x^5 = x + 1), not random numbers: they decide the
    fan, and its tails must not hang on a few lucky draws.
    """
    root = 1.1673039782614187
    law = NormalDist()
    rows = [
        [law.inv_cdf((0.5 + (k + 1) * root ** -(j + 1)) % 1.0) for k in range(draws)]
        for j in range(4)
    ]
    return np.array(rows)[:, :, None]


def way_bins(
    edges: FloatArray, start_price: float, *, is_down: bool, reach: float
) -> tuple[FloatArray, IntArray, FloatArray]:
    """The bins from a price outwards on a map's grid.

    edges: float64[m + 1] ascending. Returns (price float64[n + 1] edges away from the start, bin
    int64[n], share float64[n] of the bin that lies on the way: the first is cut by the start).
    reach: log-distance that is followed.
    """
    far = start_price * math.exp(-reach if is_down else reach)
    low, high = min(start_price, far), max(start_price, far)
    first = max(int(np.searchsorted(edges, low, side="right")) - 1, 0)
    last = min(int(np.searchsorted(edges, high, side="left")), len(edges) - 1)
    if last <= first:
        raise ModelError(f"start price {start_price} is outside the map")
    at = np.arange(first, last)
    inner = np.clip(edges[first : last + 1], low, high)
    share = np.log(inner[1:] / inner[:-1]) / np.log(edges[at + 1] / edges[at])
    good = inner[1:] > inner[:-1]
    at, share = at[good], share[good]
    price = np.append(inner[:-1][good], inner[1:][good][-1])
    if is_down:
        return price[::-1].copy(), at[::-1].copy(), share[::-1].copy()
    return price, at, share
