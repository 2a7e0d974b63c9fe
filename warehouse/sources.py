"""Which source a registered name means, and reading a picture of known content from wherever it lies.

The interface is in `places.py`; each kind of source is a module `source_*.py` of its own.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from warehouse.home import Home, UserError
from warehouse.places import Place, RefusedError, Source
from warehouse.registry import Corpus, Registry, resolve
from warehouse.source_folder import FolderSource
from warehouse.source_table import TableSource


def open_source(path: Path, *, corpus: str = "", group: str | None = None) -> Source:
    """The source at a path. Raises UserError where nothing is there."""
    if path.is_dir():
        if group is not None:
            raise UserError(f"{path} is a folder: a group column needs a table of files")
        return FolderSource(path, corpus)
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder")
    return TableSource(path, corpus, group)


def corpus_source(home: Home, name: str, corpus: Corpus) -> Source:
    """The source of a registered corpus."""
    return open_source(resolve(home, corpus.source), corpus=name, group=corpus.group)


def corpus_sources(home: Home, registry: Registry) -> dict[str, Source]:
    """The source of every registered corpus, by its name."""
    return {name: corpus_source(home, name, corpus) for name, corpus in registry.corpora.items()}


def read_place(sources: Mapping[str, Source], place: Place) -> bytes:
    """The bytes of a picture. Raises RefusedError where they cannot be had or are no longer the same."""
    data = sources[place.source].read(place.uri, place.span)
    if hashlib.sha256(data).hexdigest() != place.sha256:
        raise RefusedError("changed_meanwhile", "the file changed after it was crawled: run again")
    return data
