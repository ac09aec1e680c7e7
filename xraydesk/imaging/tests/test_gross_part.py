"""How parts are told apart by their pictures. These are shapes drawn for the test: nothing is claimed from them."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest

from xraydesk.imaging import gross_part
from xraydesk.imaging.gross_part import (
    FEATURES,
    NotEnough,
    enough,
    features_of,
    learn,
    likely,
    looks_like_another,
    model_of_json,
)


def drawn(part: str, random: Random) -> np.ndarray:
    rows, columns = np.mgrid[0:80, 0:60]
    noise = np.array([[random.gauss(0, 6) for _ in range(60)] for _ in range(80)])
    width = random.uniform(6, 9)
    if part == "bars":
        return 100 * (columns % (2 * width) < width) + noise
    return 100 * (rows % (2 * width) < width) + noise


def examples(count: int, *parts: str) -> list[tuple[str, np.ndarray]]:
    random = Random(3)
    return [(part, features_of(drawn(part, random))) for _ in range(count) for part in parts]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gross_part, "EXAMPLES_MIN", 12)


def test_a_picture_becomes_the_same_numbers_whatever_its_size_brightness_and_contrast() -> None:
    picture = drawn("bars", Random(1))
    seen = features_of(picture)
    assert seen.shape == (FEATURES,)
    assert np.abs(seen).max() <= 1
    assert np.allclose(seen, features_of(picture * 3 + 40), atol=1e-3)
    assert float(seen @ features_of(picture.repeat(3, axis=0).repeat(3, axis=1))) > 1.9
    assert np.isfinite(features_of(np.zeros((5, 3)))).all()


def test_nothing_is_learnt_until_there_is_enough_of_two_parts() -> None:
    assert enough(Counter(hand=12, chest=11)) == ("hand",)
    with pytest.raises(NotEnough):
        learn(examples(12, "bars"))
    with pytest.raises(NotEnough):
        learn([*examples(12, "bars"), *examples(11, "rungs")])


def test_two_parts_are_told_apart_and_what_was_held_out_says_how_well() -> None:
    shown = examples(16, "bars", "rungs")
    model, calibration = learn(shown)
    assert model.parts == ("bars", "rungs")
    assert calibration.held_out == 8
    assert calibration.right_percent == 100
    assert calibration.by_part == {"bars": 100, "rungs": 100}
    assert sum(one.count for one in calibration.bins) == 8
    assert calibration.doubted == 0
    again, _ = learn(shown)
    assert np.array_equal(model.weights, again.weights)
    kept = model_of_json(model.as_json())
    assert likely(kept, shown[0][1]) == likely(model, shown[0][1])


def test_a_picture_of_another_part_is_doubted_only_where_it_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = learn(examples(16, "bars", "rungs"))
    bars = features_of(drawn("bars", Random(9)))
    shares = likely(model, bars)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["bars"] > shares["rungs"]
    monkeypatch.setattr(gross_part, "SURE_AT_LEAST", shares["bars"])
    monkeypatch.setattr(gross_part, "ORDERED_AT_MOST", shares["rungs"])
    assert looks_like_another(model, bars, "rungs") == "bars"
    assert looks_like_another(model, bars, "bars") == ""
    assert looks_like_another(model, bars, "a part not learnt") == ""
    monkeypatch.setattr(gross_part, "SURE_AT_LEAST", 1.1)
    assert looks_like_another(model, bars, "rungs") == ""
