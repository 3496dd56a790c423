"""Archives as vendors write them, made here: their defects are the point."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

DAY_MS = 86_400_000
START_MS = 1_767_225_600_000  # 2026-01-01
METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,"
    "count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,"
    "count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
KLINES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)
AGG = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
FUNDING = "calc_time,funding_interval_hours,last_funding_rate"


def day_text(day: int) -> str:
    """(0) -> "2026-01-01"."""
    return str(np.datetime64("2026-01-01") + day)


def put(path: Path, rows: Sequence[str], *, header: str = "") -> Path:
    """Lines into a csv, csv.gz or zip by the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*([header] if header else []), *rows]) + "\n"
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(path.stem + ".csv", text)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


class Walk:
    """A price and an open interest every minute of some days; the same for every file."""

    def __init__(self, days: int = 2, seed: int = 3) -> None:
        random = np.random.default_rng(seed)
        n = days * 1440 + 1
        self.days = days
        self.price = 90_000.0 * np.exp(np.cumsum(random.normal(0.0, 0.0006, n)))
        self.open_interest = 80_000.0 * np.exp(np.cumsum(random.normal(0.0, 0.0004, n)))
        self.volume = random.uniform(20.0, 200.0, n)

    def metrics(self, day: int) -> list[str]:
        """The stamp ends the interval: 00:05 to 00:00 of the next day."""
        out = []
        for i in range(1, 289):
            minute = day * 1440 + 5 * i
            stamp = str(np.datetime64("2026-01-01T00:00:00") + np.timedelta64(minute, "m"))
            coins = self.open_interest[minute]
            value = coins * self.price[minute]
            out.append(f"{stamp.replace('T', ' ')},BTCUSDT,{coins:.3f},{value:.4f},1.5,1.2,0.9,1.1")
        return out

    def klines(self, day: int, *, mark: bool = False) -> list[str]:
        out = []
        for i in range(1440):
            minute = day * 1440 + i
            a, b = self.price[minute], self.price[minute + 1]
            low, high = min(a, b) * 0.9998, max(a, b) * 1.0002
            at = START_MS + minute * 60_000
            volume = 0.0 if mark else self.volume[minute]
            out.append(
                f"{at},{a:.2f},{high:.2f},{low:.2f},{b:.2f},{volume:.3f},{at + 59_999},"
                f"{volume * a:.2f},{0 if mark else 9},{volume / 2:.3f},{volume * a / 2:.2f},0"
            )
        return out

    def trades(self, day: int, first_id: int = 0) -> list[str]:
        """Two aggregate trades a minute."""
        out = []
        for i in range(2880):
            minute = day * 1440 + i // 2
            at = START_MS + day * DAY_MS + i * 30_000
            n = first_id + day * 2880 + i
            maker = "true" if i % 2 else "false"
            size = self.volume[minute] / 2
            out.append(f"{n},{self.price[minute]:.2f},{size:.3f},{n},{n},{at},{maker}")
        return out

    def funding(self, days: int) -> list[str]:
        return [f"{START_MS + i * 28_800_000 + 7},8,0.0001" for i in range(3 * days)]

    def vision(self, folder: Path, *, header: bool = True, suffix: str = ".zip") -> Path:
        """The archive's own folders."""
        root = folder / "data/futures/um"
        h = (METRICS, KLINES, FUNDING) if header else ("", "", "")
        for day in range(self.days):
            date = day_text(day)
            name = f"BTCUSDT-1m-{date}{suffix}"
            put(
                root / f"daily/metrics/BTCUSDT/BTCUSDT-metrics-{date}{suffix}",
                self.metrics(day),
                header=h[0],
            )
            put(root / f"daily/klines/BTCUSDT/1m/{name}", self.klines(day), header=h[1])
            put(
                root / f"daily/markPriceKlines/BTCUSDT/1m/{name}",
                self.klines(day, mark=True),
                header=h[1],
            )
        put(
            root / f"monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-01{suffix}",
            self.funding(self.days),
            header=h[2],
        )
        return folder

    def tardis(self, folder: Path, *, flat: bool = False, suffix: str = ".csv.gz") -> Path:
        """Trades, derivative_ticker and liquidations of binance-futures."""
        head = "exchange,symbol,timestamp,local_timestamp"
        who = "binance-futures,BTCUSDT"
        for day in range(self.days):
            date = day_text(day)

            def at(kind: str, date: str = date) -> Path:
                if flat:
                    return folder / f"binance-futures_{kind}_{date}_BTCUSDT{suffix}"
                ymd = date.replace("-", "/")
                return folder / f"binance-futures/{kind}/{ymd}/BTCUSDT{suffix}"

            trades, ticker, forced = [], [], []
            for i in range(1440):
                minute = day * 1440 + i
                us = (START_MS + minute * 60_000) * 1000
                price, coins = self.price[minute], self.open_interest[minute]
                side = "buy" if i % 2 else "sell"
                size = self.volume[minute]
                trades.append(f"{who},{us},{us + 900},{minute},{side},{price:.2f},{size:.3f}")
                # Blank cells: unchanged.
                due = (us // 28_800_000_000 + 1) * 28_800_000_000
                shown = f"{coins:.3f}" if i % 3 == 0 else ""
                ticker.append(
                    f"{who},{us + 500},{us + 800},{due},0.0001,,{shown},,{price:.2f},{price:.2f}"
                )
                if i % 40 == 7:
                    forced.append(
                        f"{who},{us + 700},{us + 900},,{side},{price:.2f},{size / 50:.3f}"
                    )
            put(at("trades"), trades, header=f"{head},id,side,price,amount")
            put(
                at("derivative_ticker"),
                ticker,
                header=f"{head},funding_timestamp,funding_rate,predicted_funding_rate,"
                "open_interest,last_price,index_price,mark_price",
            )
            put(at("liquidations"), forced, header=f"{head},id,side,price,amount")
        return folder


def zipped(text: str) -> bytes:
    """A zip of one member."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("data", text)
    return out.getvalue()
