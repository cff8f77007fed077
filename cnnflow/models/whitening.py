"""First weights that are computed instead of drawn: whitening filters from pictures, and filters that pass through.

Both are pure functions of arrays. Sources: the whitened first layer, hlb-CIFAR10 (tysam-code 2023) after Coates and
Ng 2012; the two together with their negatives, and filters that start as the identity, airbench (Jordan 2024,
arXiv:2404.00498, sections 3.1 and 3.2).
"""

import numpy as np
from numpy.typing import NDArray


def whitening_filters(
    images: NDArray[np.floating], size: int, *, epsilon: float = 5e-4
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Filters whose responses to the `size` x `size` patches of `images` are uncorrelated, of mean 0 and variance 1.

    They are the eigenvectors of the patches' covariance, each divided by the root of its eigenvalue, and then the
    negatives of them all, so that what follows (a GELU, say) sees both signs.

    Args:
        images: float `[n, height, width, channels]`, in the scale that the filters will see; a few thousand will do.
        size: the side of a patch.
        epsilon: is added to each eigenvalue, as a fraction of their mean: directions with almost no variance are
            mostly noise and must not be blown up.

    Returns:
        kernel: float32 `[size, size, channels, 2 * size * size * channels]`, strongest direction first.
        bias: float32 `[2 * size * size * channels]`.
    """
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    channels = images.shape[-1]
    # [n, rows, columns, channels, size, size] -> one patch a row, in the order of a kernel
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * channels)
    mean = patches.mean(axis=0, dtype=np.float64)
    covariance = patches.T.astype(np.float64) @ patches / len(patches) - np.outer(mean, mean)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    floor = epsilon * values.mean() if values.any() else 1.0
    half = vectors / np.sqrt(values + floor)
    filters = np.concatenate([half, -half], axis=1)
    kernel = filters.reshape(size, size, channels, -1)
    return kernel.astype(np.float32), (-mean @ filters).astype(np.float32)


def partial_identity(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """`kernel` with its first filters replaced by ones that pass one input channel through each.

    Args:
        kernel: float32 `[height, width, inputs, filters]` with odd sides; the first `min(inputs, filters)` filters
            become the identity, the others stay.
    """
    height, width, inputs, filters = kernel.shape
    count = min(inputs, filters)
    changed = kernel.copy()
    changed[..., :count] = 0
    changed[height // 2, width // 2, np.arange(count), np.arange(count)] = 1
    return changed
