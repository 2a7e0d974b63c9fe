"""The challenger and the champion: what the newest detector is asked, and the pointer to the one that answers.

Which numbers are looked at belongs here; the rules on them to `models/gates.py`, the history of decisions to
`champions.py`. Asset checks (`checks.py`) read the rows of `gates`, and keep a refused challenger from the champion's
place.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import polars as pl

from assets.backbone import backbone
from assets.benchmark_metrics import benchmark_metrics
from assets.benchmark_scores import benchmark_scores
from assets.champion_before import NAME, champion_before
from assets.champions import (
    HISTORY,
    Decision,
    decide,
    decisions,
    newest,
    opponent,
    point,
    reasons_of,
    settled,
)
from assets.conditions import EVALUATE, evaluated_images
from assets.square_detectors import SQUARES, square_detectors
from assets.stage import Context, Product, stage
from warehouse.benchmark_sets import REAL
from warehouse.champion import COMBINED, read_champion
from warehouse.home import UserError, digest
from warehouse.shards import Rows, frame, quarantine_partition

PRETEXT, RATE, AUROC = "pretext_validation", "realised_false_positive_rate", "headline_auroc"
GATES = (PRETEXT, RATE, AUROC)
VALIDATION = 3
_HELD_OUT = "held-out sources"


def gate_sets(context: Context) -> list[str]:
    """The registered sets that a challenger may not do worse on."""
    return [name for name, each in context.registry.datasets.items() if each.gate and EVALUATE in each.use]


def _settings(context: Context) -> object:
    return {"sets": gate_sets(context), "by_hand": _by_hand(context)}


def _by_hand(context: Context) -> int:
    """How often a person has decided: whoever answers then is another, though nothing was made anew."""
    return sum(each.by == "person" for each in decisions(context.store))


@stage(
    group="promotion",
    tables=["gates"],
    upstream=[backbone, square_detectors, champion_before, benchmark_scores, benchmark_metrics],
    settings=_settings,
    kinds=["parquet", "scikitlearn"],
    # A warning where a weekly retraining did not come to it, a failure where none of a month did.
    fresh_within=timedelta(days=32),
)
def challenger(context: Context) -> Product:
    """The newest detector against the champion: pretext validation, realised false-positive rate, headline AUROC."""
    identity = newest(context.store)
    rows = [{"challenger": identity, **row} for row in _judged(context, identity)]
    if (point(context.home) or read_champion(context.home)) in (None, identity):
        # The first detector answers whatever its numbers are, and whoever answers already is not to be refused.
        rows = [row | {"passed": True} for row in rows]
    refused = [row for row in rows if not row["passed"]]
    for row in refused:
        context.say(f"{identity}: {row['reason']}")
    _photographs(context, identity)
    # What a person took back need not be refused as well.
    if refused and settled(context.home, identity) is None and not _decided_so(context, identity, rows):
        decide(context.home, "refused", identity, rows)
    numbers = {f"{row['gate']} {row['subject']}": row["value"] for row in rows if row["value"] is not None}
    return Product({"gates": frame("gates", rows)}, {**numbers, "refused_for": len(refused)})


@stage(
    group="promotion",
    tables=["champions"],
    upstream=[square_detectors, challenger],
    settings=_by_hand,
    kinds=["json"],
    files=lambda context: [context.home.champion],
)
def champion(context: Context) -> Product:
    """`champion.json`: the detector that answers `sdaie detect`; a challenger that passed takes the place by rename."""
    identity = newest(context.store)
    reasons = reasons_of(context.store, identity)
    if settled(context.home, identity) is None:
        if all(row["passed"] for row in reasons):
            made = decide(context.home, "promoted", identity, list(reasons))
            context.say(f"{identity} answers from now on, after {made.champion_before or 'nobody'}")
        else:
            context.say(f"{identity} was refused")
    answers = point(context.home)
    if answers is None:
        raise UserError("no detector was ever promoted: `sdaie run` judges the newest one")
    row = {"detector": COMBINED, "detector_id": answers}
    return Product({"champions": frame("champions", [row])}, {"newest_answers": int(answers == identity)})


def history_digest(context: Context) -> str:
    """What stands for the history of decisions but its times, for those who show it."""
    return digest([{**vars(each), "decided_at": None} for each in decisions(context.store)])


def _judged(context: Context, identity: str) -> Iterator[dict[str, Any]]:
    """Rows of `gates` without the challenger."""
    past = [each for each in decisions(context.store) if each.promoted]
    yield _pretext(context, identity, past)
    yield from _rates(context)
    for dataset in gate_sets(context):
        yield _auroc(context, dataset, past)


def _pretext(context: Context, identity: str, past: list[Decision]) -> dict[str, Any]:
    """How much better the backbone tells the tags than knowing nothing, on average over tags."""
    from models.gates import not_worse

    in_use = context.store.read("backbones", ["trained"], ["backbone"])["backbone"]
    metrics = context.store.read("pretext_metrics").filter(pl.col("backbone").is_in(in_use.implode()))
    value = (metrics["value"] - metrics["baseline"]).mean()
    former = _former(context, past, PRETEXT, _HELD_OUT)
    against = opponent(context.home, identity)
    champions = None if against is None else former.get(against)
    gate = not_worse("pretext gain", None if value is None else float(str(value)), champions, [*former.values()])
    return {"gate": PRETEXT, "subject": _HELD_OUT, "measured_on": None, **vars(gate)}


def _rates(context: Context) -> Iterator[dict[str, Any]]:
    """Photographs flagged: those of the reference that calibrate nothing, and those of the sets that gate."""
    from models.gates import realised_rate
    from models.perturbations import NONE
    from models.tracks import AS_SHIPPED, FORMAT_MATCHED

    detectors = context.store.read("detectors", [SQUARES]).filter(detector=COMBINED, track=FORMAT_MATCHED)
    nominal, calibration = detectors.select("false_positive_rate", "n_calibration").row(0)
    validation = context.store.read("photo_scores", [SQUARES]).filter(
        detector=COMBINED, track=AS_SHIPPED, fold=VALIDATION
    )
    judged = {_HELD_OUT: validation}
    for dataset in gate_sets(context):
        reals = [each for each in context.benchmark_partitions() if each == f"{dataset}.{REAL}"]
        judged[dataset] = context.store.read("benchmark_scores", reals).filter(
            pl.col("score").is_not_null(), detector=COMBINED, track=FORMAT_MATCHED, perturbation=NONE
        )
    for subject, rows in judged.items():
        gate = realised_rate(subject, rows["flagged"].to_numpy().astype(bool), nominal, calibration)
        yield {"gate": RATE, "subject": subject, "measured_on": None, **vars(gate)}


def _auroc(context: Context, dataset: str, past: list[Decision]) -> dict[str, Any]:
    """AUROC over a whole set on the headline track, against the champion's on the same images."""
    from assets.benchmark_cells import ALL
    from models.gates import not_worse
    from models.perturbations import NONE
    from models.tracks import FORMAT_MATCHED

    images = evaluated_images(context).filter(dataset=dataset).select("image_id", "label", "generator")
    measured_on = digest(images.rows())
    metrics = context.store.read("benchmark_metrics").filter(
        dataset=dataset, generator=ALL, track=FORMAT_MATCHED, perturbation=NONE
    )
    values = dict(metrics.select("detector", "auroc").iter_rows())
    former = _former(context, past, AUROC, dataset, measured_on)
    gate = not_worse(f"AUROC on {dataset}", values.get(COMBINED), values.get(NAME), [*former.values()])
    return {"gate": AUROC, "subject": dataset, "measured_on": measured_on, **vars(gate)}


def _former(
    context: Context, past: list[Decision], gate: str, subject: str, measured_on: str | None = None
) -> dict[str, float]:
    """What former champions had, by identity, when they were promoted; those measured on the same images alone."""
    promoted = {each.number for each in past}
    rows = context.store.read(HISTORY).filter(
        pl.col("number").is_in(promoted),
        pl.col("value").is_not_null(),
        pl.col("measured_on").eq_missing(pl.lit(measured_on, dtype=pl.String)),
        gate=gate,
        subject=subject,
    )
    return dict(rows.sort("number").select("challenger", "value").iter_rows())


def _photographs(context: Context, identity: str) -> None:
    """Note which photographs the detector and its backbone have seen, once and for all."""
    table = "champion_photographs"
    if context.store.manifest(table, identity) is not None:
        return
    seen = [context.store.read(each, columns=["photo_id"]) for each in ("square_features", "pretext_targets")]
    # Looked at, though there was nothing to be had: no news either.
    seen.append(context.store.read("quarantine", [quarantine_partition("square_features")], ["photo_id"]))
    rows = (
        pl.concat(seen)
        .drop_nulls()
        .unique()
        .with_columns(detector_id=pl.lit(identity))
        .select("detector_id", "photo_id")
    )
    context.store.write(table, rows, partition=identity)


def _decided_so(context: Context, identity: str, rows: Rows) -> bool:
    """Whether this challenger was refused last for these very reasons, by a run that was killed or by one before."""
    last = max((each.number for each in decisions(context.store) if each.challenger == identity), default=None)
    if last is None:
        return False
    columns = ["gate", "subject", "value", "passed", "reason"]
    written = context.store.read(HISTORY).filter(number=last).select(columns).sort("gate", "subject")
    return written.equals(frame("gates", rows).select(columns).sort("gate", "subject"))
