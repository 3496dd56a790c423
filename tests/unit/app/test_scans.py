"""The studies' own arithmetic: which worlds, which settings, what a regression foretells."""

from __future__ import annotations

import numpy as np
import pytest

from liqfield.app.study.ceilings import SEEN_BY_A_READER, regress
from liqfield.app.study.constants import PLAYED, READ, changed
from liqfield.app.study.world_specs import SMALL_ACCOUNTS, Role
from liqfield.app.study.worlds import SETTINGS, pick_worlds
from liqfield.model.errors import SettingError


def test_worlds_are_picked_by_name_and_seed_and_else_those_for_tuning() -> None:
    assert [(s.name, n) for s, n in pick_worlds(["slow:12", "plain"], 7)] == [
        ("slow", 12),
        ("plain", 7),
    ]
    assert {s.role for s, _ in pick_worlds([], 7)} == {Role.TUNING}
    assert all(s.accounts == SMALL_ACCOUNTS for s, _ in pick_worlds([], 7, small=True))
    for wrong in ("nowhere", "plain:x"):
        with pytest.raises(SettingError):
            pick_worlds([wrong], 7)


def test_every_scanned_constant_differs_from_the_one_in_force() -> None:
    for values in (*PLAYED.values(), *READ.values()):
        other = changed(SETTINGS, values)
        for name, value in values.items():
            of = other if hasattr(other, name) else other.law
            assert getattr(of, name) == value
        assert other != SETTINGS


def test_a_regression_finds_what_is_there_and_nothing_where_there_is_nothing() -> None:
    random = np.random.default_rng(2)
    features = [random.normal(size=(2, len(SEEN_BY_A_READER))) for _ in range(40)]
    told = [1.0 + 0.5 * part[:, 0] + 0.05 * random.normal(size=2) for part in features]
    found = regress(features, told)
    assert found.venues == 80
    assert found.rms > 1.0
    assert 0.4 < found.rms_less_mean < 0.65
    assert found.rms_less_regression < 0.12
    noise = [random.normal(size=2) for _ in features]
    nothing = regress(features, noise)
    assert nothing.rms_less_regression > 0.9 * nothing.rms_less_mean
