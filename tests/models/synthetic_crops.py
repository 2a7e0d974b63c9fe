"""Small corpora of crops whose tags can be read off their pixels: noise is ISO, blur is exposure time."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageFilter

SCHEMA = pa.schema(
    [
        ("photo_id", pa.string()),
        ("crop", pa.int16()),
        ("x", pa.int32()),
        ("y", pa.int32()),
        ("png", pa.binary()),
    ]
)


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def photograph(rng: np.random.Generator, iso: float, time: float) -> NDArray[np.uint8]:
    """A random texture, blurred with the exposure time, then noise that grows with ISO."""
    texture = Image.fromarray(rng.integers(256, size=(64, 64, 3), dtype=np.uint8)).resize((128, 128))
    blurred = texture.filter(ImageFilter.GaussianBlur(0.5 + 80 * time))
    noise = rng.normal(size=(128, 128, 3)) * 0.6 * np.sqrt(iso / 100)
    pixels: NDArray[np.uint8] = np.clip(np.asarray(blurred) + noise, 0, 255).round().astype(np.uint8)
    return pixels


def write(folder: Path, photos: int, crops: int = 1, seed: int = 0) -> tuple[list[Path], Path]:
    """Write shards of crops and the targets of `photos` photographs in groups of four; return their paths."""
    rng = np.random.default_rng(seed)
    targets: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for number in range(photos):
        iso, time = 100 * 2 ** rng.uniform(0, 6), 2 ** rng.uniform(-10, -5)
        photo_id = f"{number:064x}"
        noisy = "noisy" if iso > 800 else "quiet"
        targets.append(
            {
                "photo_id": photo_id,
                "group": f"group-{number // 4}",
                "fold": number // 4 % 5,
                "make": noisy if number % 7 else None,
                "model": None,
                "flash": None,
                "metering_mode": None,
                "exposure_mode": "auto",
                "white_balance": None,
                "scene_capture_type": None,
                "f_number": 2.8,
                "exposure_time_s": time,
                "iso": iso if number % 5 else None,
                "focal_length_mm": None,
                "focal_length_35mm_mm": None,
                "exposure_bias_ev": None,
                "brightness_ev": None,
            }
        )
        for crop in range(crops):
            pixels = photograph(rng, iso, time)
            rows.append({"photo_id": photo_id, "crop": crop, "x": 0, "y": 0, "png": png(pixels)})
    kinds = [(name, pa.string()) for name in list(targets[0])[:10] if name != "fold"]
    kinds.insert(2, ("fold", pa.int8()))
    kinds += [(name, pa.float64()) for name in list(targets[0])[10:]]
    pq.write_table(pa.Table.from_pylist(targets, schema=pa.schema(kinds)), folder / "targets.parquet")
    shards = []
    for start in range(0, len(rows), 100):
        path = folder / f"crops-{start:06d}.parquet"
        pq.write_table(pa.Table.from_pylist(rows[start : start + 100], schema=SCHEMA), path, row_group_size=64)
        shards.append(path)
    return shards, folder / "targets.parquet"
