"""Clusters as messages: of now, and found anew in the stored map of any moment of the past."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from liqfield.density.clusters import LEAST_SHARE, ClusterSettings, clusters_of, find_clusters
from liqfield.model.analytics import PathView
from liqfield.model.estimates import Cluster, DensityColumn, LiquidationDensity
from liqfield.server import encode
from liqfield.server.wire import Clusters
from liqfield.store.map_history import MapHistory

GROWTH_NS = 600_000_000_000  # clusters are compared with those of ten minutes before
KEPT_EVERY_NS = 60_000_000_000
MOST_USD = 50e6  # of the threshold by the size of the market, where the user sets none


class ClusterFinder:
    """One for all markets; remembers the last ten minutes' clusters for their growth."""

    def __init__(self, maps: MapHistory, settings: ClusterSettings) -> None:
        self._maps = maps
        self._settings = settings
        self._past: dict[str, list[tuple[int, tuple[Cluster, ...]]]] = {}
        self._floor: dict[str, float] = {}

    def now(
        self,
        base: str,
        densities: Sequence[LiquidationDensity],
        at_ns: int,
        wanted_usd: Sequence[float] = (),
    ) -> tuple[Cluster, ...]:
        """Those of the newest maps of the venues: all that any reader wants.

        wanted_usd: thresholds of readers who chose their own.
        """
        past = self._past.setdefault(base, [])
        chosen = self._chosen(sum(density.open_interest_usd for density in densities))
        floor = min((chosen.min_usd, *wanted_usd))
        if floor < 0.5 * self._floor.get(base, floor):
            past.clear()  # it held none that were so small: each of them would pass for new
        self._floor[base] = floor
        while len(past) > 1 and at_ns - past[1][0] >= GROWTH_NS:
            past.pop(0)
        then_ns, before = past[0] if past else (at_ns, ())
        settings = msgspec.structs.replace(chosen, min_usd=floor)
        found = find_clusters(densities, settings, before, (at_ns - then_ns) / 1e9)
        if not past or at_ns - past[-1][0] >= KEPT_EVERY_NS:
            past.append((at_ns, found))
        return found

    def known_at(
        self, base: str, venues: Collection[str], at_ns: int, min_usd: float = 0.0
    ) -> Clusters | None:
        """Those of the newest stored map known at `at_ns`; None before the history begins.

        Amounts are those of the history (within 3.4 % a bin), without interval, age and path.
        """
        then = self._stored(base, venues, at_ns)
        if then is None:
            return None
        chosen = self._chosen(then[0].open_interest_usd)
        if min_usd > 0.0:
            chosen = msgspec.structs.replace(chosen, min_usd=min_usd)
        previous: tuple[Cluster, ...] = ()
        age_s = 0.0
        before = self._stored(base, venues, at_ns - GROWTH_NS)
        if before is not None:
            previous = clusters_of(*before, chosen)
            age_s = (then[0].at_ns - before[0].at_ns) / 1e9
        found = clusters_of(*then, chosen, previous, age_s)
        return self.message(base, then[0], found, min_usd=min_usd)

    def message(
        self,
        base: str,
        whole: DensityColumn,
        found: Sequence[Cluster],
        paths: Sequence[PathView | None] = (),
        min_usd: float = 0.0,
    ) -> Clusters:
        """Those of min_usd or more, 0 = what counts in this market.

        With the threshold, so that a reader of none knows what there is none of, and with the one
        that counts here and why, so that a reader who chose another can come back.
        """
        chosen = self._chosen(whole.open_interest_usd)
        least = min_usd or chosen.min_usd
        ways = paths if len(paths) == len(found) else [None] * len(found)
        kept = [(c, way) for c, way in zip(found, ways, strict=True) if c.notional_usd >= least]
        why = "share" if chosen.min_usd < MOST_USD else "most"
        return encode.clusters(
            base,
            whole.at_ns,
            whole.mark_price,
            [cluster for cluster, _ in kept],
            [way for _, way in kept],
            min_usd=least,
            reach=chosen.reach,
            default_usd=chosen.min_usd,
            default_why="setting" if self._settings.min_usd > 0.0 else why,
        )

    def _chosen(self, open_interest_usd: float) -> ClusterSettings:
        """The threshold that the user set; 0 = by the size of the market, to two digits."""
        if self._settings.min_usd > 0.0:
            return self._settings
        least = float(f"{min(LEAST_SHARE * open_interest_usd, MOST_USD):.2g}")
        return msgspec.structs.replace(self._settings, min_usd=least)

    def _stored(
        self, base: str, venues: Collection[str], at_ns: int
    ) -> tuple[DensityColumn, list[DensityColumn]] | None:
        """The pooled map, and of its venues those that stand in the same column."""
        pooled = self._maps.known_at(base, "all", at_ns)
        if pooled is None:
            return None
        columns = [(venue, self._maps.known_at(base, venue, at_ns)) for venue in venues]
        parts = [c.density(v) for v, c in columns if c is not None and c.end_ns == pooled.end_ns]
        return pooled.density("all"), parts
