"""Counter-based random numbers: each is a pure function of seed, purpose, draw, replicate and subject.

A stream is Philox 4x64-10 (Salmon 2011 SC '11, doi:10.1145/2063384.2063405) with the key hashed from everything
but the subject; the subject is the counter. So a new arm, subject, swept value or parameter changes no other number.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_WORDS = 4  # of 64 bits in a block of Philox


def uniforms(indices: NDArray[np.int64], *, seed: int, purpose: str, draw: int = 0, replicate: int = 0) -> FloatArray:
    """Return one number in (0, 1) for each index (a subject, or a draw), never 0 and never 1.

    Parameters
    ----------
    indices
        Any order, repeats allowed, from 0 on.
    purpose
        What the number is for, such as `subject death_rate`; the arm is left out on purpose.

    Examples
    --------
    >>> few = uniforms(np.array([3, 1]), seed=7, purpose="subject x")
    >>> many = uniforms(np.arange(9), seed=7, purpose="subject x")
    >>> bool((few == many[[3, 1]]).all())
    True
    """
    if indices.size == 0:
        return np.zeros(0)
    first, last = int(indices.min()), int(indices.max())
    skipped = first % _WORDS
    generator = np.random.Philox(key=_key(seed, purpose, draw, replicate), counter=first // _WORDS)
    words = generator.random_raw(last - first + 1 + skipped)[skipped:]
    return ((words >> np.uint64(11)).astype(np.float64)[indices - first] + 0.5) * 2.0**-53


def generator(*, seed: int, purpose: str) -> np.random.Generator:
    """Return a generator of its own for one purpose, for methods that draw a whole design at once."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(_key(seed, purpose, 0, 0))))


def _key(seed: int, purpose: str, draw: int, replicate: int) -> int:
    text = json.dumps([seed, purpose, draw, replicate])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
