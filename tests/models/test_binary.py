from __future__ import annotations

import torch

from models.backbone import BackboneConfig
from models.binary import BinaryNetwork

SMALL = BackboneConfig(6, (1, 1, 1, 1), transformer_depth=1, heads=2, head_dim=4, mlp_dim=8)


def random_network() -> BinaryNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return BinaryNetwork(SMALL)


def test_logits_come_from_the_classifiers_own_backbone() -> None:
    network = random_network()
    patches = torch.rand(3, 2, 3, 64, 64)
    logits = network(patches)
    assert logits.shape == (3, 2)
    assert torch.equal(logits, network.classifier(network.own.image_features(patches)))
    for parameter in network.pretext.parameters():
        parameter.data.zero_()
    assert torch.equal(network(patches), logits)


def test_taps_are_apart_from_where_the_backbones_part() -> None:
    network = random_network()
    network.own.load_state_dict(network.pretext.state_dict())
    patches = torch.rand(3, 3, 64, 64)
    assert torch.equal(network.tap_distances(patches), torch.zeros(5))
    with torch.no_grad():
        network.own.get_parameter("stages.2.0.bias").add_(torch.rand(6))
    distances = network.tap_distances(patches)
    assert (distances[:2] == 0).all()
    assert (distances[2:] > 0).all()


def test_the_pretext_backbone_learns_nothing() -> None:
    network = random_network()
    patches = torch.rand(1, 2, 3, 64, 64)
    loss = network(patches).sum() + network.tap_distances(patches.flatten(0, 1)).sum()
    torch.autograd.backward(loss)
    assert all(parameter.grad is None for parameter in network.pretext.parameters())
    assert all(parameter.grad is not None for parameter in network.own.parameters())


def test_learning_computes_the_logits_and_the_distances_of_the_taps() -> None:
    network = random_network()
    patches = torch.rand(3, 2, 3, 64, 64)
    logits, distances = network.learn(patches)
    assert torch.allclose(logits, network(patches), atol=1e-6)
    assert torch.equal(distances, network.tap_distances(patches.flatten(0, 1)))
    torch.autograd.backward(logits.sum() + distances.sum())
    assert all(parameter.grad is None for parameter in network.pretext.parameters())
    learned = [*network.own.parameters(), *network.classifier.parameters()]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in learned)
