"""The network that predicts what JPEG keeps, what it had not expected of squares, and its training."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from models.coding import (
    FEATURES,
    CodingFeatures,
    CodingNetwork,
    _surprise,
    coding_features_of,
    cost,
    deviates,
    load_coding,
    nats,
)
from models.coding_config import CodingConfig
from models.coefficients import COUNT, zigzag
from models.stopping import TrainingStoppedError
from models.train import run_job, train_coding
from tests.models.synthetic_crops import photograph, png

SMALL = CodingConfig(steps=30, batch=8, validation_every=10, validation_photos=4, threads=1)


def network(seed: int = 0, spread: float = 0.1) -> CodingNetwork:
    """A network whose last layers, which start at nothing, say something."""
    torch.manual_seed(seed)
    made = CodingNetwork()
    for layer in (made.own[2], made.given[2]):
        torch.nn.init.normal_(layer.weight, std=spread)  # type: ignore[arg-type]
    return made.eval()


def blocks(count: int = 2, side: int = 7, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-4, 5, (count, COUNT, side, side))).float()


@pytest.mark.parametrize("place", [0, 1, 17, 40, 63])
def test_a_coefficient_is_predicted_without_itself_and_higher_ones_of_its_block(place: int) -> None:
    given = blocks()
    changed = given.clone()
    changed[:, place:, 3, 3] += 5
    with torch.inference_mode():
        before, after = network()(given), network()(changed)
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one[:, : place + 1, 3, 3], other[:, : place + 1, 3, 3])
        if place < COUNT - 1:
            assert not torch.equal(one[:, place + 1 :, 3, 3], other[:, place + 1 :, 3, 3])
        # The neighbours see it, as far as two blocks away.
        touched = (one != other).any(dim=1).any(dim=0)
        assert touched[1:6, 1:6].sum() >= 24
        assert not touched[0].any()
        assert not touched[:, 6].any()


@pytest.mark.parametrize("log_scale", [-4.0, -1.0, 0.0, 2.0])
@pytest.mark.parametrize("mean", [0.0, 0.3, -2.5])
def test_costs_are_those_of_a_distribution(mean: float, log_scale: float) -> None:
    reach = int(40 * np.exp(max(log_scale, 0)) + 10)
    numbers = torch.arange(-reach, reach + 1).double()
    costs = nats(torch.tensor(mean).double(), torch.tensor(log_scale).double(), numbers)
    assert costs.isfinite().all()
    assert float(torch.exp(-costs).sum()) == pytest.approx(1, abs=1e-5)


def test_far_from_what_was_expected_costs_are_finite_and_have_a_gradient() -> None:
    means = torch.zeros(4, requires_grad=True)
    scales = torch.full((4,), -4.0, requires_grad=True)
    nats(means, scales, torch.tensor([-900.0, -1.0, 1.0, 900.0])).sum().backward()  # type: ignore[no-untyped-call]
    assert means.grad is not None
    assert scales.grad is not None
    assert means.grad.isfinite().all()
    assert scales.grad.isfinite().all()


class Known(CodingNetwork):
    """Expects the same of every coefficient."""

    def __init__(self, mean: float, log_scale: float) -> None:
        super().__init__()
        self.mean, self.log_scale = mean, log_scale

    def forward(self, blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full_like(blocks, self.mean), torch.full_like(blocks, self.log_scale)


def drawn(mean: float, log_scale: float, blocks: int = 24) -> torch.Tensor:
    """Coefficients (1, 64, h, w) as such a network expects them."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(np.rint(rng.logistic(mean, np.exp(log_scale), (1, COUNT, blocks, blocks)))).float()


@pytest.mark.parametrize(("log_scale", "tolerance"), [(0.5, 0.08), (2.0, 0.02), (4.0, 0.02)])
def test_deviates_of_what_was_expected_are_normal(log_scale: float, tolerance: float) -> None:
    found = deviates(Known(0.25, log_scale), drawn(0.25, log_scale))
    assert float(found.mean()) == pytest.approx(0, abs=0.02)
    # Of coarse whole numbers the middle varies less than the number might.
    assert float(found.std()) == pytest.approx(1, abs=tolerance)


def test_what_is_certain_and_true_does_not_deviate() -> None:
    given = torch.zeros(1, COUNT, 3, 3)
    assert float(deviates(Known(0.0, -4.0), given).abs().max()) < 1e-3
    assert float(deviates(Known(0.0, -4.0), given + 900).min()) == pytest.approx(3.719, abs=1e-3)


def test_blocks_that_repeat_are_correlated_and_independent_ones_are_not() -> None:
    free = drawn(0.0, 2.0)
    repeated = free[..., ::2].repeat_interleave(2, dim=3)
    network = Known(0.0, 2.0)
    right, below = 64, 64
    for given, wanted in ((free, 0.0), (repeated, 12 / 23)):
        found = _surprise(network, given)[0]
        assert float(found[:right].mean()) == pytest.approx(wanted, abs=0.02)
        assert float(found[right : right + below].mean()) == pytest.approx(0, abs=0.02)
        assert float(found[128:240].mean()) == pytest.approx(0, abs=0.02)
        assert found[240:304] == pytest.approx(torch.zeros(64), abs=0.2)
        assert float(found[304:].mean()) == pytest.approx(1, abs=0.05)


def test_frequencies_are_paired_by_row_and_column() -> None:
    free = drawn(0.0, 2.0)
    order = np.argsort(zigzag())
    placed = free[:, order].reshape(1, 8, 8, 24, 24)
    placed[:, 3, 5] = placed[:, 2, 5]
    found = _surprise(Known(0.0, 2.0), placed.flatten(1, 2)[:, zigzag()])[0]
    by_row, by_column = found[128:184].reshape(7, 8), found[184:240].reshape(8, 7)
    assert float(by_row[2, 5]) > 0.9
    assert by_row.abs().flatten().sort().values[:-1].max() < 0.3
    assert by_column.abs().max() < 0.3


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 128, 128, 3), dtype=np.uint8)


def test_features_of_a_square_are_its_own() -> None:
    features = CodingFeatures(network())
    several = pixels(18)
    found = features(several)
    assert found.shape == (18, FEATURES)
    assert np.isfinite(found).all()
    alone = np.concatenate([features(several[[3]]), features(several[[17]])])
    assert found[[3, 17]] == pytest.approx(alone, rel=1e-5, abs=1e-5)
    assert features(several[:0]).shape == (0, FEATURES)


def test_stored_features_are_the_same() -> None:
    features = CodingFeatures(network())
    facts, arrays = features.stored()
    assert facts == {"kind": "coding"}
    assert np.array_equal(coding_features_of(arrays)(pixels(2)), features(pixels(2)))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Reference crops of 40 photographs of 20 sources."""
    rng = np.random.default_rng(0)
    rows = [
        {"photo_id": f"{n:064x}", "fold": n // 2 % 5, "png": png(photograph(rng, 100 + 50 * n, 2**-8))}
        for n in range(40)
    ]
    path = tmp_path_factory.mktemp("crops") / "crops.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return [path]


def test_training_learns_what_photographs_are_like_and_goes_on_where_it_was_stopped(
    shards: list[Path], tmp_path: Path
) -> None:
    whole = train_coding(SMALL, shards, tmp_path / "whole", lambda _: None)
    metrics = json.loads(whole.metrics_path.read_text())
    validations = [each["nats"] for each in metrics["validations"]]
    assert len(validations) == 3
    assert validations[-1] < validations[0]
    assert metrics["validation"]["nats"] == min(validations)

    steps = 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return steps == 13

    with pytest.raises(TrainingStoppedError):
        train_coding(SMALL, shards, tmp_path / "stopped", lambda _: None, stop)
    again = train_coding(SMALL, shards, tmp_path / "stopped", lambda _: None)
    assert again.weights_path.read_bytes() == whole.weights_path.read_bytes()

    # What it has learned are its photographs: they surprise it less than noise does.
    learned = load_coding(whole.weights_path)
    with torch.inference_mode():
        known = torch.from_numpy(np.zeros((1, COUNT, 6, 6), dtype=np.float32))
        assert cost(learned, known).mean() < cost(learned, known + 9).mean()


def test_the_job_is_known_by_its_name(shards: list[Path], tmp_path: Path) -> None:
    config = {"steps": 2, "batch": 4, "validation_every": 2, "validation_photos": 2, "threads": 1}
    job = {"task": "coding", "config": config, "crop_shards": [str(path) for path in shards], "out": str(tmp_path)}
    said: list[str] = []
    run_job(job, lambda report: said.append(report["event"]))
    assert said == ["progress", "validation", "finished"]
    assert load_coding(tmp_path / "coding.safetensors")
