"""The memory of the built-in market: per venue one flat row of floats and one of whole numbers.

Two flat arrays instead of a tree of named ones: compiled code then starts in seconds rather than
minutes. Every name below is an offset into a row; what has many entries (positions, queue, book,
tape, reports) is stored as columns, entry i of column C at C + i. Quantities are whole lots, so
that long = short is exact. Prices are USD, logs of USD where said, or ticks in the book.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from liqfield.model.events import FloatArray, IntArray

SLOTS, QUEUE, WALLS, TIER_ROWS, ATOMS = 32768, 64, 16, 24, 16
TAPE_ROWS, TRADE_ROWS, PRINT_ROWS, EVENT_ROWS, CHANGE_ROWS = 1024, 8192, 4096, 512, 65536
MAX_WINDOW = 65536

# --- floats -----------------------------------------------------------------------------------
# constants of a venue's instrument
TICK, LOT, STYLE, BY_QUANTITY, FEE, D10, OI_TARGET, HALF_SPREAD = range(8)
FUND_H, HOLD_S, HOLD_TILT, CHURN_VOL, STOP_SHARE, STOP_PLACE, TOP_UP, SIZE_SD = range(8, 16)
TURNOVER, N_TARGET, MARK_TAU, WALLS_PER_S, ABSORB_PER_S, TAKER_SHARE, BASIS0 = range(16, 23)
CROSS_NOISE = 23
# moving state: M log reference of the makers, C net consumed lots (coarse), BASIS log
M, C, BASIS, MARK, LAST, BASIS_EMA, PREMIUM, CLOSE_RATE, MEAN_LOTS, FUND_USD = range(24, 34)
OI_LOG, FUNDING, SETTLED, MAX_LONG, MIN_SHORT, MID, FLOW_SIGN = range(34, 41)
# copied from the base before each step: log index, its move, stress, variance per s, trend, sd
INDEX, MOVE, STRESS, VAR, TREND, SIGMA = range(41, 47)
TIER_FLOOR, TIER_CAP, TIER_LEVERAGE, TIER_RATE, TIER_CUT = (
    48 + TIER_ROWS * column for column in range(5)
)
LAW = 48 + TIER_ROWS * 5  # [taker, maker] x (family, median, spread, isolated share)
MENU_ATOM = LAW + 8  # [taker, maker] x ATOMS
MENU_SUM = MENU_ATOM + 2 * ATOMS
Q_LEVERAGE = MENU_SUM + 2 * ATOMS  # [buys, sells] x QUEUE
Q_SETTING = Q_LEVERAGE + 2 * QUEUE
_PF = Q_SETTING + 2 * QUEUE
ENTRY, MARGIN, LEVERAGE, SETTING, LP, STOP, PLACE, TRIG_LONG, TRIG_SHORT = (
    _PF + SLOTS * column for column in range(9)
)
_PRF = _PF + SLOTS * 9
P_FILL, P_BANKRUPT, P_TRIGGER, P_MARK = (_PRF + PRINT_ROWS * column for column in range(4))
TAPE = _PRF + PRINT_ROWS * 4
TAPE_COLUMNS = 16
X_LAST, X_HIGH, X_LOW, X_MARK, X_INDEX, X_LOTS, X_BUY, X_OI = (
    TAPE + TAPE_ROWS * column for column in range(8)
)
X_VALUE, X_OPEN_L, X_OPEN_S, X_CLOSE_L, X_CLOSE_S, X_FORCED_L, X_FORCED_S, X_FUNDING = (
    TAPE + TAPE_ROWS * column for column in range(8, 16)
)
FLOATS = TAPE + TAPE_ROWS * TAPE_COLUMNS

# --- whole numbers ----------------------------------------------------------------------------
RNG, NOW, ROW, SLOT_COUNT, WIDTH, TIER_COUNT = range(6)
MM, FUND, SUM_LONG, SUM_SHORT, FREE, NEXT_ACCOUNT, TRADE_ID, TRADES, PRINTS = range(6, 15)
BEST_BID, BEST_ASK, CENTRE, DIRTY, CHANGES, EVENTS, ROTATE, NEXT_FUNDING, ORDERS = range(15, 24)
IS_SETTLED, LOST_SLOTS = 24, 25
Q_HEAD, Q_COUNT = 26, 28  # + side
STEP_NS = 30
OUTSIDE = 31  # signed lots of a script's market order, met in the next step
_PI = 32
ACCOUNT, SIGN, LOTS, FLAGS, OPENED, HOLD, WAIT, FREE_LIST = (
    _PI + SLOTS * column for column in range(8)
)
CROSS, TOPPER, STAGED = 1, 2, 4  # bits of FLAGS
_QI = _PI + SLOTS * 8
Q_KIND, Q_SLOT, Q_ACCOUNT, Q_LOTS, Q_NS, Q_FLAGS = (_QI + 2 * QUEUE * column for column in range(6))
_W = _QI + 2 * QUEUE * 6
# W_KIND 0 none, 1 real wall, 2 wall that will be pulled, 3 absorber, 4 a script's (market_actors)
W_KIND, W_TICK, W_BID, W_LEFT, W_START, W_END, W_SHOW, W_TOTAL, W_TAKEN = (
    _W + WALLS * column for column in range(9)
)
_PR = _W + WALLS * 9
P_NS, P_SIDE, P_LOTS, P_TAKEOVER = (_PR + PRINT_ROWS * column for column in range(4))
COARSE_INTS = _PR + PRINT_ROWS * 4  # everything below exists only with a tick-level book
T_NS, T_TICK, T_LOTS, T_BUY, T_KIND, T_TAKER, T_MAKER, T_ID = (
    COARSE_INTS + TRADE_ROWS * column for column in range(8)
)
_EV = COARSE_INTS + TRADE_ROWS * 8
# E_KIND: 1 placed, 3 absorber ended, 4 pulled, 5 eaten, 6 expired, 7 withdrawn by its script
E_KIND, E_START, E_END, E_TICK, E_LOTS, E_BID = (_EV + EVENT_ROWS * column for column in range(6))
_CH = _EV + EVENT_ROWS * 6
CH_TICK, CH_LOTS = _CH, _CH + CHANGE_ROWS  # tick negative = ask
BOOK = _CH + 2 * CHANGE_ROWS  # ring of ticks, signed lots: bids > 0, asks < 0
SHOWN, TOUCHED_FLAG, TOUCHED = (BOOK + MAX_WINDOW * column for column in range(1, 4))
FINE_INTS = BOOK + 4 * MAX_WINDOW

# --- the base: index and what drives it -------------------------------------------------------
B_INDEX, B_LOGVOL, B_VAR, B_TREND, B_SIGMA, B_SHOCK, B_SHOCK_LEFT, B_BETA = range(8)
B_JUMPS_PER_DAY, B_JUMP_SD, B_VOLVOL, B_LAST, B_STRESS = range(8, 13)
B_FOLLOW_S = 13  # time constant with which the spot market follows the perpetuals
BASE_FLOATS = 14


class State(NamedTuple):
    """One base on V venues. xf float64[V, FLOATS], xi int64[V, ...], base float64[BASE_FLOATS],
    clock int64[2]: chance of the base, ns."""

    xf: FloatArray
    xi: IntArray
    base: FloatArray
    clock: IntArray

    def column(self, v: int, first: int, count: int) -> npt.NDArray[np.int64]:
        """A view of a whole-number column."""
        return self.xi[v, first : first + count]

    def real(self, v: int, first: int, count: int) -> FloatArray:
        """A view of a float column."""
        return self.xf[v, first : first + count]

    def base_coins(self, v: int, first: int, count: int) -> FloatArray:
        """A whole-number column of lots as base coins."""
        coins: FloatArray = self.column(v, first, count) * self.xf[v, LOT].item()
        return coins

    def tape(self, v: int, rows: int) -> FloatArray:
        """A copy float64[rows, TAPE_COLUMNS] of the last run's tape."""
        block = self.xf[v, TAPE:FLOATS].reshape(TAPE_COLUMNS, TAPE_ROWS)
        return np.ascontiguousarray(block[:, :rows].T)


def tape_column(offset: int) -> int:
    """Column number of an X_ name within `State.tape`."""
    return (offset - TAPE) // TAPE_ROWS


def allocate(venues: int, slots: int, window: int, *, fine: bool, seed: int) -> State:
    """Zeroed memory. window: ticks of the book ring, a power of two (ignored unless fine)."""
    if window & (window - 1) or window > MAX_WINDOW:
        raise ValueError(f"window {window} is no power of two up to {MAX_WINDOW}")
    if not 0 < slots <= SLOTS:
        raise ValueError(f"{slots} accounts: 1 to {SLOTS} fit")
    state = State(
        xf=np.zeros((venues, FLOATS)),
        xi=np.zeros((venues, FINE_INTS if fine else COARSE_INTS), np.int64),
        base=np.zeros(BASE_FLOATS),
        clock=np.array([seed * 2_654_435_761 % 2**62 + 11, 0], np.int64),
    )
    state.xi[:, FREE_LIST : FREE_LIST + slots] = np.arange(slots - 1, -1, -1)
    state.xi[:, RNG] = state.clock[0] + 1_000_003 * (1 + np.arange(venues))
    state.xi[:, SLOT_COUNT] = state.xi[:, FREE] = slots
    state.xi[:, WIDTH] = window
    state.xi[:, NEXT_ACCOUNT] = 1
    state.xf[:, TRIG_LONG : TRIG_LONG + SLOTS] = state.xf[:, MAX_LONG, None] = -np.inf
    state.xf[:, TRIG_SHORT : TRIG_SHORT + SLOTS] = state.xf[:, MIN_SHORT, None] = np.inf
    return state
