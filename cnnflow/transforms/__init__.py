"""Pure functions on batches of uint8 images: `adjust_x(images, amounts)` and its random twin `random_x(images, rng)`."""

from cnnflow.transforms.compose import Mix as Mix
from cnnflow.transforms.compose import Transform as Transform
from cnnflow.transforms.compose import compose as compose
from cnnflow.transforms.crop import adjust_crop as adjust_crop
from cnnflow.transforms.crop import random_crop as random_crop
from cnnflow.transforms.presets import Augmentation as Augmentation
from cnnflow.transforms.presets import augmentation as augmentation
