"""How the images of a benchmark set lie on disk: the four layouts, each read into one list of labelled images.

    table                  CSV or Parquet with the columns file, label, generator, and optionally source, paired_real
    JSON list              [{"path": ..., "label": 0 or 1}, ...], with an optional key generator (ForensicHub's input)
    AIGCDetectBenchmark    <generator>/**/{0_real,1_fake}/**
    GenImage               <generator>/**/{train,val}/{nature,ai}/**

Recognising a layout, labels, names of generators and pairings belong here. Which of a set's uses they serve and keeping
a listing belong to `benchmark_sets.py`; what becomes of the images, to the stages.
"""

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from warehouse.home import UserError
from warehouse.source_table import file_column, read_table

REAL = "real"
TABLE, JSON_LIST, AIGC, GENIMAGE = "table", "JSON list", "AIGCDetectBenchmark", "GenImage"

# `real` is the partition of the photographs; the other two are rows of the metrics.
_RESERVED = (REAL, "small_sets", "all")
_AIGC_LABELS = {"0_real": 0, "1_fake": 1}
_GENIMAGE_LABELS = {"nature": 0, "ai": 1}
_TRAIN, _VAL = "train", "val"
_LAYOUT_WORDS = {*_AIGC_LABELS, *_GENIMAGE_LABELS, _TRAIN, _VAL}
# What file managers and archivers leave behind.
_DEBRIS = {"thumbs.db", "desktop.ini", "__macosx"}


@dataclass(frozen=True)
class Listing:
    """An image that a set names. `paired_real`: sources of photographs it is compared with; None = all."""

    uri: str
    label: int
    generator: str
    source: str
    paired_real: str | None


@dataclass(frozen=True)
class BenchmarkSet:
    """What a set holds: its layout, its images sorted by uri, and sentences on files that are left out.

    `generators` are those it has images of, `real` for its photographs; sorted.
    """

    layout: str
    images: tuple[Listing, ...]
    generators: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Place:
    """What the folders of an image say: layout, label, the folder that names the generator ("" for the set's own)."""

    layout: str
    label: int
    part: str
    generator: str


def folder_set(root: Path, folders: Iterable[tuple[str, Sequence[str]]]) -> BenchmarkSet:
    """The set in a folder, by its folders (path below the root with a final slash, names of the files in it).

    Names of folders of a layout count in any case. The first folder names the generator; where the folders of a layout
    lie in the root itself, the root does. A generator with a `val` is measured on `val`, as `train` is what others
    train on; one that has only `train`, on that. To train on GenImage, a root may be a folder `train` itself, which the
    folder above names. Hidden files and folders and what file managers leave are no images.

    Raises UserError where there are no such folders, or their meaning is not plain.
    """
    found: dict[str, tuple[_Place, list[str]]] = {}
    outside = 0
    for folder, names in folders:
        parts = folder.split("/")[:-1]
        files = [] if any(map(_is_debris, parts)) else [name for name in names if not _is_debris(name)]
        if not files:
            continue
        place = _place(root, folder, parts)
        if place is None:
            outside += len(files)
        else:
            found[folder] = place, files
    places = {folder: place for folder, (place, _) in found.items()}
    _refuse_mixed(root, places)
    if not found:
        wanted = "<generator>/**/{0_real,1_fake} or <generator>/**/{train,val}/{nature,ai}"
        raise UserError(f"{root}: no images in folders {wanted}{_linked_folders(root)}")
    own = root.parent.name if root.name.lower() in (_TRAIN, _VAL) else root.name
    names_of = _generator_names(root, {(place.generator or own, place.label) for place in places.values()})
    measured_on_val = {place.generator for place in places.values() if place.part == _VAL}
    images, left_out, trained = [], 0, set()
    for folder, (place, files) in found.items():
        generator = names_of[place.generator or own]
        if place.part == _TRAIN and place.generator in measured_on_val:
            left_out += len(files)
            continue
        if place.part == _TRAIN:
            trained.add(generator)
        made_by, paired = (generator, generator) if place.label else (REAL, None)
        images += [Listing(folder + name, place.label, made_by, generator, paired) for name in files]
    notes = []
    if left_out:
        notes.append(f"{left_out} files in folders `train` are left out: `val` is taken where there is one")
    if trained:
        notes.append(f"without `val`, so `train` is taken: {', '.join(sorted(trained))}")
    if outside:
        notes.append(f"{outside} files outside the folders of the layout are left out")
    return _set(places[min(places)].layout, images, notes)


def _place(root: Path, folder: str, parts: Sequence[str]) -> _Place | None:
    """What a folder's path says of its images; None where it says nothing."""
    above = [root.name.lower()] if root.name.lower() in (_TRAIN, _VAL) else []
    words = above + [part.lower() for part in parts]
    places = []
    for depth, word in enumerate(words):
        generator = parts[0] if depth > len(above) else ""
        if word in _AIGC_LABELS:
            places.append(_Place(AIGC, _AIGC_LABELS[word], "", generator))
        if word in (_TRAIN, _VAL) and words[depth + 1 : depth + 2] and words[depth + 1] in _GENIMAGE_LABELS:
            places.append(_Place(GENIMAGE, _GENIMAGE_LABELS[words[depth + 1]], word, generator))
    if len({(place.layout, place.label, place.part) for place in places}) > 1:
        raise UserError(f"{root}: {folder} says two things of its images: one folder of a layout must name them")
    return places[0] if places else None


def _refuse_mixed(root: Path, places: dict[str, _Place]) -> None:
    ordered = sorted(places, reverse=True)
    layouts = {places[folder].layout: folder for folder in ordered}
    depths = {bool(places[folder].generator): folder for folder in ordered}
    for what, folders in (("two layouts", layouts), ("a generator's own folder and one above such", depths)):
        if len(folders) > 1:
            named = ", ".join(sorted(folders.values()))
            raise UserError(f"{root}: {what} at once ({named}): register each as a set of its own")


def _linked_folders(root: Path) -> str:
    linked = sorted(path.name for path in root.iterdir() if path.is_symlink() and path.is_dir())
    return f"; {linked[0]} is a link, and linked folders are not followed" if linked else ""


def _is_debris(name: str) -> bool:
    return name.startswith(".") or name.lower() in _DEBRIS


def table_set(source: Path) -> BenchmarkSet:
    """The set in a table. Raises UserError naming the first line that cannot be understood."""
    table = read_table(source)
    files = file_column(table)
    if missing := [name for name in ("label", "generator") if name not in table.columns]:
        raise UserError(f"{source}: a benchmark table needs a column {missing[0]!r}")
    images: dict[str, Listing] = {}
    for number, row in enumerate(table.iter_rows(named=True), start=2):
        where = f"{source}: line {number}"
        if row["label"] not in ("0", "1"):
            raise UserError(f"{where}: label must be 0 (photograph) or 1 (generated)")
        label = int(row["label"])
        if not row[files] or (label and not row["generator"]):
            raise UserError(f"{where}: file or generator is missing")
        source_name = row.get("source") or row["generator"] or REAL
        listing = Listing(
            row[files], label, row["generator"] if label else REAL, source_name, row.get("paired_real") or None
        )
        _add(images, listing, where)
    names = _generator_names(source, {(image.generator, image.label) for image in images.values()})
    return _set(TABLE, [replace(image, generator=names[image.generator]) for image in images.values()])


def json_set(source: Path) -> BenchmarkSet:
    """The set in a JSON list of objects with path (absolute, or relative to the list's folder) and label (0, 1).

    The generator is an object's key `generator`, else the first folder of its path, else the list's own name. An image
    is compared with the photographs of the same name, where there are any, else with all.

    Raises UserError naming the first entry that cannot be understood or lies outside the list's folder.
    """
    try:
        entries = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{source}: not a JSON list of images: {str(error).splitlines()[0]}") from None
    if not isinstance(entries, list) or not entries:
        raise UserError(f'{source}: not a JSON list of objects {{"path": ..., "label": 0 or 1}}')
    folder = os.path.abspath(source.parent)  # noqa: PTH100 (resolve would follow links: both names of it count)
    bases = [folder, os.path.realpath(folder)]
    images: dict[str, Listing] = {}
    for number, entry in enumerate(entries, start=1):
        where = f"{source}: entry {number}"
        _add(images, _json_entry(source, bases, where, entry), where)
    names = _generator_names(source, {(image.source, image.label) for image in images.values()})
    photographed = {image.source for image in images.values() if not image.label}
    named = []
    for image in images.values():
        name = names[image.source]
        paired = name if image.label and image.source in photographed else None
        named.append(Listing(image.uri, image.label, name if image.label else REAL, name, paired))
    return _set(JSON_LIST, named)


def _json_entry(source: Path, bases: Sequence[str], where: str, entry: Any) -> Listing:
    """An entry with the generator's own name as source."""
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str) or not entry["path"]:
        raise UserError(f'{where}: an object with "path" and "label" is needed')
    label = entry.get("label")
    if isinstance(label, bool) or str(label) not in ("0", "1"):
        raise UserError(f"{where}: label must be 0 (photograph) or 1 (generated)")
    uri = _below(bases, entry["path"])
    if uri is None:
        raise UserError(f"{where}: {entry['path']} lies outside {source.parent}: put the list above its images")
    first, _, rest = uri.partition("/")
    folder = first if rest and first.lower() not in _LAYOUT_WORDS else source.stem
    generator = entry.get("generator") or folder
    if not isinstance(generator, str):
        raise UserError(f"{where}: generator must be a name")
    return Listing(uri, int(label or 0), generator, generator, None)


def _below(bases: Sequence[str], path: str) -> str | None:
    """A path, plainly written, relative to its folder, which has the names `bases`; None where it lies outside."""
    for base in bases:
        inside = os.path.normpath(os.path.join(base, path))  # noqa: PTH118 (a hundred thousand of them)
        if inside.startswith(base.rstrip("/") + "/"):
            return inside.removeprefix(base).lstrip("/")
    return None


def _add(images: dict[str, Listing], listing: Listing, where: str) -> None:
    """The last entry of a file counts; two labels are an error."""
    if listing.uri in images and images[listing.uri].label != listing.label:
        raise UserError(f"{where}: {listing.uri} is named a photograph and generated")
    images[listing.uri] = listing


def _set(layout: str, images: Iterable[Listing], notes: Sequence[str] = ()) -> BenchmarkSet:
    ordered = tuple(sorted(images, key=lambda image: image.uri))
    return BenchmarkSet(layout, ordered, tuple(sorted({image.generator for image in ordered})), tuple(notes))


def _generator_names(source: Path, named: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Names as a partition can carry them, by the names in the set, given with the labels of their images.

    Raises UserError where two names become one (also on a disk that ignores case), or one has a meaning of its own.
    """
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name, label in sorted(named):
        names[name] = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "unnamed"
        other = taken.setdefault(names[name].lower(), name)
        if other != name:
            raise UserError(f"{source}: the generators {other!r} and {name!r} cannot be told apart: rename one")
        if label and names[name].lower() in _RESERVED:
            raise UserError(f"{source}: no generator can be named {name!r}: that stands for something else")
    return names
