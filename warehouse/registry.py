"""The registry `sdaie.toml`: which corpora and benchmark sets there are, and how to train.

Reading, checking and editing that one file belongs here (edits keep a person's comments). What a source holds belongs
to `sources.py`.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from warehouse.home import Home, UserError, write_text

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Corpus(_Section):
    """A registered corpus of photographs.

    `source` is a folder or a table of files (CSV or Parquet). `group` is the table's column that is held out together
    (None: the first folder below the root, else the file itself).
    """

    source: str
    group: str | None = None
    use: list[Literal["train", "reference"]] = Field(["train", "reference"], min_length=1)


class Dataset(_Section):
    """A registered set of photographs and generated images, in one of the layouts of `benchmark_sets.py`.

    `use`: "evaluate" scores it, "train" teaches the binary detector. `wild`: collected from the open web, so that what
    is as shipped is reported apart, as track `in_the_wild`.
    """

    source: str
    use: list[Literal["evaluate", "train"]] = Field(["evaluate"], min_length=1)
    wild: bool = False


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

    `backbone` is "trained" or the identity of an imported one. `schedule` names the constants of training; size and
    steps may differ from it (None: as it says). `crops` are stored of each photograph.
    """

    backbone: Annotated[str, StringConstraints(pattern=r"^(trained|[0-9a-f]{16})$")] = "trained"
    schedule: Literal["default", "published"] = "default"
    preset: Literal["compact", "full"] | None = None
    steps: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)
    crops: int = Field(2, ge=1, le=16)


class Detection(_Section):
    """The false-positive rate that thresholds are set for."""

    false_positive_rate: float = Field(0.05, gt=0, lt=1)


class ComputeSettings(_Section):
    """Processes that work side by side (None: one for each core)."""

    workers: int | None = Field(None, ge=1)


class Registry(_Section):
    """All that is registered in one home, in the order of registration."""

    corpora: dict[Name, Corpus] = Field(default_factory=dict)
    datasets: dict[Name, Dataset] = Field(default_factory=dict)
    training: Training = Training()
    detection: Detection = Detection()
    evaluation: Evaluation = Evaluation()
    binary: Binary = Binary()
    detectors: dict[Name, OtherDetector] = Field(default_factory=dict)
    compute: ComputeSettings = ComputeSettings()


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
        raise UserError(f"{home.registry}: {where}: {first['msg']}") from None


def resolve(home: Home, source: str) -> Path:
    """The path of a source; a relative one lies in the home."""
    return home.path / source


def add_corpus(home: Home, name: str, corpus: Corpus) -> None:
    """Register a corpus.

    Raises UserError where the name is no name or taken by another source, or the source is not there.
    """
    _add(home, "corpora", name, corpus)


def add_dataset(home: Home, name: str, dataset: Dataset) -> None:
    """Register a benchmark set. Raises UserError as `add_corpus` does."""
    _add(home, "datasets", name, dataset)


def set_training(home: Home, **settings: int | str) -> None:
    """Write settings of the section `[training]`."""
    document = _document(home)
    document.setdefault("training", tomlkit.table()).update(settings)
    _save(home, document)


def _add(home: Home, section: str, name: str, entry: Corpus | Dataset) -> None:
    source = Path(os.path.abspath(entry.source))  # noqa: PTH100 (resolve would follow links)
    if not source.exists():
        raise UserError(f"{entry.source}: no such file or folder")
    # A source inside the home moves with it, so it is written relative to the home.
    written = source.relative_to(home.path).as_posix() if source.is_relative_to(home.path) else str(source)
    document = _document(home)
    entries = document.setdefault(section, tomlkit.table(is_super_table=True))
    if name in entries and entries[name].get("source") != written:
        raise UserError(f"{name!r} is registered already with another source: {entries[name].get('source')}")
    entries[name] = entry.model_dump(exclude_none=True) | {"source": written}
    try:
        Registry.model_validate(document.unwrap())
    except ValidationError as error:
        raise UserError(f"{name!r} cannot be registered: {error.errors()[0]['msg']}") from None
    _save(home, document)


def _document(home: Home) -> Any:
    read_registry(home)
    if home.registry.exists():
        return tomlkit.parse(home.registry.read_text(encoding="utf-8"))
    document = tomlkit.document()
    document.add(tomlkit.comment("What sdaie reads, trains on and is measured on. Edit freely; `sdaie run` follows."))
    return document


def _save(home: Home, document: tomlkit.TOMLDocument) -> None:
    write_text(home.registry, tomlkit.dumps(document))
