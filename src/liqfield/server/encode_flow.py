"""What book, flow, cascade and context say, as messages of the wire: bounded and rounded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from liqfield.model.analytics import (
    CascadeOutlook,
    CascadeView,
    ContextView,
    FlowEvent,
    FlowEventKind,
    FlowView,
    FootprintBar,
    PathView,
    WallView,
)
from liqfield.model.events import FloatArray
from liqfield.model.sides import PositionSide
from liqfield.server.wire import (
    CascadeRow,
    Context,
    Flow,
    FlowEventRow,
    FootprintRow,
    FundingRow,
    OutlookRow,
    PathRow,
    ProjectionReply,
    ThinWindow,
    VenueFlowRow,
    WallRow,
)

BUCKETS, BARS, BAR_ROWS, EVENTS, OF_KIND = 720, 16, 80, 100, 30
PATH_POINTS = 120


def path_row(path: PathView) -> PathRow:
    return PathRow(
        path_class=path.path_class.value,
        resting_usd=_whole(path.resting_usd),
        usual_usd=None if path.usual_usd is None else _whole(path.usual_usd),
        ratio=known(path.ratio),
        stressed_usd_p10=_whole(path.stressed_usd_p10),
        stressed_usd_p90=_whole(path.stressed_usd_p90),
        forced_usd=_whole(path.forced_usd),
        visible_share=float(path.visible_share),
        confluence=path.confluence.value,
        edge_usd=_whole(path.edge_usd),
        edge_change=known(path.edge_change),
        reasons=path.reasons,
    )


def wall_row(wall: WallView) -> WallRow:
    return WallRow(
        venue=wall.venue,
        is_bid=bool(wall.is_bid),
        price=float(wall.price),
        usd=_whole(wall.notional_usd),
        multiple=round(float(wall.multiple), 2),
        age_s=round(float(wall.age_s), 1),
        state=wall.state.value,
        filled_usd=_whole(wall.filled_usd),
        pulled_usd=_whole(wall.pulled_usd),
        distance=float(wall.distance),
    )


def event_row(event: FlowEvent) -> FlowEventRow:
    return FlowEventRow(
        at_ms=event.at_ns / 1e6,
        kind=event.kind.value,
        venue=event.venue,
        price=float(event.price),
        is_bid=event.is_bid,
        usd=_whole(event.notional_usd),
        score=float(event.score),
        duration_s=float(event.duration_s),
        outcome=event.outcome,
        text=event.text,
    )


def cascade_row(view: CascadeView) -> CascadeRow:
    return CascadeRow(
        state=view.state.value,
        side=None if view.position_side is None else view.position_side.value,
        since_ms=view.since_ns / 1e6,
        forced_usd=_whole(view.forced_usd),
        intensity_usd_per_min=_whole(view.intensity_usd_per_min),
        peak_usd_per_min=_whole(view.peak_usd_per_min),
        branching=known(view.branching),
        open_interest_change=known(view.open_interest_change),
        efficiency=known(view.efficiency),
        refill=known(view.refill),
        fuel_usd=known(view.fuel_usd),
        fuel_distance=known(view.fuel_distance),
        evidence=view.evidence,
        outlook=outlook_row(view.outlook),
    )


def outlook_row(outlook: CascadeOutlook | None) -> OutlookRow | None:
    if outlook is None:
        return None
    forced = outlook.forced_usd
    return OutlookRow(
        stop_price=float(outlook.stop_price),
        stop_price_near=float(outlook.stop_price_near),
        stop_price_far=float(outlook.stop_price_far),
        forced_usd=None
        if forced is None
        else (_whole(forced[0]), _whole(forced[1]), _whole(forced[2])),
        moves=outlook.moves,
    )


def flow(view: FlowView) -> Flow:
    """Of the CVD the last value of every `stride` buckets: it is a sum, nothing is lost. Buckets
    before the first trade have no price and are left out."""
    traded = np.flatnonzero(np.isfinite(view.price))
    first = int(traded[0]) if len(traded) else len(view.price)
    n = len(view.start_ns)
    stride = max(1, -(-(n - first) // BUCKETS))
    last = np.arange(n - 1, first - 1, -stride)[::-1]

    def thin(values: FloatArray) -> tuple[float, ...]:
        return tuple(np.round(np.asarray(values, np.float64)[last], 4).tolist())

    # A bucket of several is stamped with the start of the first of them.
    starts = np.maximum(last - (stride - 1), first)
    return Flow(
        base=view.base,
        at_ms=view.at_ns / 1e6,
        bucket_ms=view.bucket_ns * stride / 1e6,
        start_ms=tuple((np.asarray(view.start_ns)[starts] / 1e6).tolist()),
        price=thin(view.price),
        cvd=thin(view.cvd),
        cvd_by_venue={venue: thin(cvd) for venue, cvd in view.cvd_by_venue.items()},
        divergence=int(view.divergence),
        bars=tuple(footprint_row(bar) for bar in view.bars[-BARS:]),
        venues=tuple(
            VenueFlowRow(
                v.venue,
                known(v.ofi),
                known(v.ofi_multi),
                known(v.beta),
                known(v.beta_r2),
                known(v.queue_imbalance),
                known(v.microprice),
            )
            for v in view.venues
        ),
        events=tuple(event_row(event) for event in _newest(view.events)),
        cascade=cascade_row(view.cascade),
    )


def _newest(events: Sequence[FlowEvent]) -> list[FlowEvent]:
    """The newest OF_KIND of each kind, EVENTS in all: walls come by the hundred and must not hide
    what is rare."""
    left = dict.fromkeys(FlowEventKind, OF_KIND)
    kept: list[FlowEvent] = []
    for event in reversed(events):
        if left[event.kind] > 0:
            left[event.kind] -= 1
            kept.append(event)
    # Frequent kinds give way first: what is kept of a kind is always its newest.
    while len(kept) > EVENTS:
        count = Counter(event.kind for event in kept)
        oldest = max(i for i, e in enumerate(kept) if count[e.kind] == max(count.values()))
        del kept[oldest]
    return kept[::-1]


def footprint_row(bar: FootprintBar) -> FootprintRow:
    """At most BAR_ROWS rows: of a taller bar those around its point of control."""
    n = len(bar.bid)
    cut = 0
    if n > BAR_ROWS:
        cut = min(max(bar.poc_row - bar.first_row - BAR_ROWS // 2, 0), n - BAR_ROWS)
    rows = slice(cut, cut + BAR_ROWS)
    return FootprintRow(
        start_ms=bar.start_ns / 1e6,
        end_ms=bar.end_ns / 1e6,
        step=float(bar.step),
        first_row=int(bar.first_row) + cut,
        bid=tuple(np.round(bar.bid[rows], 3).tolist()),
        ask=tuple(np.round(bar.ask[rows], 3).tolist()),
        imbalance=tuple(int(x) for x in bar.imbalance[rows]),
        poc_row=int(bar.poc_row),
        value_low_row=int(bar.value_low_row),
        value_high_row=int(bar.value_high_row),
        stacked=tuple((int(a), int(b)) for a, b in bar.stacked),
        unfinished_high=bool(bar.unfinished_high),
        unfinished_low=bool(bar.unfinished_low),
    )


def context(view: ContextView, thin_windows: Sequence[ThinWindow]) -> Context:
    return Context(
        base=view.base,
        at_ms=view.at_ns / 1e6,
        funding_8h=known(view.funding_8h),
        funding=tuple(
            FundingRow(row.venue, float(row.rate_8h), row.next_ns / 1e6, known(row.basis))
            for row in view.funding
        ),
        open_interest_usd=_whole(view.open_interest_usd),
        open_interest_change_1h=known(view.open_interest_change_1h),
        open_interest_change_24h=known(view.open_interest_change_24h),
        ratios={venue: float(ratio) for venue, ratio in view.ratios.items()},
        session=view.session,
        next_session=view.next_session,
        next_session_ms=view.next_session_ns / 1e6,
        thin=view.thin,
        thin_windows=tuple(thin_windows),
        cot_as_of=view.cot_as_of,
        cot_leveraged_net=known(view.cot_leveraged_net),
        cot_asset_manager_net=known(view.cot_asset_manager_net),
        quirks=view.quirks,
    )


class Projected(Protocol):
    """cascade.Projection as this module needs it: prices USD, paths cumulative USD."""

    @property
    def start_price(self) -> float: ...
    @property
    def stop_price(self) -> float: ...
    @property
    def stop_price_near(self) -> float: ...
    @property
    def stop_price_far(self) -> float: ...
    @property
    def forced_usd(self) -> float: ...
    @property
    def forced_usd_p10(self) -> float: ...
    @property
    def forced_usd_p90(self) -> float: ...
    @property
    def beyond_share(self) -> float: ...
    @property
    def path_price(self) -> FloatArray: ...
    @property
    def path_forced_usd(self) -> FloatArray: ...
    @property
    def path_depth_usd(self) -> FloatArray: ...


def projection(
    base: str, at_ns: int, side: PositionSide, push_usd: float, found: Projected
) -> ProjectionReply:
    """path_price has one edge more than the other two paths; at most PATH_POINTS points."""
    n = len(found.path_forced_usd)
    keep = np.unique(np.linspace(0, n - 1, min(n, PATH_POINTS)).round().astype(np.int64))
    return ProjectionReply(
        base=base,
        at_ms=at_ns / 1e6,
        side=side.value,
        push_usd=push_usd,
        start_price=found.start_price,
        stop_price=found.stop_price,
        stop_price_near=found.stop_price_near,
        stop_price_far=found.stop_price_far,
        forced_usd=_whole(found.forced_usd),
        forced_usd_p10=_whole(found.forced_usd_p10),
        forced_usd_p90=_whole(found.forced_usd_p90),
        beyond_share=found.beyond_share,
        path_price=(found.start_price, *found.path_price[keep + 1].tolist()),
        path_forced_usd=tuple(np.round(found.path_forced_usd[keep]).tolist()),
        path_depth_usd=tuple(np.round(found.path_depth_usd[keep]).tolist()),
    )


def known(value: float | None) -> float | None:
    """None and not-a-number are both "not known": JSON has no other word for them."""
    return float(value) if value is not None and math.isfinite(value) else None


def _whole(usd: float) -> float:
    return float(round(usd)) if math.isfinite(usd) else 0.0
