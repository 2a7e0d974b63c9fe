"""What a crawl has to do: the listing of a corpus against the rows that earlier crawls committed, shard by shard.

A plan is a function of these two alone, so that a crawl that is killed and repeated ends in the same tables. Shards in
which nothing changed are taken over as files; of the others, only what changed is read. A listing may name millions of
files, so the rows that it is compared with are in memory some shards at a time. What becomes of one place belongs to
`revisions.py`, reading and looking to `assets/crawl.py`.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from warehouse.crawled import Crawled, Rows, divided, table_bits
from warehouse.home import digest
from warehouse.places import Listed, printable
from warehouse.reasons import may_pass
from warehouse.revisions import PHOTO, QUARANTINED, VANISHED, of_container, table_name, told
from warehouse.schema import TABLES
from warehouse.shards import ShardWork, frame
from warehouse.store import Shard, shard_of

_BY_LISTING = ("group", "span", "source")
"""Columns that follow the listing though the file is not read."""
_CURRENT = pl.col("state").is_in([PHOTO, QUARANTINED])


@dataclass(frozen=True)
class Part:
    """What it takes to write one shard.

    `unread`: files to read, each with its name in the table; or the members of `container` are read. `earlier`: the
    rows of these places. `settled`: rows that need no reading; `refused`: their rows of the quarantine.
    """

    unread: tuple[tuple[str, Listed], ...]
    earlier: pl.DataFrame
    settled: pl.DataFrame
    refused: pl.DataFrame
    container: Listed | None = None


@dataclass(frozen=True)
class Plan:
    """The shards to write, and the finished ones that stay as they are, by name."""

    work: tuple[ShardWork[Part], ...]
    finished: Mapping[str, tuple[Shard, Shard]]


def listing_facts(listing: Sequence[Listed]) -> dict[str, object]:
    """What tells one listing from another, and how many `files` it names that lie in no tar shard."""
    names, step = _names(listing), 10_000  # the JSON of a million files is not held in one piece
    digests = []
    for start in range(0, len(names), step):
        piece = zip(names[start : start + step], listing[start : start + step], strict=True)
        digests.append(digest([[name, item.is_container, *told(item).values()] for name, item in piece]))
    return {"listing": digest(digests), "files": sum(not _is_box(*each) for each in zip(names, listing, strict=True))}


def planned(corpus: str, listing: Sequence[Listed], before: Crawled, *, version: int, again: bool = False) -> Plan:
    """What a crawl has to do. `again`: everything is read, also what did not change."""
    finished = {name: (rows, beside) for name, (rows, beside) in before.written.items() if beside is not None}
    if before.version != version:
        finished, again = {}, True
    names = _names(listing)
    boxes = {name: item for name, item in zip(names, listing, strict=True) if _is_box(name, item)}
    work: dict[str, Part] = {}
    same: set[str] = set()
    inside: dict[str | None, Rows] = {}
    parts = None if boxes else divided(names, before)
    if parts is None:
        inside = _by_box(before.read(before.written), boxes)
        plain = [(name, item) for name, item in zip(names, listing, strict=True) if name not in boxes]
        outside = inside[None]
        bits = table_bits(len({name for name, _ in plain}.union(outside.files["uri"])))
        work, same = _files(plain, outside, bits, finished, again)
    else:
        bits, pieces = parts
        for places, shards in pieces:
            some = [(names[place], listing[place]) for place in places]
            written, unchanged = _files(some, before.read(shards), bits, finished, again)
            work |= written
            same |= unchanged
    for uri, box in boxes.items():
        name = f"c{_sha256(uri)[:16]}"
        rows = inside[uri]
        if name in finished and _as_it_was(box, name, rows.files, rows.refused):
            same.add(name)
        if again or name not in same:
            earlier = rows.files.drop("shard")
            work[name] = Part((), earlier, earlier.clear(), rows.refused.clear(), box)
    units = []
    for name, part in sorted(work.items()):
        # Made again from the same, a shard is the same file.
        inputs = finished[name][0].inputs if name in same else digest([version, corpus, before.digest, _of(part)])
        units.append(ShardWork(name, (part,), inputs))
    return Plan(tuple(units), {name: finished[name] for name in sorted(same - work.keys())})


def _files(
    plain: Sequence[tuple[str, Listed]], before: Rows, bits: int, finished: Collection[str], again: bool
) -> tuple[dict[str, Part], set[str]]:
    """Of the files in no tar shard: shards of the table to write, and the names of those in which all is the same."""
    listed = _listed_frame(plain)
    newest = before.files.filter(pl.col("revision") == pl.col("revision").max().over("uri"))
    seen = listed.join(newest, on="uri", how="left", maintain_order="left", suffix="_before")
    seen = seen.with_columns(kept=_unchanged() & _has_its_reason(_lasting(before.refused)))
    gone = newest.join(listed, on="uri", how="anti")
    other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in _BY_LISTING)
    changed = pl.concat(
        [
            seen.filter(~pl.col("kept") | other | (pl.col("state") == VANISHED))["uri"],
            gone.filter(pl.col("state") != VANISHED)["uri"],
            # A reason without its file, as `_has_its_reason` finds a file without its reason.
            before.refused.join(seen.filter(state=QUARANTINED), on="uri", how="anti")["uri"],
        ]
    )
    shards = _shards(pl.concat([listed["uri"], gone["uri"]]), bits)
    moved = before.files.join(shards, on="uri", suffix="_now").filter(pl.col("shard") != pl.col("shard_now"))
    touched = {*shards.join(changed.to_frame(), on="uri", how="semi")["shard"], *moved["shard"], *moved["shard_now"]}
    names = set(shards["shard"])
    same = names.intersection(finished) - touched
    unread = seen.filter(~pl.col("kept") | pl.lit(again)).select("uri", "place")
    kept = seen.join(unread, on="uri", how="anti").with_columns(
        state=pl.when(pl.col("photo_id").is_null()).then(pl.lit(QUARANTINED)).otherwise(pl.lit(PHOTO)),
        size_bytes="size_bytes_before",
    )
    older = before.files.join(newest, on=["uri", "revision"], how="anti").join(unread, on="uri", how="anti")
    columns = TABLES["files"].column_names
    settled = pl.concat([each.select(columns) for each in (kept, gone.with_columns(state=pl.lit(VANISHED)), older)])
    write = names if again else names - same
    cut = [
        _by_shard(each, shards, write)
        for each in (
            before.files.drop("shard").join(unread, on="uri", how="semi"),
            settled,
            before.refused.join(kept, on="uri", how="semi"),
            unread,
        )
    ]
    work = {}
    for name in write:
        earlier, done, reasons, places = (pieces.get(name, pieces[""]) for pieces in cut)
        work[name] = Part(tuple(plain[place] for place in places["place"]), earlier, done, reasons)
    return work, same


def _unchanged() -> pl.Expr:
    """Whether the newest row of a place, beside what is listed there, is of the file that is listed."""
    size, modified, etag = (pl.col(name) for name in ("size_bytes", "modified_ns", "etag"))
    untold = size.is_null() & (modified.is_not_null() | etag.is_not_null())
    return (
        pl.col("revision").is_not_null()
        & (size.eq_missing(pl.col("size_bytes_before")) | untold)
        & modified.eq_missing(pl.col("modified_ns_before"))
        & etag.eq_missing(pl.col("etag_before"))
    )


def _lasting(refused: pl.DataFrame) -> pl.DataFrame:
    """Rows of the quarantine whose reason will not pass by itself."""
    passing = [reason for reason in refused["reason"].unique() if may_pass(reason)]
    return refused.filter(~pl.col("reason").is_in(passing))


def _has_its_reason(refused: pl.DataFrame) -> pl.Expr:
    """Whether a row is of a photograph, or the quarantine says why it is not."""
    reason = (pl.col("state") == QUARANTINED) & pl.col("uri").is_in(refused["uri"].implode())
    return pl.col("photo_id").is_not_null() | reason.fill_null(value=False)


def _listed_frame(named: Sequence[tuple[str, Listed]]) -> pl.DataFrame:
    """What is listed as a frame: the uri, its place in `named`, and the columns that the listing tells."""
    types = frame("files", []).schema
    columns = [told(item) for _, item in named]
    given = list(told(Listed("", "", None, None)))
    return pl.DataFrame(
        {
            "uri": pl.Series([name for name, _ in named], dtype=pl.String),
            "place": pl.Series(range(len(named)), dtype=pl.Int64),
            **{name: pl.Series([row[name] for row in columns], dtype=types[name]) for name in given},
        }
    )


def _shards(uris: pl.Series, bits: int) -> pl.DataFrame:
    """The shard of each uri, by the leading bits of its SHA-256."""
    return pl.DataFrame(
        {"uri": uris, "shard": pl.Series([shard_of(_sha256(uri), bits) for uri in uris], dtype=pl.String)}
    )


def _by_shard(rows: pl.DataFrame, shards: pl.DataFrame, wanted: set[str]) -> dict[str, pl.DataFrame]:
    """The rows of each wanted shard that has any; without rows those of "", which is no shard's name."""
    placed = rows.join(shards, on="uri", maintain_order="left").filter(pl.col("shard").is_in(list(wanted)))
    pieces = placed.partition_by("shard", as_dict=True, include_key=False)
    return {"": rows.clear(), **{str(name): piece for (name,), piece in pieces.items()}}


def _by_box(rows: Rows, boxes: Collection[str]) -> dict[str | None, Rows]:
    """The rows in each tar shard that has any, and the row of the shard itself; those outside of all by None."""
    files, refused = _cut_by_box(rows.files, boxes), _cut_by_box(rows.refused, boxes)
    return {
        box: Rows(files.get(box, rows.files.clear()), refused.get(box, rows.refused.clear())) for box in (None, *boxes)
    }


def _cut_by_box(rows: pl.DataFrame, boxes: Collection[str]) -> dict[str | None, pl.DataFrame]:
    # The longest uri that ends in a slash and begins a row's uri is the last that is not behind it.
    ends = pl.DataFrame({"key": [f"{uri}/" for uri in boxes], "box": list(boxes)}, {"key": pl.String, "box": pl.String})
    keyed = rows.with_columns(key=pl.col("uri") + "/").sort("key", maintain_order=True)
    found = keyed.join_asof(ends.sort("key"), on="key", check_sortedness=False)
    outside = ~pl.col("key").str.starts_with(pl.col("box") + "/")
    found = found.with_columns(box=pl.when(outside).then(None).otherwise("box")).drop("key")
    return {name: piece for (name,), piece in found.partition_by("box", as_dict=True, include_key=False).items()}


def _as_it_was(box: Listed, name: str, inside: pl.DataFrame, refused: pl.DataFrame) -> bool:
    """Whether the rows in a tar shard are those of the shard that is listed, and all lie in one shard of the table."""
    row = told(of_container(box, box))
    current = inside.filter(_CURRENT)
    same = pl.col("modified_ns").eq_missing(row["modified_ns"]) & pl.col("etag").eq_missing(row["etag"])
    return (
        not current.is_empty()
        and current.select(same.all()).item()
        and inside.select((pl.col("shard") == name).all()).item()
        and set(current.filter(state=QUARANTINED)["uri"]) == set(_lasting(refused)["uri"])
    )


def _of(part: Part) -> list[object]:
    """What the rows of a shard are made from, beside what was committed before."""
    unread = [[name, *told(item).values()] for name, item in part.unread]
    followed = part.settled.select("uri", "revision", "state", *_BY_LISTING).sort("uri", "revision").rows()
    box = [part.container.uri, *told(part.container).values()] if part.container else None
    return [unread, followed, box]


def _names(listing: Sequence[Listed]) -> list[str]:
    """The name of each file in the table."""
    uris = [item.uri for item in listing]
    if all(map(_holds, uris)) and all(one != other for one, other in pairwise(uris)):
        return uris
    taken: set[str] = set()
    return [table_name(uri, taken) for uri in uris]


def _holds(uri: str) -> bool:
    """Whether a table can hold a name as it is."""
    return uri.isascii() or printable(uri) == uri


def _is_box(name: str, item: Listed) -> bool:
    """Whether it is a tar shard whose members are read; one that no table can name is refused like any file."""
    return item.is_container and name == item.uri


def _sha256(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()
