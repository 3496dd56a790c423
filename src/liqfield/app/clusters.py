"""Clusters as messages: of now, and found anew in the stored map of any moment of the past."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from liqfield.density.clusters import ClusterSettings, clusters_of, find_clusters
from liqfield.model.analytics import PathView
from liqfield.model.estimates import Cluster, DensityColumn, LiquidationDensity
from liqfield.server import encode
from liqfield.server.wire import Clusters
from liqfield.store.map_history import MapHistory

GROWTH_NS = 600_000_000_000  # clusters are compared with those of ten minutes before
KEPT_EVERY_NS = 60_000_000_000


class ClusterFinder:
    """One for all markets; remembers the last ten minutes' clusters for their growth."""

    def __init__(self, maps: MapHistory, settings: ClusterSettings) -> None:
        self._maps = maps
        self._settings = settings
        self._past: dict[str, list[tuple[int, tuple[Cluster, ...]]]] = {}

    def now(
        self, base: str, densities: Sequence[LiquidationDensity], at_ns: int
    ) -> tuple[Cluster, ...]:
        """Those of the newest maps of the venues."""
        past = self._past.setdefault(base, [])
        while len(past) > 1 and at_ns - past[1][0] >= GROWTH_NS:
            past.pop(0)
        then_ns, before = past[0] if past else (at_ns, ())
        found = find_clusters(densities, self._settings, before, (at_ns - then_ns) / 1e9)
        if not past or at_ns - past[-1][0] >= KEPT_EVERY_NS:
            past.append((at_ns, found))
        return found

    def known_at(self, base: str, venues: Collection[str], at_ns: int) -> Clusters | None:
        """Those of the newest stored map known at `at_ns`; None before the history begins.

        Amounts are those of the history (within 3.4 % a bin), without interval, age and path.
        """
        then = self._stored(base, venues, at_ns)
        if then is None:
            return None
        previous: tuple[Cluster, ...] = ()
        age_s = 0.0
        before = self._stored(base, venues, at_ns - GROWTH_NS)
        if before is not None:
            previous = clusters_of(*before, self._settings)
            age_s = (then[0].at_ns - before[0].at_ns) / 1e9
        return self.message(base, then[0], clusters_of(*then, self._settings, previous, age_s))

    def message(
        self,
        base: str,
        whole: DensityColumn,
        found: Sequence[Cluster],
        paths: Sequence[PathView | None] = (),
    ) -> Clusters:
        """With the threshold, so that a reader of none knows what there is none of."""
        least, reach = self._settings.min_usd, self._settings.reach
        return encode.clusters(
            base, whole.at_ns, whole.mark_price, found, paths, min_usd=least, reach=reach
        )

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
