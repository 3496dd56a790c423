"""The way from the price to a cluster: what rests on it, what is usual there, what is forced on it.

resting: every venue's orders between its mid and the cluster's near edge, the visible part exactly,
the rest by the fitted law. ratio: resting over usual, both as far as every sample shows them, over
the same venues: one that has no book drops out of both sums and is named. Confluence compares what
rests at the near edge with the median of the last minutes, each against what is usual at the
distance it then had, so that a price that merely comes nearer changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from liqfield.book.bands import EDGES
from liqfield.book.depth import SideDepth, fit_law
from liqfield.book.ladder import ASK, BID
from liqfield.book.reader import BookReader
from liqfield.book.sample import LATTICE
from liqfield.model.analytics import Confluence, PathClass, PathView
from liqfield.model.durations import MINUTE_NS
from liqfield.model.estimates import Cluster, DensityColumn
from liqfield.model.events import FloatArray
from liqfield.model.sides import PositionSide

_Z90 = 1.2815515655446004  # 90 % quantile of the normal law


class PathSettings(msgspec.Struct, frozen=True):
    """Thresholds.

    defended, hollow   ratio to usual from which, and up to which, a path is called so
    thin_median, thin_p90  factor by which books thin around cascades: log-normal (public figures:
                       3.4 at the median, 17 in one of ten)
    edge_width         the near edge: this fraction to both sides of it
    edge_recent_ns, edge_past_ns  the past that is compared: from so long ago to so long ago
    building, thinning relative change of the edge from which a class is given
    approach           relative fall of the distance that counts as approaching
    """

    defended: float = 2.0
    hollow: float = 0.5
    thin_median: float = 3.4
    thin_p90: float = 17.0
    edge_width: float = 0.001
    edge_recent_ns: int = 2 * MINUTE_NS
    edge_past_ns: int = 10 * MINUTE_NS
    building: float = 0.5
    thinning: float = -0.33
    approach: float = 0.1


class _Way(msgspec.Struct):
    """One venue's share of a path, USD."""

    resting: float
    visible: float
    usual: float | None
    compared: float
    seen: float
    log_sd: float


def path_views(
    clusters: Sequence[Cluster],
    density: DensityColumn | None,
    books: Mapping[str, BookReader],
    now_ns: int,
    settings: PathSettings | None = None,
) -> tuple[PathView, ...]:
    """One view a cluster, in order. books: by instrument id."""
    chosen = settings or PathSettings()
    live: dict[str, tuple[SideDepth, SideDepth]] = {}
    absent = []
    for venue in sorted(books):
        sides = books[venue].depth()
        if sides is None or not len(sides[BID].price) or not len(sides[ASK].price):
            absent.append(f"{venue.partition(':')[0]} has no book")
        else:
            live[venue] = sides
    return tuple(_view(c, density, books, live, absent, now_ns, chosen) for c in clusters)


def _view(
    cluster: Cluster,
    density: DensityColumn | None,
    books: Mapping[str, BookReader],
    live: Mapping[str, tuple[SideDepth, SideDepth]],
    absent: Sequence[str],
    now_ns: int,
    chosen: PathSettings,
) -> PathView:
    is_below = cluster.position_side is PositionSide.LONG
    side = BID if is_below else ASK
    near = cluster.high if is_below else cluster.low
    reasons = list(absent)
    ways = []
    notes = set()
    for venue, sides in live.items():
        usual, note = books[venue].usual.get(now_ns)
        notes.add(note)
        ways.append(_way(sides[side], near, None if usual is None else usual[side]))
    reasons += sorted(notes)
    resting = sum(way.resting for way in ways)
    visible = sum(way.visible for way in ways)
    compared = [way for way in ways if way.usual is not None]
    usual_usd = sum(way.usual or 0.0 for way in compared) if compared else None
    ratio = None
    if usual_usd is not None and usual_usd > 0.0:
        ratio = sum(way.compared for way in compared) / usual_usd
    seen = sum(way.seen for way in ways) / len(ways) if ways else 0.0
    if ways and seen < 0.999:
        reasons.append(f"the books show {seen:.0%} of the way, the rest is extrapolated")
    extrapolated = resting - visible
    beyond = sum(w.log_sd * (w.resting - w.visible) for w in ways)
    share_sd = beyond / resting if resting > 0.0 and extrapolated > 0.0 else 0.0
    low, high = _stressed(resting, share_sd, chosen)
    edge_usd, change, confluence, why = _confluence(near, side, books, live, now_ns, chosen)
    return PathView(
        path_class=_class(ratio, chosen),
        resting_usd=resting,
        usual_usd=usual_usd,
        ratio=ratio,
        stressed_usd_p10=low,
        stressed_usd_p90=high,
        forced_usd=_forced(cluster, density, near),
        visible_share=seen,
        confluence=confluence,
        edge_usd=edge_usd,
        edge_change=change,
        reasons=(*reasons, *why),
    )


def _class(ratio: float | None, chosen: PathSettings) -> PathClass:
    if ratio is None:
        return PathClass.UNKNOWN
    if ratio >= chosen.defended:
        return PathClass.DEFENDED
    return PathClass.HOLLOW if ratio <= chosen.hollow else PathClass.NEUTRAL


def _way(side: SideDepth, near: float, usual: FloatArray | None) -> _Way:
    """Distances are from this venue's own mid: venues differ by their basis."""
    u = abs(near / side.mid - 1.0)
    is_ahead = (near < side.mid) == (len(side.price) > 0 and float(side.price[0]) < side.mid)
    if not is_ahead:
        return _Way(0.0, 0.0, None, 0.0, 1.0, 0.0)  # this venue is already there
    reach = min(u, side.seen)
    visible = side.within(reach)
    resting, log_sd = visible, 0.0
    if u > side.seen > 0.0:
        law = fit_law(side)
        resting, log_sd = max(law.usd(u), visible), law.log_sd(u)
    expected = None if usual is None else usual_within(usual, reach)
    return _Way(resting, visible, expected, visible, reach / u if u > 0.0 else 1.0, log_sd)


def usual_within(usual: FloatArray, distance: float) -> float | None:
    """USD usually resting up to a distance: log-log between the edges, the law's power below the
    first. usual: float64[edges], nan where never seen; None beyond what was seen."""
    good = np.isfinite(usual) & (usual > 0.0)
    if not good.any() or distance <= 0.0:
        return None
    x, y = EDGES[good], usual[good]
    if distance <= x[0]:
        return float(y[0] * (distance / x[0]) ** 1.2)
    if distance > x[-1]:
        slope = math.log(y[-1] / y[-2]) / math.log(x[-1] / x[-2]) if len(x) > 1 else 1.2
        # A window that ends between two edges: the last octave goes on for less than one more.
        return float(y[-1] * (distance / x[-1]) ** slope) if distance < 2.0 * x[-1] else None
    return float(np.exp(np.interp(math.log(distance), np.log(x), np.log(y))))


def _stressed(resting: float, share_sd: float, chosen: PathSettings) -> tuple[float, float]:
    """(p10, p90) of what is left of `resting` when books thin; never thicker than it stands."""
    sigma = math.log(chosen.thin_p90 / chosen.thin_median) / _Z90
    spread = _Z90 * math.hypot(sigma, share_sd)
    low = resting / chosen.thin_median * math.exp(-spread)
    high = min(resting / chosen.thin_median * math.exp(spread), resting * math.exp(_Z90 * share_sd))
    return low, high


def _forced(cluster: Cluster, density: DensityColumn | None, near: float) -> float:
    """Expected liquidations between the mark and the near edge, of the side that is hit."""
    if density is None:
        return 0.0
    grid = density.grid
    side = 0 if cluster.position_side is PositionSide.LONG else 1
    a, b = sorted((grid.bin_of(density.mark_price), grid.bin_of(near)))
    low = min(max(a, 0), grid.count)
    high = min(max(b + (side == 0), 0), grid.count)
    usd = density.notional_usd[side, :, low:high].sum()
    return float(usd) * density.forced_share


# ---- confluence -----------------------------------------------------------------------------


def _confluence(
    near: float,
    side: int,
    books: Mapping[str, BookReader],
    live: Mapping[str, tuple[SideDepth, SideDepth]],
    now_ns: int,
    chosen: PathSettings,
) -> tuple[float, float | None, Confluence, list[str]]:
    """(USD at the near edge now, relative change, class, reasons)."""
    edge_usd = now_ratio = then_ratio = weight = 0.0
    approached = []
    for venue, sides in live.items():
        book, depth = books[venue], sides[side]
        usual, _ = book.usual.get(now_ns)
        away = abs(near / depth.mid - 1.0)
        edge_usd += _edge(depth, near, chosen.edge_width)
        if usual is None or away > depth.seen:
            continue
        past = [
            row
            for row in book.past
            if chosen.edge_recent_ns <= now_ns - row[0] <= chosen.edge_past_ns
        ]
        expected = _usual_edge(usual[side], away, chosen.edge_width)
        if len(past) < 6 or expected <= 0.0:
            continue
        ratios, distances = [], []
        for _, mid, first, usd in past:
            then_away = abs(near / mid - 1.0)
            then = _usual_edge(usual[side], then_away, chosen.edge_width)
            if then > 0.0 and then_away <= depth.seen:
                ratios.append(_lattice_edge(first, usd, near, chosen.edge_width) / then)
                distances.append(then_away)
        if len(ratios) < 6:
            continue
        now_first, now_usd = _now_lattice(depth, near, chosen.edge_width)
        now_ratio += _lattice_edge(now_first, now_usd, near, chosen.edge_width)
        then_ratio += float(np.median(ratios)) * expected
        weight += expected
        approached.append(away <= (1.0 - chosen.approach) * float(np.median(distances)))
    if weight <= 0.0 or then_ratio <= 0.0:
        return edge_usd, None, Confluence.UNKNOWN, []
    change = now_ratio / then_ratio - 1.0
    if not any(approached):
        return edge_usd, change, Confluence.STEADY, ["price is not approaching"]
    if change >= chosen.building:
        return edge_usd, change, Confluence.BUILDING, []
    if change <= chosen.thinning:
        return edge_usd, change, Confluence.THINNING, []
    return edge_usd, change, Confluence.STEADY, []


def _edge(depth: SideDepth, near: float, width: float) -> float:
    """USD resting within `width` of a price."""
    inside = np.abs(depth.price / near - 1.0) <= width
    return float((depth.price[inside] * depth.quantity[inside]).sum())


def _bins(near: float, width: float) -> tuple[int, int]:
    low = math.floor(math.log(near * (1.0 - width)) / LATTICE)
    return low, math.floor(math.log(near * (1.0 + width)) / LATTICE) + 1


def _lattice_edge(first: int, usd: FloatArray, near: float, width: float) -> float:
    low, high = _bins(near, width)
    return float(usd[max(low - first, 0) : max(high - first, 0)].sum())


def _now_lattice(depth: SideDepth, near: float, width: float) -> tuple[int, FloatArray]:
    """The same bins as the past has, of the book now."""
    low, high = _bins(near, width)
    edges = np.exp(np.arange(low, high + 1) * LATTICE)
    at = np.searchsorted(edges, depth.price, side="right") - 1
    inside = (at >= 0) & (at < high - low)
    value = depth.price[inside] * depth.quantity[inside]
    usd = np.bincount(at[inside], value, minlength=high - low).astype(np.float64)
    return low, usd


def _usual_edge(usual: FloatArray, away: float, width: float) -> float:
    """Usual USD in a band of both sides of a distance."""
    far = usual_within(usual, away + width)
    close = usual_within(usual, away - width) if away > width else 0.0
    return max((far or 0.0) - (close or 0.0), 0.0)
