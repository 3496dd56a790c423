"""Minutes and five-minute marks out of tape rows, whatever the step."""

from __future__ import annotations

import numpy as np

from liqfield.lab import market_state as ms
from liqfield.lab.market_types import History
from liqfield.model.durations import MINUTE_NS
from liqfield.model.events import FloatArray, IntArray

(_X_LAST, _X_HIGH, _X_LOW, _X_MARK, _X_INDEX, _X_LOTS, _X_BUY, _X_OI) = range(8)
_X_FUNDING = ms.tape_column(ms.X_FUNDING)
FIVE_NS = 300_000_000_000


class HistoryKeeper:
    """Candles, open interest and funding of one instrument; rows must come in time order."""

    def __init__(self, lot: float) -> None:
        self._lot = lot
        self._candle_ns: list[IntArray] = []
        self._candles: list[FloatArray] = []  # [n, 14]: last, mark, index (ohlc each), volume, buy
        self._oi: list[tuple[int, float, float]] = []
        self._funding: list[tuple[int, float]] = []
        self._open: list[float] | None = None

    def add_minutes(self, rows: FloatArray, start_ns: int, step_ns: int, long_share: float) -> None:
        """rows [k, TAPE] of whole minutes, the first beginning at start_ns."""
        per = MINUTE_NS // step_ns
        n = rows.shape[0] // per
        x = rows[: n * per].reshape(n, per, -1)
        out = np.empty((n, 14))
        last, mark, index = x[:, :, _X_LAST], x[:, :, _X_MARK], x[:, :, _X_INDEX]
        out[:, 0], out[:, 3] = last[:, 0], last[:, -1]
        out[:, 1] = np.maximum(x[:, :, _X_HIGH].max(1), last.max(1))
        out[:, 2] = np.minimum(x[:, :, _X_LOW].min(1), last.min(1))
        for column, path in ((4, mark), (8, index)):
            out[:, column], out[:, column + 3] = path[:, 0], path[:, -1]
            out[:, column + 1], out[:, column + 2] = path.max(1), path.min(1)
        out[:, 12] = x[:, :, _X_LOTS].sum(1) * self._lot
        out[:, 13] = x[:, :, _X_BUY].sum(1) * self._lot
        ends = start_ns + MINUTE_NS * np.arange(1, n + 1, dtype=np.int64)
        self._candle_ns.append(ends)
        self._candles.append(out)
        for k in np.flatnonzero(ends % FIVE_NS == 0):
            self._oi.append((int(ends[k]), float(x[k, -1, _X_OI]) * self._lot, long_share))
        settled = rows[:, _X_FUNDING]
        for k in np.flatnonzero(~np.isnan(settled)):
            self._funding.append((start_ns + (int(k) + 1) * step_ns, float(settled[k])))

    def add_row(self, row: FloatArray, end_ns: int, long_share: float) -> None:
        """One tape row of a step that ends at end_ns."""
        lot = self._lot
        last, high, low, mark, index, lots, buy, oi = row[:8].tolist()
        c = self._open
        if c is None:
            c = [last, high, low, last, mark, mark, mark, mark, index, index, index, index, 0, 0]
            self._open = c
        c[1], c[2], c[3] = max(c[1], high, last), min(c[2], low, last), last
        c[5], c[6], c[7] = max(c[5], mark), min(c[6], mark), mark
        c[9], c[10], c[11] = max(c[9], index), min(c[10], index), index
        c[12] += lots * lot
        c[13] += buy * lot
        settled = float(row[_X_FUNDING])
        if settled == settled:
            self._funding.append((end_ns, settled))
        if end_ns % MINUTE_NS == 0:
            self._candle_ns.append(np.array([end_ns], np.int64))
            self._candles.append(np.array([c]))
            self._open = None
            if end_ns % FIVE_NS == 0:
                self._oi.append((end_ns, oi * lot, long_share))

    def restore(self, past: History) -> None:
        """Take over a stored history; a half-finished minute begins anew."""
        columns = (past.last, past.mark, past.index, past.volume[:, None], past.taker_buy[:, None])
        self._candle_ns, self._candles = [past.candle_end_ns], [np.hstack(columns)]
        oi = (past.oi_ns.tolist(), past.open_interest.tolist(), past.long_accounts.tolist())
        self._oi = list(zip(*oi, strict=True))
        self._funding = list(zip(past.funding_ns.tolist(), past.funding_rate.tolist(), strict=True))
        self._open = None

    def get(self) -> History:
        """Fresh arrays of everything so far."""
        candles = np.concatenate(self._candles) if self._candles else np.zeros((0, 14))
        ends = np.concatenate(self._candle_ns) if self._candle_ns else np.zeros(0, np.int64)
        if len(self._candles) > 512:
            self._candles, self._candle_ns = [candles], [ends]
        oi = np.array([row[1:] for row in self._oi]).reshape(-1, 2)
        return History(
            candle_end_ns=ends.copy(),
            last=candles[:, 0:4].copy(),
            mark=candles[:, 4:8].copy(),
            index=candles[:, 8:12].copy(),
            volume=candles[:, 12].copy(),
            taker_buy=candles[:, 13].copy(),
            oi_ns=np.array([row[0] for row in self._oi], np.int64),
            open_interest=oi[:, 0].copy(),
            long_accounts=oi[:, 1].copy(),
            funding_ns=np.array([row[0] for row in self._funding], np.int64),
            funding_rate=np.array([row[1] for row in self._funding]),
        )
