"""What measured accounts say about the prior of the cross law: how levered, how near."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np

from liqfield.density import law as laws
from liqfield.density.fit import mass_covariance, prior_covariance
from liqfield.density.settings import DensitySettings
from liqfield.model.errors import SettingError
from liqfield.model.events import FloatArray

TAIL = 10.0  # effective leverage beyond which a level lies within about 8 % of the entry
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


class PositionsReport(msgspec.Struct, frozen=True):
    """leverage: quantiles (10, 25, 50, 75, 90 %) of account notional over equity: each account
    alike, by the root of notional, by notional. beyond_10x: share above 10x, weighted the same
    three ways. within: share of BTC and ETH notional with a level within 5, 8, 10, 20 % of the
    mark, of longs and of shorts. prior_beyond_10x: the same share in our prior, of cross openings
    and of what stands; prior_log_sd: prior standard deviation of its logarithm.
    """

    accounts: int
    leverage: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
    beyond_10x: tuple[float, float, float]
    within: tuple[tuple[float, ...], tuple[float, ...]]
    prior_beyond_10x: tuple[float, float]
    prior_log_sd: float


def _read(path: Path, columns: str) -> dict[str, Any]:
    if not path.exists():
        raise SettingError(f"no positions at {path}")
    with duckdb.connect() as db:
        found: dict[str, Any] = db.execute(f"SELECT {columns} FROM read_csv('{path}')").fetchnumpy()
    return found


def _quantiles(values: FloatArray, weights: FloatArray) -> tuple[float, ...]:
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return tuple(float(values[order][np.searchsorted(share, q)]) for q in QUANTILES)


def study_positions(folder: Path) -> PositionsReport:
    """folder: positions.csv and account_equity.csv, scans of public accounts."""
    rows = _read(
        folder / "account_equity.csv", "account_value_usd AS equity, total_notional_usd AS usd"
    )
    keep = (rows["equity"] > 0) & (rows["usd"] > 0)
    usd: FloatArray = rows["usd"][keep].astype(np.float64)
    leverage: FloatArray = usd / rows["equity"][keep]
    weights = (np.ones(len(usd)), np.sqrt(usd), usd)
    held = _read(
        folder / "positions.csv",
        "coin, size_base_signed AS size, mark_price AS mark, distance_to_liquidation AS away",
    )
    away = np.ma.filled(np.ma.asarray(held["away"], dtype=np.float64), np.inf)
    away = np.where(np.isnan(away), np.inf, away)
    value = np.abs(held["size"]) * held["mark"]
    major = np.isin(held["coin"], ["BTC", "ETH"])
    sides = [major & (held["size"] > 0), major & (held["size"] < 0)]
    settings = DensitySettings()
    shares = laws.class_shares(settings.law, 125.0)
    standing = laws.standing_shares(
        shares, laws.exit_rates(settings.law), 0.9 / laws.CLASS_LEVERAGE, 1.0, 0.0009
    )
    tail = laws.IS_CROSS & (laws.CLASS_LEVERAGE > TAIL)
    part = np.where(tail, shares, 0.0) / shares[tail].sum()
    covariance = mass_covariance(prior_covariance(settings.forced_log_sd), shares)
    beyond = [float(w[leverage > TAIL].sum() / w.sum()) for w in weights]
    return PositionsReport(
        accounts=len(usd),
        leverage=(
            _quantiles(leverage, weights[0]),
            _quantiles(leverage, weights[1]),
            _quantiles(leverage, weights[2]),
        ),
        beyond_10x=(beyond[0], beyond[1], beyond[2]),
        within=(_within(away, value, sides[0]), _within(away, value, sides[1])),
        prior_beyond_10x=tuple(
            float(s[tail].sum() / s[laws.IS_CROSS].sum()) for s in (shares, standing)
        ),  # type: ignore[arg-type]
        prior_log_sd=float(np.sqrt(part @ covariance @ part)),
    )


def _within(away: FloatArray, value: FloatArray, rows: np.ndarray[Any, Any]) -> tuple[float, ...]:
    total = float(value[rows].sum())
    return tuple(float(value[rows & (away <= d)].sum()) / total for d in (0.05, 0.08, 0.1, 0.2))
