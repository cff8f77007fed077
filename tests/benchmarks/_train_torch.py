"""The benchmark's networks in plain PyTorch, as a PyTorch user would write and train them."""

from typing import Any

import torch
from _train_networks import SHAPES
from torch import nn


def build(name: str) -> nn.Module:
    """A module from pixels [n, c, h, w] of 0 to 255 to logits; one for two classes."""
    torch.manual_seed(0)
    (side, _, channels), classes = SHAPES[name]
    if name.startswith("basic_cnn"):
        return nn.Sequential(*_plain(side, channels, ((32, True), (64, True)), (128,), classes))
    if name == "comparison_cnn":
        return nn.Sequential(*_plain(side, channels, ((32, False), (64, True)), (128, 64), classes, padding=0))
    if name == "flower_cnn":
        return nn.Sequential(*_plain(side, channels, ((64, True), (32, True)), (128, 32), 1, (0.3, 0.2)))
    return ResNet18(classes) if name == "resnet18" else MobileNetV2(classes)


class Rescaling(nn.Module):
    def forward(self, x: Any) -> Any:
        return x / 255


def _plain(
    side: int, channels: int, convolutions: Any, dense: Any, outputs: int, dropouts: Any = (), padding: int = 1
) -> Any:
    yield Rescaling()
    for filters, pooled in convolutions:
        yield nn.Conv2d(channels, filters, 3, padding=padding)
        yield nn.ReLU()
        channels, side = filters, side - 2 + 2 * padding
        if pooled:
            yield nn.MaxPool2d(2)
            side //= 2
    yield nn.Flatten()
    features = side * side * channels
    for i, units in enumerate(dense):
        yield nn.Linear(features, units)
        yield nn.ReLU()
        if dropouts:
            yield nn.Dropout(dropouts[i])
        features = units
    yield nn.Linear(features, outputs)


class Residual(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, filters, 3, stride, 1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
            nn.Conv2d(filters, filters, 3, 1, 1, bias=False),
            nn.BatchNorm2d(filters),
        )
        self.shortcut = nn.Identity()
        if stride > 1 or channels != filters:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x: Any) -> Any:
        return torch.relu(self.body(x) + self.shortcut(x))


class ResNet18(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        blocks, channels = [], 64
        for filters, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
            blocks.append(Residual(channels, filters, stride))
            channels = filters
        first = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        self.body = nn.Sequential(*first, *blocks)
        self.head = nn.Linear(512, classes)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x / 127.5 - 1).mean((2, 3)))


class Inverted(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        parts: list[nn.Module] = []
        if expansion > 1:
            parts += [nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True)]
        parts += [
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(inplace=True),
            nn.Conv2d(wide, filters, 1, bias=False),
            nn.BatchNorm2d(filters),
        ]
        self.body = nn.Sequential(*parts)
        self.adds = stride == 1 and channels == filters

    def forward(self, x: Any) -> Any:
        return x + self.body(x) if self.adds else self.body(x)


class MobileNetV2(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()]
        channels = 32
        plan = (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        )
        for expansion, filters, repeats, stride in plan:
            for i in range(repeats):
                parts.append(Inverted(channels, filters, stride if i == 0 else 1, expansion))
                channels = filters
        parts += [nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
        self.body = nn.Sequential(*parts)
        self.head = nn.Linear(1280, classes)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x / 127.5 - 1).mean((2, 3)))
