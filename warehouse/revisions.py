"""The rows of one place of a corpus through time: what a listing tells of it, and what becomes of it after a look.

These are pure functions of one file. Which files a crawl has to look at belongs to `crawl_plan.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from warehouse.places import Listed, printable, source_json

PHOTO, QUARANTINED, REPLACED, VANISHED = "photo", "quarantined", "replaced", "vanished"
"""States of a file. The first two are of what is there now, the others of what was."""
Row = Mapping[str, Any]
_LARGEST = 2**63 - 1


def table_name(uri: str, taken: set[str]) -> str:
    """The name of a uri in the table, which joins those `taken`; it is the uri itself where a file is found by it."""
    name = printable(uri)
    while name in taken:
        name += "\\"
    taken.add(name)
    return name


def told(item: Listed) -> dict[str, Any]:
    """What the listing says of a file, as columns of its row."""
    modified = item.modified_ns
    return {
        # A file system may hold times that no table can.
        "modified_ns": modified if modified is None else max(-_LARGEST, min(modified, _LARGEST)),
        "etag": item.etag and printable(item.etag),
        "span": item.span,
        "group": printable(item.group),
        "size_bytes": item.size,
        "source": source_json(item.columns),
    }


def of_container(container: Listed, member: Listed) -> Listed:
    """A member of a tar shard as its row tells it: a tar shard changes as a whole."""
    etag = container.etag or f"size:{container.size}"
    return replace(member, modified_ns=container.modified_ns, etag=etag)


def whole_container(container: Listed) -> Listed:
    """A tar shard that could not be read to its end as its row tells it: its span is all of it."""
    return replace(of_container(container, container), span=f"0+{container.size or 0}")


def revised(earlier: Sequence[Row], now: Row | None) -> list[Row]:
    """The rows of a place after a look: `earlier` by revision, `now` what was found, still without a revision.

    Another content is another revision, and those before it are `replaced`; the same content again is the same row.
    What could not be taken has no content, and gives way to what comes after it. None: nothing is listed any more.
    """
    if now is None:
        return [*earlier[:-1], {**earlier[-1], "state": VANISHED}]
    contents = [row for row in earlier if row["photo_id"] is not None]
    if contents and contents[-1]["photo_id"] == now["photo_id"]:
        contents.pop()
    return [*({**row, "state": REPLACED} for row in contents), {**now, "revision": len(contents)}]
