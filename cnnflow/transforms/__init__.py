"""Pure functions on batches of uint8 images.

`adjust_x(images, amounts)` does x to each image by its own amount; `random_x(images, rng, *, ...)` draws the
amounts and calls it. `mixup` and `cutmix` take targets as well. `compose` makes one transform of several, and
`augmentation` gives them by name.
"""

from cnnflow.transforms.affine import adjust_affine as adjust_affine
from cnnflow.transforms.affine import affine_maps as affine_maps
from cnnflow.transforms.affine import random_affine as random_affine
from cnnflow.transforms.blur import adjust_blur as adjust_blur
from cnnflow.transforms.blur import random_blur as random_blur
from cnnflow.transforms.colour import adjust_brightness as adjust_brightness
from cnnflow.transforms.colour import adjust_contrast as adjust_contrast
from cnnflow.transforms.colour import adjust_hue as adjust_hue
from cnnflow.transforms.colour import adjust_saturation as adjust_saturation
from cnnflow.transforms.colour import random_brightness as random_brightness
from cnnflow.transforms.colour import random_contrast as random_contrast
from cnnflow.transforms.colour import random_hue as random_hue
from cnnflow.transforms.colour import random_saturation as random_saturation
from cnnflow.transforms.compose import Mix as Mix
from cnnflow.transforms.compose import Transform as Transform
from cnnflow.transforms.compose import compose as compose
from cnnflow.transforms.crop import adjust_crop as adjust_crop
from cnnflow.transforms.crop import random_crop as random_crop
from cnnflow.transforms.erasing import adjust_cutout as adjust_cutout
from cnnflow.transforms.erasing import adjust_erasing as adjust_erasing
from cnnflow.transforms.erasing import random_cutout as random_cutout
from cnnflow.transforms.erasing import random_erasing as random_erasing
from cnnflow.transforms.flips import adjust_flip_left_right as adjust_flip_left_right
from cnnflow.transforms.flips import adjust_flip_up_down as adjust_flip_up_down
from cnnflow.transforms.flips import random_flip_left_right as random_flip_left_right
from cnnflow.transforms.flips import random_flip_up_down as random_flip_up_down
from cnnflow.transforms.geometry import adjust_rotation as adjust_rotation
from cnnflow.transforms.geometry import adjust_shear as adjust_shear
from cnnflow.transforms.geometry import adjust_shift as adjust_shift
from cnnflow.transforms.geometry import adjust_zoom as adjust_zoom
from cnnflow.transforms.geometry import random_rotation as random_rotation
from cnnflow.transforms.geometry import random_shear as random_shear
from cnnflow.transforms.geometry import random_shift as random_shift
from cnnflow.transforms.geometry import random_zoom as random_zoom
from cnnflow.transforms.mixing import Mixed as Mixed
from cnnflow.transforms.mixing import adjust_cutmix as adjust_cutmix
from cnnflow.transforms.mixing import adjust_mixup as adjust_mixup
from cnnflow.transforms.mixing import cutmix as cutmix
from cnnflow.transforms.mixing import mixup as mixup
from cnnflow.transforms.noise import adjust_noise as adjust_noise
from cnnflow.transforms.noise import random_noise as random_noise
from cnnflow.transforms.presets import Augmentation as Augmentation
from cnnflow.transforms.presets import augmentation as augmentation
