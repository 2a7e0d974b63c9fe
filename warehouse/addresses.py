"""Addresses: what one is, and which kind.

Telling an address from a path belongs here; reading what lies there belongs to the storages (`storage.py`).
"""

import re
from urllib.parse import urlsplit, urlunsplit

from warehouse.home import UserError

HTTP = frozenset({"http", "https"})
_OF_OTHERS = frozenset(
    {
        *("zip", "tar", "libarchive", "dir", "reference", "generic", "asyncwrapper"),
        *("cached", "blockcache", "filecache", "simplecache"),
    }
)
"""Protocols of fsspec's that only show what lies at another address."""
_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def protocol(name: str) -> str | None:
    """The protocol of an address, in lower case; None for a path."""
    found = _PROTOCOL.match(name)
    return found[1].lower() if found else None


def is_address(name: str) -> bool:
    """Whether a name is an address, or a chain of addresses, and not a path."""
    return protocol(name.rpartition("::")[2]) is not None


def path_of(name: str) -> str:
    """A path as it is; of an address of the web what stands before the query, elsewhere the whole address."""
    return urlsplit(name).path if protocol(name) in HTTP else name


def without_user(address: str) -> str:
    """An address of the web without a user's name and password, which have no place in tables."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else address


def checked_address(address: str) -> str:
    """An address that can be registered.

    Raises UserError for one with a password in it, a chain of addresses, one that leads to another, and one of ftp.
    """
    if "::" in address:
        raise UserError(f"{address}: chains of addresses are not read: name the place itself")
    kind = protocol(address)
    if kind in _OF_OTHERS:
        raise UserError(f"{address}: archives and caches are not read by {kind}://: name the place itself, unpacked")
    if kind == "ftp":  # fsspec ends a transfer half-way where a part is asked for, and the connection with it
        raise UserError(f"{address}: ftp:// is not read: copy the files to a folder")
    if kind in HTTP and without_user(address) != address:
        raise UserError("an address with a user name in it is not read: the registry is no place for passwords")
    if kind != "github" and _has_password(address):  # there organisation:repository@revision is the place itself
        raise UserError("an address with a password in it is not read: the registry is no place for passwords")
    return address


def _has_password(address: str) -> bool:
    try:
        return urlsplit(address).password is not None
    except ValueError:
        return False
