"""How much an image says of JPEG compression before the last one: a detector that knows nothing but that.

What belongs here: the evidence and its one number. What does not: the last compression, which the file's header or the
track tells (`detector`, `tracks`). Sources of the ideas: Fan and de Queiroz 2003 (blocking artefacts give the grid
away), Bianchi and Piva 2012 (periodic DCT coefficients, on the grid of the last compression and on shifted ones).
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from models.detector import BenchmarkImage

Floats = npt.NDArray[np.float32]

BLOCK = 8
SMALLEST_SIDE = 16
LARGEST_SIDE = 512
FREQUENCIES = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0))
"""Vertical and horizontal frequency of the DCT coefficients that are looked at."""
STEPS = np.arange(2, 25)
"""Quantisation steps that are looked for; quality 30 gives the lowest frequencies some 24."""

# No coefficient but the mean is larger in more than a few blocks.
_LIMITS = {frequency: 1024 if frequency == (0, 0) else 256 for frequency in FREQUENCIES}
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# Added to every mean step, in grey levels, so that flat pictures have no evidence instead of infinite evidence.
_FLAT = 0.05
# Decoding to 8-bit RGB takes the coefficients of luma some .35 off the lattice of the last compression, clipping more.
_ROUNDING = 0.6
# By how much the mean of a few hundred blocks may lie above what is expected.
_CHANCE = 0.02


class JpegHistory:
    """Less evidence of earlier JPEG compression counts as more likely generated.

    The direction was fixed beforehand, by what is known of files and not by any image: photographs of the web were
    compressed before they reach a set, by the camera and by every site on their way, while many generated images come
    as their program wrote them. Nothing is fitted. Where generated images were compressed more often than the
    photographs, or their generator enlarged by 8 and left a grid of its own, the AUROC lies below one half.
    """

    name = "jpeg_history"
    version = "1"

    def score(self, images: Sequence[BenchmarkImage]) -> npt.NDArray[np.float64]:
        """Minus the evidence, (n,); NaN for an image with a side under 16 px."""
        return np.array([-evidence(image.pixels) for image in images], dtype=np.float64)


def evidence(pixels: npt.NDArray[np.uint8]) -> float:
    """Evidence of earlier compression in an image (H, W, 3): about 0 without any, NaN with a side under 16 px.

    The sum of two numbers on luma: `blockiness` of a grid that is not the last one's, and the largest `periodicity`
    over all grids, less what chance makes the largest. Of a larger image the central 512 px count, cut at multiples of
    8 so that the grid of the last compression stays at phase (0, 0).
    """
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        return float("nan")
    top, left = (max(side - LARGEST_SIDE, 0) // 2 // BLOCK * BLOCK for side in (height, width))
    luma = pixels[top : top + LARGEST_SIDE, left : left + LARGEST_SIDE].astype(np.float32) @ _LUMA - 128
    periodic = periodicity(luma).ravel()
    # Chance takes the shifted grids as far below their median as above it; a lattice is above.
    shifted = periodic[1:]
    return blockiness(luma) + float(periodic.max() + shifted.min() - 2 * np.median(shifted))


def blockiness(luma: Floats) -> float:
    """How far the steps across the block boundaries of one of 64 grids stand out of what one compression makes.

    One compression makes steps that differ by phase, but alike on both sides of its block boundary, and enlargement by
    2 or 4 makes steps that repeat within the block. So the mean step at a phase is compared, as a logarithm, with the
    ones at the phase's mirror image and half a block further, for rows and columns apart; the mean of both is the
    excess of a grid. The grid is chosen on one half of the image and measured on the other, and the other way round, so
    that chance gives 0 whatever the size.
    """
    height, width = luma.shape
    first, second = (
        (_asymmetry(rows)[:, None] + _asymmetry(columns.T)[None, :]) / 2
        for rows, columns in (
            (luma[:, : width // 2], luma[: height // 2]),
            (luma[:, width // 2 :], luma[height // 2 :]),
        )
    )
    return float(second.flat[first.argmax()] + first.flat[second.argmax()]) / 2


def _asymmetry(luma: Floats) -> Floats:
    """Excess of steps at each phase of rows, (8,): phase p lies between rows 8k + p - 1 and 8k + p.

    A step from b to c is the second difference around it: |(c - b) - ((b - a) + (d - c)) / 2|.
    """
    a, b, c, d = (luma[k : len(luma) - 3 + k] for k in range(4))
    steps = np.abs((c - b) - ((b - a) + (d - c)) / 2).mean(axis=1)
    means = np.log([_FLAT + steps[(phase - 2) % BLOCK :: BLOCK].mean() for phase in range(BLOCK)])
    phase, half = np.arange(BLOCK), BLOCK // 2
    mirrored = means - means[-phase]
    excess = (mirrored - mirrored[phase - half]) / 2
    # The phase between two boundaries is its own mirror image: it is compared with what is beside it and the boundary.
    excess[half] = means[half] - max((means[half - 1] + means[half + 1]) / 2, means[0])
    return np.asarray(excess, dtype=np.float32)


def periodicity(luma: Floats) -> Floats:
    """How far the DCT coefficients of blocks on each of the 64 grids keep to multiples of a step, (8, 8).

    For a coefficient c and a step q it is the modulus of the mean of exp(2 pi i c / q) over the blocks, less what the
    content alone makes of it: its median over the grids. The largest over the steps that are coarser than the last
    compression's counts, then the mean over FREQUENCIES.
    """
    found = np.zeros(BLOCK * BLOCK, dtype=np.float32)
    for frequency, coefficients in zip(FREQUENCIES, _coefficients(luma), strict=True):
        limit = _LIMITS[frequency]
        histograms = _histograms(coefficients, limit)
        spectrum = _moduli(histograms, *_waves(limit, 0))
        last = _last_step(spectrum[0])
        content = np.broadcast_to(np.median(spectrum, axis=0), spectrum.shape).copy()
        if last > 1:
            # A lattice shows what content there is a second time, mirrored at half the lattice's frequency.
            content[0] += np.median(_moduli(histograms, *_waves(limit, last)), axis=0)
        # Content alone has ever less of ever finer steps: what a coarser step has is no sign of a lattice.
        trough = np.minimum.accumulate(spectrum[:, ::-1], axis=1)[:, ::-1]
        excess = spectrum - np.maximum(content, trough)
        coarser = excess[:, last < STEPS]
        if coarser.size:
            found += coarser.max(axis=1) / np.float32(len(FREQUENCIES))
    return found.reshape(BLOCK, BLOCK)


def _coefficients(luma: Floats) -> list[Floats]:
    """DCT coefficients (H - 7, W - 7) of the blocks at every place, in the order of FREQUENCIES."""
    height, width = (side - BLOCK + 1 for side in luma.shape)
    angle = (2 * np.arange(BLOCK) + 1) * np.pi / (2 * BLOCK)
    kernels = [(np.cos(k * angle) * np.sqrt((2 if k else 1) / BLOCK)).astype(np.float32) for k in range(3)]
    along = [_sum(w * luma[:, n : n + width] for n, w in enumerate(kernel)) for kernel in kernels]
    return [_sum(w * along[v][n : n + height] for n, w in enumerate(kernels[u])) for u, v in FREQUENCIES]


def _last_step(spectrum: Floats) -> int:
    """The quantisation step of the last compression, from the moduli by STEPS on its grid; 1 where there is none.

    All coefficients lie on its lattice but for rounding, while an earlier, coarser one was blurred by its width.
    """
    on_lattice = spectrum >= np.exp(-2 * (np.pi * _ROUNDING / STEPS) ** 2)
    last = int(STEPS[on_lattice].max(initial=1))
    sharper = (last < STEPS) & (spectrum > np.sinc(last / STEPS) + _CHANCE)
    return int(STEPS[sharper].max(initial=last))


def _sum(parts: Iterator[Floats]) -> Floats:
    total = next(parts)
    for part in parts:
        total += part
    return total


def _histograms(coefficients: Floats, limit: int) -> Floats:
    """Shares (64, 2 limit) of the coefficients on each grid by nearest integer; those beyond the limit are left out."""
    height, width = coefficients.shape
    number = np.rint(coefficients).astype(np.int32) + limit
    grid = (np.arange(height, dtype=np.int32)[:, None] % BLOCK) * BLOCK + np.arange(width, dtype=np.int32) % BLOCK
    inside = (number >= 0) & (number < 2 * limit)
    counts = np.bincount((grid * (2 * limit) + number)[inside], minlength=BLOCK * BLOCK * 2 * limit)
    shares = counts.reshape(BLOCK * BLOCK, 2 * limit).astype(np.float32)
    return np.asarray(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1))


def _moduli(histograms: Floats, cosines: Floats, sines: Floats) -> Floats:
    return np.asarray(np.hypot(histograms @ cosines, histograms @ sines))


@cache
def _waves(limit: int, lattice: int) -> tuple[Floats, Floats]:
    """Cosines and sines (2 limit, steps) of frequency 1/q; with a lattice, of its own frequency less that."""
    frequency = 1 / lattice - 1 / STEPS if lattice else 1 / STEPS
    angle = 2 * np.pi * np.outer(np.arange(-limit, limit), frequency)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
