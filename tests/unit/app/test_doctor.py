"""The doctor on the built-in venues, healthy and ill, and on this machine."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import msgspec
import pytest

from liqfield.app import doctor
from liqfield.app.settings import Settings
from liqfield.lab.market_setup import instrument
from liqfield.lab.quick_market import QuickMarket
from liqfield.lab.servers.faults import Fault, FaultPlan
from liqfield.lab.servers.servers import LabServers


def findings(
    plan: FaultPlan, *, ws_url: str = "", rest_url: str = "", data_dir: str = "."
) -> dict[str, str]:
    """Subject -> kind, for Bybit of the lab under a plan of faults."""

    async def run() -> doctor.Report:
        start_ns = time.time_ns() // 10**9 * 10**9
        market = QuickMarket(
            [(instrument("bybit", "BTC"), 84_000.0)], start_ns=start_ns, trades=5.0
        )
        servers = LabServers(market, ("bybit",), plan)
        addresses = await servers.start()
        running = asyncio.create_task(servers.run())
        rest, ws = addresses["bybit"]
        settings = Settings(venues=("bybit",), port=0, data_dir=data_dir)
        try:
            return await doctor.examine(settings, {"bybit": (rest_url or rest, ws_url or ws)})
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await servers.stop()

    report = asyncio.run(run())
    assert doctor.to_text(report)
    assert msgspec.json.decode(msgspec.json.encode(report), type=doctor.Report) == report
    return {finding.subject: finding.kind for finding in report.findings}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DATA_S", 2.0)


def test_a_healthy_venue(tmp_path: Path) -> None:
    found = findings(FaultPlan(), data_dir=str(tmp_path))
    assert found["bybit REST"] == "ok"
    assert found["bybit clock"] == "ok"
    assert found["bybit books"] == "ok"
    assert found["bybit trades"] == "ok"
    assert found["port"] == "ok"


@pytest.mark.parametrize(
    ("status", "kind"), [(403, "ban"), (429, "rate"), (451, "geo"), (503, "maintenance")]
)
def test_refusals_are_named(status: int, kind: str, tmp_path: Path) -> None:
    plan = FaultPlan(0, (Fault(0.0, "status", "", 60.0, status),))
    found = findings(plan, data_dir=str(tmp_path))
    assert found["bybit REST"] == kind
    assert found["bybit streams"] == "other", "nothing to subscribe to"


def test_silence_is_told_from_reachability(tmp_path: Path) -> None:
    plan = FaultPlan(0, (Fault(0.0, "silent", "", 60.0),))
    found = findings(plan, data_dir=str(tmp_path))
    assert found["bybit REST"] == "ok"
    assert found["bybit trades"] == "silent"


def test_names_certificates_and_closed_ports(tmp_path: Path) -> None:
    found = findings(FaultPlan(), rest_url="http://venue.invalid", data_dir=str(tmp_path))
    assert found["bybit REST"] == "dns"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    found = findings(FaultPlan(), ws_url=f"ws://{address}", data_dir=str(tmp_path))
    assert found["bybit books"] == "refused"


def test_tls_that_is_none(tmp_path: Path) -> None:
    """A secure connection to a port that speaks plainly: something is in between."""

    async def run() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        endpoint = (f"https://127.0.0.1:{port}", f"wss://127.0.0.1:{port}")
        settings = Settings(venues=("bybit",), port=0, data_dir=str(tmp_path))
        report = await doctor.examine(settings, {"bybit": endpoint})
        assert report.findings[0].kind == "tls"
        server.close()

    asyncio.run(run())


def test_this_machine(tmp_path: Path) -> None:
    assert doctor.disk(tmp_path / "new" / "folder").is_ok
    (tmp_path / "file").write_text("")
    assert doctor.disk(tmp_path / "file" / "folder").kind == "disk"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert doctor.port("127.0.0.1", taken.getsockname()[1]).kind == "port"
    assert doctor.assets(tmp_path).kind == "assets"
