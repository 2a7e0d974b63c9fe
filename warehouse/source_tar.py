"""Pictures in tar shards as WebDataset lays them out: a picture, and beside it fields of the same key.

What is a picture and what a field, groups and uris belong here; walking an archive belongs to `tar_stream.py`, where
the shards lie to the storage. A key's files follow one another, in any order: `a/1.jpg`, `a/1.json`, `a/1.txt`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath

from warehouse.home import UserError
from warehouse.patterns import expand, is_wild
from warehouse.places import Listed, RefusedError
from warehouse.source_columns import kept_columns
from warehouse.source_folder import LocalStorage, folder_group
from warehouse.storage import Facts, Storage, remember
from warehouse.tar_stream import Member, walk_tar

SUFFIX = ".tar"
TEXTS = frozenset({"txt", "cls", "caption"})
"""Files beside a picture whose text is a field; that of `json` is an object of fields."""
LARGEST_FIELDS = 1024 * 1024
MOST_HELD = 64 * 1024 * 1024
"""Bytes that are held back until the key ends; of a key with more, fields that come later are left out."""

Found = tuple[Listed, bytes | RefusedError]


@dataclass(frozen=True)
class TarSource:
    """The pictures in shards whose names a pattern gives, below the storage's folder.

    `group` is a field beside the pictures; without it, it is the first folder of the picture within its shard, else its
    key, led by the corpus.
    """

    storage: Storage
    pattern: str
    corpus: str = ""
    group: str | None = None

    @property
    def concurrency(self) -> int:
        """As many as the storage takes."""
        return self.storage.concurrency

    def listing(self) -> list[Listed]:
        """The shards; one that the pattern names and that is not there is listed without size and time."""
        return self._listing() if isinstance(self.storage, LocalStorage) else remember(self, self._listing)

    def read(self, uri: str, span: str | None = None) -> bytes:
        """The bytes of a picture, by its place in its shard."""
        shard, _ = _split(uri)
        try:
            start, size = map(int, (span or "").split("+"))
        except ValueError:
            raise RefusedError("missing", "not a picture in a tar shard") from None
        data = self.storage.read_range(shard, start, size)
        if len(data) < size:
            raise RefusedError("changed_meanwhile", "the shard is shorter than when it was crawled: run again")
        return data

    def members(self, container: Listed) -> Iterator[Found]:
        """The files of a shard, with what is said beside them; a name that comes twice comes twice."""
        with self.storage.open(container.uri) as stream:
            yield from self._by_key(container, walk_tar(stream))

    def local_path(self, uri: str, span: str | None = None) -> Path | None:
        """None: pictures in shards are not files."""
        return None

    def _listing(self) -> list[Listed]:
        found: dict[str, Facts] = {}
        named = expand(self.pattern)
        plain = [name for name in named if not is_wild(name)]
        found.update(zip(plain, self.storage.facts(plain), strict=True))
        for name in set(named) - set(plain):
            found.update(self.storage.glob(name))
        if wrong := next((name for name in found if _split(f"{name}/")[0] != name), None):
            raise UserError(f"{wrong}: not a shard whose name ends in {SUFFIX}, or in a folder named like one")
        if not found:
            raise UserError(f"{self.pattern}: no shard has such a name")
        return [Listed(name, "", *facts, is_container=True) for name, facts in sorted(found.items())]

    def _by_key(self, shard: Listed, members: Iterator[Member]) -> Iterator[Found]:
        """Files with the fields of their key, which may come after them."""
        held: list[Member] = []
        fields: dict[str, object] = {}
        key, size, broken = "", 0, None
        while broken is None:
            try:
                member = next(members, None)
            except RefusedError as error:
                member, broken = None, error
            found, extension = split_key(member.name) if member else ("", "")
            if not member or found != key or size > MOST_HELD:
                yield from self._with_fields(shard, key, held, fields)
                held, fields, key, size = [], {}, found, 0
            if not member:
                break
            refused = _take_fields(member, extension, fields)
            if refused or not _is_fields(extension):
                held.append(member._replace(data=refused) if refused else member)
                size += member.size
        if broken is not None:
            raise broken

    def _with_fields(self, shard: Listed, key: str, held: list[Member], fields: dict[str, object]) -> Iterator[Found]:
        columns = kept_columns(fields)
        group = fields.get(self.group) if self.group is not None else None
        if group in (None, ""):
            group = folder_group(self.corpus, normpath(key).lstrip("/"))
        for member in held:
            listed = Listed(
                uri=f"{shard.uri}/{member.name}",
                group=str(group),
                size=member.size,
                modified_ns=shard.modified_ns,
                etag=shard.etag,
                columns=columns,
                span=f"{member.offset}+{member.size}",
            )
            yield listed, member.data


def split_key(name: str) -> tuple[str, str]:
    """The key of a file in a shard (its path up to the first dot of its name) and its extension, in lower case."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()


def _is_fields(extension: str) -> bool:
    return extension in TEXTS or extension == "json"


def _take_fields(member: Member, extension: str, fields: dict[str, object]) -> RefusedError | None:
    """Add what a file beside a picture says to the fields; why not, where it cannot be understood."""
    if not _is_fields(extension):
        return None
    if isinstance(member.data, RefusedError):
        return member.data
    if len(member.data) > LARGEST_FIELDS:
        return RefusedError("fields_too_large", f"{member.size} bytes of fields; at most {LARGEST_FIELDS} are read")
    if extension in TEXTS:
        fields[extension] = member.data.decode("utf-8", "backslashreplace").strip()
        return None
    try:
        found = json.loads(member.data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return RefusedError("broken_fields", "not a JSON object")
    # What a file of its own says stands before what the object says.
    fields.update({name: value for name, value in found.items() if name not in TEXTS or name not in fields})
    return None


def _split(uri: str) -> tuple[str, str]:
    """The shard and the path in it. The first name that ends in .tar is the shard's."""
    shard, suffix, name = uri.partition(f"{SUFFIX}/")
    return shard + suffix[:-1], name
