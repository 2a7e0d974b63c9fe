"""Drift: the photographs that came in since the champion was made, beside those it was made from (`drift`).

Finding the new ones, choosing some, and having the champion judge these once (`drift_scores`) belong here. What is
compared, and when retraining is due, belongs to `models/drift.py`; who answers to `promotion.py`.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from assets.corpus import photo_places, photos
from assets.exif import exif
from assets.stage import Context, Product, stage
from warehouse.champion import COMBINED, read_champion
from warehouse.home import UserError
from warehouse.places import Place, RefusedError, Source
from warehouse.reuse import EarlierShards, earlier_shards, stamped
from warehouse.schema import CATEGORICAL_COLUMNS, RANKED_COLUMNS
from warehouse.shards import Quarantined, Rows, cut_shards, frame, quarantine_partition, run_shards
from warehouse.share_picture import Shares, shares_markdown
from warehouse.sources import corpus_sources, read_place
from warehouse.store import Shard

if TYPE_CHECKING:
    from models.combined import CombinedDetector
    from models.drift import Finding

TABLE, SCORES, MADE_FROM = "drift", "drift_scores", "champion_photographs"
JUDGED = 200
"""New photographs that are judged, at most: of a share of 5% flagged, the interval then spans some 3% either way."""
_TAGS = [column.name for column in (*CATEGORICAL_COLUMNS, *RANKED_COLUMNS)]


def _champion(context: Context) -> list[object]:
    """Who answers, what is known of the photographs it was made from, and whether its file is there."""
    identity = read_champion(context.home)
    if identity is None:
        return []
    made_from = context.store.manifest(MADE_FROM, identity)
    return [identity, made_from and made_from.digest, context.home.detector_file(identity).exists()]


@stage(
    group="promotion",
    tables=[TABLE, SCORES],
    upstream=[photos, exif],
    settings=_champion,
    kinds=["parquet", "torch"],
    # A new champion comes first; but without any there is an answer too.
    external=["champion"],
    eager=True,
    # Photographs come in daily where a home is in use, and retraining weekly: a day later than that nobody is looking.
    fresh_within=timedelta(days=8),
)
def drift(context: Context) -> Product:
    """Is retraining due? New photographs beside those that the champion was made from: EXIF, and what it says."""
    from models.drift import no_comparison

    identity = read_champion(context.home)
    nothing = _nothing_to_compare(context, identity)
    if identity is None or nothing is not None:
        tables = {TABLE: _rows(identity, no_comparison(nothing or "")), SCORES: frame(SCORES, [])}
        return Product(tables, {"due": 1}, {quarantine_partition(SCORES): frame("quarantine", [])})
    return _compared(context, identity)


def _nothing_to_compare(context: Context, identity: str | None) -> str | None:
    """Why there is nothing to compare with, in words; None where there is."""
    if identity is None:
        return "no detector answers yet"
    if not context.home.detector_file(identity).exists():
        return f"the file of the champion, {identity}, is gone"
    if context.store.manifest(MADE_FROM, identity) is None:
        return f"which photographs the champion, {identity}, was made from was not kept"
    return None


def _compared(context: Context, identity: str) -> Product:
    from models import drift as measures

    here = context.store.read("photos")
    made_from = context.store.read(MADE_FROM, [identity], ["photo_id"])
    new = here.join(made_from, on="photo_id", how="anti")
    known = context.store.read("exif", columns=["photo_id", *_TAGS])
    before, now = (known.join(ids, on="photo_id", how="semi") for ids in (made_from, new))
    chosen = _chosen(new)
    shards, refused = _judged(context, identity, chosen)
    paths = [context.store.folder(SCORES) / shard.file for shard in shards]
    scores = pl.concat([frame(SCORES, []), *(pl.read_parquet(path) for path in paths)])["score"]
    detector = _detector(context.home.detector_file(identity))
    findings = [
        measures.new_photographs(len(new), len(here)),
        measures.unseen(measures.UNSEEN_MAKE, _makes(before), _makes(now)),
        measures.unseen(measures.UNSEEN_MODEL, _models(before), _models(now)),
        *measures.missing_tags(_missing(before), len(before), _missing(now), len(now)),
        *measures.sample(len(new), len(chosen), len(scores)),
        *measures.scores(scores.to_numpy(), detector.calibration.images[COMBINED], detector.fpr),
    ]
    verdict = measures.retraining(findings)
    numbers = {
        "new_photographs": len(new),
        "share_new": round(len(new) / max(1, len(here)), 4),
        "judged": len(scores),
        "due": int(verdict.due),
    }
    tables: dict[str, pl.DataFrame | Sequence[Shard]] = {TABLE: _rows(identity, [*findings, verdict]), SCORES: shards}
    return Product(tables, numbers, {quarantine_partition(SCORES): refused}, {"missing_tags": _picture(findings)})


def _picture(findings: "Sequence[Finding]") -> str:
    from models.drift import MISSING_TAG

    tags = [each for each in findings if each.measure == MISSING_TAG]
    shares = [Shares(each.subject, each.before or 0.0, each.now or 0.0, each.due) for each in tags]
    return shares_markdown("Photographs without a tag: before (grey), and new ones; red makes retraining due", shares)


def _rows(identity: str | None, findings: "Sequence[Finding]") -> pl.DataFrame:
    return frame(TABLE, [vars(finding) | {"champion": identity} for finding in findings])


def _makes(rows: pl.DataFrame) -> dict[str, int]:
    return dict(rows.drop_nulls("make").group_by("make").len().iter_rows())


def _models(rows: pl.DataFrame) -> dict[str, int]:
    named = rows.drop_nulls(["make", "model"]).select(name=pl.concat_str("make", "model", separator=" "))
    return dict(named.group_by("name").len().iter_rows())


def _missing(rows: pl.DataFrame) -> dict[str, int]:
    """By tag, how many photographs are without it."""
    return {tag: rows[tag].null_count() for tag in _TAGS}


def _chosen(new: pl.DataFrame) -> pl.DataFrame:
    """Those of the new photographs that are judged, an even share of each group.

    Their order is that of their contents' SHA-256, which is as good as drawn, and stays when others come in.
    """
    turns = new.sort("photo_id").with_columns(turn=pl.int_range(pl.len()).over("group"))
    return turns.sort("turn", "photo_id").head(JUDGED)


def _judged(context: Context, identity: str, chosen: pl.DataFrame) -> tuple[list[Shard], list[Shard]]:
    work = cut_shards(SCORES, photo_places(chosen), _content, lambda place: list(place[:3]), identity)
    return run_shards(
        context.store,
        context.compute,
        SCORES,
        stamped(work, context.version),
        partial(
            judge_photographs,
            identity,
            context.home.detector_file(identity),
            corpus_sources(context.home, context.registry),
            earlier_shards(context.store, SCORES, context.partition, "photo_id", context.version, context.force),
        ),
        progress=context.progress("new photographs"),
        again=context.force,
    )


def _content(place: Place) -> str:
    return place.sha256


def judge_photographs(
    identity: str, file: Path, sources: dict[str, Source], earlier: EarlierShards, places: tuple[Place, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `drift_scores` for some photographs, and those without a square to judge; earlier answers are kept.

    They are judged as `sdaie detect` does, but for its reasons to give no verdict: calibration photographs are spared
    by none, and a picture like none of them is what is looked for.
    """
    from assets.sight import seeing
    from models.threads import one_thread

    rows = earlier.rows({place.sha256 for place in places}, {"detector_id": [identity]}).to_dicts()
    answered = {row["photo_id"] for row in rows}
    missing = [place for place in places if place.sha256 not in answered]
    refused: list[Quarantined] = []
    if not missing:
        return rows, refused
    detector = _detector(file)
    with one_thread(), seeing(show=False) as see:
        for place in missing:
            try:
                seen = see(read_place(sources, place)).squares
                if not len(seen):
                    raise RefusedError("too_small", "no room for a square of 128 x 128 px")
            except RefusedError as error:
                refused.append(Quarantined(place.source, place.uri, error.reason, error.detail, place.sha256))
                continue
            found = detector.examine_squares(seen)
            said = {"score": found.score, "p_value": found.p_value}
            rows.append({"detector_id": identity, "photo_id": place.sha256, **said})
    return rows, refused


def _detector(file: Path) -> "CombinedDetector":
    """The champion. Raises UserError where its file is not whole."""
    from assets.detection import Chosen

    try:
        return Chosen(file, file.read_bytes()).load().detector
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
