"""Small sets of photographs and generated images: the generated ones are enlarged twofold, pixel by pixel."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from models.weights import save_untrained
from tests.models.synthetic_crops import png

IMAGES = pa.schema(
    [
        ("image_id", pa.string()),
        ("generator", pa.string()),
        ("label", pa.int8()),
        ("part", pa.string()),
    ]
)
CROPS = pa.schema([("image_id", pa.string()), ("crop", pa.int16()), ("png", pa.binary())])


def picture(rng: np.random.Generator, generated: bool, side: int = 96) -> NDArray[np.uint8]:
    """A smooth texture with noise; a generated one is made at half the size, and every pixel becomes four."""
    small = side // 2 if generated else side
    texture = Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8)).resize((small, small))
    noisy = np.asarray(texture.filter(ImageFilter.GaussianBlur(1))) + rng.normal(scale=6, size=(small, small, 3))
    pixels = noisy.clip(0, 255).round().astype(np.uint8)
    return np.kron(pixels, np.ones((2, 2, 1), np.uint8)) if generated else pixels


def pretext(folder: Path, seed: int) -> str:
    """Write an untrained pretext backbone; return its path."""
    path = folder / "pretext" / "backbone.safetensors"
    save_untrained(path, "compact", seed)
    return str(path)


def write(folder: Path, images: int, generators: tuple[str, ...] = ("x", "y"), seed: int = 0) -> dict[str, Any]:
    """Write crops, the table of images and an untrained pretext backbone; return them as the paths of a job.

    Every second image is a photograph; one in ten is of the part `evaluate`. The generated ones take turns.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    crops: list[dict[str, Any]] = []
    for number in range(images):
        label = number % 2
        content = png(picture(rng, bool(label)))
        identity = hashlib.sha256(content).hexdigest()
        generator = generators[number // 2 % len(generators)] if label else "real"
        part = "evaluate" if number % 20 > 17 else "train"
        rows.append({"image_id": identity, "generator": generator, "label": label, "part": part})
        crops.append({"image_id": identity, "crop": 0, "png": content})
    rows.sort(key=lambda row: str(row["image_id"]))
    crops.sort(key=lambda row: str(row["image_id"]))
    pq.write_table(pa.Table.from_pylist(rows, schema=IMAGES), folder / "images.parquet")
    half = len(crops) // 2
    shards = []
    for number, part_of_crops in enumerate((crops[:half], crops[half:])):
        shards.append(folder / f"crops-{number}.parquet")
        pq.write_table(pa.Table.from_pylist(part_of_crops, schema=CROPS), shards[-1], row_group_size=32)
    return {
        "task": "binary",
        "crop_shards": [str(shard) for shard in shards],
        "images": str(folder / "images.parquet"),
        "pretext": pretext(folder, seed=3),
    }
