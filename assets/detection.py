"""The answer to a person's question: is this picture a photograph? By the detector of a home or the one in the box.

Choosing the detector, and going through files with the next one read while one is judged, belong here; Dagster does
not, so that an answer does not wait for it. The verdict belongs to `answers.py`, the command to
`pipelines/cli_detect.py`.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from assets.sight import Shown, Sight, seeing
from models.box import BOX
from models.images import upright
from warehouse.answers import Answer
from warehouse.champion import read_champion
from warehouse.home import Home, UserError
from warehouse.places import RefusedError
from warehouse.source_folder import read_bytes, walk

if TYPE_CHECKING:
    from assets.answers import Judge

Known = Callable[[str, str], Answer | None]
"""Gives the answer that is there already for a file of this name and SHA-256."""

# Pictures whose squares wait to be judged: cut from the whole, a megabyte each.
_AHEAD = 2
# Pictures that are judged at a time.
_JUDGING = 2


@dataclass(frozen=True, eq=False)
class HeatMap:
    """The map drawn over the picture, small and as it is looked at; how many regions it has and how many are framed."""

    drawn: Image.Image
    regions: int
    framed: int


@dataclass(frozen=True, eq=False)
class Answered:
    """An answer; where asked for, the picture as it is looked at, small, and its heat map if it has squares.

    `unchanged` (n, 128, 128, 3) are then what EXIF is held against: squares with their pixels as they are.
    """

    answer: Answer
    picture: Image.Image | None = None
    heat_map: HeatMap | None = None
    unchanged: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Chosen:
    """The file of the detector that answers, read and not loaded yet: what loads it imports torch.

    `own` names a calibration of a home that takes the place of the detector's.
    """

    path: Path
    content: bytes
    own: tuple[Home, str] | None = None

    @cached_property  # asked for at each file, of 5 MB
    def identity(self) -> str:
        """The first 16 digits of its SHA-256; with a calibration of one's own, behind it that one's name and digest."""
        identity = hashlib.sha256(self.content).hexdigest()[:16]
        if self.own is None:
            return identity
        home, name = self.own
        from assets.calibration import load_calibration

        calibration = hashlib.sha256(load_calibration(home, name).to_bytes()).hexdigest()
        return f"{identity}-{name}-{calibration[:8]}"

    def load(self) -> Judge:
        """What judges. UserError where the file is not whole."""
        from assets.answers import Judge
        from models.combined import CombinedDetector

        try:
            detector = CombinedDetector.from_bytes(self.content)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:  # torch refuses weights by RuntimeError
            mended = "install the program anew" if self.path == BOX else "run `sdaie run --force`"
            raise UserError(f"the detector {self.path} is not whole ({error}): {mended}") from None
        if self.own is not None:
            from assets.calibration import recalibrated

            detector = recalibrated(self.own[0], detector, self.own[1])
        return Judge(detector, self.identity, version("sdaie"))


@dataclass(frozen=True)
class _Item:
    """What the reading thread hands on: a file and what is seen of it, or why nothing, or the answer that is known."""

    file: str
    sha256: str | None
    found: Sight | RefusedError | Answer


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files that a person named, and all files below the folders; what is not there stays, to be told so."""
    found: list[Path] = []
    for path in paths:
        found += [path / name for name in sorted(walk(path))] if path.is_dir() else [path]
    return found


def choose(home: Home, calibration: str | None = None) -> Chosen:
    """The champion of a home, else the detector in the box; perhaps with a calibration of the home.

    UserError where what is asked for is not there.
    """
    if calibration is not None:
        from assets.calibration import load_calibration

        load_calibration(home, calibration)
    path = champion_file(home) or BOX
    try:
        return Chosen(path, path.read_bytes(), None if calibration is None else (home, calibration))
    except FileNotFoundError:
        if path == BOX:
            raise UserError(
                f"no detector in {home.path}, and this program was built without one: run `sdaie run`, or `make demo`"
                " for a first look"
            ) from None
        raise UserError(f"the detector {path.parent.name} is gone from {home.path}: run `sdaie run --force`") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def boxed() -> Chosen:
    """The detector in the box. UserError where the program was built without one."""
    try:
        return Chosen(BOX, BOX.read_bytes())
    except FileNotFoundError:
        raise UserError("this program was built without a detector in the box") from None


def champion_file(home: Home) -> Path | None:
    """The file of the detector that answers in a home; None where there is none. UserError where it is damaged."""
    identity = read_champion(home)
    return None if identity is None else home.detector_file(identity)


def detect(chosen: Chosen, files: Iterable[Path], known: Known | None = None, show: bool = False) -> Iterator[Answered]:
    """An answer for each file, in order, as soon as it is there; a file that is no picture gets its reason.

    The detector is loaded while the first file is read. `known` spares judging what has an answer; `show` asks for heat
    maps.
    """
    with _reading(files, known, show) as items:
        judge = chosen.load()
        with _judging() as pool:
            asked: deque[Future[Answered]] = deque()
            for item in items:
                asked.append(pool.submit(_answered, judge, item))
                while asked and (len(asked) > _JUDGING or asked[0].done()):
                    yield asked.popleft().result()
            while asked:
                yield asked.popleft().result()


@contextmanager
def _judging() -> Iterator[ThreadPoolExecutor]:
    """Threads that judge a picture each; whoever leaves early does not wait for what was not begun.

    Of one thread each inside torch: on two cores, two pictures at once take half the processor time of one after
    another by two threads, which wait for each other and for the decoder.
    """
    from torch import set_num_threads

    pool = ThreadPoolExecutor(_JUDGING, "judging", set_num_threads, (1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _answered(judge: Judge, item: _Item) -> Answered:
    if isinstance(item.found, Answer):
        return Answered(item.found)
    if isinstance(item.found, RefusedError):
        return Answered(judge.refused(item.file, item.sha256, item.found))
    seen = item.found
    if judge.simulated_only(seen.facts):
        return Answered(judge.not_asked(item.file, seen.facts))
    detector, squares = judge.detector, seen.squares
    reason, usable = detector.reason(squares), int(detector.usable(squares).sum())
    examination = detector.examine_squares(squares) if len(squares) else None
    answer = judge.answer(item.file, seen.facts, examination, reason, usable)
    if seen.shown is None:
        return Answered(answer)
    picture = upright(Image.fromarray(seen.shown.picture), seen.shown.orientation)
    heat_map = _heat_map(judge, seen.shown) if len(seen.shown.regions) else None
    return Answered(answer, picture, heat_map, seen.shown.unchanged)


def _heat_map(judge: Judge, shown: Shown) -> HeatMap:
    from models.heat_map import LEVEL, adjusted, draw

    detector, regions = judge.detector, shown.regions
    evidence = detector.usable(regions)
    p_values = detector.region_p_values(detector.examine_squares(regions).square_scores)
    corrected = np.ones(len(regions))
    corrected[evidence] = adjusted(p_values[evidence])
    drawn = draw(shown.picture, shown.size, regions.places, p_values, corrected, evidence)
    return HeatMap(upright(drawn, shown.orientation), len(regions), int((corrected <= LEVEL).sum()))


@contextmanager
def _reading(files: Iterable[Path], known: Known | None, show: bool) -> Iterator[Iterator[_Item]]:
    """What is seen of each file, in order, by a thread that reads ahead; it ends when the caller leaves."""
    waiting: Queue[_Item | BaseException | None] = Queue(_AHEAD)
    left = Event()

    def put(item: _Item | BaseException | None) -> bool:
        while not left.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except Full:
                continue
        return False

    def read() -> None:
        try:
            with seeing(show) as see:
                for file in files:
                    if not put(_read(file, known, see)):
                        return
            put(None)
        except BaseException as error:  # it is raised where the answers are asked for
            put(error)

    def items() -> Iterator[_Item]:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = Thread(target=read, name="reading ahead", daemon=True)
    thread.start()
    try:
        yield items()
    finally:
        left.set()
        while thread.is_alive():
            try:
                waiting.get_nowait()
            except Empty:
                thread.join(0.05)


def _followed(file: Path) -> tuple[Path, str]:
    """The folder and the name of what a path leads to. Raises RefusedError for what is no path."""
    try:
        target = Path(os.path.realpath(file))
    except (OSError, ValueError) as error:
        raise RefusedError("unreadable", getattr(error, "strerror", None) or str(error)) from None
    return target.parent, target.name


def _read(file: Path, known: Known | None, see: Callable[[bytes], Sight]) -> _Item:
    name, sha256 = str(file), None
    try:
        # A link that a person names is followed; only a source's own links may not lead out of it.
        data = read_bytes(*_followed(file))
        sha256 = hashlib.sha256(data).hexdigest()
        there = known(name, sha256) if known else None
        return _Item(name, sha256, there or see(data))
    except RefusedError as error:
        return _Item(name, sha256, error)
