"""The network of the binary detector: a classifier that is kept near a pretext backbone.

Here belongs the network alone, as published: two backbones and a linear layer. Its training is in `binary_run`, what it
says of images in `binary_detector`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbone import Backbone, BackboneConfig, Taps


class BinaryNetwork(nn.Module):
    """A frozen pretext backbone, the classifier's own backbone, and a linear layer on the latter's feature."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.pretext, self.own = Backbone(config), Backbone(config)
        self.classifier = nn.Linear(config.dimension, 2)
        self.pretext.requires_grad_(False)

    def forward(self, patches: Tensor) -> Tensor:
        """Logits (B, 2) of patches (B, N, 3, 64, 64), values in [0, 1]."""
        logits: Tensor = self.classifier(self.own.image_features(patches))
        return logits

    def tap_distances(self, patches: Tensor) -> Tensor:
        """Mean squared distances (5,) of the two backbones' taps for patches (P, 3, 64, 64).

        Stages 1-4, then the covariance vector; their sum is what training adds to the cross-entropy.
        """
        return self._distances(self.own.taps(patches), patches)

    def learn(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, 2) and tap distances (5,) of patches (B, N, 3, 64, 64), the own taps computed once."""
        flat = patches.flatten(0, 1)
        taps = self.own.taps(flat)
        logits = self.classifier(self.own.first_tokens(taps.covariance.reshape(*patches.shape[:2], -1)))
        return logits, self._distances(taps, flat)

    def _distances(self, taps: Taps, patches: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.pretext.taps(patches)
        return torch.stack([F.mse_loss(own.float(), tap.float()) for own, tap in zip(taps, wanted, strict=True)])
