"""How much of an hour's forced volume anything could tell: a forest that knows more than a map may.

    python -m benchmarks.history_ceiling ../shared/data/history

The hours of `liqfield study history`, same split. A random forest is given what no map before the
hour can know (its volume, what the other side printed in it) beside all that ours is made of: the
swept mass of every class, openings, excursion and range, and the prints of the hours before. What
it gains over the regression on excursion and range bounds what any map can be asked to gain here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from liqfield.app.study.history import Played, play_history
from liqfield.density.estimator import DensityEstimator
from liqfield.model.events import FloatArray
from liqfield.verify import metrics
from liqfield.verify.hourly import LEAST_MOVE, score_hours

TREES, LEAF, LAGS = 400, 5, (1, 2, 3)


def ceiling(folder: Path, seed: int = 0) -> dict[str, object]:
    """R2 of ln(1 USD + printed) over the hours that nothing was fitted on, longs and shorts."""
    swept: list[FloatArray] = []

    def look(estimator: DensityEstimator, low: float, high: float) -> None:
        swept.append(estimator.would_sweep(low, high))

    played = play_history(folder, at_hour=look)
    told, path = _features(played, np.array(swept))
    table, fit = played.wide, played.fit
    y = np.log1p(table.realised)
    report = score_hours(table, fit)
    out: dict[str, object] = {"fitted": fit, "scored": len(y) - fit}
    for side, name in enumerate(("long", "short")):
        skill = (report.long, report.short)[side]
        forest = [_forest_r2(x[side], y[:, side], fit, seed) for x in (path, told)]
        out[name] = {
            "regression_range": skill.range_r2.value,
            "regression_map": skill.maps[0].r2,
            "forest_range": forest[0],
            "forest_everything": forest[1],
            "ceiling_gain": forest[1] - skill.range_r2.value,
        }
    return out


def _features(played: Played, swept: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """By side: (everything, excursion and range alone), one row an hour."""
    table = played.wide
    printed = np.log1p(table.realised)
    past = [np.vstack((np.repeat(printed[:1], lag, axis=0), printed[:-lag])) for lag in LAGS]
    day = np.array([printed[max(i - 24, 0) : max(i, 1)].mean(axis=0) for i in range(len(printed))])
    everything, path = [], []
    for side in range(2):
        moved = np.column_stack((table.excursion[:, side], table.span))
        path.append(np.log(moved + LEAST_MOVE))
        everything.append(
            np.column_stack(
                (
                    path[side],
                    np.log1p(swept[:, side]),
                    *(np.log1p(usd[:, side]) for usd in table.maps.values()),
                    np.log(played.volume),
                    *past,
                    day,
                    printed[:, 1 - side],
                )
            )
        )
    return everything, path


def _forest_r2(x: FloatArray, y: FloatArray, fit: int, seed: int) -> float:
    forest = RandomForestRegressor(TREES, min_samples_leaf=LEAF, random_state=seed)
    forest.fit(x[:fit], y[:fit])
    return metrics.r2(y[fit:], forest.predict(x[fit:]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.history_ceiling", description=__doc__)
    parser.add_argument("folder", type=Path)
    print(json.dumps(ceiling(parser.parse_args().folder), indent=2))


if __name__ == "__main__":
    main()
