"""Markets by name: assets, contracts and the busiest, resolved by what the venues list."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest
from aiohttp import web

from liqfield.app.markets import MarketChoice, parse, resolve
from liqfield.app.settings import Settings
from liqfield.app.terminal import Terminal
from liqfield.engine.engine import Engine
from liqfield.model.errors import SettingError
from liqfield.model.events import Turnover
from liqfield.venues import registry
from tests.support import INSTRUMENTS

VENUES = tuple(registry.VENUES)


def engine_with(*bases: str, contracts: tuple[str, ...] = ()) -> Engine:
    rules = {name: venue.book_rule for name, venue in registry.make().items()}
    return Engine(rules, frozenset(bases), frozenset(contracts))


def listed(engine: Engine) -> Engine:
    for of in INSTRUMENTS.values():
        engine.list(of)
    return engine


def followed(engine: Engine, base: str) -> set[str]:
    return set(engine.markets[base].instruments)


def test_names_are_assets_contracts_and_a_number_of_the_busiest() -> None:
    names = ("btc", "1000PEPE", "kPEPE", "deribit:BTC_USDC-PERPETUAL", "top:50", "top:7")
    assert parse(names, VENUES) == MarketChoice(
        ("BTC", "PEPE"), ("deribit:BTC_USDC-PERPETUAL",), 50
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("top:0", "1 to 500"),
        ("top:many", "1 to 500"),
        ("top:", "1 to 500"),
        ("derbit:X", "did you mean 'deribit'"),
        ("kraken:X", "no venue that is followed"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(name: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        parse((name,), VENUES)


def test_the_busiest_assets_add_up_over_venues_and_contracts() -> None:
    engine = listed(engine_with())
    for key, usd in (
        ("binance:BTCUSDT", 5.0),
        ("deribit:BTC-PERPETUAL", 4.0),
        ("binance:ETHUSDT", 8.0),
        ("bybit:SOLUSDT", 3.0),
        ("gate:NOT_LISTED", 99.0),
    ):
        engine.step(Turnover(key, 1, 1, usd))
    assert engine.busiest(2) == ("BTC", "ETH")
    bases, problems = resolve(MarketChoice(("SOL",), (), 2), engine)
    assert (bases, problems) == (("SOL", "BTC", "ETH"), ())
    _, (problem,) = resolve(MarketChoice((), (), 9), engine)
    assert "only 3" in problem


def test_names_that_nobody_lists_are_told_with_the_nearest() -> None:
    engine = listed(engine_with())
    bases, problems = resolve(MarketChoice(("BTX",), ("okx:BTC-USDT-SWOP",)), engine)
    assert bases == ("BTX",)
    assert len(problems) == 2
    assert "did you mean 'okx:BTC-USDT-SWAP'" in problems[0]
    assert "did you mean 'BTC'" in problems[1]


def test_each_venue_gives_its_main_contract_unless_another_is_asked_for() -> None:
    engine = engine_with("BTC")
    main = msgspec.structs.replace(INSTRUMENTS["deribit:BTC-PERPETUAL"], is_main=True)
    listed(engine)
    assert "deribit:BTC_USDC-PERPETUAL" in followed(engine, "BTC")  # nobody said which is main
    engine.list(main)
    assert {"deribit:BTC-PERPETUAL", "binance:BTCUSDT", "binance-coinm:BTCUSD_PERP"} <= followed(
        engine, "BTC"
    )
    assert "deribit:BTC_USDC-PERPETUAL" not in followed(engine, "BTC")
    asked = engine_with("BTC", contracts=("deribit:BTC_USDC-PERPETUAL",))
    asked.list(main)
    listed(asked)
    assert "deribit:BTC_USDC-PERPETUAL" in followed(asked, "BTC")


def test_assets_followed_later_take_what_is_listed_already() -> None:
    engine = listed(engine_with("BTC"))
    assert set(engine.markets) == {"BTC"}
    engine.follow(frozenset({"ETH"}))
    assert followed(engine, "ETH") == {
        "binance:ETHUSDT",
        "bybit:ETHUSDT",
        "gate:ETH_USDT",
        "deribit:ETH-PERPETUAL",
    }
    everything = listed(Engine({name: v.book_rule for name, v in registry.make().items()}))
    everything.follow(frozenset({"ETH"}))
    assert set(everything.markets) == {of.base for of in INSTRUMENTS.values()}


def _symbol(base: str) -> dict[str, object]:
    return {
        "symbol": f"{base}USDT",
        "contractType": "PERPETUAL",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "status": "TRADING",
        "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.1"}],
    }


async def _terminal_on_a_small_venue(markets: tuple[str, ...]) -> Terminal:
    """A terminal whose one venue lists four assets and ranks them; every other path is 404."""
    turnover = {"AAA": 1, "BBB": 9, "CCC": 7, "DDD": 3}

    async def lists(request: web.Request) -> web.Response:
        return web.json_response({"symbols": [_symbol(base) for base in turnover]})

    async def ranks(request: web.Request) -> web.Response:
        rows = [
            {
                "symbol": f"{base}USDT",
                "quoteVolume": str(usd),
                "weightedAvgPrice": "1",
                "closeTime": 1,
            }
            for base, usd in turnover.items()
        ]
        return web.json_response(rows)

    server = web.Application()
    server.router.add_get("/fapi/v1/exchangeInfo", lists)
    server.router.add_get("/fapi/v1/ticker/24hr", ranks)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    settings = Settings(markets=markets, venues=("binance",), backfill_h=0.0)
    terminal = Terminal(settings, "live", None)
    url = f"http://{host}:{port}"
    task = asyncio.create_task(terminal.feed({"binance": (url, url.replace("http", "ws"))}))
    try:
        for _ in range(400):
            await asyncio.sleep(0.02)
            if terminal.feeds and terminal.feeds["binance"].connections:
                break
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await runner.cleanup()
        terminal.close()
    return terminal


def test_a_terminal_follows_the_busiest_and_says_what_it_did_not_find() -> None:
    terminal = asyncio.run(_terminal_on_a_small_venue(("AAA", "EEE", "top:2")))
    assert set(terminal.pipeline.engine.markets) == {"AAA", "BBB", "CCC"}
    streams = {
        spec.instrument_id
        for connection in terminal.feeds["binance"].connections
        for spec in connection.spec.streams
    }
    assert streams == {"binance:AAAUSDT", "binance:BBBUSDT", "binance:CCCUSDT"}
    assert any("'EEE'" in problem for problem in terminal.problems)


def test_plain_names_do_not_wait_for_a_ranking() -> None:
    terminal = asyncio.run(_terminal_on_a_small_venue(("DDD",)))
    assert set(terminal.pipeline.engine.markets) == {"DDD"}
    assert terminal.pipeline.engine.turnover_usd == {}


def test_a_venue_that_is_read_but_not_followed_says_how_to() -> None:
    with pytest.raises(SettingError, match="follow it with --venues binance,gate"):
        parse(("gate:BTC_USDT",), ("binance",))
    with pytest.raises(SettingError, match="did you mean 'binance'"):
        parse(("binanec:BTCUSDT",), ("binance",))
