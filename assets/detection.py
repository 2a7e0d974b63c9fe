"""The answer to a person's question: is this picture a photograph? By the champion of a home, one file at a time.

Reading a file, asking the champion and saying why not belong here; Dagster does not, so that an answer does not wait
for it. The commands belong to `pipelines/cli.py`.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assets.decoding import decoding
from models.backbone import Backbone
from models.description import Given, describe
from models.one_class import COMPLEXITY, OneClassDetector
from models.tracks import AS_SHIPPED
from models.weights import load_backbone
from warehouse.exif_rules import SIMULATOR
from warehouse.file_facts import looking
from warehouse.home import Home, UserError
from warehouse.places import RefusedError
from warehouse.source_folder import read_bytes

PHOTOGRAPH, GENERATED, CANNOT_TELL = "photograph", "generated", "cannot_tell"
ONLY_SIMULATED = (
    "the detector has seen simulated photographs only: register real ones with `sdaie corpus add` and `sdaie run`"
)
REASONS = {
    "fewer_than_4_patches": "the picture is too small: it needs room for 4 patches of 64 x 64 px",
}


@dataclass(frozen=True)
class Verdict:
    """What the champion says of one file.

    `verdict` is `photograph`, `generated` or `cannot_tell`, the last with a `reason`. `p_value`: the share of
    calibration photographs that look at least as generated as this picture (conformal; not the probability of being
    generated). `score`: higher = more likely generated. `failed`: the file could not be read as a picture.
    """

    file: str
    sha256: str | None
    verdict: str
    p_value: float | None
    score: float | None
    detector: str
    calibration: str
    reason: str | None = None
    failed: bool = False


@dataclass(frozen=True)
class Champion:
    """The detector that answers, its identity, and the backbone it takes features from."""

    detector: OneClassDetector
    identity: str
    backbones: tuple[Backbone, ...]

    @property
    def name(self) -> str:
        """Name and identity."""
        return f"{self.detector.name}-{self.identity}"

    @property
    def calibration(self) -> str:
        """What the p-value is a rank among, and the false-positive rate the verdict stands for."""
        fit = self.detector.tracks[AS_SHIPPED]
        kind = "simulated photographs" if self.detector.simulated_only else "photographs"
        return f"{fit.calibration}: {len(fit.calibration_scores)} {kind} {AS_SHIPPED}, false-positive rate {fit.fpr:g}"


def load_champion(home: Home) -> Champion:
    """The champion of a home. Raises UserError where there is none yet, or where its files are not whole."""
    try:
        identity = json.loads(home.champion.read_text(encoding="utf-8"))["detector_id"]
    except FileNotFoundError:
        raise UserError(f"no detector in {home.path} yet: run `sdaie run`, or `make demo` for a first look") from None
    try:
        detector = OneClassDetector.load(home.detectors / identity)
        backbone = detector.backbone
        networks = (load_backbone(home.backbones / backbone / "backbone.safetensors").backbone,) if backbone else ()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"the detector {identity} is not whole ({error}): run `sdaie run --force`") from None
    return Champion(detector, identity, networks)


def detect(champion: Champion, files: Iterable[Path]) -> Iterator[Verdict]:
    """A verdict for each file, in order, as soon as it is there; a file that is no picture gets its reason."""
    with looking() as look, decoding() as decode:
        for file in files:
            sha256 = None
            try:
                # A link that a person names is followed; only a source's own links may not lead out of it.
                target = file.resolve()
                data = read_bytes(target.parent, target.name)
                sha256 = hashlib.sha256(data).hexdigest()
                facts = look(data)
                image = decode(data)
            except RefusedError as error:
                yield _cannot_tell(champion, file, sha256, error.detail, failed=True)
                continue
            if champion.detector.simulated_only and facts.software != SIMULATOR:
                yield _cannot_tell(champion, file, sha256, ONLY_SIMULATED)
                continue
            (said,) = describe([Given(sha256, image)], AS_SHIPPED, champion.backbones)
            if said.reason is not None:
                yield _cannot_tell(champion, file, sha256, REASONS.get(said.reason, said.reason))
                continue
            pooling = champion.detector.pooling
            features = [said.complexity] if pooling == COMPLEXITY else said.token_mean[0]
            assert said.covariates is not None
            judged = champion.detector.judge(
                AS_SHIPPED, np.asarray([features], dtype=np.float64), said.covariates[None]
            )
            yield Verdict(
                str(file),
                sha256,
                GENERATED if judged.flagged[0] else PHOTOGRAPH,
                float(judged.p_value[0]),
                float(judged.score[0]),
                champion.name,
                champion.calibration,
            )


def _cannot_tell(champion: Champion, file: Path, sha256: str | None, reason: str, failed: bool = False) -> Verdict:
    return Verdict(str(file), sha256, CANNOT_TELL, None, None, champion.name, champion.calibration, reason, failed)
