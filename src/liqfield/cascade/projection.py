"""Projection: follow forced flow through resting depth to the price where it stops.

Bins are ordered away from the start. Price leaves bin i when the flow so far covers the depth so
far: push + sum(forced[0..i]) >= sum(depth[0..i]). The first bin where it does not is the stop: a
fixed point, because everything triggered before it is already in the sum. The fan draws both sides
from what is known of them: forced notional from its 80 % interval (one shared factor a draw,
because a map that is too high is too high everywhere, and one a bin), depth from a log-normal
around its stressed value.
"""

from __future__ import annotations

import msgspec
import numpy as np

from liqfield.model.errors import ModelError
from liqfield.model.events import FloatArray

_Z90 = 1.2815515655446004  # 90 % quantile of the normal law


class ProjectionSettings(msgspec.Struct, frozen=True):
    """depth_stress: depth under a cascade against depth now (books thin 3.4 times at the median in
    published cascades: 0.3 is the cautious end, 1 the naive one). depth_sigma: its log-sd."""

    draws: int = 256
    seed: int = 1
    depth_stress: float = 0.5
    depth_sigma: float = 0.5
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
    settings: ProjectionSettings | None = None,
) -> Projection:
    """Run from price[0] outwards.

    price: float64[n + 1] edges ordered away from the start (falling for longs). The other arrays
    are float64[n] USD per bin, forced_* of the side that is hit on this way.
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
    flows, depths = _draws(rng, forced_usd, forced_p10, forced_p90, depth_usd, chosen)
    stops, totals = _stop(price, push_usd + flows, depths, push_usd)
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
    price: FloatArray, flow: FloatArray, depth: FloatArray, push_usd: float
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
    settings: ProjectionSettings,
) -> tuple[FloatArray, FloatArray]:
    """Cumulative forced flow and depth, float64[draws, n] each."""
    positive = (forced > 0.0) & (p90 > 0.0)
    ratio = np.where(positive, p90 / np.maximum(np.maximum(p10, forced * 1e-3), 1e-300), 1.0)
    sigma = np.log(np.maximum(ratio, 1.0)) / (2.0 * _Z90)
    shared = rng.standard_normal((settings.draws, 1)) * np.sqrt(settings.shared_share)
    own = rng.standard_normal((settings.draws, len(forced))) * np.sqrt(1 - settings.shared_share)
    flows = np.cumsum(forced * np.exp(sigma * (shared + own)), axis=1)
    thin = settings.depth_stress * np.exp(
        settings.depth_sigma * rng.standard_normal((settings.draws, 1))
    )
    return flows, np.cumsum(depth)[None, :] * thin
