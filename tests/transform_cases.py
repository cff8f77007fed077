"""What the tests of the transforms share: pictures, and each transform with options and amounts to try."""

from functools import partial

import numpy as np

from cnnflow import transforms

# Amounts at which a transform changes nothing.
NEUTRAL = {
    "adjust_affine": lambda images: [[1, 0, 0], [0, 1, 0]],
    "adjust_blur": lambda images: 0,
    "adjust_brightness": lambda images: 1,
    "adjust_contrast": lambda images: 1,
    "adjust_crop": lambda images: (0, 0),
    "adjust_cutout": lambda images: np.zeros((len(images), 2), int),
    "adjust_erasing": lambda images: np.zeros((len(images), 4), int),
    "adjust_flip_left_right": lambda images: False,
    "adjust_flip_up_down": lambda images: False,
    "adjust_hue": lambda images: 0,
    "adjust_noise": lambda images: np.zeros(images.shape),
    "adjust_rotation": lambda images: 0,
    "adjust_saturation": lambda images: 1,
    "adjust_shear": lambda images: 0,
    "adjust_shift": lambda images: (0, 0),
    "adjust_zoom": lambda images: 1,
}
# Options without which a transform cannot be called, or not on the smallest pictures.
OPTIONS = {"adjust_cutout": {"side": 0}, "random_crop": {"padding": 0}, "random_cutout": {"side": 1}}

# Amounts that do change an image, one for each of n images.
AMOUNTS = {
    "adjust_affine": lambda rng, shape: rng.uniform(-2, 2, (shape[0], 2, 3)),
    "adjust_blur": lambda rng, shape: rng.uniform(0, 3, shape[0]),
    "adjust_brightness": lambda rng, shape: rng.uniform(0, 3, shape[0]),
    "adjust_contrast": lambda rng, shape: rng.uniform(0, 3, shape[0]),
    "adjust_crop": lambda rng, shape: rng.integers(-9, 9, (shape[0], 2)),
    "adjust_cutout": lambda rng, shape: rng.integers(0, 9, (shape[0], 2)),
    "adjust_erasing": lambda rng, shape: rng.integers(0, 9, (shape[0], 4)),
    "adjust_flip_left_right": lambda rng, shape: rng.random(shape[0]) < 0.5,
    "adjust_flip_up_down": lambda rng, shape: rng.random(shape[0]) < 0.5,
    "adjust_hue": lambda rng, shape: rng.uniform(-180, 180, shape[0]),
    "adjust_noise": lambda rng, shape: rng.normal(0, 60, shape),
    "adjust_rotation": lambda rng, shape: rng.uniform(-180, 180, shape[0]),
    "adjust_saturation": lambda rng, shape: rng.uniform(0, 3, shape[0]),
    "adjust_shear": lambda rng, shape: rng.uniform(-40, 40, shape[0]),
    "adjust_shift": lambda rng, shape: rng.uniform(-9, 9, (shape[0], 2)),
    "adjust_zoom": lambda rng, shape: rng.uniform(0.3, 3, shape[0]),
}

ADJUSTS = sorted(name for name in vars(transforms) if name.startswith("adjust_") and "mix" not in name)
RANDOMS = sorted(name for name in vars(transforms) if name.startswith("random_"))
MIXES = ("mixup", "cutmix")
FILLS = ("nearest", "reflect", "constant")


def function(name, **options):
    """The transform called `name`, with the options that it cannot do without."""
    return partial(getattr(transforms, name), **{**OPTIONS.get(name, {}), **options})


def pictures(shape, seed=0):
    """uint8 images that nothing may write to."""
    images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    images.flags.writeable = False
    return images


def smooth_pictures(shape):
    """uint8 images with edges and slopes, the same on every machine."""
    n, height, width, channels = np.indices(shape)
    return ((height * 7 + width * 5 * (channels + 1) + (height * width) // 3 + n * 31) % 256).astype(np.uint8)
