"""A home's own calibrations: photographs of an archive are judged, and what they score is kept under a name.

Reading the archive, judging each picture once, and keeping, finding and refusing calibrations belong here; what a
calibration promises to `models/recalibration.py`, what an archive is asked to `models/archive_checks.py`. Dagster does
not come in. The commands belong to `pipelines/cli_calibrate.py`.
"""

import hashlib
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from assets.decoding import decoding
from assets.detection import choose
from models.archive_checks import Reference, SelfCheck, beside_reference, examined, self_check
from models.combined import CombinedDetector
from models.conformal import TooFewCalibrationScoresError
from models.parts import scores_by_part
from models.recalibration import OtherDetectorError, Recalibration, Scored, recalibrate
from models.recalibration import recalibrated as with_calibration
from models.squares import SIDE, squares
from warehouse.file_facts import looking
from warehouse.home import Home, UserError, atomic_path, digest
from warehouse.places import Listed, RefusedError, Source, printable
from warehouse.registry import Name, read_registry
from warehouse.score_log import ScoreLog, Scores, logging
from warehouse.sources import open_source

_CALIBRATION = "calibration.safetensors"
_SHOWN = 5

Told = Callable[[int, int], None]
"""Is told how many files were looked at, and of how many."""


@dataclass(frozen=True)
class Archive:
    """Photographs to calibrate on: a folder, table, shards or address, and the column of a table that groups them."""

    source: str
    group: str | None = None


@dataclass(frozen=True)
class Judged:
    """An archive as a detector judged it: names of the photographs, what it said of each, and counts.

    `listed` files are photographs and `refused`, by reason; `sha256` of each photograph is in the order of the names.
    """

    names: tuple[str, ...]
    sha256: tuple[str, ...]
    photographs: tuple[Scored, ...]
    listed: int
    refused: Mapping[str, int]


@dataclass(frozen=True)
class Calibrated:
    """A calibration that was made, and what was asked of its archive.

    `check` is None where the archive is too small to be halved; `highest` are the photographs that the detector's own
    threshold flags, up to five, those with the highest squares first.
    """

    own: Recalibration
    judged: Judged
    reference: Reference
    check: SelfCheck | None
    highest: tuple[str, ...]


def answering_detector(home: Home) -> CombinedDetector:
    """The champion of a home, else the detector in the box. Raises UserError where there is none, or no whole one."""
    return choose(home).load().detector


def calibrate(
    home: Home, detector: CombinedDetector, archive: Archive, name: str, fpr: float, told: Told = lambda done, of: None
) -> Calibrated:
    """Judge an archive's photographs and keep their calibration under a name.

    Photographs that a call before judged, even one that was killed, are not judged again. Raises UserError, and keeps
    no calibration, where the name is none or that of another archive, the source cannot be listed, or the photographs
    are too few for a false-positive rate of `fpr`.
    """
    _check_name(home, name, archive)
    source = open_source(archive.source, corpus=name, group=archive.group, network=read_registry(home).network)
    identity = detector.identity
    folder = home.calibrations / name
    log_path = folder / f"scores-{identity}.jsonl"
    with logging(log_path) as log:
        judged = _judge(detector, source, log, told)
    try:
        return _keep(home, detector, archive, name, fpr, judged)
    except TooFewCalibrationScoresError as error:
        raise UserError(_too_few(error, fpr, judged)) from None
    finally:
        # Only what this detector said is of use to the next call.
        for other in set(folder.glob("scores-*.jsonl")) - {log_path}:
            other.unlink(missing_ok=True)


def load_calibration(home: Home, name: str) -> Recalibration:
    """The calibration of a name. Raises UserError where there is none, or no whole one."""
    file = home.calibrations / name / _CALIBRATION
    try:
        if name not in calibration_names(home):
            there = ", ".join(calibration_names(home)) or "none"
            raise UserError(
                f"no calibration {name} (there are: {there}): `sdaie calibrate FOLDER --name NAME` makes one"
            )
        return Recalibration.from_bytes(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"the calibration {name} is not whole ({error}): remove {file.parent}, make it anew") from None


def recalibrated(home: Home, detector: CombinedDetector, name: str) -> CombinedDetector:
    """The detector with the calibration of a name. Raises UserError where there is none for this detector."""
    own = load_calibration(home, name)
    try:
        return with_calibration(detector, own)
    except OtherDetectorError as error:
        raise UserError(f"{error}: make it anew with `{command(own)}`") from None


def command(own: Recalibration) -> str:
    """The command that makes a calibration anew."""
    group = ["--group", own.facts["group"]] if own.facts["group"] else []
    words = [own.facts["source"], "--name", own.calibration.name, *group, "--fpr", f"{own.fpr:g}"]
    return shlex.join(["sdaie", "calibrate", *words])


def calibration_names(home: Home) -> list[str]:
    """The names of a home's calibrations, sorted."""
    return sorted(file.parent.name for file in home.calibrations.glob(f"*/{_CALIBRATION}"))


def _check_name(home: Home, name: str, archive: Archive) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise UserError(f"{name!r} is no name: small letters, digits, - and _; pass --name NAME") from None
    if name in calibration_names(home):
        source = load_calibration(home, name).facts["source"]
        if source != archive.source:
            folder = home.calibrations / name
            raise UserError(f"{name} is the calibration of {source}: pass another --name, or remove {folder}")


def _judge(detector: CombinedDetector, source: Source, log: ScoreLog, told: Told) -> Judged:
    listing = source.listing()
    names: dict[str, str] = {}
    photographs: list[Scored] = []
    refused: Counter[str] = Counter()
    listed = 0
    judge = _judging(detector, log)
    with looking() as look, decoding() as decode:
        for listed, (item, data) in enumerate(_files(source, listing), start=1):
            try:
                if isinstance(data, RefusedError):
                    raise data
                sha256 = hashlib.sha256(data).hexdigest()
                if sha256 in names:
                    raise RefusedError("same_content", f"the same bytes as {names[sha256]}")
                scores = log.get(sha256)
                if scores is None:
                    look(data)
                    scores = judge(sha256, decode(data))
                names[sha256] = printable(item.uri)
                photographs.append(Scored(item.group, {part: np.array(found) for part, found in scores.items()}))
            except RefusedError as error:
                refused[error.reason] += 1
            told(listed, max(listed, len(listing)))
    return Judged(tuple(names.values()), tuple(names), tuple(photographs), listed, dict(sorted(refused.items())))


def _judging(detector: CombinedDetector, log: ScoreLog) -> Callable[[str, npt.NDArray[np.uint8]], Scores]:
    def judge(sha256: str, image: npt.NDArray[np.uint8]) -> Scores:
        seen = squares(image)
        if not len(seen):
            raise RefusedError("too_small", f"no room for a square of {SIDE} px")
        # A picture that gets no verdict must not say what those score that do.
        reason = detector.reason(seen)
        if reason is not None:
            raise RefusedError(reason.code, reason.sentence)
        scores = {name: found.tolist() for name, found in scores_by_part(detector.parts, seen).items()}
        log.add(sha256, scores)
        return scores

    return judge


def _files(source: Source, listing: Sequence[Listed]) -> Iterator[tuple[Listed, bytes | RefusedError]]:
    """Every file with its bytes, those in tar shards too; a shard itself where it cannot be read to its end."""
    for item in listing:
        try:
            if item.is_container:
                yield from source.members(item)
            else:
                yield item, source.read(item.uri, item.span)
        except RefusedError as error:
            yield item, error


def _keep(
    home: Home, detector: CombinedDetector, archive: Archive, name: str, fpr: float, judged: Judged
) -> Calibrated:
    # First of all, as it says whether the photographs are enough.
    own = recalibrate(judged.photographs, detector=detector.identity, name=name, fpr=fpr, facts={})
    seen = examined(detector, judged.photographs)
    reference, check = beside_reference(detector, seen), self_check(detector, judged.photographs, fpr)
    flagged = [which for which, one in enumerate(seen) if one.p_value <= detector.fpr]
    # Not by the combined score: all that lie above every calibration photograph share one.
    flagged.sort(key=lambda which: -seen[which].square_scores.mean())
    highest = tuple(judged.names[which] for which in flagged[:_SHOWN])
    facts = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "digest": digest(sorted(judged.sha256)),
        "listed": judged.listed,
        "judged": len(judged.photographs),
        "refused": judged.refused,
        "reference": asdict(reference),
        "self_check": check and asdict(check),
        "highest": highest,
    }
    own = replace(own, facts=asdict(archive) | facts)
    with atomic_path(home.calibrations / name / _CALIBRATION) as temporary:
        temporary.write_bytes(own.to_bytes())
    return Calibrated(own, judged, reference, check, highest)


def _too_few(error: TooFewCalibrationScoresError, fpr: float, judged: Judged) -> str:
    count = error.available
    least = f"with {count} the smallest rate is {1 / (count + 1):.3g}; " if count > 1 else ""
    return (
        f"a false-positive rate of {fpr:g} needs at least {error.needed} photographs; {count} of {judged.listed} files "
        f"could be judged, {error.needed - count} are missing{_because(judged.refused)}: {least}nothing was calibrated"
    )


def _because(refused: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{reason} {count}' for reason, count in refused.items())})" if refused else ""
