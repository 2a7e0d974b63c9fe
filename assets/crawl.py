"""From a registered corpus to the table of its files (`files`): listed, read where they changed, and looked at.

What is read again is decided in `warehouse/crawl_plan.py`, what becomes of a place's rows in `warehouse/revisions.py`;
what a source is belongs to `warehouse/sources.py`, the first look at bytes to `warehouse/file_facts.py`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl

from assets.stage import Context, Product, stage
from warehouse.crawl_plan import Part, Plan, listing_facts, planned
from warehouse.crawled import crawled
from warehouse.file_facts import Facts, looking
from warehouse.places import Listed, RefusedError, Source, printable
from warehouse.revisions import PHOTO, QUARANTINED, of_container, revised, table_name, told, whole_container
from warehouse.shards import Quarantined, Rows, quarantine_partition, run_shards
from warehouse.sources import corpus_source

_AHEAD_BYTES = 256 << 20
"""Bytes, as listed, of files that are read ahead at once; a larger file is read alone."""
_UNTOLD_BYTES = 16 << 20
Found = tuple[str, Listed, bytes | RefusedError]
"""A file's name in the table, the file as listed, and its bytes or why they cannot be had."""


def _source(context: Context, workers: int = 1) -> Source:
    return corpus_source(context.home, context.partition, context.registry.corpora[context.partition], workers)


def _files_settings(context: Context) -> object:
    return listing_facts(_source(context).listing())


@stage(
    group="corpus",
    tables=["files"],
    partitioned="corpora",
    external=["photographs"],
    settings=_files_settings,
    version=2,
)
def files(context: Context) -> Product:
    """Crawl a registered corpus: identity, format and size of each new or changed file; the others are not read."""
    name, source = context.partition, _source(context)
    before = crawled(context.store, name)
    plan = planned(name, source.listing(), before, version=context.version, again=context.force)
    # One process keeps the source's bounds on what is read at once; it waits for the network anyway.
    compute = context.compute
    alone = source.concurrency > 1 and compute.near
    crawl = partial(crawl_part, source if alone else _source(context, compute.engine.cores), name)
    written = run_shards(
        context.store,
        context.here if alone else compute,
        "files",
        plan.work,
        partial(crawl, read=_counter(context, plan)) if alone else crawl,
        partition=name,
        progress=context.progress(f"crawl {name}, shards"),
        again=context.force,
        refuse=partial(refuse_part, name),
    )
    shards = {**plan.finished}
    shards |= {unit.shard: pair for unit, pair in zip(plan.work, zip(*written, strict=True), strict=True)}
    rows, refused = ([shards[shard][i] for shard in sorted(shards)] for i in range(2))
    folder = context.store.folder("files", name)
    states = [pl.read_parquet(folder / shard.file, columns=["state"])["state"] for shard in rows]
    counts = pl.concat([pl.Series("state", [], pl.String), *states]).value_counts()
    if quarantined := sum(shard.rows for shard in refused):
        context.say(f"{name}: {quarantined} files are no photographs or cannot be read; the table quarantine says why")
    return Product(
        {"files": rows},
        {f"files_{state}": count for state, count in counts.sort("state").iter_rows()}
        | {"shards_unchanged": len(plan.finished)},
        {quarantine_partition("files", name): refused},
    )


def _counter(context: Context, plan: Plan) -> Callable[[], None]:
    """Says now and then how many files were read; of tar shards nobody knows how many there are."""
    progress = context.progress(f"read {context.partition}")
    total = sum(len(part.unread) for unit in plan.work for part in unit.items)
    counted = count(1)
    return lambda: progress(next(counted), total)


def crawl_part(
    source: Source, corpus: str, parts: tuple[Part, ...], *, read: Callable[[], None] = lambda: None
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `files` and of the quarantine for some shards of a corpus; `read` is told of each file."""
    rows: Rows = []
    refused: list[Quarantined] = []
    with looking() as look:
        for part in parts:
            places: dict[str, Rows] = {}
            for row in part.earlier.sort("uri", "revision").iter_rows(named=True):
                places.setdefault(row["uri"], []).append(row)
            found = _read(source, part.unread) if part.container is None else _members(source, part.container)
            for name, item, data in found:
                read()
                now, reason = _look(look, corpus, name, item, data)
                rows += map(dict, revised(places.pop(name, []), now))
                refused += [reason] if reason else []
            for earlier in places.values():
                rows += map(dict, revised(earlier, None))
            rows += part.settled.to_dicts()
            columns = ("source", "uri", "reason", "detail", "photo_id")
            refused += [Quarantined(*row) for row in part.refused.select(columns).iter_rows()]
    return rows, refused


@dataclass(frozen=True)
class _NothingSource:
    """A source whose files cannot be had, for one reason."""

    error: RefusedError
    concurrency: int = 1

    def listing(self) -> list[Listed]:
        return []

    def read(self, uri: str, span: str | None = None) -> bytes:
        raise self.error

    def members(self, container: Listed) -> Iterator[tuple[Listed, bytes | RefusedError]]:
        raise self.error

    def local_path(self, uri: str, span: str | None = None) -> Path | None:
        raise self.error


def refuse_part(corpus: str, part: Part, error: RefusedError) -> tuple[Rows, list[Quarantined]]:
    """Rows of `files` and of the quarantine for a shard none of whose files could be looked at."""
    return crawl_part(_NothingSource(error), corpus, (part,))


def _look(
    look: Callable[[bytes], Facts], corpus: str, name: str, item: Listed, data: bytes | RefusedError
) -> tuple[dict[str, Any], Quarantined | None]:
    """A file's row, but for its revision, and its row of the quarantine where it is no photograph."""
    row: dict[str, Any] = dict.fromkeys(("photo_id", "format", "width", "height"))
    row |= {"corpus": corpus, "uri": name, **told(item)}
    try:
        if isinstance(data, RefusedError):
            raise data
        facts = look(data)
    except RefusedError as error:
        return row | {"state": QUARANTINED}, Quarantined(corpus, name, error.reason, printable(error.detail))
    row |= {"state": PHOTO, "photo_id": facts.sha256, "format": facts.format}
    return row | {"width": facts.width, "height": facts.height, "size_bytes": facts.size}, None


def _read(source: Source, unread: Iterable[tuple[str, Listed]]) -> Iterator[Found]:
    """Files with their bytes, in order; of a slow source as many are read ahead as it allows at once."""

    def read(name: str, item: Listed) -> Found:
        try:
            return name, item, _misnamed(name, item) or source.read(item.uri, item.span)
        except RefusedError as error:
            return name, item, error

    if source.concurrency == 1:
        yield from (read(*each) for each in unread)
        return
    with ThreadPoolExecutor(source.concurrency) as pool:
        ahead: deque[tuple[int, Future[Found]]] = deque()
        try:
            for name, item in unread:
                size = item.size if item.size is not None else _UNTOLD_BYTES
                while ahead and (len(ahead) == source.concurrency or sum(n for n, _ in ahead) + size > _AHEAD_BYTES):
                    yield ahead.popleft()[1].result()
                ahead.append((size, pool.submit(read, name, item)))
            while ahead:
                yield ahead.popleft()[1].result()
        finally:
            for _, future in ahead:
                future.cancel()


def _members(source: Source, container: Listed) -> Iterator[Found]:
    """The files in a tar shard with their bytes; the shard itself where it cannot be read to its end."""
    taken: set[str] = set()
    try:
        for member, data in source.members(container):
            name = table_name(member.uri, taken)
            yield name, of_container(container, member), _misnamed(name, member) or data
    except RefusedError as error:
        yield container.uri, whole_container(container), error


def _misnamed(name: str, item: Listed) -> RefusedError | None:
    """Why a file cannot be found again by its name in the table."""
    if name == item.uri:
        return None
    if printable(item.uri) != item.uri:
        return RefusedError("name_not_utf8", "the file's name is not valid UTF-8")
    return RefusedError("repeated_name", "another file has the same name")
