"""The memory of the built-in market: one bundle of arrays for one base on all its venues.

The leading axis is the venue, so that the kernels compile once for any number of venues.
Quantities are whole lots (int64), so that long = short is exact. Prices inside are logs of USD
(reference) or ticks (book). Column names below are the indices of the last axis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from liqfield.model.events import FloatArray, IntArray

# par[v, .]: constants of a venue's instrument
TICK, LOT, STYLE, BY_QUANTITY, FEE, D10, OI_TARGET, HALF_SPREAD = 0, 1, 2, 3, 4, 5, 6, 7
FUND_H, HOLD_S, HOLD_TILT, CHURN_VOL, STOP_SHARE, STOP_PLACE, TOP_UP, SIZE_SD = range(8, 16)
TURNOVER, N_TARGET, MARK_TAU, WALLS_PER_S, ABSORB_PER_S, TAKER_SHARE, TIERS, BASIS0 = range(16, 24)
PARAMETERS = 24

# base[.]: the index and what drives it
F, LOGVOL, VAR, TREND, SIGMA, SHOCK, SHOCK_LEFT, BETA = 0, 1, 2, 3, 4, 5, 6, 7
JUMP_PER_DAY, JUMP_SD, VOLVOL, LAST_F, STRESS, START_F = 8, 9, 10, 11, 12, 13
BASE_FIELDS = 14

# f[v, .]: moving state
M, C, BASIS, MARK, LAST, BASIS_EMA, PREMIUM, CLOSE_RATE, MEAN_LOTS, FUND_USD = range(10)
FUND_COST, OI_LOG, FUNDING, SETTLED, MAX_LONG, MIN_SHORT, MID, FLOW_SIGN = range(10, 18)
FLOATS = 18

# n[v, .]: counters and whole numbers
MM, FUND, SUM_LONG, SUM_SHORT, FREE, NEXT_ACCOUNT, TRADE_ID, TRADES, PRINTS = range(9)
BEST_BID, BEST_ASK, CENTRE, DIRTY, CHANGES, EVENTS, ROTATE, NEXT_FUNDING, ORDERS = range(9, 18)
IS_SETTLED, LOST_SLOTS = 18, 19
INTS = 20

# pi[v, slot, .], pf[v, slot, .]: positions; LOTS 0 = empty slot
ACCOUNT, SIGN, LOTS, FLAGS, OPENED, HOLD, WAIT = 0, 1, 2, 3, 4, 5, 6
ENTRY, MARGIN, LEVERAGE, SETTING, LP, STOP, PLACE = 0, 1, 2, 3, 4, 5, 6
CROSS, TOPPER, STAGED = 1, 2, 4  # FLAGS

# qi[v, side, slot, .]: passive intents (0 buys, 1 sells); qf: leverage, setting
Q_KIND, Q_SLOT, Q_ACCOUNT, Q_LOTS, Q_NS, Q_FLAGS = 0, 1, 2, 3, 4, 5
QUEUE = 64

# walls[v, k, .]: W_KIND 0 none, 1 real wall, 2 wall that will be pulled, 3 absorber
W_KIND, W_TICK, W_BID, W_LEFT, W_START, W_END, W_SHOW, W_TOTAL = 0, 1, 2, 3, 4, 5, 6, 7
HIDDEN_TAKEN = 8
WALLS = 16

# tr[v, row, .]
T_NS, T_TICK, T_LOTS, T_BUY, T_KIND, T_TAKER, T_MAKER, T_ID = 0, 1, 2, 3, 4, 5, 6, 7
# pr_i[v, row, .], pr_f[v, row, .]
P_NS, P_SIDE, P_LOTS, P_TAKEOVER = 0, 1, 2, 3
P_FILL, P_BANKRUPT, P_TRIGGER, P_MARK = 0, 1, 2, 3
# ev[v, row, .]: kind as W_KIND with 4 = pulled, 5 = eaten, 6 = expired
E_KIND, E_START, E_END, E_TICK, E_LOTS, E_BID = 0, 1, 2, 3, 4, 5

# tape[v, step, .]: what a step looked like
X_LAST, X_HIGH, X_LOW, X_MARK, X_INDEX, X_LOTS, X_BUY, X_OI = 0, 1, 2, 3, 4, 5, 6, 7
X_VALUE, X_OPEN_L, X_OPEN_S, X_CLOSE_L, X_CLOSE_S, X_FORCED_L, X_FORCED_S, X_FUNDING = range(8, 16)
TAPE = 16

TRADE_ROWS, PRINT_ROWS, EVENT_ROWS, CHANGE_ROWS = 8192, 4096, 512, 65536


class State(NamedTuple):
    """Everything that changes or parametrises one base on V venues; the kernels write into it."""

    rng: npt.NDArray[np.uint64]
    now: IntArray  # int64[2]: ns, steps done
    par: FloatArray
    base: FloatArray
    f: FloatArray
    n: IntArray
    tiers: FloatArray  # [V, tier, (floor, cap, max leverage, rate, deduction)]
    law: FloatArray  # [2, (family, median, spread, isolated share)] taker, maker
    menu: FloatArray  # [2, 2, atoms]: leverage, cumulative weight
    pi: IntArray
    pf: FloatArray
    trig_long: FloatArray  # [V, slot] fires at mark <= it; -inf = nothing
    trig_short: FloatArray  # fires at mark >= it; +inf = nothing
    free: IntArray
    qi: IntArray
    qf: FloatArray
    qn: IntArray  # [V, 2, (head, count)]
    lots: IntArray  # [V, W] ring of ticks: bids > 0, asks < 0
    shown: IntArray  # as last reported
    dirty: npt.NDArray[np.uint8]
    dirty_list: IntArray
    changes: IntArray  # [V, rows, (tick, lots signed by the side)]
    walls: IntArray
    tr: IntArray
    pr_i: IntArray
    pr_f: FloatArray
    ev: IntArray
    tape: FloatArray


def allocate(
    venues: int, slots: int, window: int, tape_steps: int, *, fine: bool, seed: int
) -> State:
    """Zeroed memory. window: ticks of the book ring, a power of two (ignored unless fine)."""
    if window & (window - 1):
        raise ValueError(f"window {window} is not a power of two")
    ring = window if fine else 2
    rows = TRADE_ROWS if fine else 1
    free = np.tile(np.arange(slots - 1, -1, -1, dtype=np.int64), (venues, 1))
    state = State(
        rng=np.array([(seed * 0x9E3779B97F4A7C15 + 0x1234567) % 2**64], np.uint64),
        now=np.zeros(2, np.int64),
        par=np.zeros((venues, PARAMETERS)),
        base=np.zeros(BASE_FIELDS),
        f=np.zeros((venues, FLOATS)),
        n=np.zeros((venues, INTS), np.int64),
        tiers=np.zeros((venues, 24, 5)),
        law=np.zeros((2, 4)),
        menu=np.zeros((2, 2, 16)),
        pi=np.zeros((venues, slots, 7), np.int64),
        pf=np.zeros((venues, slots, 7)),
        trig_long=np.full((venues, slots), -np.inf),
        trig_short=np.full((venues, slots), np.inf),
        free=free,
        qi=np.zeros((venues, 2, QUEUE, 6), np.int64),
        qf=np.zeros((venues, 2, QUEUE, 2)),
        qn=np.zeros((venues, 2, 2), np.int64),
        lots=np.zeros((venues, ring), np.int64),
        shown=np.zeros((venues, ring), np.int64),
        dirty=np.zeros((venues, ring), np.uint8),
        dirty_list=np.zeros((venues, ring), np.int64),
        changes=np.zeros((venues, CHANGE_ROWS if fine else 1, 2), np.int64),
        walls=np.zeros((venues, WALLS, 9), np.int64),
        tr=np.zeros((venues, rows, 8), np.int64),
        pr_i=np.zeros((venues, PRINT_ROWS, 4), np.int64),
        pr_f=np.zeros((venues, PRINT_ROWS, 4)),
        ev=np.zeros((venues, EVENT_ROWS, 6), np.int64),
        tape=np.zeros((venues, tape_steps, TAPE)),
    )
    state.n[:, FREE] = slots
    state.n[:, NEXT_ACCOUNT] = 1
    state.f[:, MAX_LONG] = -np.inf
    state.f[:, MIN_SHORT] = np.inf
    return state
