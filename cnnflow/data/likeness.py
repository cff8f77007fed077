"""Which pictures show the same: equal pixels, or so near that a test on one is no test after training on the other.

Near duplicates are found by the perceptual hash `phash` of the library imagehash: 64 bits, half of them set. Measured
on the 3,670 flower photos: a copy saved at JPEG quality 40, halved, made grey or 20% brighter differs in at most 6 bits
99 times in 100; the 23 pairs of files that differ in at most 6 bits all show one scene, from 8 bits on some do not.

On pictures of single things before one background the hash says too little (10,000 of Fashion-MNIST: 18,371 pairs, and
1,706 pictures hang together), so a large set of look-alikes is taken apart by a second measure, the correlation of
16 x 16 thumbnails (there: at least 0.98, and at most 26 hang together).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_BITS_APART = 6
LARGE_GROUP = 20
SAME_CORRELATION = 0.98

# A picture whose grey values spread less (standard deviation) has no structure for a hash to go by.
_FLAT = 4.0
_HASH_SIDE, _THUMBNAIL_SIDE = 32, 16
_AT_ONCE = 4096

_BAND_EDGES = np.linspace(0, 64, HASH_BITS_APART + 2).astype(int).tolist()
_BANDS = tuple(np.uint64(sum(1 << bit for bit in range(low, high))) for low, high in itertools.pairwise(_BAND_EDGES))


@dataclass(frozen=True, eq=False)
class Likeness:
    """What pictures are compared by.

    Attributes:
        hashes: uint64 `[n]`, the perceptual hash of each.
        thumbnails: uint8 `[n, 256]`, the grey values of each on a 16 x 16 grid.
    """

    hashes: NDArray[np.uint64]
    thumbnails: NDArray[np.uint8]

    @classmethod
    def empty(cls, count: int) -> "Likeness":
        """Room for `count` pictures."""
        return cls(np.zeros(count, np.uint64), np.zeros((count, _THUMBNAIL_SIDE**2), np.uint8))

    def first(self, count: int) -> "Likeness":
        """That of the first `count` pictures."""
        return Likeness(self.hashes[:count], self.thumbnails[:count])


def likeness(picture: Image.Image) -> tuple[int, NDArray[np.uint8]]:
    """The perceptual hash and the thumbnail (uint8 `[256]`) of a picture of mode "L" or "RGB".

    Example:
        >>> likeness(picture)[0] == likeness(picture.resize((500, 500)))[0]
        True
    """
    import imagehash

    grey = picture.convert("L").resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    bits = np.packbits(np.asarray(imagehash.phash(grey).hash, bool).reshape(-1))
    thumbnail = np.asarray(grey).reshape(_THUMBNAIL_SIDE, 2, _THUMBNAIL_SIDE, 2).mean((1, 3))
    return int.from_bytes(bits.tobytes(), "big"), thumbnail.round().astype(np.uint8).reshape(-1)


def near_pairs(pictures: Likeness) -> NDArray[np.int64]:
    """The pairs that look the same, int64 `[pairs, 2]`, each `(i, j)` with `i < j`.

    Pictures of almost one colour are never in a pair.
    """
    structured = np.flatnonzero(pictures.thumbnails.std(1) >= _FLAT)
    pairs = structured[_pairs_of_near_hashes(pictures.hashes[structured])]
    groups = grouped(pairs, len(pictures.hashes))
    large = np.bincount(groups)[groups[pairs[:, 0]]] > LARGE_GROUP
    large[large] = _correlation(pictures.thumbnails, pairs[large]) < SAME_CORRELATION
    kept: NDArray[np.int64] = pairs[~large]
    return kept


def groups_of_likeness(pictures: Likeness, equal: NDArray[np.int64]) -> NDArray[np.int64]:
    """A group number for each picture, int64 `[n]`; the same for near duplicates and within the groups of `equal`."""
    return grouped(np.concatenate([near_pairs(pictures), _chained(equal)]), len(equal))


def grouped(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """A group number for each of `count` pictures, int64 `[count]`; those that `pairs` connect share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def _pairs_of_near_hashes(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs of at most `HASH_BITS_APART` different bits, each once; equal hashes are linked one to the next only.

    Hashes that differ in at most six bits are equal in at least one of seven bands of bits (multi-index hashing,
    Norouzi, Punjani and Fleet, CVPR 2012, section 3), so only hashes with an equal band are compared.
    """
    order = np.argsort(hashes, kind="stable")
    different = np.flatnonzero(hashes[order[1:]] != hashes[order[:-1]]) + 1
    names = np.concatenate([order[:1], order[different]])
    found = [names[pairs] for band in _BANDS for pairs in _near_in_band(hashes[names], band)]
    pairs = np.unique(np.sort(np.concatenate([_chained(hashes), *found]), axis=1), axis=0)
    return pairs.astype(np.int64)


def _chained(groups: NDArray[np.int64] | NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs that link the members of each group one to the next, int64 `[pairs, 2]`."""
    order = np.argsort(groups, kind="stable")
    same = groups[order[1:]] == groups[order[:-1]]
    return np.stack([order[:-1][same], order[1:][same]], 1)


def _near_in_band(hashes: NDArray[np.uint64], band: np.uint64) -> Iterator[NDArray[np.int64]]:
    """Pairs of near hashes among those that are equal in the bits of `band`."""
    keys = hashes & band
    order = np.argsort(keys, kind="stable")
    keys, hashes = keys[order], hashes[order]
    left, step = np.arange(len(keys)), 1
    while True:
        left = left[left < len(keys) - step]
        left = left[keys[left] == keys[left + step]]
        if not len(left):
            return
        near = left[np.bitwise_count(hashes[left] ^ hashes[left + step]) <= HASH_BITS_APART]
        yield np.stack([order[near], order[near + step]], 1)
        step += 1


def _correlation(thumbnails: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    values = np.empty(len(pairs))
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        left, right = (thumbnails[some[:, side]].astype(np.float64) for side in (0, 1))
        left, right = left - left.mean(1, keepdims=True), right - right.mean(1, keepdims=True)
        length = np.sqrt((left**2).sum(1) * (right**2).sum(1))
        values[start : start + _AT_ONCE] = (left * right).sum(1) / length
    return values
