"""Asset checks: nothing is lost on the way, and nothing that is scored looks like what was learned from.

Each check reads rows that are there; how a stage decides belongs to the stage. Where what goes into a stage is not what
comes out of it plus what it quarantined, the run stops; pictures that look alike, and drift, are warnings.
"""

from collections.abc import Callable, Iterable

import dagster as dg
import polars as pl

from assets.corpus import CALIBRATION, UNSEEN_FOLDS
from assets.pixel_scores import REFERENCE
from assets.promotion import AUROC, PRETEXT, RATE
from warehouse.benchmark_sets import list_images
from warehouse.home import Home
from warehouse.registry import read_registry, resolve
from warehouse.revisions import PHOTO, QUARANTINED
from warehouse.shards import quarantine_partition
from warehouse.store import Store

NAMED = 20
"""Pairs, or photographs, that a warning names; the tables have all."""
Count = Callable[[Store, Home], tuple[int, int, int]]


def _quarantined(store: Store, table: str) -> int:
    return len(store.read("quarantine", [quarantine_partition(table)]))


def _files(store: Store, home: Home) -> tuple[int, int, int]:
    """Files listed, photographs among them, files quarantined, over all registered corpora; apart from what was."""
    manifests = {name: store.manifest("files", name) for name in read_registry(home).corpora}
    corpora = [name for name, manifest in manifests.items() if manifest]
    rows = store.read("files", corpora, ["state", "span"]).filter(pl.col("state").is_in([PHOTO, QUARANTINED]))
    # A tar shard is listed as one; what is in it is known when it was read.
    listed = sum(manifest.provenance["settings"]["files"] for manifest in manifests.values() if manifest)
    refused = store.read("quarantine", [quarantine_partition("files", name) for name in corpora])
    return listed + rows["span"].count(), len(rows.filter(state=PHOTO)), len(refused)


def _exif_raw(store: Store, home: Home) -> tuple[int, int, int]:
    """Photographs, those with EXIF read, those that exiftool could not read."""
    rows = store.read("exif_raw", columns=["photo_id"])
    return len(store.read("photos", columns=["photo_id"])), len(rows), _quarantined(store, "exif_raw")


def _crops(store: Store, home: Home) -> tuple[int, int, int]:
    """Training photographs, those with crops, those that none could be cut from."""
    training = store.read("photos", columns=["use"]).filter(pl.col("use").str.contains("train"))
    cut = store.read("crops", columns=["photo_id"])["photo_id"].n_unique()
    return len(training), cut, _quarantined(store, "crops")


def _described(store: Store, table: str) -> tuple[int, int, int]:
    reference = store.read("photos", columns=["use"]).filter(pl.col("use").str.contains("reference"))
    return len(reference), store.read(table, columns=["photo_id"])["photo_id"].n_unique(), _quarantined(store, table)


def _reference(store: Store, home: Home) -> tuple[int, int, int]:
    """Reference photographs, those with features, those that could not be judged."""
    return _described(store, "reference_features")


def _squares(store: Store, home: Home) -> tuple[int, int, int]:
    """Reference photographs, those with squares, those without."""
    return _described(store, "square_features")


def _reference_crops(store: Store, home: Home) -> tuple[int, int, int]:
    """Reference photographs, those with a crop, those that none could be cut from."""
    return _described(store, "reference_crops")


def _logits(store: Store, home: Home) -> tuple[int, int, int]:
    """Reference photographs of folds 3 and 4, those that the networks were asked of, those without squares."""
    asked = store.read("square_logits", columns=["photo_id"])["photo_id"].n_unique()
    return _unseen_photographs(store), asked, _quarantined(store, "square_logits")


def _pairs(store: Store, home: Home) -> tuple[int, int, int]:
    """Reference photographs of folds 0 to 3, those with reconstructions, those that none could be made of."""
    paired = store.read("reconstruction_pairs", columns=["photo_id"])["photo_id"].n_unique()
    return _in_folds(store, range(CALIBRATION)), paired, _quarantined(store, "reconstruction_pairs")


def _unseen_photographs(store: Store) -> int:
    return _in_folds(store, UNSEEN_FOLDS)


def _in_folds(store: Store, folds: Iterable[int]) -> int:
    groups = store.read("splits").filter(pl.col("fold").is_in(list(folds)))["group"]
    photos = store.read("photos", columns=["use", "group"]).filter(pl.col("use").str.contains("reference"))
    return len(photos.filter(pl.col("group").is_in(groups.implode())))


def _binary_images(store: Store, home: Home) -> tuple[int, int, int]:
    """Images listed by the sets with the use train, those taken, those quarantined."""
    sources = [resolve(home, d.source) for d in read_registry(home).datasets.values() if "train" in d.use]
    listed = sum(len(list_images(source)) for source in sources)
    return listed, len(store.read("binary_images", columns=["image_id"])), _quarantined(store, "binary_images")


def _binary_crops(store: Store, home: Home) -> tuple[int, int, int]:
    """Images that train the binary detector, those with crops, those that none could be cut from."""
    training = store.read("binary_images", columns=["part"]).filter(pl.col("part") == "train")
    cut = store.read("binary_crops", columns=["image_id"])["image_id"].n_unique()
    return len(training), cut, _quarantined(store, "binary_crops")


def _reference_pixels(store: Store, home: Home) -> tuple[int, int, int]:
    """Reference photographs of folds 3 and 4, those that the detectors of pixels were asked, those not decoded."""
    asked = store.read("pixel_scores", [REFERENCE], ["image_id"])["image_id"].n_unique()
    refused = store.read("quarantine", [quarantine_partition("pixel_scores", REFERENCE)])
    return _unseen_photographs(store), asked, len(refused)


def _check(asset: str, count: Count) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(asset),
        name=f"{asset}_reconcile",
        blocking=True,
        description=f"{(count.__doc__ or '').rstrip('.')}: in = out + quarantined.",
    )
    def reconcile() -> dg.AssetCheckResult:
        home = Home.find()
        into, out, quarantined = count(Store(home.tables), home)
        return dg.AssetCheckResult(
            passed=into == out + quarantined, metadata={"in": into, "out": out, "quarantined": quarantined}
        )

    return reconcile


@dg.asset_check(
    asset=dg.AssetKey("near_duplicates"),
    description="No benchmark image looks like a picture that was learned from. A warning: see whether they are one.",
)
def near_duplicates_seen() -> dg.AssetCheckResult:
    """Passes where there are no pairs, else names the nearest."""
    pairs = Store(Home.find().tables).read("near_duplicates").sort("distance", "dataset", "image_id", "photo_id")
    named = [
        f"{dataset}/{uri} and {corpus}/{photo_uri} ({distance} bits)"
        for dataset, uri, corpus, photo_uri, distance in pairs.head(NAMED)
        .select("dataset", "uri", "corpus", "photo_uri", "distance")
        .iter_rows()
    ]
    return dg.AssetCheckResult(
        passed=pairs.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"pairs": len(pairs), **({"nearest": named} if named else {})},
    )


@dg.asset_check(
    asset=dg.AssetKey("exif_second_opinion"),
    description="Pillow's own reader says the same of EXIF as exiftool. A warning: see which of the two is right.",
)
def exif_readers_agree() -> dg.AssetCheckResult:
    """Passes where they always do; tells the agreement of every tag, and names the photographs with most differences.

    A tag agrees where both have it and say the same; one that only one of them has counts against it.
    """
    store = Store(Home.find().tables)
    rates = {
        f"agreement of {row['tag']}": round(row["agreed"] / having, 6)
        for row in store.read("exif_agreement").iter_rows(named=True)
        if (having := row["compared"] + row["only_exiftool"] + row["only_pillow"])
    }
    differing = (
        store.read("exif_disagreements")
        .group_by("photo_id")
        .agg(pl.col("tag").sort().str.join(", "), differences=pl.len())
        .join(store.read("photos", columns=["photo_id", "corpus", "uri"]), on="photo_id")
        .sort("differences", "photo_id", descending=[True, False])
    )
    named = [f"{row['corpus']}/{row['uri']} ({row['tag']})" for row in differing.head(NAMED).iter_rows(named=True)]
    return dg.AssetCheckResult(
        passed=differing.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"photographs": len(differing), **rates, **({"most": named} if named else {})},
    )


@dg.asset_check(
    asset=dg.AssetKey("drift"),
    description="New photographs are like those that the champion was made from. A warning: retraining is due.",
)
def retraining_due() -> dg.AssetCheckResult:
    """Passes where retraining is not due by any measure; tells each measure that makes it due, with its numbers."""
    rows = Store(Home.find().tables).read("drift")
    verdict = rows.filter(measure="retraining")
    due = rows.filter(pl.col("due") & (pl.col("measure") != "retraining")).sort("measure", "subject")
    counted = rows.filter(measure="new_photographs")
    numbers = {"new_photographs": counted["count_now"].item(), "of": counted["of_now"].item()} if len(counted) else {}
    return dg.AssetCheckResult(
        passed=not verdict["due"].item(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "champion": verdict["champion"].item() or "none",
            "verdict": verdict["reason"].item(),
            **numbers,
            **({"reasons": due["reason"].to_list()} if len(due) else {}),
        },
    )


def _gate(name: str, description: str) -> dg.AssetChecksDefinition:
    """What is asked of the challenger: where it does not pass, the champion stays."""

    @dg.asset_check(asset=dg.AssetKey("challenger"), name=name, blocking=True, description=description)
    def gate() -> dg.AssetCheckResult:
        rows = Store(Home.find().tables).read("gates").filter(gate=name).sort("subject").to_dicts()
        numbers = {
            f"{what} on {row['subject']}": row[column]
            for row in rows
            for column, what in (("value", "challenger"), ("champion_value", "champion"), ("bound", "bound"))
            if row[column] is not None
        }
        return dg.AssetCheckResult(
            passed=all(row["passed"] for row in rows),
            description="; ".join(row["reason"] for row in rows) or "no benchmark set is registered with gate = true",
            metadata=numbers,
        )

    return gate


CHECKS = [
    _check("files", _files),
    _check("exif_raw", _exif_raw),
    _check("crops", _crops),
    _check("binary_images", _binary_images),
    _check("binary_crops", _binary_crops),
    _check("reference_crops", _reference_crops),
    _check("reference_features", _reference),
    _check("square_features", _squares),
    _check("square_logits", _logits),
    _check("reconstruction_pairs", _pairs),
    _check("reference_pixel_scores", _reference_pixels),
    _gate(PRETEXT, "The challenger's backbone tells EXIF on held-out sources as well as the best champion's."),
    _gate(RATE, "The challenger flags as many photographs as its false-positive rate says."),
    _gate(AUROC, "The challenger tells generated images as well as the best champion, on the sets that gate."),
    exif_readers_agree,
    near_duplicates_seen,
    retraining_due,
]
