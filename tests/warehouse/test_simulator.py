"""The simulated corpus and benchmark: files, EXIF, determinism, and that the known truth is in the pixels."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from warehouse.cameras import MAKERS, Settings, draw_body, draw_settings
from warehouse.exposure import demosaic, photograph, quantisation_tables
from warehouse.generators import GENERATORS, decoded, mean_absolute_residual, recompress
from warehouse.scenes import power_law, render_scene
from warehouse.simulator import SIMULATOR_SOFTWARE, simulate_benchmark, simulate_corpus

PAIRS = 24
PHOTOGRAPHS, PHOTOGRAPHERS = 132, 12


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    simulate_corpus(folder, photographs=PHOTOGRAPHS, groups=PHOTOGRAPHERS)
    return folder


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    simulate_benchmark(folder, per_generator=PAIRS)
    return folder


def photographs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/IMG_0*.jpg"))


def read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def exif_of(paths: list[Path]) -> list[dict[str, Any]]:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool not there")
    answer = subprocess.run(
        ["exiftool", "-j", "-n", "-G1", *map(str, paths)], capture_output=True, check=True, text=True
    )
    rows: list[dict[str, Any]] = json.loads(answer.stdout)
    return rows


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def auroc(real: NDArray[np.float64], fake: NDArray[np.float64]) -> float:
    return float(np.mean((fake[:, None] > real) + 0.5 * (fake[:, None] == real)))


def test_corpus_has_its_photographs_and_some_files_that_are_none(corpus: Path) -> None:
    paths = photographs(corpus)
    assert len(paths) == PHOTOGRAPHS
    assert len({path.parent for path in paths}) == PHOTOGRAPHERS
    shapes = {read(path).shape for path in paths}
    assert all(min(shape[:2]) >= 320 for shape in shapes)
    assert any(h > w for h, w, _ in shapes)
    assert any(h < w for h, w, _ in shapes)
    others = set(corpus.rglob("*.*")) - set(paths)
    assert {path.name for path in others} == {"notes.txt", "IMG_9999.jpg", "IMG_9998_copy.jpg"}
    for path in others - {corpus / "notes.txt"}:
        with pytest.raises((UnidentifiedImageError, OSError)):
            read(path)


def test_exif_says_what_cameras_say(corpus: Path) -> None:
    rows = exif_of(photographs(corpus))
    assert {row["IFD0:Software"] for row in rows} == {SIMULATOR_SOFTWARE}
    assert len({row["IFD0:Make"] for row in rows}) == len(MAKERS)
    names = (
        "FNumber ExposureTime ISO FocalLength FocalLengthIn35mmFormat ExposureCompensation BrightnessValue Flash "
        "MeteringMode ExposureMode WhiteBalance SceneCaptureType ApertureValue ShutterSpeedValue ExposureProgram "
        "DateTimeOriginal"
    )
    for name in names.split():
        assert np.mean([f"ExifIFD:{name}" in row for row in rows]) > 0.85, name
    for row in rows:
        number, bias = row["ExifIFD:FNumber"], row.get("ExifIFD:ExposureCompensation")
        if {"ExifIFD:BrightnessValue"} <= row.keys() and bias is not None and number != "undef":
            if row["ExifIFD:ISO"] == 65535:
                continue
            av, tv = 2 * np.log2(number), -np.log2(row["ExifIFD:ExposureTime"])
            sv = np.log2(row["ExifIFD:ISO"] / 3.125)
            assert row["ExifIFD:BrightnessValue"] == pytest.approx(av + tv - sv + bias, abs=0.6)


def test_exif_is_sometimes_missing_or_void_as_in_life(tmp_path: Path) -> None:
    from warehouse.simulated_exif import camera_exif

    rng = np.random.default_rng(0)
    body = draw_body(rng, MAKERS[2], benchmark=False)
    seen: list[tuple[object, ...]] = []
    for _ in range(400):
        exif = Image.Exif()
        exif.load(camera_exif(rng, body, draw_settings(rng, body, night_owl=0.2), 320, 384))
        assert exif[0x010F] == body.maker.make
        tags = exif.get_ifd(0x8769)
        seen.append((str(tags[0x829D]), tags[0x8827], tags[0x9207], tags.get(0xA405), 0x9203 in tags))
    voids = ("nan", 65535, 0, 0, False)
    for column, void in zip(zip(*seen, strict=True), voids, strict=True):
        assert 0 < sum(value == void for value in column) < 40


@pytest.mark.slow
def test_same_seed_gives_the_same_bytes_whatever_the_workers_and_other_seeds_do_not(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    for name, workers in (("one", 1), ("two", 2)):
        simulate_corpus(tmp_path / name, photographs=4, groups=2, seed=5, workers=workers,
                        progress=lambda done, total: seen.append((done, total)))  # fmt: skip
        simulate_benchmark(tmp_path / name / "b", per_generator=1, seed=5, workers=workers)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert seen[:5] == [(done, 4) for done in range(5)]
    simulate_corpus(tmp_path / "other", photographs=4, groups=2, seed=6, workers=1)
    one, other = digests(tmp_path / "one"), digests(tmp_path / "other")
    assert all(one[name] != other[name] for name in other if "IMG_00" in name)


def test_a_stopped_run_goes_on_and_keeps_what_is_finished(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_corpus(tmp_path / "a", photographs=4, groups=2, workers=1, progress=stop)
    kept = {path: path.stat().st_mtime_ns for path in photographs(tmp_path / "a")}
    assert len(kept) == 2
    simulate_corpus(tmp_path / "a", photographs=4, groups=2, workers=1)
    simulate_corpus(tmp_path / "b", photographs=4, groups=2, workers=1)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert not list(tmp_path.rglob("*.part"))


def test_scenes_have_detail_at_every_scale() -> None:
    slopes = []
    for seed in range(8):
        scene = render_scene(np.random.default_rng(seed), 320, 384)
        luma = np.log(scene.radiance.mean(axis=2))
        energies = [
            np.log2((ndimage.gaussian_filter(luma, s) - ndimage.gaussian_filter(luma, 2 * s)).std())
            for s in (0.7, 1.4, 2.8, 5.6, 11.2)
        ]
        assert np.ptp(energies) < 4.5
        slopes.append(np.polyfit(np.arange(5), energies, 1)[0])
    assert 0 < np.mean(slopes) < 0.9


def test_power_law_fields_are_steeper_for_higher_slopes() -> None:
    def fine(slope: float) -> float:
        field = power_law(np.random.default_rng(3), 200, 256, slope)
        assert field.std() == pytest.approx(1, abs=1e-3)
        return float(np.diff(field).std())

    assert fine(0.5) > fine(1.0) > fine(1.5) > fine(2.0)


@pytest.mark.parametrize("method", [0, 1])
def test_demosaicing_returns_flat_colours_unchanged(method: int) -> None:
    raw = np.empty((32, 32), np.float32)
    raw[0::2, 0::2], raw[0::2, 1::2], raw[1::2, 0::2], raw[1::2, 1::2] = 0.2, 0.5, 0.5, 0.7
    inner = demosaic(raw, method)[4:-4, 4:-4]
    assert np.abs(inner - [0.2, 0.5, 0.7]).max() < 1e-6


def settings(**changed: Any) -> Settings:
    plain: dict[str, Any] = {
        "f_number": 5.6,
        "exposure_time_s": 1 / 1000,
        "iso": 100,
        "focal_length_mm": 50.0,
        "focal_length_35mm_mm": 50,
        "exposure_bias_ev": 0.0,
        "brightness_ev": 8.0,
        "flash": 16,
        "metering_mode": 5,
        "exposure_mode": 0,
        "exposure_program": 2,
        "white_balance": 0,
        "scene_capture_type": 0,
    }
    return Settings(**{**plain, **changed})


@pytest.mark.parametrize(
    ("first", "second", "more"),
    [
        ({"iso": 100}, {"iso": 3200}, True),
        ({"exposure_time_s": 1 / 2000}, {"exposure_time_s": 1 / 8}, False),
        ({"f_number": 8.0}, {"f_number": 1.4}, False),
        ({"exposure_bias_ev": 0.0}, {"exposure_bias_ev": -2.0}, False),
    ],
)
def test_settings_leave_the_traces_that_physics_gives_them(
    first: dict[str, Any], second: dict[str, Any], more: bool
) -> None:
    ratios = []
    for seed in range(3):
        body = draw_body(np.random.default_rng(seed), MAKERS[1], benchmark=False)
        residuals = []
        for changed in (first, second):
            picture, options = photograph(np.random.default_rng(seed), body, settings(**changed), 320, 320)
            residuals.append(mean_absolute_residual(decoded(picture, options)))
        ratios.append(residuals[1] / residuals[0])
    assert (min(ratios) > 1.5) if more else (max(ratios) < 1.0)


def test_makers_have_their_own_quantisation_tables(corpus: Path) -> None:
    expected = {maker.make.strip("\0 "): quantisation_tables(maker) for maker in MAKERS}
    assert len({str(tables) for tables in expected.values()}) == len(MAKERS)
    for path in photographs(corpus)[::10]:
        with Image.open(path) as image:
            stored: dict[int, Any] = image.quantization  # type: ignore[attr-defined]
            make = str(image.getexif()[0x010F]).strip("\0 ")
        assert sorted(stored[0]) == sorted(expected[make][0])


@pytest.mark.slow
def test_benchmark_cameras_are_in_no_corpus(corpus: Path, benchmark: Path) -> None:
    seen = {row["IFD0:Model"] for row in exif_of(photographs(corpus))}
    rows = exif_of(sorted(benchmark.glob("*/0_real/*.jpg")))
    assert len({row["IFD0:Model"] for row in rows}) >= 4
    assert not seen & {row["IFD0:Model"] for row in rows}
    for row in exif_of(sorted(benchmark.glob("*/1_fake/*.jpg"))):
        assert row["IFD0:Software"] == SIMULATOR_SOFTWARE
        assert not any(key.startswith("ExifIFD") or key == "IFD0:Make" for key in row)


@pytest.mark.slow
def test_complexity_alone_does_not_tell_generated_pictures(benchmark: Path) -> None:
    assert sorted(path.name for path in benchmark.iterdir()) == sorted(GENERATORS)
    pooled: dict[tuple[str, str], list[float]] = {}
    for generator in GENERATORS:
        measured: dict[str, NDArray[np.float64]] = {}
        for kind in ("0_real", "1_fake"):
            pictures = [read(path) for path in sorted((benchmark / generator / kind).glob("*.jpg"))]
            assert len(pictures) == PAIRS
            measured[kind] = np.array(
                [(mean_absolute_residual(p), mean_absolute_residual(recompress(p)), p.mean()) for p in pictures]
            )
        for column, name in enumerate(("as it is", "matched", "brightness")):
            real, fake = measured["0_real"][:, column], measured["1_fake"][:, column]
            assert 0.4 < auroc(real, fake) < 0.6, (generator, name)
            pooled.setdefault((name, "real"), []).extend(real)
            pooled.setdefault((name, "fake"), []).extend(fake)
    for name in ("as it is", "matched", "brightness"):
        assert 0.4 < auroc(np.array(pooled[name, "real"]), np.array(pooled[name, "fake"])) < 0.6


def residual_statistics(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Simple statistics of the high-frequency residuals of 64-pixel patches: their mean, least and spread."""
    pixels = picture[: picture.shape[0] // 64 * 64, : picture.shape[1] // 64 * 64].astype(np.float32)
    luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)

    def patches(field: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, columns = luma.shape[0] // 64, luma.shape[1] // 64
        means = np.pad(field, [(0, n - m) for n, m in zip(luma.shape, field.shape, strict=True)], mode="edge")
        return np.asarray(means.reshape(rows, 64, columns, 64).mean(axis=(1, 3)).ravel(), dtype=np.float32)

    values = [patches(luma) / 255]
    for p in (luma, pixels[..., 0] - pixels[..., 1], pixels[..., 2] - pixels[..., 1]):
        centre = 2 * p[1:-1, 1:-1]
        across, down = p[1:-1, 2:] - centre + p[1:-1, :-2], p[2:, 1:-1] - centre + p[:-2, 1:-1]
        falling, rising = p[2:, 2:] - centre + p[:-2, :-2], p[2:, :-2] - centre + p[:-2, 2:]
        residuals = [across, down, falling, rising, (falling + rising) / 4 - (across + down) / 2]
        energies = [np.log(patches(np.abs(r)) + 0.01) for r in residuals]
        values += [*energies, np.abs(energies[0] - energies[1]), np.abs(energies[2] - energies[3])]
        values.append(np.ptp(energies[:4], axis=0))
        for r in residuals:
            scale = patches(r**2) + 1e-6
            values += [patches(r[:, 1:] * r[:, :-1]) / scale, patches(r[1:] * r[:-1]) / scale]
            values += [patches(r[:, 2:] * r[:, :-2]) / scale, patches(r[2:] * r[:-2]) / scale]
            values.append(patches(r**4) ** 0.25 / scale**0.5)
    table = np.array(values)
    return np.concatenate([table.mean(axis=1), table.min(axis=1), table.std(axis=1)]).astype(np.float64)


@pytest.mark.slow
def test_settings_can_be_ranked_on_unseen_photographers_from_residuals(corpus: Path) -> None:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    paths = photographs(corpus)
    X = np.stack([residual_statistics(read(path)) for path in paths])
    rows = exif_of(paths)
    held_out = np.array([path.parent.name >= "photographer_08" for path in paths])
    accuracy = {}
    for name in ("ISO", "ExposureTime", "FNumber", "FocalLength", "BrightnessValue"):
        raw = [row.get(f"ExifIFD:{name}", "undef") for row in rows]
        known = np.array([value not in ("undef", 65535) and (name == "BrightnessValue" or value != 0) for value in raw])
        y = np.array([float(value) if ok else 0.0 for value, ok in zip(raw, known, strict=True)])
        y[known] = y[known] if name == "BrightnessValue" else np.log2(y[known])
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 9)))
        model.fit(X[known & ~held_out], y[known & ~held_out])
        truth, guess = y[known & held_out], model.predict(X[known & held_out])
        a, b = np.triu_indices(len(truth), 1)
        differ = truth[a] != truth[b]
        accuracy[name] = float(np.mean(((truth[a] > truth[b]) == (guess[a] > guess[b]))[differ]))
    assert accuracy["ISO"] > 0.75, accuracy
    assert accuracy["FNumber"] > 0.55, accuracy
    assert np.mean(list(accuracy.values())) > 0.6, accuracy


@pytest.mark.slow
def test_structure_tells_most_generators_where_complexity_does_not(corpus: Path, benchmark: Path) -> None:
    from sklearn.covariance import LedoitWolf
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler()
    reference = scale.fit_transform([residual_statistics(recompress(read(path))) for path in photographs(corpus)])
    density = LedoitWolf().fit(reference)
    found = {}
    for generator in GENERATORS:
        scores = {}
        for kind in ("0_real", "1_fake"):
            paths = sorted((benchmark / generator / kind).glob("*.jpg"))
            scores[kind] = density.mahalanobis(
                scale.transform([residual_statistics(recompress(read(p))) for p in paths])
            )
        found[generator] = auroc(scores["0_real"], scores["1_fake"])
    assert sum(value > 0.6 for value in found.values()) >= 2, found
