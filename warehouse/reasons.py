"""Why something is quarantined: every reason code, once, in words for whoever reads it, and which of them may pass.

The codes belong here and no case of them: what happened to one file is the detail beside its code.
"""

import re

REASONS = {
    # Getting at the file.
    "missing": "Nothing is there: no such file, or the server says so (404, 410).",
    "unreadable": "The file or folder may not be read, or its name is none that the system takes.",
    "not_a_regular_file": "A folder, pipe, device or socket stands where a file should.",
    "outside_source": "A link that leads out of the folder that was registered.",
    "empty": "The file has no bytes.",
    "too_large": "The file has more bytes, or the picture more pixels, than are read.",
    "name_not_utf8": "The file's name is not valid UTF-8, so that no table can name it.",
    "repeated_name": "Two files of the source have the same name.",
    "changed_meanwhile": "The file is another than the one that was crawled; the next run crawls it again.",
    # The network.
    "unreachable": "The server cannot be connected to, or the connection broke.",
    "timeout": "The server did not answer, or not fast enough.",
    "cut_short": "The server sent fewer bytes than it announced.",
    "no_permission": "The store does not let us read the object.",
    "private_address": "The address is of this machine or a private network, and `[network] allow_private` is false.",
    "bad_address": "No address of the web.",
    "bad_certificate": "The server does not prove who it is.",
    "too_many_redirects": "The server redirects more than five times.",
    "redirect_refused": "The server redirects out of the web, or from https to http.",
    "no_ranges": "The server does not send parts of files, so that tar shards there cannot be read.",
    "protocol_refused": "The table names a protocol that is not read from tables.",
    # Tar shards.
    "broken_tar": "The archive is damaged or ends too early; its members up to there are taken.",
    "compressed": "The archive is compressed, so that its members cannot be read by themselves: unpack it.",
    "sparse": "The member is stored with holes, which is not read.",
    "broken_fields": "The JSON beside the picture is damaged; the picture itself is taken.",
    "fields_too_large": "The fields beside the picture are too large; the picture itself is taken.",
    # What the file is.
    "not_an_image": "The first bytes are of no known image format.",
    "not_a_photograph_format": "An image or document in a format that cameras do not write.",
    "broken_header": "It begins as an image, but its header is damaged.",
    "too_many_pixels": "The header says more pixels than any picture has that is read.",
    "exiftool_failed": "exiftool gave no tags: it failed, took too long or too much memory on this file alone.",
    # Pixels.
    "pixels_not_decoded": "A raw file or JPEG XL: its EXIF is read, its pixels are not.",
    "corrupt": "The image is cut short or damaged.",
    "not_readable": "There is no regular file at the path, or it may not be read.",
    "unsupported_mode": "The image has floating-point or 32-bit samples.",
    "too_slow": "Decoding took too long and was ended.",
    "too_much_memory": "Decoding wanted more memory than it may have, and was ended.",
    "crashed": "The decoder crashed on this file.",
    "too_small": "The picture is smaller than a crop, or than a patch.",
    "smaller_than_256": "The picture has fewer than 256 pixels on a side.",
    "fewer_than_4_patches": "Fewer than four patches of the picture hold anything to judge.",
    # The program.
    "worker_lost": "The process that worked on it ended, each time it was tried, with this item alone as well.",
    "failed": "The program failed on it, each time it was tried: a defect of sdaie; the detail is the error.",
    # Benchmark sets.
    "same_content": "The same bytes stand under another name in the set; they count once.",
    "contradictory": "The same bytes stand in a set as a photograph and as generated, or as of two generators.",
}

_PASSING = frozenset({"unreachable", "timeout", "cut_short", "no_permission", "changed_meanwhile"})
_STATUS = re.compile(r"http_(\d{3})")
_PASSING_STATUS = frozenset({408, 425, 429})


def meaning(reason: str) -> str:
    """A reason in words. Raises KeyError where the code is none of those here and no `http_STATUS`."""
    if status := _STATUS.fullmatch(reason):
        return f"The server answered {status[1]}."
    return REASONS[reason]


def may_pass(reason: str) -> bool:
    """Whether trying again may mend it though the file is listed as before: a later run asks for it again."""
    if status := _STATUS.fullmatch(reason):
        return int(status[1]) >= 500 or int(status[1]) in _PASSING_STATUS
    return reason in _PASSING
