"""Clusters: contiguous price ranges of one side that stand out, in dollars, and what is in them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.density.combine import combine, placed_usd
from liqfield.model.estimates import (
    SIDES,
    Cluster,
    Confidence,
    DensityColumn,
    LiquidationDensity,
)
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel, kernel

SMOOTH_BINS = 9  # about 45 bp: narrower dips do not split a cluster
BACKGROUND_BINS = 201
MAX_WIDTH_BINS = 80
STACKED_SHARE = 0.15  # a venue or band counts as present from this share on
# Of open interest: a smaller cluster is no fuel, and none to show where the user sets no threshold.
LEAST_SHARE = 0.002


class ClusterSettings(msgspec.Struct, frozen=True):
    """What counts as a cluster.

    min_usd     smallest notional, USD
    reach       log-distance from the mark that is searched
    prominence  smoothed density over that of the surroundings from which a bin belongs
    """

    min_usd: float = 50e6
    reach: float = 0.15
    prominence: float = 1.4


@kernel
def find_rises(
    notional: FloatArray,
    first: int,
    last: int,
    prominence: float,
    usd: FloatArray,
    smooth: FloatArray,
    runs: IntArray,
) -> int:
    """Runs of bins in [first, last) that stand out of a map notional[2 sides, 3 bands, bins].

    usd[2, bins] receives the sum over bands there, smooth[2, last - first] its mean over
    SMOOTH_BINS bins around each, of those that exist. A run, its side, first bin and last + 1, both
    counted from `first`, goes to runs[n, 3]: where that mean is `prominence` times the one over
    BACKGROUND_BINS. Returns how many.
    """
    bins, found = usd.shape[1], 0
    end = min(last + BACKGROUND_BINS // 2, bins)  # nobody looks farther
    sums = np.empty(end + 1)
    for side in range(2):
        sums[0] = total = 0.0
        for b in range(end):
            here = notional[side, 0, b] + notional[side, 1, b] + notional[side, 2, b]
            total += here
            sums[b + 1] = total
            if first <= b < last:
                usd[side, b] = here
        was_out = False
        for k in range(last - first):
            near = _mean(sums, first + k, SMOOTH_BINS // 2)
            around = _mean(sums, first + k, BACKGROUND_BINS // 2)
            smooth[side, k] = near
            is_out = near > prominence * around and near > 0.0
            if is_out and not was_out:
                runs[found, 0], runs[found, 1] = side, k
                found += 1
            if is_out:
                runs[found - 1, 2] = k + 1
            was_out = is_out
    return found


@inner_kernel
def _mean(sums: FloatArray, b: int, half: int) -> float:
    """Over `half` bins to both sides of bin b, of those that exist; sums: up to each bin."""
    low, high = max(b - half, 0), min(b + half + 1, len(sums) - 1)
    mean: float = (sums[high] - sums[low]) / (high - low)
    return mean


def _split(values: FloatArray, low: int, high: int) -> list[tuple[int, int]]:
    """Cut a long run at its lowest inner bin until no part is wider than a cluster may be."""
    if high - low <= MAX_WIDTH_BINS:
        return [(low, high)]
    margin = (high - low) // 4
    cut = low + margin + int(np.argmin(values[low + margin : high - margin]))
    return _split(values, low, cut) + _split(values, cut, high)


def find_clusters(
    densities: Sequence[LiquidationDensity],
    settings: ClusterSettings | None = None,
    previous: Sequence[Cluster] = (),
    previous_age_s: float = 0.0,
) -> tuple[Cluster, ...]:
    """Clusters of the venues' sum, nearest first.

    previous: the clusters found `previous_age_s` ago, for the rate of change.
    """
    whole = combine(densities)
    return (
        () if whole is None else clusters_of(whole, densities, settings, previous, previous_age_s)
    )


def clusters_of(
    whole: DensityColumn,
    densities: Sequence[DensityColumn],
    settings: ClusterSettings | None = None,
    previous: Sequence[Cluster] = (),
    previous_age_s: float = 0.0,
) -> tuple[Cluster, ...]:
    """Clusters of a sum of venues that exists already, as `find_clusters`; densities: its parts."""
    chosen = settings or ClusterSettings()
    mark_bin = whole.grid.bin_of(whole.mark_price)
    reach = int(chosen.reach / whole.grid.width)
    # The bins that are searched.
    first = max(mark_bin - reach, 0)
    last = max(min(mark_bin + reach, whole.grid.count), first)
    usd, smooth = np.empty((2, whole.grid.count)), np.empty((2, last - first))
    runs = np.empty((last - first + 2, 3), np.int64)
    found_runs = find_rises(whole.notional_usd, first, last, chosen.prominence, usd, smooth, runs)
    ranges: list[tuple[int, int, int]] = []
    for side, start, stop in runs[:found_runs].tolist():
        for part in _split(smooth[side], start, stop):
            low, high = part[0] + first, part[1] + first
            amount = float(usd[side, low:high].sum())
            if amount > 0.0 and amount >= chosen.min_usd:
                ranges.append((side, low, high))
    if not ranges:
        return ()
    parts = {d.instrument_id.partition(":")[0]: placed_usd(d, whole.grid) for d in densities}
    found = [_describe(whole, parts, usd, *range_) for range_ in ranges]
    grown = [_with_past(cluster, previous, previous_age_s) for cluster in found]
    return tuple(sorted(grown, key=lambda cluster: abs(cluster.distance)))


def _describe(
    whole: DensityColumn,
    parts: dict[str, FloatArray],
    usd: FloatArray,
    side: int,
    low: int,
    high: int,
) -> Cluster:
    grid, mark = whole.grid, whole.mark_price
    edge = grid.width * grid.first_bin
    low_price = math.exp(edge + low * grid.width)
    high_price = math.exp(edge + high * grid.width)
    amount = float(usd[side, low:high].sum())
    bands = whole.notional_usd[side, :, low:high].sum(axis=1)
    venue_usd = {name: float(mass[side, low:high].sum()) for name, mass in parts.items()}
    age = p10 = p90 = math.nan
    if isinstance(whole, LiquidationDensity):
        # Neighbouring bins err together (one law), so distances to the quantiles add plainly.
        p10 = float(whole.p10[side, low:high].sum())
        p90 = float(whole.p90[side, low:high].sum())
        age = 0.0
        if whole.age_s is not None:
            age = float((whole.age_s[side, low:high] * usd[side, low:high]).sum()) / amount
    present = sum(value >= STACKED_SHARE * amount for value in venue_usd.values())
    layers = sum(float(value) >= STACKED_SHARE * amount for value in bands)
    near = high_price if side == 0 else low_price
    score = whole.confidence.score
    reasons = list(whole.confidence.reasons)
    width = (p90 - p10) / amount
    if width > 1.5:
        score *= 1.5 / width
        reasons.append(f"interval is {width:.1f} times the estimate")
    return Cluster(
        position_side=SIDES[side],
        low=low_price,
        high=high_price,
        peak=math.exp(edge + (low + int(np.argmax(usd[side, low:high])) + 0.5) * grid.width),
        notional_usd=amount,
        notional_usd_p10=p10,
        notional_usd_p90=p90,
        distance=near / mark - 1.0,
        band_usd=(float(bands[0]), float(bands[1]), float(bands[2])),
        venue_usd=venue_usd,
        age_s=age,
        growth_per_h=0.0,
        is_stacked=present >= 2 or layers >= 2,
        confidence=Confidence(score, tuple(reasons)),
    )


def _with_past(cluster: Cluster, previous: Sequence[Cluster], age_s: float) -> Cluster:
    """Growth against what stood in the same range: a rate relative to the mean of both."""
    if age_s <= 0.0 or not previous:
        return cluster
    was = 0.0
    for old in previous:
        overlap = min(old.high, cluster.high) - max(old.low, cluster.low)
        if old.position_side is cluster.position_side and overlap > 0.0:
            was += old.notional_usd * min(overlap / (old.high - old.low), 1.0)
    change = (cluster.notional_usd - was) / max(0.5 * (cluster.notional_usd + was), 1e-12)
    return msgspec.structs.replace(cluster, growth_per_h=change / (age_s / 3600.0))
