"""Clusters: contiguous price ranges of one side whose density stands out from its surroundings.

A bin stands out when its smoothed density exceeds `prominence` times the median of its
neighbourhood. Neighbouring runs join over small dips. Amounts are dollars of the raw density,
never of the smoothed one, and never normalised.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.density.combine import combine
from liqfield.model.estimates import LONG, SHORT, SIDES, Cluster, Confidence, LiquidationDensity
from liqfield.model.events import FloatArray


class ClusterSettings(msgspec.Struct, frozen=True):
    """reach: log-distance from the mark that is searched; neighbourhood, dip: in bins."""

    min_usd: float = 50e6
    reach: float = 0.15
    prominence: float = 1.4
    smooth_bins: int = 5
    neighbourhood_bins: int = 120
    dip_bins: int = 3


def find_clusters(
    densities: Sequence[LiquidationDensity],
    settings: ClusterSettings | None = None,
    previous: Sequence[Cluster] = (),
    previous_age_s: float = 0.0,
) -> tuple[Cluster, ...]:
    """Clusters of the venues' sum, nearest first. `previous` (found `previous_age_s` ago) gives the
    growth and the age of those that are still there."""
    chosen = settings or ClusterSettings()
    whole = combine(densities)
    if whole is None:
        return ()
    found = []
    for side in (LONG, SHORT):
        for first, last in _runs(whole, side, chosen):
            cluster = _describe(whole, densities, side, first, last)
            if cluster.notional_usd >= chosen.min_usd:
                found.append(_with_past(cluster, previous, previous_age_s))
    return tuple(sorted(found, key=lambda c: abs(c.distance)))


def _runs(whole: LiquidationDensity, side: int, settings: ClusterSettings) -> list[tuple[int, int]]:
    """[first, last) bins of each run that stands out."""
    raw = whole.notional_usd[side].sum(axis=0)
    kernel = np.ones(settings.smooth_bins) / settings.smooth_bins
    smooth = np.convolve(raw, kernel, mode="same")
    at = whole.grid.bin_of(whole.mark_price)
    reach = int(settings.reach / whole.grid.width)
    low, high = max(0, at - reach), min(whole.grid.count, at + reach)
    if side == LONG:
        high = min(high, at + 1)
    else:
        low = max(low, at)
    if high - low < settings.smooth_bins:
        return []
    part = smooth[low:high]
    stands_out = part > settings.prominence * _rolling_median(part, settings.neighbourhood_bins)
    runs: list[tuple[int, int]] = []
    for i in np.flatnonzero(stands_out):
        if runs and low + i - runs[-1][1] <= settings.dip_bins:
            runs[-1] = (runs[-1][0], int(low + i + 1))
        else:
            runs.append((int(low + i), int(low + i + 1)))
    return runs


def _rolling_median(values: FloatArray, width: int) -> FloatArray:
    """Median of a centred window, in coarse steps: it is a background."""
    step = max(1, width // 8)
    centres = np.arange(0, len(values), step)
    medians = [np.median(values[max(0, c - width // 2) : c + width // 2 + 1]) for c in centres]
    return np.interp(np.arange(len(values)), centres, medians)


def _describe(
    whole: LiquidationDensity,
    densities: Sequence[LiquidationDensity],
    side: int,
    first: int,
    last: int,
) -> Cluster:
    bands = whole.notional_usd[side, :, first:last].sum(axis=1)
    usd = float(bands.sum())
    edges = whole.grid.edges()
    low, high = float(edges[first]), float(edges[last])
    raw = whole.notional_usd[side, :, first:last].sum(axis=0)
    peak = float(whole.grid.centres()[first + int(np.argmax(raw))])
    near = high if side == LONG else low
    venues: dict[str, float] = {}
    for d in densities:
        a = first + whole.grid.first_bin - d.grid.first_bin
        b = last + whole.grid.first_bin - d.grid.first_bin
        part = d.notional_usd[side, :, max(a, 0) : max(b, 0)].sum()
        venue = d.instrument_id.partition(":")[0]
        venues[venue] = venues.get(venue, 0.0) + float(part)
    share = bands / usd if usd > 0.0 else bands
    confidence = whole.confidence
    leading = max(venues.values()) / usd if usd > 0.0 and venues else 0.0
    if leading > 0.9 and len(densities) > 1:
        name = max(venues, key=lambda v: venues[v])
        reasons = (*confidence.reasons, f"{leading:.0%} of it is on {name} alone")
        confidence = Confidence(round(confidence.score * 0.8, 3), reasons)
    return Cluster(
        position_side=SIDES[side],
        low=low,
        high=high,
        peak=peak,
        notional_usd=usd,
        notional_usd_p10=float(whole.p10[side, first:last].sum()),
        notional_usd_p90=float(whole.p90[side, first:last].sum()),
        distance=near / whole.mark_price - 1.0,
        band_usd=(float(bands[0]), float(bands[1]), float(bands[2])),
        venue_usd=venues,
        age_s=0.0,
        growth_per_h=0.0,
        is_stacked=bool(share[0] >= 0.2 and share[2] >= 0.2),
        confidence=confidence,
    )


def _with_past(cluster: Cluster, previous: Sequence[Cluster], age_s: float) -> Cluster:
    """Age and growth from the earlier cluster of the same side that overlaps most."""
    best, best_overlap = None, 0.0
    for old in previous:
        if old.position_side is not cluster.position_side:
            continue
        overlap = min(old.high, cluster.high) - max(old.low, cluster.low)
        if overlap > best_overlap:
            best, best_overlap = old, overlap
    if best is None or age_s <= 0.0:
        return cluster
    growth = (cluster.notional_usd / max(best.notional_usd, 1.0) - 1.0) * 3600.0 / age_s
    return msgspec.structs.replace(cluster, age_s=best.age_s + age_s, growth_per_h=growth)
