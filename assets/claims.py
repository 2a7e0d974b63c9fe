"""What a picture's metadata claims, against its pixels: the answer to a person, one picture at a time.

Reading typed EXIF from a picture's bytes, finding the file that judges, and asking it for the page of answers belong
here; Dagster does not, so that an answer does not wait for it. The judgement belongs to `models/claims.py`, the stages
to `exif_claims.py`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from assets.detection import Answered, Chosen
from models.box import BOX, BOX_CLAIMS
from models.camera_statistics import TooSmallError
from models.claims import DOUBTED, Claim, Claims
from warehouse.answer_page import Claim as ShownClaim
from warehouse.exif_rules import RowValue, normalise
from warehouse.exiftool import ExifReader, ExifRecord
from warehouse.exiftool_files import hold
from warehouse.home import Home, UserError
from warehouse.places import RefusedError
from warehouse.store import Store

TypedExif = Mapping[str, RowValue]


@contextmanager
def reading_exif() -> Iterator[Callable[[bytes], TypedExif]]:
    """What gives a picture's bytes as a row of table `exif`, without its key, by one running exiftool.

    It raises RefusedError where exiftool cannot read them. Raises UserError where there is no exiftool.
    """
    with ExifReader() as reader:
        yield partial(_typed, reader)


def typed_exif(data: bytes) -> TypedExif:
    """One picture's bytes as `reading_exif` has it."""
    with reading_exif() as read:
        return read(data)


def _typed(reader: ExifReader, data: bytes) -> TypedExif:
    jobs = iter([(0, partial(hold, data))])
    records: dict[int, ExifRecord] = {}
    reader.read_each(lambda wait: next(jobs, None), records.__setitem__)
    record = records[0]
    if record.tags is None:
        raise RefusedError(record.reason, record.error or "no answer")
    return normalise(record.tags).row


@contextmanager
def claims_of_pictures(chosen: Chosen, home: Home) -> Iterator[Callable[[Answered], list[ShownClaim]]]:
    """What holds the EXIF of answered pictures against their pixels, for the page of answers.

    By what judges claims beside the detector that answers; it finds nothing where there is none, in a picture without
    room or without EXIF, where exiftool is not there, and in a file that has changed meanwhile.
    """
    claims = _beside(chosen, home)
    if claims is None:
        yield lambda answered: []
        return
    with ExitStack() as stack:
        try:
            read = stack.enter_context(reading_exif())
        except UserError:  # the page says it beside each picture
            yield lambda answered: []
            return

        def held_against(answered: Answered) -> list[ShownClaim]:
            if answered.unchanged is None:
                return []
            try:
                data = Path(answered.answer.file).read_bytes()
                if hashlib.sha256(data).hexdigest() != answered.answer.sha256:
                    return []
                judged = claims.judge_squares(answered.unchanged, read(data))
            except (OSError, RefusedError, TooSmallError):
                return []
            return _shown(judged)

        yield held_against


def _beside(chosen: Chosen, home: Home) -> Claims | None:
    """What judges claims beside a detector: that of the box for the box's, else that of the home."""
    if chosen.path == BOX:
        return read_claims(BOX_CLAIMS) if BOX_CLAIMS.exists() else None
    return claims_of_home(home)


def _shown(judged: Sequence[Claim]) -> list[ShownClaim]:
    """Each claim of which pixels tell something, and in one sentence those of which they tell nothing."""
    told = [each for each in judged if each.evidence]
    shown = [ShownClaim(_sentence(each.sentence), each.p_value <= DOUBTED) for each in told]
    if silent := list(dict.fromkeys(each.name for each in judged if not each.evidence)):
        said = f"no evidence either way of {', '.join(silent)}: pixels of sources never seen do not tell these"
        shown.append(ShownClaim(_sentence(said), against=False))
    return shown


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def claims_of_home(home: Home) -> Claims | None:
    """What judges claims in a home; None where it has learned none. Raises UserError where its file is not whole."""
    for identity in Store(home.tables).read("exif_claims", columns=["backbone"])["backbone"].unique():
        return read_claims(home.claims(str(identity)))
    return None


def read_claims(path: Path) -> Claims:
    """What judges claims, from its file. Raises UserError where it is not whole."""
    try:
        return Claims.from_bytes(path.read_bytes())
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path.name} is not whole ({error}): run `sdaie run --force`") from None
