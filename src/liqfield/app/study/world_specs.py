"""The worlds of the known-truth proof: laws, churn, feeds; which of them were used for tuning.

Tuning worlds may be looked at while the filter is built, with other seeds than the reported one.
Held-out laws are used for no choice of any constant; `SEEN` ones were held out until their result
was reported once: knowing it may have steered what was built next. `drawn` worlds have their laws
from a random generator, so that nobody chose them to suit the filter.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
import numpy as np

from liqfield.lab.market_setup import BTC
from liqfield.lab.market_types import VENUES, LeverageLaw, MarketSpec, PositionLaw
from liqfield.model.sides import Coverage

START_NS = 1_790_000_000_000_000_000 // 60_000_000_000 * 60_000_000_000
# Many positions of not too unequal size: the truth is then a density, not a handful of lumps, and
# scores measure the filter rather than luck. A real market of this size has far more accounts.
SIZE_LOG_SD = 0.9
# Forced orders move the price for good by a sixth of what they move it at all. With the most of it,
# as where cascades are what is studied, worlds of heavy laws run away: a day in which half of the
# open interest and more is forced and the price halves, where the worst of 79 real days had 7 % and
# 18 %.
FOLLOW_S = 30.0
FEEDS: dict[str, Coverage | None] = {
    "binance": Coverage.LARGEST_PER_SECOND,
    "bybit": Coverage.COMPLETE,
    "okx": Coverage.SAMPLED,
    "hyperliquid": None,
}

SMALL_VENUES, SMALL_ACCOUNTS = ("binance", "bybit"), 16_000
PUBLIC_VENUES = (*SMALL_VENUES, "hyperliquid")  # with the one that has public accounts


class Role(StrEnum):
    """What a world has been used for."""

    TUNING = "tuning"
    SEEN = "seen"
    HELD_OUT = "held-out"


class WorldSpec(msgspec.Struct, frozen=True):
    """positions: the law of the world; turnover: ordinary volume a day over open interest;
    sampled_share: what the sampled feed prints; accounts: slots a venue; feeds: coverage by venue,
    None = prints nothing; laws: of venues whose people do not follow `positions`."""

    name: str
    positions: PositionLaw
    role: Role
    turnover_per_day: float = 2.5
    daily_volatility: float = 0.030
    sampled_share: float = 0.35
    venues: tuple[str, ...] = VENUES
    accounts: int = 32_000
    feeds: dict[str, Coverage | None] = msgspec.field(default_factory=lambda: dict(FEEDS))
    laws: dict[str, PositionLaw] = {}

    def apart(self, seed: int) -> WorldSpec:
        """The same world, but each venue's law of openings is drawn around it (`_around`)."""
        random = np.random.default_rng((seed, *self.name.encode()))
        laws = {venue: _around(self.positions, random) for venue in self.venues}
        return msgspec.structs.replace(self, name=f"{self.name}-apart", laws=laws)

    def small(self, venues: tuple[str, ...] = SMALL_VENUES) -> WorldSpec:
        """The same laws in a sixth of the time to make: few venues and SMALL_ACCOUNTS."""
        return msgspec.structs.replace(self, venues=venues, accounts=SMALL_ACCOUNTS)

    def market(self, days: float) -> MarketSpec:
        """`days` days of history before START_NS, accounts as many as the market holds."""
        base = msgspec.structs.replace(
            BTC,
            turnover_per_day=self.turnover_per_day,
            daily_volatility=self.daily_volatility,
            follow_s=FOLLOW_S,
        )
        return MarketSpec(
            bases=(base,),
            start_ns=START_NS,
            venues=self.venues,
            history_h=24.0 * days,
            coarse_step_s=5.0,
            positions=msgspec.structs.replace(self.positions, size_log_sd=SIZE_LOG_SD),
            accounts_per_instrument=self.accounts,
            venue_positions={
                venue: msgspec.structs.replace(law, size_log_sd=SIZE_LOG_SD)
                for venue, law in self.laws.items()
            },
        )


def _around(law: PositionLaw, random: np.random.Generator) -> PositionLaw:
    """A venue's law near the world's: both sides' medians move by 0.3 and the odds of isolated mode
    by 0.4 (log sd), the weight of each point of the menu by 0.5. Nobody knows how far apart real
    venues are."""
    median, odds = float(np.exp(0.3 * random.normal())), float(np.exp(0.4 * random.normal()))

    def side(of: LeverageLaw) -> LeverageLaw:
        share = of.isolated_share * odds
        weights = np.array(of.menu_weights) * np.exp(0.5 * random.normal(size=len(of.menu)))
        return msgspec.structs.replace(
            of,
            median=of.median * median,
            isolated_share=share / (1.0 - of.isolated_share + share),
            menu_weights=tuple((weights / weights.sum()).tolist()),
        )

    return msgspec.structs.replace(law, taker=side(law.taker), maker=side(law.maker))


_HIGH = (10.0, 20.0, 25.0, 50.0, 75.0, 100.0, 125.0)
CHOSEN: tuple[WorldSpec, ...] = (
    WorldSpec("plain", PositionLaw(), role=Role.TUNING),
    WorldSpec(
        "levered",
        PositionLaw(
            taker=LeverageLaw(
                median=4.0,
                isolated_share=0.5,
                menu=_HIGH,
                menu_weights=(0.2, 0.2, 0.15, 0.2, 0.05, 0.15, 0.05),
            ),
            maker=LeverageLaw(median=2.5, spread=0.7, isolated_share=0.15),
            holding_h=24.0,
            holding_tilt=0.7,
        ),
        role=Role.TUNING,
        turnover_per_day=4.0,
    ),
    WorldSpec(
        "slow",
        PositionLaw(
            taker=LeverageLaw(family="gamma", median=3.0, spread=3.0, isolated_share=0.15),
            maker=LeverageLaw(family="gamma", median=2.0, spread=2.0, isolated_share=0.05),
            holding_h=72.0,
            churn_volatility=0.5,
            stop_share=0.3,
        ),
        role=Role.TUNING,
        turnover_per_day=1.5,
        daily_volatility=0.022,
        feeds={**FEEDS, "bybit": Coverage.LATEST_PER_SECOND},
    ),
    WorldSpec(
        "pareto",
        PositionLaw(
            taker=LeverageLaw(family="pareto", median=3.0, spread=2.2, isolated_share=0.3),
            maker=LeverageLaw(family="pareto", median=2.0, spread=2.5, isolated_share=0.1),
            holding_h=20.0,
            churn_volatility=4.0,
            top_up_share=0.2,
        ),
        role=Role.SEEN,
        turnover_per_day=3.0,
        feeds={**FEEDS, "binance": Coverage.LATEST_PER_SECOND},
    ),
    WorldSpec(
        "two-crowds",
        PositionLaw(
            taker=LeverageLaw(family="mixture", median=2.5, spread=4.0, isolated_share=0.15),
            maker=LeverageLaw(family="mixture", median=1.5, spread=3.0, isolated_share=0.05),
            holding_h=48.0,
            holding_tilt=0.2,
            stop_share=0.8,
            stop_place=0.7,
        ),
        role=Role.TUNING,
        turnover_per_day=2.0,
        sampled_share=0.2,
        feeds=dict.fromkeys(VENUES, Coverage.SAMPLED),
    ),
    WorldSpec(
        "menu",
        PositionLaw(
            taker=LeverageLaw(
                family="menu",
                median=4.0,
                isolated_share=0.4,
                menu=(5.0, 10.0, 20.0, 50.0, 100.0),
                menu_weights=(0.2, 0.3, 0.25, 0.15, 0.1),
            ),
            maker=LeverageLaw(family="menu", median=3.0, isolated_share=0.2),
            holding_h=12.0,
            churn_volatility=0.0,
            cross_noise=0.25,
            taker_share=0.7,
        ),
        role=Role.TUNING,
        turnover_per_day=5.0,
        daily_volatility=0.035,
    ),
)


def drawn(number: int, role: Role) -> WorldSpec:
    """A world whose every law and habit is drawn at random by `number`, from wide ranges."""
    random = np.random.default_rng(number)

    def side(low: float, high: float, isolated: float) -> LeverageLaw:
        family = str(random.choice(["lognormal", "gamma", "pareto"]))
        spread = {"lognormal": (0.5, 1.0), "gamma": (1.5, 4.0), "pareto": (1.8, 3.0)}[family]
        weights = random.dirichlet(np.full(len(_HIGH), 2.0)) * np.array(_HIGH) ** -0.4
        return LeverageLaw(
            family=family,
            median=float(random.uniform(low, high)),
            spread=float(random.uniform(*spread)),
            isolated_share=float(isolated * random.uniform(0.3, 1.0)),
            menu=_HIGH,
            menu_weights=tuple((weights / weights.sum()).tolist()),
        )

    taker, maker = side(2.0, 6.0, 0.5), side(1.3, 3.5, 0.2)
    shows = [Coverage.COMPLETE, Coverage.SAMPLED, Coverage.LARGEST_PER_SECOND]
    return WorldSpec(
        f"drawn-{number}",
        PositionLaw(
            taker=taker,
            maker=maker,
            holding_h=float(np.exp(random.uniform(np.log(10.0), np.log(70.0)))),
            holding_tilt=float(random.uniform(0.2, 0.8)),
            churn_volatility=float(random.uniform(0.0, 4.0)),
            stop_share=float(random.uniform(0.3, 0.8)),
            stop_place=float(random.uniform(0.65, 0.85)),
            top_up_share=float(random.uniform(0.0, 0.25)),
            taker_share=float(random.uniform(0.4, 0.7)),
            cross_noise=float(random.uniform(0.06, 0.25)),
        ),
        role=role,
        turnover_per_day=float(random.uniform(1.5, 5.0)),
        daily_volatility=float(random.uniform(0.02, 0.036)),
        sampled_share=float(random.uniform(0.2, 0.5)),
        # Smaller than the chosen worlds, so that there can be more of them.
        venues=SMALL_VENUES,
        accounts=SMALL_ACCOUNTS,
        feeds={**FEEDS, "bybit": shows[int(random.integers(3))]},
    )


def public(spec: WorldSpec) -> WorldSpec:
    """The same world with the venue that shows its accounts beside the others."""
    return msgspec.structs.replace(spec, venues=PUBLIC_VENUES)


WORLDS: tuple[WorldSpec, ...] = (
    *CHOSEN,
    *(drawn(number, Role.TUNING) for number in (*range(1, 9), 203, 217)),
    *(drawn(number, Role.SEEN) for number in range(101, 115)),
    *(public(drawn(number, Role.SEEN)) for number in range(115, 118)),
    *(public(drawn(number, Role.HELD_OUT)) for number in range(118, 124)),
)
