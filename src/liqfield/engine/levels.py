"""From a book's best levels to the flow at each of them, in one call."""

from __future__ import annotations

from liqfield.book.kernels import TAKEN, WORDS, best_levels
from liqfield.book.ladder import Ladder
from liqfield.flow.imbalance import COINS, IS_FRESH, LEVELS, TICKS, LevelImbalance, add_levels
from liqfield.model.jit import address_of, direct, floats_at, ints_at, kernel


@kernel
def fold_best(ladder: int, imbalance: int) -> bool:
    """The best levels now; False, and nothing is added, where some are far from the touch. Both:
    where the words of a `Ladder` lie, and the plan of a `LevelImbalance`."""
    best, plan = ints_at(ladder, WORDS), ints_at(imbalance, IS_FRESH + 1)
    ticks, coins = ints_at(plan[TICKS], (2, LEVELS)), floats_at(plan[COINS], (2, LEVELS))
    if best_levels(best, ticks, coins) and best[TAKEN]:
        return False
    add_levels(plan)
    return True


class LevelReader:
    """Tells a `LevelImbalance` of the book after each message."""

    def __init__(self, levels: LevelImbalance) -> None:
        self._levels, self._at = levels, address_of(levels.plan)
        self._fold = direct(fold_best, 0, 0)

    def fold(self, ladder: Ladder) -> None:
        """The book now."""
        if not self._fold(ladder.words_at, self._at):
            ladder.best_levels(self._levels.ticks, self._levels.coins)
            self._levels.update()
