"""Which gross part of the body a small picture looks like, learnt from a site's own confirmed images alone; pure.

A small picture becomes some two hundred numbers (how bright each region is, and which way its edges run), and a
regularised softmax over them says how likely each part is. It can tell a chest from a hand and little more: it is
one doubt among others, never holds an image by itself, and refuses to start until it has seen enough of a part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float32]

SIDE_PIXELS = 32
CELLS = 4
DIRECTIONS = 8
THUMBNAIL = 8
FEATURES = CELLS * CELLS * DIRECTIONS + THUMBNAIL * THUMBNAIL

EXAMPLES_MIN = 200
"""So many confirmed images of a part are needed before it is told apart from others."""

EXAMPLES_MAX = 600
"""No more of one part are learnt from, the latest ones."""

PARTS_MIN = 2
HELD_OUT_EVERY = 4
"""Every so many of a part's images are kept from learning, to see how well it does."""

STEPS = 300
RATE = 2.0
SHRINKING = 1e-3
"""Full-batch gradient steps, their size, and how strongly weights are pulled to nothing (L2)."""

SURE_AT_LEAST = 0.95
ORDERED_AT_MOST = 0.02
"""A picture is doubted where another part is this likely, and the one ordered no likelier than that."""

BINS = 10


class NotEnough(Exception):
    """There are not enough confirmed images of two parts yet."""


def features_of(picture: NDArray[Any]) -> Numbers:
    """A small grey picture (rows, columns) as FEATURES numbers between -1 and 1, whatever its brightness and contrast."""
    small = _resized(picture.astype(np.float32), SIDE_PIXELS)
    small = (small - small.mean()) / (small.std() + 1e-6)
    down, across = np.gradient(small)
    strength = np.hypot(down, across)
    direction = ((np.arctan2(down, across) / np.pi + 1) / 2 * DIRECTIONS).astype(int) % DIRECTIONS
    cell = SIDE_PIXELS // CELLS
    edges = np.zeros((CELLS, CELLS, DIRECTIONS), dtype=np.float32)
    rows, columns = np.indices(small.shape) // cell
    np.add.at(edges, (rows, columns, direction), strength)
    thumbnail = _resized(small, THUMBNAIL)
    return np.concatenate([_unit(edges.ravel()), _unit(thumbnail.ravel())])


def kept_features(features: Numbers) -> bytes:
    """Features as they are kept: half as exact, which is more than enough."""
    return features.astype(np.float16).tobytes()


def read_features(kept: bytes) -> Numbers:
    """Features as they were kept."""
    return np.frombuffer(kept, dtype=np.float16).astype(np.float32)


def _resized(picture: Numbers, side: int) -> Numbers:
    """The picture as `side` by `side` means of its regions, stretched to a square."""
    edges = [np.linspace(0, length, side + 1).astype(int) for length in picture.shape]
    starts = [np.minimum(e[:-1], length - 1) for e, length in zip(edges, picture.shape, strict=True)]
    counts = [np.maximum(np.diff(e), 1) for e in edges]
    if min(picture.shape) < side:
        return picture[np.ix_(*starts)]
    total = np.add.reduceat(np.add.reduceat(picture, starts[0], axis=0), starts[1], axis=1)
    means: Numbers = (total / np.outer(*counts)).astype(np.float32)
    return means


def _unit(values: Numbers) -> Numbers:
    unit: Numbers = (values / (np.linalg.norm(values) + 1e-6)).astype(np.float32)
    return unit


@dataclass(frozen=True)
class Model:
    """What was learnt: the parts, and for each its weights (parts by FEATURES) and bias."""

    parts: tuple[str, ...]
    weights: Numbers
    bias: Numbers

    def as_json(self) -> dict[str, Any]:
        """As it is kept with the site."""
        return {"parts": list(self.parts), "weights": self.weights.tolist(), "bias": self.bias.tolist()}


def model_of_json(kept: Mapping[str, Any]) -> Model:
    """A model as it was kept."""
    return Model(
        tuple(kept["parts"]),
        np.array(kept["weights"], dtype=np.float32),
        np.array(kept["bias"], dtype=np.float32),
    )


@dataclass(frozen=True)
class Bin:
    """Of held-out pictures that were given about the same certainty: how many, how sure it was, how often it was right."""

    count: int
    said_percent: float
    right_percent: float


@dataclass(frozen=True)
class Calibration:
    """How well it does on images that it was not learnt from: overall, by part, and whether its certainty can be believed."""

    held_out: int
    right_percent: float
    by_part: Mapping[str, float]
    bins: tuple[Bin, ...]
    doubted: int
    """How many of the held-out images, all labelled right, it would have doubted."""


def enough(counts: Mapping[str, int]) -> tuple[str, ...]:
    """The parts of which there are enough confirmed images, in order of name."""
    return tuple(sorted(part for part, count in counts.items() if count >= EXAMPLES_MIN))


def learn(examples: Sequence[tuple[str, Numbers]]) -> tuple[Model, Calibration]:
    """What can be learnt from confirmed images (part, features), the latest first. The same images give the same model.

    Raises NotEnough.
    """
    parts = enough(Counter(part for part, _ in examples))
    if len(parts) < PARTS_MIN:
        raise NotEnough
    learnt: list[tuple[int, Numbers]] = []
    held: list[tuple[int, Numbers]] = []
    for number, part in enumerate(parts):
        of_part = [features for name, features in examples if name == part][:EXAMPLES_MAX]
        for place, features in enumerate(of_part):
            (held if place % HELD_OUT_EVERY == 0 else learnt).append((number, features))
    model = _fitted(parts, learnt)
    return model, _calibration(model, held)


def _fitted(parts: tuple[str, ...], examples: Sequence[tuple[int, Numbers]]) -> Model:
    wanted = np.eye(len(parts), dtype=np.float32)[[number for number, _ in examples]]
    seen = np.stack([features for _, features in examples])
    # A part that is seen often is no likelier for it: what is rare must be told apart as well.
    share = (wanted / wanted.sum(axis=0) / len(parts)).sum(axis=1, keepdims=True)
    weights = np.zeros((len(parts), FEATURES), dtype=np.float32)
    bias = np.zeros(len(parts), dtype=np.float32)
    for _ in range(STEPS):
        wrong = (_softmax(seen @ weights.T + bias) - wanted) * share
        weights -= RATE * (wrong.T @ seen + SHRINKING * weights)
        bias -= RATE * wrong.sum(axis=0)
    return Model(parts, weights, bias)


def _softmax(scores: Numbers) -> Numbers:
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Numbers = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def likely(model: Model, features: Numbers) -> dict[str, float]:
    """How likely each part is, from 0 to 1."""
    shares = _softmax(model.weights @ features + model.bias)
    return {part: float(share) for part, share in zip(model.parts, shares, strict=True)}


def looks_like_another(model: Model, features: Numbers, ordered: str) -> str:
    """The other part that a picture looks like, where it is sure enough to be said; "" where it is not.

    Of a part that it has not learnt it says nothing.
    """
    shares = likely(model, features)
    best = max(shares, key=lambda part: shares[part])
    sure = shares[best] >= SURE_AT_LEAST and shares.get(ordered, 1.0) <= ORDERED_AT_MOST
    return best if sure else ""


def _calibration(model: Model, held: Sequence[tuple[int, Numbers]]) -> Calibration:
    shares = _softmax(np.stack([features for _, features in held]) @ model.weights.T + model.bias)
    truth = np.array([number for number, _ in held])
    said, certainty = shares.argmax(axis=1), shares.max(axis=1)
    right = said == truth
    bins = []
    for number in range(BINS):
        upper = (number + 1) / BINS
        among = (certainty > number / BINS) & (certainty <= upper)
        if among.any():
            bins.append(
                Bin(int(among.sum()), 100 * float(certainty[among].mean()), 100 * float(right[among].mean()))
            )
    doubted = (certainty >= SURE_AT_LEAST) & (shares[np.arange(len(held)), truth] <= ORDERED_AT_MOST)
    return Calibration(
        held_out=len(held),
        right_percent=100 * float(right.mean()),
        by_part={part: 100 * float(right[truth == number].mean()) for number, part in enumerate(model.parts)},
        bins=tuple(bins),
        doubted=int(doubted.sum()),
    )
