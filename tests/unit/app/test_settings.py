"""Settings: precedence, refusal of unknown names with the nearest valid one, documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from liqfield.app.settings import Settings, load
from liqfield.model.errors import SettingError

ROOT = Path(__file__).resolve().parents[3]


def test_command_line_beats_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "liqfield.toml"
    file.write_text('port = 1\nspeed = 2.0\nmarkets = ["BTC"]\n')
    got = load(file, {"LIQFIELD_PORT": "2", "LIQFIELD_SPEED": "3"}, {"port": 4})
    assert (got.port, got.speed, got.markets) == (4, 3.0, ("BTC",))


def test_lists_may_be_comma_separated() -> None:
    assert load(None, {"LIQFIELD_MARKETS": "BTC, SOL"}).markets == ("BTC", "SOL")


def test_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean 'markets'"):
        load(None, {"LIQFIELD_MARKTES": "BTC"})


def test_wrong_type_is_refused() -> None:
    with pytest.raises(SettingError, match="port"):
        load(None, {}, {"port": "many"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", 99_999), ("port", -1), ("speed", -1), ("keep_days", "nan"), ("backfill_h", "-2")],
)
def test_impossible_values_are_named_with_their_setting(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=f"setting '{name}' is {value!r}: Expected"):
        load(None, {}, {name: value})


def test_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("port = ")
    with pytest.raises(SettingError, match=r"x\.toml"):
        load(file, {})
    with pytest.raises(SettingError, match=r"absent\.toml"):
        load(tmp_path / "absent.toml", {})


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    for field in Settings.__struct_fields__:
        assert f"`{field}`" in text, f"docs/settings.md does not mention {field}"
