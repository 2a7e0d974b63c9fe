"""Which source a registered name means, and reading a picture of known content from wherever it lies.

The interface is in `places.py`; each kind of source is a module `source_*.py` of its own:

    a folder, or an address that ends in no name of a table or shard    FolderSource, IndexSource (http), BucketSource
    `x.csv`, `x.parquet`                                                TableSource
    `x-{000..099}.tar`, `*.tar`                                         TarSource
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urldefrag, urljoin

from warehouse.addresses import HTTP, checked_address, is_address, path_of, protocol
from warehouse.compute import compute_of
from warehouse.home import Home, UserError
from warehouse.patterns import split_pattern
from warehouse.places import Place, RefusedError, Source
from warehouse.registry import Corpus, Network, Registry, read_registry, resolve
from warehouse.source_addresses import HttpStorage, IndexSource
from warehouse.source_bucket import BucketSource, BucketStorage
from warehouse.source_folder import FolderSource, LocalStorage
from warehouse.source_table import TableSource, is_table
from warehouse.source_tar import SUFFIX, TarSource
from warehouse.storage import Storage

_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")


def open_source(
    source: Path | str, *, corpus: str = "", group: str | None = None, network: Network | None = None
) -> Source:
    """The source at a path or an address, or the shards that a pattern of either means.

    `network` holds the limits of this one process. Raises UserError where nothing can be there.
    """
    name, network = str(source), network or Network()
    if path_of(name).lower().endswith(_PACKED):
        raise UserError(f"{name}: packed archives are not read: unpack it to .tar, or to a folder")
    if is_address(name):
        return _open_address(checked_address(name), corpus, group, network)
    path = Path(name)
    if path.is_dir():
        if group is not None:
            raise UserError(f"{path} is a folder: a group column needs a table of files")
        return FolderSource(path, corpus)
    if name.endswith(SUFFIX):
        folder, pattern = (str(path.parent), path.name) if path.exists() else split_pattern(name)
        return TarSource(LocalStorage(Path(folder)), pattern, corpus, group)
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder")
    return TableSource(LocalStorage(path.parent), path.name, network, corpus, group)


def _open_address(address: str, corpus: str, group: str | None, network: Network) -> Source:
    web = protocol(address) in HTTP
    if path_of(address).endswith(SUFFIX):
        folder, pattern = split_pattern(address)
        return TarSource(_storage(folder + "/", network), pattern, corpus, group)
    if is_table(address):
        folder = urljoin(address, ".") if web else address.rpartition("/")[0] + "/"
        return TableSource(_storage(folder, network), address, network, corpus, group)
    if group is not None:
        raise UserError(f"{address} is a folder: a group column needs a table of files")
    if web:
        folder = urldefrag(address).url
        return IndexSource(folder if folder.endswith("/") else f"{folder}/", network, corpus)
    return BucketSource(address, network, corpus)


def _storage(folder: str, network: Network) -> Storage:
    return HttpStorage(folder, network) if protocol(folder) in HTTP else BucketStorage(folder, network)


def corpus_source(home: Home, name: str, corpus: Corpus, workers: int = 1) -> Source:
    """The source of a registered corpus, for one of so many processes that share the limits of the network."""
    return _registered(home, name, corpus, read_registry(home).network.shared_by(workers))


def corpus_sources(home: Home, registry: Registry) -> dict[str, Source]:
    """The source of every registered corpus by its name, for worker processes that share the limits of the network."""
    network = registry.network.shared_by(compute_of(registry.compute).engine.cores)
    return {name: _registered(home, name, corpus, network) for name, corpus in registry.corpora.items()}


def _registered(home: Home, name: str, corpus: Corpus, network: Network) -> Source:
    source = corpus.source if is_address(corpus.source) else resolve(home, corpus.source)
    return open_source(source, corpus=name, group=corpus.group, network=network)


def read_place(sources: Mapping[str, Source], place: Place) -> bytes:
    """The bytes of a picture. Raises RefusedError where they cannot be had or are no longer the same."""
    data = sources[place.source].read(place.uri, place.span)
    if hashlib.sha256(data).hexdigest() != place.sha256:
        raise RefusedError("changed_meanwhile", "the file changed after it was crawled: run again")
    return data
