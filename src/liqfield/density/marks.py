"""Which marks to believe, and the way they have gone since the last step."""

from __future__ import annotations

import math

MARK_JUMP = 0.08  # a mark that jumps by more must be confirmed
NEAR = math.exp(-MARK_JUMP)
_WICK = math.exp(-2.0 * MARK_JUMP)
CONFIRMED = 3  # so many marks near the jumped one are not an error any more
NOT_TRADED = (math.inf, 0.0)


class MarkGuard:
    """The believed mark, USD; low and high of its way since `rest`."""

    def __init__(self) -> None:
        self.mark = 0.0
        self.low = self.high = 0.0
        self._doubt: tuple[float, int] = (0.0, 0)  # an unconfirmed mark and how often it came

    def take(
        self, low: float, high: float, close: float, traded: tuple[float, float] = NOT_TRADED
    ) -> tuple[float, float] | None:
        """The believed path [low, high] of a look at the mark, or None for an outlier.

        traded: the lowest and highest price paid in the same time. Where it was traded, the mark
        may well have been: in a crash no two looks at the mark lie near each other.
        """
        mark = self.mark
        is_traded = NEAR * traded[0] <= close <= traded[1] / NEAR
        if mark and not is_traded and not NEAR * mark <= close <= mark / NEAR:
            doubted, times = self._doubt
            near = doubted > 0.0 and abs(math.log(close / doubted)) < MARK_JUMP / 2
            self._doubt = (close, times + 1 if near else 1)
            if self._doubt[1] < CONFIRMED:
                return None
            low, high = min(low, close), max(high, close)
        self._doubt = (0.0, 0)
        if mark:
            # A wick that no close confirms and that is far out is an outlier too.
            least, most = (close, mark) if close < mark else (mark, close)
            if is_traded:
                least, most = min(least, traded[0]), max(most, traded[1])
            low, high = max(low, least * _WICK), min(high, most / _WICK)
        self.mark = close
        if close < low:
            low = close
        if close > high:
            high = close
        if low < self.low or not self.low:
            self.low = low
        if high > self.high:
            self.high = high
        return low, high

    def follow(self, price: float) -> bool:
        """`take` of a price on the way that was gone since the last step; False for any other."""
        if not self.low <= price <= self.high or self._doubt[1] or self.low <= 0.0:
            return False
        if not NEAR * self.mark <= price <= self.mark / NEAR:
            return False
        self.mark = price
        return True

    @property
    def way(self) -> tuple[float, float]:
        """[low, high] that `follow` follows a price on; low above high: none."""
        return (math.inf, 0.0) if self._doubt[1] else (self.low, self.high)

    def believes(self, price: float) -> bool:
        """Whether a traded price is near enough to the mark; any is before the first mark."""
        mark = self.mark
        return not mark or NEAR * mark <= price <= mark / NEAR

    def rest(self) -> None:
        """A step has used the way so far."""
        self.low = self.high = self.mark

    def dump(self) -> list[float]:
        """Everything as plain data."""
        return [self.mark, self.low, self.high, *self._doubt]

    def load(self, data: list[float]) -> None:
        """The inverse of `dump`."""
        self.mark, self.low, self.high = data[:3]
        self._doubt = (data[3], int(data[4]))
