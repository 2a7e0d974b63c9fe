"""What reads EXIF tags from the pixels of a picture: the pretext heads of a backbone, or statistics and a regression.

Here belong the two in one form, and how they are stored. The networks are in `backbone` and `pretext`, the statistics
in `camera_statistics` and `tag_regression`; what is made of their outputs, in `plausibility`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models.backbone import Backbone
from models.camera_statistics import camera_statistics
from models.features import extract
from models.patches import PATCHES, tiles
from models.pretext import TAGS, PretextHeads, Vocabulary
from models.tag_regression import TagRegression
from models.weights import Header, LoadedBackbone, WeightsError, load_exactly

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]

STATISTICS, HEADS = "statistics", "heads"


class TagReader(Protocol):
    """What says of pictures, each given as its squares (n, 128, 128, 3) with their pixels as they are, how tags stand.

    Outputs (m, K) are tag after tag in the order of `TAGS`, as `tag_regression.split_outputs` has them.
    """

    @property
    def kind(self) -> str:
        """`statistics` or `heads`."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """Classes of the categorical tags."""
        ...

    def __call__(self, pictures: Sequence[Image]) -> Floats:
        """Outputs (m, K)."""
        ...

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """What it is as a JSON object with its `kind`, and arrays."""
        ...


@dataclass(frozen=True, eq=False)
class StatisticsReader:
    """Statistics that need no network, and a linear regression of each tag."""

    regression: TagRegression
    kind = STATISTICS

    @property
    def vocabulary(self) -> Vocabulary:
        """Classes of the categorical tags."""
        return self.regression.vocabulary

    def __call__(self, pictures: Sequence[Image]) -> Floats:
        """Outputs (m, K)."""
        return self.regression.outputs(np.stack([camera_statistics(squares) for squares in pictures]))

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """The vocabulary, and the regression."""
        return {"kind": self.kind, "vocabulary": self.vocabulary.to_json()}, self.regression.arrays()


@dataclass(frozen=True, eq=False)
class HeadsReader:
    """A backbone with heads that have names."""

    backbone: Backbone
    heads: PretextHeads
    header: Header
    kind = HEADS

    @classmethod
    def of(cls, loaded: LoadedBackbone) -> HeadsReader:
        """ValueError for a backbone whose heads have no names."""
        if not isinstance(loaded.heads, PretextHeads):
            raise ValueError("heads without names cannot be asked what metadata claims")
        return cls(loaded.backbone, loaded.heads, replace(loaded.header, metrics={}))

    @property
    def vocabulary(self) -> Vocabulary:
        """Classes of the categorical tags."""
        assert self.header.vocabulary is not None
        return self.header.vocabulary

    def __call__(self, pictures: Sequence[Image]) -> Floats:
        """Outputs (m, K), from at most 16 patches of each picture."""
        features = extract(self.backbone, [_patches(squares) for squares in pictures]).token0
        with torch.inference_mode():
            found = self.heads(torch.from_numpy(features).to(next(self.heads.parameters()).device))
            side_by_side = torch.cat([found[tag].reshape(len(pictures), -1) for tag in TAGS], dim=1)
        return np.asarray(side_by_side.cpu().numpy(), dtype=np.float64)

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """The header of the backbone, and the weights."""
        network = nn.ModuleDict({"backbone": self.backbone, "heads": self.heads})
        weights = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
        return {"kind": self.kind, "header": self.header.to_metadata()}, weights


def _patches(squares: Image) -> Image:
    """Patches (m, 64, 64, 3) of squares (n, 128, 128, 3): of each as many quarters as make at most 16 of all."""
    quarters = tiles(squares)[:, : max(1, PATCHES // len(squares))]
    return quarters.reshape(-1, *quarters.shape[2:])


def reader_of(facts: Mapping[str, Any], arrays: Arrays) -> TagReader:
    """The reader that `stored` gave. ValueError for a kind that is not known here."""
    if facts["kind"] == STATISTICS:
        return StatisticsReader(TagRegression.of_arrays(Vocabulary.from_json(facts["vocabulary"]), arrays))
    if facts["kind"] != HEADS:
        raise ValueError(f"nothing of kind {facts['kind']!r} is known that reads tags")
    header = Header.from_metadata(facts["header"], "claims")
    if header.vocabulary is None:
        raise WeightsError("claims: their heads have no names")
    with torch.random.fork_rng(devices=[]):
        backbone = Backbone(header.config)
        heads = PretextHeads(header.config.dimension, header.vocabulary)
    network = nn.ModuleDict({"backbone": backbone, "heads": heads}).eval()
    load_exactly(network, {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, "claims")
    return HeadsReader(backbone, heads, header)
