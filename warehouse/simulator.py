"""The embedded default: a corpus and a benchmark that are rendered where a user has no photographs yet.

Here belongs only what becomes a file where: photographers and their cameras, folders, names, seeds, processes.
How a picture comes about is in `scenes`, `cameras`, `exposure`, `simulated_exif` and `generators`. Nothing here
is evidence about real photographs; every picture says so in its EXIF Software tag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from warehouse.cameras import MAKERS, draw_body, draw_settings
from warehouse.exposure import Picture, jpeg, photograph
from warehouse.generators import GENERATORS, decoded, generate, likeness
from warehouse.simulated_exif import SIMULATOR_SOFTWARE, camera_exif, generated_exif
from warehouse.sockets import fork_server

__all__ = ["SIMULATOR_SOFTWARE", "simulate_benchmark", "simulate_corpus"]

Progress = Callable[[int, int], None]

# (height, width) in pixels; sides divide by 8 and hold a 256-pixel cut with room to place it.
_SIZES: Final = ((320, 384), (320, 448), (336, 416), (336, 448), (352, 400), (384, 320), (448, 320), (416, 336))
_BENCHMARK_PHOTOGRAPHERS: Final = 10


@dataclass(frozen=True)
class _Photograph:
    """One photograph to take; its numbers alone decide every byte of it.

    `photographer` and `picture` are seeds; `number` is the photographer's place among the others.
    """

    path: Path
    photographer: tuple[int, ...]
    picture: tuple[int, ...]
    number: int
    benchmark: bool
    keep: float = 1.0

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def take(self) -> tuple[bytes, Picture]:
        """Return the file's bytes and the picture as a reader decodes it."""
        owner = np.random.default_rng(self.photographer)
        night_owl = float(owner.uniform(0.05, 0.4))
        # The makes go round, so that each recurs in several photographers' hands.
        makers = [MAKERS[self.number % len(MAKERS)], MAKERS[owner.integers(len(MAKERS))]]
        bodies = [draw_body(owner, maker, benchmark=self.benchmark) for maker in makers[: owner.integers(1, 3)]]
        rng = np.random.default_rng(self.picture)
        body = bodies[rng.integers(len(bodies))]
        settings = draw_settings(rng, body, night_owl=night_owl)
        height, width = _SIZES[rng.integers(len(_SIZES))]
        picture, options = photograph(rng, body, settings, height, width)
        return jpeg(picture, options, camera_exif(rng, body, settings, height, width)), decoded(picture, options)

    def write(self) -> None:
        content, _ = self.take()
        _write(self.path, content[: int(len(content) * self.keep)])


@dataclass(frozen=True)
class _Pair:
    """A photograph and a generated picture of another scene with its size, brightness and residuals."""

    photograph: _Photograph
    generator: str
    path: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.photograph.path, self.path)

    def write(self) -> None:
        content, seen = self.photograph.take()
        if not self.photograph.path.exists():
            _write(self.photograph.path, content)
        rng = np.random.default_rng((*self.photograph.picture, 1))
        height, width, _ = seen.shape
        picture, options = generate(rng, self.generator, height, width, likeness(seen))
        _write(self.path, jpeg(picture, options, generated_exif()))


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _render(picture: _Photograph | _Pair) -> None:
    picture.write()


def _render_all(
    pictures: Sequence[_Photograph | _Pair], progress: Progress | None, workers: int, each: int = 1
) -> None:
    """Render what is not there yet; `each` is how many pictures one entry stands for in the progress."""
    for picture in pictures:
        for path in picture.paths:
            path.parent.mkdir(parents=True, exist_ok=True)
    missing = [picture for picture in pictures if not all(path.exists() for path in picture.paths)]
    total, done = len(pictures), len(pictures) - len(missing)

    def report() -> None:
        if progress is not None:
            progress(done * each, total * each)

    report()
    if workers <= 1:
        for picture in missing:
            _render(picture)
            done += 1
            report()
        return
    with ProcessPoolExecutor(workers, mp_context=fork_server()) as pool:
        try:
            for future in as_completed([pool.submit(_render, picture) for picture in missing]):
                future.result()
                done += 1
                report()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def simulate_corpus(
    folder: Path,
    *,
    photographs: int = 480,
    groups: int = 40,
    seed: int = 0,
    progress: Progress | None = None,
    workers: int = 2,
) -> None:
    """Render a corpus of camera photographs: `<folder>/<photographer>/<name>.jpg`.

    Each of the `groups` photographers owns one or two cameras. The same seed gives the same bytes whatever
    the number of `workers`; pictures that are there are kept, so a stopped run goes on. As in life, some files
    are no photographs: a note, an empty file and a broken one. `progress(done, total)` counts photographs.
    """

    def entry(index: int, name: str, keep: float = 1.0) -> _Photograph:
        number = index % groups
        path = folder / f"photographer_{number:02d}" / name
        return _Photograph(path, (seed, 0, number), (seed, 1, index), number, False, keep)

    pictures = [entry(index, f"IMG_{index // groups + 1:04d}.jpg") for index in range(photographs)]
    _render_all(pictures, progress, workers)
    _render_all([entry(photographs, "IMG_9998_copy.jpg", keep=0.4)], None, workers=1)
    for path, content in (
        (pictures[0].path.with_name("IMG_9999.jpg"), b""),
        (folder / "notes.txt", b"Simulated photographs: rendered, not taken.\n"),
    ):
        if not path.exists():
            _write(path, content)


def simulate_benchmark(
    folder: Path,
    *,
    per_generator: int = 60,
    seed: int = 1,
    progress: Progress | None = None,
    workers: int = 2,
) -> None:
    """Render a benchmark: `<folder>/<generator>/0_real/*.jpg` and `<folder>/<generator>/1_fake/*.jpg`.

    Photographs come from photographers and camera models that no corpus has. Generated pictures match them in
    number, sizes, brightness and mean absolute residual, so complexity alone tells nothing. Determinism,
    restarts and `progress` are as for `simulate_corpus`.
    """
    pairs = []
    for kind, generator in enumerate(GENERATORS):
        for index in range(per_generator):
            number = index % _BENCHMARK_PHOTOGRAPHERS
            real = folder / generator / "0_real" / f"{index:05d}.jpg"
            shot = _Photograph(real, (seed, 2, kind, number), (seed, 3, kind, index), number, True)
            pairs.append(_Pair(shot, generator, folder / generator / "1_fake" / f"{index:05d}.jpg"))
    _render_all(pairs, progress, workers, each=2)
