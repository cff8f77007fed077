"""Classify picture files with a trained model: decoded in threads, predicted in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from cnnflow.data.decode import Decoded, decode_many
from cnnflow.evaluation.predictions import predict
from cnnflow.evaluation.views import View
from cnnflow.events import OnEvent, ignore
from cnnflow.training.trained import Trained

_AT_ONCE = 256


@dataclass(frozen=True)
class Classified:
    """What a model says about one file.

    Attributes:
        path: the file.
        top: `(class index, probability)` of the most probable classes, best first; empty where it was refused.
        reason: why the file was refused; None where it was not.
    """

    path: Path
    top: tuple[tuple[int, float], ...]
    reason: str | None = None


def classify(
    trained: Trained, files: Sequence[Path], *, top: int = 3, tta: str | None = None, on_event: OnEvent = ignore
) -> Iterator[Classified]:
    """What `trained` says about each of `files`, in their order; a file that cannot be read does not stop the others.

    `tta` names the views over which each answer is averaged, as in `Recipe`; None: as the run did when it was judged.
    Memory holds a few hundred decoded pictures at a time, however many files there are.

    Example:
        >>> for picture in classify(trained, [Path("a.jpg"), Path("b.png")]):
        ...     print(picture.path, picture.reason or picture.top)
    """
    views = trained.views_for(tta)
    decoded = decode_many(files, trained.resize, on_event=on_event)
    while block := list(islice(decoded, _AT_ONCE)):
        yield from _classify_block(trained, block, top, views)


def _classify_block(
    trained: Trained, block: Sequence[Decoded], top: int, views: Sequence[View]
) -> Iterator[Classified]:
    images = [decoded.image for decoded in block if decoded.image is not None]
    probabilities = predict(trained.model, np.stack(images), views=views) if images else np.zeros((0, 0), np.float32)
    rows = iter(probabilities)
    for decoded in block:
        if decoded.fault is not None:
            yield Classified(decoded.path, (), decoded.fault.reason)
        else:
            row = next(rows)
            best = np.argsort(-row, kind="stable")[:top]
            yield Classified(decoded.path, tuple((int(k), float(row[k])) for k in best))
