"""The registry `sdaie.toml`: which corpora, benchmark sets and detectors of others there are, and how to train.

Reading, checking and editing that one file belongs here (edits keep a person's comments). What a source holds belongs
to `sources.py`.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import tomlkit
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from warehouse.addresses import checked_address, is_address
from warehouse.home import Home, UserError, write_text
from warehouse.patterns import local_names

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
OWN_DETECTORS = (
    *("combined", "one_class", "one_class_untrained", "one_class_handmade", "one_class_co_occurrences"),
    *("coding", "reconstruction", "reconstruction_linear"),
    *("one_class_published", "complexity", "jpeg_history", "format_rule"),
    "binary",
)
"""Detectors that are always there. Trained binary detectors carry names that begin with the last."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Corpus(_Section):
    """A registered corpus of photographs.

    `source` is a folder, a bucket or a folder's index page, tar shards, or a table of files (CSV or Parquet), as a path
    or an address; see `sources.py`. `group` is the table's column, or the field beside a picture in a shard, that is
    held out together (None: the first folder below the root or on its host, else the file itself).
    """

    source: str
    group: str | None = None
    use: list[Literal["train", "reference"]] = Field(["train", "reference"], min_length=1)


class Dataset(_Section):
    """A registered set of photographs and generated images, in one of the layouts of `benchmark_layouts.py`.

    `use`: "evaluate" scores it, "train" teaches the binary detector. `wild`: collected from the open web, so that what
    is as shipped is reported apart, as track `in_the_wild`. `gate`: a new detector that does worse on it is refused.
    """

    source: str
    use: list[Literal["evaluate", "train"]] = Field(["evaluate"], min_length=1)
    wild: bool = False
    gate: bool = False


class Evaluation(_Section):
    """Which perturbations every benchmark image is judged under (`models/perturbations.py`)."""

    grid: Literal["none", "default", "whole"] = "default"


class Binary(_Section):
    """How the binary detector is trained, where a set has the use "train".

    `schedule` names the constants of training; the steps may differ from it (None: as it says). `preset` is that of the
    backbone in use, which may be named to be sure. `alpha` weighs the distance to the pretext backbone's taps, 0 leaves
    it out. `mode` "leave_one_generator_out" trains one detector for each generator, on all the others.
    """

    schedule: Literal["default", "published"] = "default"
    preset: Literal["compact", "full"] | None = None
    steps: int | None = Field(None, ge=1)
    alpha: float = Field(0.05, ge=0)
    seed: int = Field(0, ge=0)
    mode: Literal["all_generators", "leave_one_generator_out"] = "all_generators"


class OtherDetector(_Section):
    """A detector of others: `class` "module:Class" of the interface in `models/detector.py`, or a table of `scores`.

    The table is CSV or Parquet with the columns file and score, and may have track and perturbation.
    """

    class_: str | None = Field(None, alias="class", pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    scores: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.class_ is None) == (self.scores is None):
            raise ValueError('a detector has either class = "module:Class" or scores = "file.csv"')
        return self


class Training(_Section):
    """Which backbone is used, and how it is trained.

    `backbone` is "trained" or the identity of an imported one. `schedule` names the constants of training; size, steps
    and the stem's first weights (`start`) may differ from it (None: as it says). `crops` are stored of each photograph.
    `ranks` processes share each batch, spread over the machines of the Ray cluster that `[compute]` names; one trains
    here.
    """

    backbone: Annotated[str, StringConstraints(pattern=r"^(trained|[0-9a-f]{16})$")] = "trained"
    schedule: Literal["default", "published"] = "default"
    preset: Literal["compact", "full"] | None = None
    steps: int | None = Field(None, ge=1)
    start: Literal["random", "differences"] | None = None
    seed: int = Field(0, ge=0)
    crops: int = Field(2, ge=1, le=16)
    ranks: int = Field(1, ge=1)


class Reconstruction(_Section):
    """How autoencoders, and the networks that tell photographs from their reconstructions, are trained.

    Steps may differ from the defaults (None). `networks`: so many are trained with seeds of their own, and averaged.
    """

    autoencoder_steps: int | None = Field(None, ge=1)
    steps: int | None = Field(None, ge=1)
    networks: int = Field(1, ge=1, le=5)
    seed: int = Field(0, ge=0)


class Coding(_Section):
    """How the network that predicts JPEG's coefficients is trained; `steps` may differ from the default (None)."""

    steps: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)


class Detection(_Section):
    """The false-positive rate that thresholds are set for."""

    false_positive_rate: float = Field(0.05, gt=0, lt=1)


class Retrain(_Section):
    """When everything is brought up to date without being asked, and how much of what was before is kept.

    `cron` has five fields, in the zone `timezone` (a name of the IANA database). `enabled`: the schedule is on where
    nobody switched it by hand. `keep`: detectors, and champions among them, that the clean-up leaves there.
    """

    cron: str = "0 3 * * 1"
    timezone: str = "UTC"
    enabled: bool = False
    keep: int = Field(5, ge=1)

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, cron: str) -> str:
        if len(cron.split()) != 5:
            raise ValueError(f"{cron!r} is no cron schedule of five fields, such as '0 3 * * 1'")
        return cron

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{timezone!r} is no time zone, such as 'Europe/Berlin'") from None
        return timezone


class ComputeSettings(_Section):
    """Where parallel work is done.

    `engine`: processes of this machine, or a Ray cluster at `address` (`auto`: the one that runs on this machine).
    `workers`: how many work side by side (None: one for each core). `gpus`: of a Ray cluster, those that each worker
    has in stages with networks (0: they compute on processors).
    """

    engine: Literal["local", "ray"] = "local"
    address: str = Field("auto", min_length=1)
    workers: int | None = Field(None, ge=1)
    gpus: float = Field(0, ge=0, le=64)


class Network(_Section):
    """How addresses are read.

    `allow_private`: addresses of the machine itself and of private networks may be connected to. `concurrency`: reads
    at once, of all worker processes together; `per_host`: those of one host. `timeout_s`: seconds that connecting, an
    answer, and each wait for more of it may take; a whole read may take as long, and what its bytes need at the slowest
    speed that is waited for. `retries`: further tries where trying again can help.
    """

    allow_private: bool = False
    concurrency: int = Field(16, ge=1, le=256)
    per_host: int = Field(4, ge=1, le=64)
    timeout_s: float = Field(30, ge=0.1, le=600)
    retries: int = Field(3, ge=0, le=10)

    def shared_by(self, workers: int) -> Self:
        """The part of one of several worker processes in the limits; at least 1."""
        parts = {name: max(1, getattr(self, name) // workers) for name in ("concurrency", "per_host")}
        return self.model_copy(update=parts)


class Registry(_Section):
    """All that is registered in one home, in the order of registration."""

    corpora: dict[Name, Corpus] = Field(default_factory=dict)
    datasets: dict[Name, Dataset] = Field(default_factory=dict)
    training: Training = Training()
    detection: Detection = Detection()
    evaluation: Evaluation = Evaluation()
    binary: Binary = Binary()
    reconstruction: Reconstruction = Reconstruction()
    coding: Coding = Coding()
    detectors: dict[Name, OtherDetector] = Field(default_factory=dict)
    retrain: Retrain = Retrain()
    compute: ComputeSettings = ComputeSettings()
    network: Network = Network()

    @field_validator("detectors")
    @classmethod
    def _not_ours(cls, detectors: dict[Name, OtherDetector]) -> dict[Name, OtherDetector]:
        for name in detectors:
            if name in OWN_DETECTORS or name.startswith(OWN_DETECTORS[-1]):
                raise ValueError(f"{name!r} is the name of a detector of ours")
        return detectors


def read_registry(home: Home) -> Registry:
    """What `sdaie.toml` says; an empty registry where the file is not there.

    Raises UserError naming the first entry that cannot be understood.
    """
    try:
        return Registry.model_validate(tomllib.loads(home.registry.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Registry()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{home.registry}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "[key]")
        raise UserError(f"{home.registry}: {where}: {_said(error)}") from None


def resolve(home: Home, source: str) -> Path:
    """The path of a source that is no address; a relative one lies in the home."""
    return home.path / source


def add_corpus(home: Home, name: str, corpus: Corpus) -> None:
    """Register a corpus.

    Raises UserError where the name is no name or taken by another source, or the source is not there. An address is
    taken as it is.
    """
    address = is_address(corpus.source)
    source = checked_address(corpus.source) if address else _written(home, corpus.source, patterns=True)
    _enter(home, "corpora", name, corpus.model_dump(exclude_none=True) | {"source": source})


def add_dataset(home: Home, name: str, dataset: Dataset) -> None:
    """Register a benchmark set, a folder or a table of files. Raises UserError as `add_corpus` does."""
    entry = dataset.model_dump(exclude_none=True) | {"source": _written(home, dataset.source)}
    _enter(home, "datasets", name, entry)


def add_detector(home: Home, name: str, *, class_: str | None = None, scores: str | None = None) -> None:
    """Register a detector of others: a class ("module:Class") or a table of scores.

    Raises UserError where the name is no name, one of ours or taken by another detector, or where it is neither class
    nor table, or both.
    """
    entry = {"class": class_} if class_ is not None else {}
    if scores is not None:
        entry["scores"] = _written(home, scores)
    _enter(home, "detectors", name, entry)


def remove_detector(home: Home, name: str) -> None:
    """Take a detector of others out. Raises UserError where none is registered by that name."""
    document = _document(home)
    if name not in document.get("detectors", {}):
        raise UserError(f"no detector {name!r} is registered: `sdaie detector list` names them")
    del document["detectors"][name]
    _save(home, document)


def set_grid(home: Home, grid: Literal["none", "default", "whole"]) -> None:
    """Choose the perturbations that benchmark images are judged under."""
    _set(home, "evaluation", grid=grid)


def set_training(home: Home, **settings: int | str) -> None:
    """Write settings of the section `[training]`."""
    _set(home, "training", **settings)


def set_reconstruction(home: Home, **settings: int) -> None:
    """Write settings of the section `[reconstruction]`."""
    _set(home, "reconstruction", **settings)


def set_coding(home: Home, **settings: int) -> None:
    """Write settings of the section `[coding]`."""
    _set(home, "coding", **settings)


def _set(home: Home, section: str, **settings: int | str) -> None:
    document = _document(home)
    document.setdefault(section, tomlkit.table()).update(settings)
    _save(home, document)


def _written(home: Home, source: str, *, patterns: bool = False) -> str:
    """A source as the registry names it: one inside the home moves with it, so it is written relative to the home.

    `patterns`: a pattern of names is taken where some file has such a name.
    """
    path = Path(os.path.abspath(source))  # noqa: PTH100 (resolve would follow links)
    if not path.exists() and not (patterns and local_names(str(path))):
        raise UserError(f"{source}: no such file or folder")
    return path.relative_to(home.path).as_posix() if path.is_relative_to(home.path) else str(path)


def _enter(home: Home, section: str, name: str, entry: dict[str, Any]) -> None:
    """Write an entry; one that is there keeps its comments, and what it stands for (its source, class or scores)."""
    document = _document(home)
    entries = document.setdefault(section, tomlkit.table(is_super_table=True))
    there = entries.get(name, {})
    for key in ("source", "class", "scores"):
        if there and there.get(key) != entry.get(key):
            what = f"another {key}: {there[key]}" if key in there else "something else"
            raise UserError(f"{name!r} is registered already with {what}")
    if there:
        for key in set(there) - set(entry):
            del there[key]
        there.update(entry)
    else:
        entries[name] = entry
    try:
        Registry.model_validate(document.unwrap())
    except ValidationError as error:
        raise UserError(f"{name!r} cannot be registered: {_said(error)}") from None
    _save(home, document)


def _said(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ")


def _document(home: Home) -> Any:
    read_registry(home)
    if home.registry.exists():
        return tomlkit.parse(home.registry.read_text(encoding="utf-8"))
    document = tomlkit.document()
    document.add(tomlkit.comment("What sdaie reads, trains on and is measured on. Edit freely; `sdaie run` follows."))
    return document


def _save(home: Home, document: tomlkit.TOMLDocument) -> None:
    write_text(home.registry, tomlkit.dumps(document))
