"""From reference photographs to detectors on squares and what they say of a benchmark, on real files."""

from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.numpy import save_file

from assets.benchmark_images import benchmark_images
from assets.champion_before import champion_before
from assets.features import backbone_files
from assets.pixel_detectors import detectors_on_squares
from assets.pixel_scores import benchmark_pixel_scores
from assets.reconstruction_pairs import reconstruction_pairs
from assets.square_detectors import (
    COMBINED_PARTS,
    PARTS,
    RECONSTRUCTION,
    RECONSTRUCTION_LINEAR,
    square_detectors,
)
from assets.square_features import square_features
from assets.square_logits import square_logits
from models.autoencoders import HELD_OUT, MAKES, Autoencoder
from models.coding import CodingFeatures, CodingNetwork
from models.combined import CombinedDetector
from models.reconstruction import ReconstructionNetwork
from models.reference_squares import VIEWS
from models.weights import save_untrained
from tests.assets.small_home import FOLDS, IN_A_FOLD, SmallHome, picture
from warehouse.home import UserError

FAKE, NETWORK = "set.gan", "a" * 16
NAMES = {*PARTS, RECONSTRUCTION, RECONSTRUCTION_LINEAR, "combined"}


@pytest.fixture
def squares(small: SmallHome) -> SmallHome:
    """The small home with two backbones."""
    for role, number in (("trained", 1), ("untrained", 2)):
        identity = f"{number:016x}"
        save_untrained(small.home.backbones / identity / "backbone.safetensors", "compact", number)
        small.write("backbones", [{"role": role, "backbone": identity, "preset": "compact"}], role)
    for table in ("pretext_metrics", "training_curve"):
        small.write(table, [], "trained")
    small.write("reconstruction_networks", [{"network": NETWORK, "seed": 0}])
    small.write("reconstruction_metrics", [])
    torch.manual_seed(0)
    weights = {name: tensor.numpy() for name, tensor in ReconstructionNetwork().state_dict().items()}
    folder = small.home.reconstructions / NETWORK
    folder.mkdir(parents=True)
    save_file(weights, folder / "reconstruction.safetensors")
    small.write("autoencoders", [{"make": make.name, "autoencoders": NETWORK} for make in MAKES])
    folder = small.home.autoencoders / NETWORK
    folder.mkdir(parents=True)
    save_untrained_autoencoders(folder / "autoencoders.safetensors")
    small.write("coding_networks", [{"network": NETWORK, "steps": 0, "nats": 1.0}])
    folder = small.home.codings / NETWORK
    folder.mkdir(parents=True)
    save_file(dict(CodingFeatures(CodingNetwork()).stored()[1]), folder / "coding.safetensors")
    return small


def save_untrained_autoencoders(path: Path) -> None:
    weights = {
        f"{make.name}.{name}": tensor.numpy()
        for make in MAKES
        for name, tensor in Autoencoder(make).state_dict().items()
    }
    save_file(weights, path)


def judged_in(small: SmallHome, table: str, partition: str) -> pl.DataFrame:
    return small.context().store.read(table, [partition])


def test_squares_become_detectors_that_are_measured(squares: SmallHome) -> None:
    squares.run(square_features)
    context = squares.context()
    features = context.store.read("square_features")
    assert features["photo_id"].n_unique() == FOLDS * IN_A_FOLD
    assert set(features["view"]) == {"as_shipped", "format_matched", *VIEWS}
    kinds = ("handmade", "co_occurrences", "trained", "coding")
    widths = {name: features[name].list.len().unique().to_list() for name in kinds}
    # Of two scales each.
    assert widths == {"handmade": [374], "co_occurrences": [390], "trained": [272], "coding": [736]}

    squares.run(square_logits)
    logits = context.store.read("square_logits")
    assert logits["photo_id"].n_unique() == 2 * IN_A_FOLD
    assert logits["logits"].list.len().unique().to_list() == [1]

    squares.run(reconstruction_pairs)
    pairs = context.store.read("reconstruction_pairs")
    assert pairs["photo_id"].n_unique() == 4 * IN_A_FOLD
    assert set(pairs.filter(pl.col("fold") == 3)["make"]) <= set(HELD_OUT)
    assert not set(pairs.filter(pl.col("fold") < 3)["make"]) & set(HELD_OUT)
    assert (pairs["held_out"] == (pairs["fold"] == 3)).all()

    _, product = square_detectors.materialise(squares.context())
    judged = {f"auroc_{RECONSTRUCTION_LINEAR}_{make}" for make in set(pairs.filter("held_out")["make"])}
    assert {name for name in product.numbers if name.startswith("auroc")} == judged
    rows = judged_in(squares, "detectors", "squares")
    assert set(rows["detector"]) == NAMES
    assert set(rows["track"]) == {"as_shipped", "format_matched"}
    assert rows["n_calibration"].unique().to_list() == [IN_A_FOLD]
    fitted = dict(rows.select("detector", "n_fit").iter_rows())
    assert fitted.pop(RECONSTRUCTION) == IN_A_FOLD
    assert set(fitted.values()) == {3 * IN_A_FOLD}
    identities = dict(rows.select("detector", "detector_id").iter_rows())
    together = {identities[name] for name in NAMES if name in (*COMBINED_PARTS, "combined")}
    assert len(together) == 1
    assert not {identities[RECONSTRUCTION], identities["one_class"]} & together
    trained, untrained = backbone_files(context)
    backbones = dict(rows.select("detector", "backbone").iter_rows())
    assert backbones == {
        "one_class": trained,
        "one_class_untrained": untrained,
        "one_class_handmade": None,
        "one_class_co_occurrences": None,
        "coding": None,
        RECONSTRUCTION: None,
        RECONSTRUCTION_LINEAR: None,
        "combined": None,
    }

    file = squares.home.detectors / identities["combined"] / "detector.safetensors"
    detector = CombinedDetector.from_bytes(file.read_bytes())
    assert detector.identity == identities["combined"]
    assert detector.facts["simulated_only"] is False
    assert detector.facts["photographs"] == {"photographs": FOLDS * IN_A_FOLD}
    assert detector.abstention is not None

    photo_scores = judged_in(squares, "photo_scores", "squares")
    assert len(photo_scores) == len(NAMES) * 2 * 2 * IN_A_FOLD
    assert set(photo_scores["fold"]) == {3, 4}
    threshold = dict(rows.select("detector", "threshold").iter_rows())
    for name, score, flagged, p_value in photo_scores.select("detector", "score", "flagged", "p_value").iter_rows():
        assert flagged == (score > threshold[name]) == (p_value <= 0.25)

    assert measured(squares) == identities


def measured(small: SmallHome) -> dict[str, str]:
    """Score a partition; the version that each detector on squares scored in."""
    small.run(benchmark_images, FAKE)
    small.run(champion_before)
    small.run(benchmark_pixel_scores, FAKE)
    scores = judged_in(small, "pixel_scores", FAKE).filter(pl.col("detector").is_in(NAMES))
    large = judged_in(small, "benchmark_images", FAKE).filter(width=260)["image_id"]
    # No square fits into the third image on the one track, and no 256 px on the other.
    left_out = scores.filter(~pl.col("image_id").is_in(large.implode()))
    assert set(left_out["reason"]) == {"no_score", "smaller_than_256"}
    assert scores.filter(pl.col("image_id").is_in(large.implode()))["score"].null_count() == 0
    return dict(scores.select("detector", "detector_version").iter_rows())


def test_a_photograph_without_room_for_a_square_is_quarantined(squares: SmallHome) -> None:
    small = picture(squares.corpus / "small.png", 7, side=100)
    common = {"corpus": "photographs", "use": "reference", "places": 1, "format": "PNG"}
    squares.write("photos", [{"photo_id": small, "uri": "small.png", "group": "g1", **common}])
    squares.run(square_features)
    refused = judged_in(squares, "quarantine", "square_features").to_dicts()
    assert [(row["uri"], row["reason"]) for row in refused] == [("small.png", "too_small")]
    squares.run(reconstruction_pairs)
    refused = judged_in(squares, "quarantine", "reconstruction_pairs").to_dicts()
    assert [row["detail"] for row in refused] == ["100 x 100 px; a reconstruction needs 144 on each side"]


def test_too_few_photographs_are_named(squares: SmallHome) -> None:
    squares.settings = squares.settings.replace("0.25", "0.1")
    squares.register("")
    photos = squares.context().store.read("photos").rows(named=True)
    rows = [
        {
            "photo_id": photo["photo_id"],
            "corpus": "photographs",
            "group": photo["group"],
            "fold": int(photo["group"][1]),
        }
        | {"view": view, "square": 0}
        for photo in photos
        for view in VIEWS
    ]
    squares.write("square_features", rows)
    squares.write("square_logits", [])
    squares.write("reconstruction_pairs", [])
    # Four photographs in six pictures each are four.
    with pytest.raises(UserError, match="needs at least 9 calibration scores, there are 4; register more"):
        squares.run(square_detectors)


def test_a_file_that_is_gone_is_said(squares: SmallHome, tmp_path: Path) -> None:
    row = {"detector": "combined", "track": "as_shipped", "detector_id": "0" * 16, "detector_version": "0" * 16}
    squares.write("detectors", [row | {"family": "combined", "description": "x"}], "squares")
    (known,) = detectors_on_squares(squares.context())
    with pytest.raises(UserError, match=r"the weights of combined cannot be read .* run `sdaie run --force`"):
        known.load(tmp_path)
