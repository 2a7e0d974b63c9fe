"""What picture files say about themselves, for the page of answers: read by exiftool, all files in one run.

Asking exiftool and sorting its tags into evidence belongs here; the rules are in `warehouse/exif_marks.py`. Nothing of
this reaches a score.
"""

from collections.abc import Sequence
from pathlib import Path

from warehouse.answer_page import Evidence
from warehouse.exif_marks import c2pa_claim_generator, digital_source_type, edit_evidence, generator_evidence
from warehouse.exiftool import ExifReader, ExifRecord
from warehouse.home import UserError


def evidence(files: Sequence[Path]) -> list[Evidence]:
    """The evidence in each file; one that cannot be read, and all where there is no exiftool, say so."""
    try:
        with ExifReader() as reader:
            return [_of(record) for record in reader.read(files)]
    except UserError as error:
        return [Evidence(unread=str(error))] * len(files)


def _of(record: ExifRecord) -> Evidence:
    if record.tags is None:
        return Evidence(unread=record.error or record.reason)
    tags = record.tags
    generators = generator_evidence(tags)
    manifest = any(tag.startswith("JUMBF:") or tag.endswith("JUMDLabel") for tag in tags)
    return Evidence(
        c2pa=(c2pa_claim_generator(tags) or "signer not named") if manifest else None,
        digital_source_type=digital_source_type(tags),
        generators=generators,
        editing=edit_evidence(tags),
    )
