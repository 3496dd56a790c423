"""Which markets to follow: base assets and contracts by name, and the busiest of all venues.

BTC, 1000PEPE, kPEPE        a base asset, on every venue that lists a perpetual of it
deribit:BTC_USDC-PERPETUAL  one contract, in place of the one that its venue would give
top:50                      the fifty base assets with the highest turnover of 24 hours
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from liqfield.app.settings import nearest
from liqfield.model.errors import SettingError
from liqfield.venues.decoding import base_and_factor

if TYPE_CHECKING:
    from liqfield.engine.engine import Engine

MAX_TOP = 500


class MarketChoice(msgspec.Struct, frozen=True):
    """What was asked for. `bases` are canonical asset names, `contracts` instrument ids."""

    bases: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()
    top: int = 0

    @property
    def needs_lists(self) -> bool:
        """Only what the venues list tells the base assets."""
        return self.top > 0 or bool(self.contracts)


def parse(names: Sequence[str], venues: Sequence[str]) -> MarketChoice:
    """Names as on the command line. Raises SettingError with what would be right."""
    bases: list[str] = []
    contracts: list[str] = []
    top = 0
    for name in names:
        head, colon, rest = name.partition(":")
        if not colon:
            bases.append(_base(name))
        elif head == "top":
            if not rest.isdigit() or not 1 <= int(rest) <= MAX_TOP:
                raise SettingError(f"market {name!r}: top:N takes 1 to {MAX_TOP}")
            top = max(top, int(rest))
        elif head in venues:
            contracts.append(name)
        else:
            # Not above: all decoders are loaded with it, and the demo's market waits for `parse`.
            from liqfield.venues.registry import VENUES

            hint = nearest(head, (*venues, "top"))
            if head in VENUES:
                hint = f"follow it with --venues {','.join((*venues, head))}"
            raise SettingError(f"market {name!r}: {head!r} is no venue that is followed; {hint}")
    return MarketChoice(tuple(dict.fromkeys(bases)), tuple(dict.fromkeys(contracts)), top)


def resolve(choice: MarketChoice, engine: Engine) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(base assets to follow, problems in words), by what the engine has heard listed."""
    bases = list(choice.bases)
    problems: list[str] = []
    listed = engine.instruments
    for contract in choice.contracts:
        instrument = listed.get(contract)
        if instrument is None:
            problems.append(f"no contract {contract!r}: {nearest(contract, tuple(listed))}")
        elif not (instrument.is_perpetual and instrument.is_trading):
            problems.append(f"contract {contract!r} is no perpetual that trades now")
        else:
            bases.append(instrument.base)
    if choice.top:
        busiest = engine.busiest(choice.top)
        if len(busiest) < choice.top:
            problems.append(f"top:{choice.top}: only {len(busiest)} markets state a turnover")
        bases += busiest
    known = tuple(sorted({of.base for of in listed.values() if of.is_perpetual}))
    problems += [
        f"no venue lists a perpetual of {base!r}: {nearest(base, known)}"
        for base in choice.bases
        if known and base not in known
    ]
    return tuple(dict.fromkeys(bases)), tuple(problems)


def _base(name: str) -> str:
    """kPEPE and 1000PEPE are PEPE in thousands."""
    if name.startswith("k") and name[1:].isupper():
        return name[1:]
    return base_and_factor(name.upper())[0]
