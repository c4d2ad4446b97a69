"""What a network loses against the float one, on images without labels: by what both say of the same images.

    kl         mean over the images of sum over c of p[c] * log(p[c] / q[c]), p and q the softmax of float and integers
    points     100 * mean of (p[float's class] - p[the integers' class]): the points of accuracy that are lost if the
               float network's probabilities are right
    differing  images to which the two give different classes

Where both give the same class nothing is lost, and little where the float network itself was in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SMALLEST = 1e-300


@dataclass(frozen=True)
class Loss:
    """The three measures, above, over ``count`` images."""

    kl: float
    points: float
    differing: int
    count: int


def loss(floats: np.ndarray, others: np.ndarray) -> Loss:
    """What logits ``others`` (N, classes) lose against the ``floats`` (N, classes).

    >>> found = loss(np.log([[0.75, 0.25]]), np.log([[0.25, 0.75]]))
    >>> round(found.points), found.differing
    (50, 1)
    """
    p = np.exp(_log_softmax(floats))
    image = np.arange(len(p))
    ours, theirs = floats.argmax(axis=1), others.argmax(axis=1)
    lost = (p[image, ours] - p[image, theirs]).mean()
    kl = float(_divergences(p, _log_softmax(others)).mean())
    return Loss(max(0.0, kl), 100 * float(lost), int(np.count_nonzero(ours != theirs)), len(p))


def divergences(floats: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The kl of each image, float64 (N): sum over c of p[c] * log(p[c] / q[c]) for logits (N, classes).

    >>> divergences(np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])).round(4).tolist()
    [0.1438]
    """
    return _divergences(np.exp(_log_softmax(floats)), _log_softmax(others))


def _divergences(p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    each: np.ndarray = (p * (np.log(np.maximum(p, _SMALLEST)) - log_q)).sum(axis=1)
    return each


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    less = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: np.ndarray = less - np.log(np.exp(less).sum(axis=1, keepdims=True))
    return result
