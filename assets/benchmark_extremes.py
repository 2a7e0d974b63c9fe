"""The most and the least photographic images of each set by the newest combined detector, with small pictures.

Choosing them and making their pictures belong here; how the pictures are shown belongs to the report.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from assets.benchmark_images import benchmark_images, folder_of
from assets.benchmark_scores import benchmark_scores
from assets.decoding import decoding
from assets.stage import Context, Product, stage
from warehouse.champion import COMBINED
from warehouse.places import Place, RefusedError
from warehouse.registry import resolve
from warehouse.shards import Quarantined, Rows, frame, quarantine_frame
from warehouse.source_folder import FolderSource
from warehouse.sources import read_place

PLACES = 8
_SIDE = 120
_QUALITY = 80


@stage(
    group="benchmark",
    tables=["benchmark_extremes"],
    upstream=[benchmark_images, benchmark_scores],
)
def benchmark_extremes(context: Context) -> Product:
    """The 8 most and 8 least photographic photographs and generated images of each set, on the headline track."""
    rows: Rows = []
    refused: list[Quarantined] = []
    with decoding() as decode:
        for (dataset, *_), judged in _judged(context).group_by(["dataset", "label"], maintain_order=True):
            folder = folder_of(resolve(context.home, context.registry.datasets[str(dataset)].source))
            # Equal scores stand in the order of their content. With fewer than 16 images the two ends overlap.
            ordered = judged.sort("score", "image_id")
            chosen = {"most": ordered.head(PLACES), "least": ordered.tail(PLACES).reverse()}
            pictures: dict[str, bytes | None] = {}
            for side, images in chosen.items():
                for place, image in enumerate(images.iter_rows(named=True), start=1):
                    uri, identity = image.pop("uri"), image["image_id"]
                    if identity not in pictures:
                        try:
                            pictures[identity] = thumbnail(decode, folder, uri, identity)
                        except RefusedError as error:
                            pictures[identity] = None
                            refused.append(Quarantined(str(dataset), uri, error.reason, error.detail, identity))
                    rows.append(image | {"side": side, "place": place, "picture": pictures[identity]})
    return Product(
        {"benchmark_extremes": frame("benchmark_extremes", rows)},
        {"images": len(rows), "without_picture": len(refused)},
        {"benchmark_extremes": quarantine_frame("benchmark_extremes", refused)},
    )


def _judged(context: Context) -> pl.DataFrame:
    """What the newest combined detector says of every image of the registered sets on the headline track."""
    from models.perturbations import NONE
    from models.tracks import FORMAT_MATCHED

    partitions = context.benchmark_partitions()
    images = context.store.read("benchmark_images", partitions, ["dataset", "image_id", "uri"])
    columns = ["dataset", "label", "image_id", "generator", "detector", "track", "perturbation", "score", "p_value"]
    return (
        context.store.read("benchmark_scores", partitions, columns)
        .filter(
            pl.col("detector") == COMBINED,
            pl.col("track") == FORMAT_MATCHED,
            pl.col("perturbation") == NONE,
            pl.col("score").is_not_null(),
        )
        .drop("perturbation")
        .join(images, on=["dataset", "image_id"])
        .sort("dataset", "label", "image_id")
    )


def thumbnail(decode: Callable[[bytes], npt.NDArray[np.uint8]], folder: Path, uri: str, image_id: str) -> bytes:
    """The image as a JPEG of at most 120 px on a side, without metadata.

    Raises RefusedError where the file is not to be read or decoded, or no longer has the content `image_id`.
    """
    data = read_place({"": FolderSource(folder)}, Place(image_id, "", uri))
    picture = Image.fromarray(decode(data))
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()
