"""Scenes: what stands in front of a simulated lens, as light, before any camera or generator touches it.

Here belongs the world: surfaces, edges, occlusion, textures and distances, with detail at every scale (dead
leaves over smooth gradients and power-law clouds, as natural images have). What a lens, a sensor or a maker
does to the light is in `cameras`; pictures made without a camera are in `generators`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Field = NDArray[np.float32]

# Linear reflectances of common surfaces: foliage, soil, stone, brick, skin and wood, water, paint, snow.
_SURFACES: Final = np.array(
    [
        [0.10, 0.19, 0.05],
        [0.22, 0.30, 0.10],
        [0.17, 0.11, 0.07],
        [0.30, 0.28, 0.25],
        [0.34, 0.14, 0.09],
        [0.48, 0.30, 0.20],
        [0.09, 0.18, 0.26],
        [0.55, 0.12, 0.08],
        [0.62, 0.48, 0.10],
        [0.70, 0.70, 0.68],
        [0.05, 0.05, 0.06],
        [0.12, 0.16, 0.38],
    ],
    dtype=np.float32,
)


@dataclass(frozen=True)
class Scene:
    """Light that reaches the lens.

    `radiance` is (H, W, 3), linear, with a median luminance near 0.18; highlights pass 1. `distance` is
    (H, W) in units of the distance of the subject, which is 1.
    """

    radiance: Field
    distance: Field


def power_law(
    rng: np.random.Generator, height: int, width: int, slope: float, *, inner: float = 0.0, stretch: float = 1.0
) -> Field:
    """Draw a random field whose amplitude spectrum falls as frequency to the power minus `slope`.

    `inner` is the size in pixels of its finest detail, `stretch` how many times longer than wide its marks
    are, along a random direction. Returns (height, width) with mean 0 and standard deviation 1.
    """
    rows, columns = fft.next_fast_len(height), fft.next_fast_len(width, real=True)
    fy = np.fft.fftfreq(rows).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(columns).astype(np.float32)[None, :]
    angle = rng.uniform(0, np.pi)
    along = fx * math.cos(angle) + fy * math.sin(angle)
    across = fy * math.cos(angle) - fx * math.sin(angle)
    frequency2 = (along * stretch) ** 2 + across**2
    frequency2[0, 0] = 1.0
    amplitude = frequency2 ** (-slope / 2) * np.exp(-2 * (np.pi * inner) ** 2 * (fx**2 + fy**2))
    amplitude[0, 0] = 0.0
    phases = rng.standard_normal((2, rows, fx.shape[1]), dtype=np.float32)
    field = fft.irfft2(amplitude * (phases[0] + 1j * phases[1]), s=(rows, columns))[:height, :width]
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def _textures(rng: np.random.Generator, height: int, width: int, magnification: float) -> list[Field]:
    """Draw the materials of one scene: each (height, width), mean about 0, standard deviation about 1."""
    # A leaf or a stone has a finest detail in the world, so a longer lens shows it larger.
    inner = 0.25 * magnification
    period = float(np.clip(rng.uniform(3.5, 8.0) * magnification**0.7, 2.6, 40.0))
    rough = power_law(rng, height, width, rng.uniform(0.5, 0.9), inner=inner)
    cloud = power_law(rng, height, width, rng.uniform(1.1, 1.5), inner=inner)
    strokes = power_law(rng, height, width, rng.uniform(0.8, 1.2), inner=inner, stretch=rng.uniform(4, 10))
    soft = power_law(rng, height, width, 2.0)
    band = power_law(rng, height, width, 0.3, inner=0.35 * period)
    speckle = np.tanh(2.5 * (band - rng.uniform(-0.3, 0.8))) * (1 + 0.3 * rough)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    across = (x * math.cos(angle) + y * math.sin(angle)) * (2 * np.pi / period) + 1.5 * soft
    weave = np.sin(across) + 0.6 * np.sin(0.5 * (y * math.cos(angle) - x * math.sin(angle)) + soft) + 0.4 * rough
    course = (3 * period, 1.3 * period)
    row = np.floor(y / course[1])
    joints = np.minimum(np.abs((x + 0.5 * course[0] * row) % course[0]), y % course[1])
    stones = rng.standard_normal((97, 89), dtype=np.float32)
    cell = np.floor((x + 0.5 * course[0] * row) / course[0])
    bricks = 0.7 * stones[row.astype(int) % 97, cell.astype(int) % 89] + 0.5 * rough
    bricks -= 1.5 * np.clip(1.2 - joints / max(1.0, 0.1 * period), 0, 1)
    return [rough, cloud, strokes, soft, speckle, weave, bricks]


def _ellipse(rng: np.random.Generator, y: Field, x: Field, radius: float) -> Field:
    angle, aspect = rng.uniform(0, np.pi), rng.uniform(0.35, 1.0)
    a = x * math.cos(angle) + y * math.sin(angle)
    b = (y * math.cos(angle) - x * math.sin(angle)) / aspect
    return np.asarray(np.sqrt(a**2 + b**2) - radius, dtype=np.float32) * np.float32(aspect)


def _box(rng: np.random.Generator, y: Field, x: Field, radius: float) -> Field:
    angle, aspect = rng.normal(0, 0.15), rng.uniform(0.3, 1.0)
    a = np.abs(x * math.cos(angle) + y * math.sin(angle)) - radius * aspect
    b = np.abs(y * math.cos(angle) - x * math.sin(angle)) - radius
    return np.maximum(a, b)


def _blob(rng: np.random.Generator, y: Field, x: Field, radius: float) -> Field:
    theta, edge = np.arctan2(y, x), np.full_like(x, 0.75 * radius)
    for wave in (2, 3, 5, 8, 13):
        edge += np.float32(radius * 0.3 / wave) * np.sin(wave * theta + np.float32(rng.uniform(0, 6.3)))
    return np.asarray(np.hypot(x, y) - edge, dtype=np.float32)


def _branch(rng: np.random.Generator, y: Field, x: Field, radius: float) -> Field:
    angle, half = rng.uniform(0, np.pi), max(0.6, radius * rng.uniform(0.02, 0.08))
    bend = rng.normal(0, 0.3) / max(radius, 1.0)
    a = x * math.cos(angle) + y * math.sin(angle)
    b = y * math.cos(angle) - x * math.sin(angle) + bend * a**2
    return np.maximum(np.abs(b) - half, np.abs(a) - radius)


_SHAPES: Final[tuple[Callable[[np.random.Generator, Field, Field, float], Field], ...]] = (
    _ellipse,
    _box,
    _blob,
    _branch,
)


class _Canvas:
    """A scene being painted from back to front; later surfaces hide earlier ones."""

    def __init__(self, rng: np.random.Generator, height: int, width: int, magnification: float) -> None:
        self.rng, self.height, self.width = rng, height, width
        self.textures = _textures(rng, height, width, magnification)
        self.reflectance = np.zeros((height, width, 3), np.float32)
        self.distance = np.ones((height, width), np.float32)
        self.light = rng.uniform(0, 2 * np.pi)

    def colour(self) -> Field:
        mixed = self.rng.dirichlet(np.full(len(_SURFACES), 0.15)).astype(np.float32) @ _SURFACES
        return np.asarray(mixed * self.rng.lognormal(0, 0.35), dtype=np.float32)

    def material(self, rows: slice, columns: slice) -> Field:
        """Return one plus a texture cut from the scene's materials, for an area of the canvas."""
        texture = self.textures[self.rng.integers(len(self.textures))]
        contrast = np.float32(self.rng.choice([0.02, 0.06, 0.15, 0.3]))
        cut = np.asarray(np.flip(texture)[rows, columns], dtype=np.float32)
        return np.asarray(np.maximum(1 + contrast * cut, 0.05), dtype=np.float32)

    def backdrop(self) -> None:
        """Paint sky or wall, ridges, and the ground or table."""
        rng, h, w = self.rng, self.height, self.width
        y = np.linspace(0, 1, h, dtype=np.float32)[:, None]
        everything = (slice(None), slice(None))
        if rng.random() < 0.5:
            sky = np.array([0.25, 0.42, 0.75], np.float32) * (1 - y[..., None])
            sky = sky + np.array([0.75, 0.70, 0.66], np.float32) * y[..., None]
            cover = np.clip(0.5 * self.textures[1] + rng.uniform(-0.5, 0.6), 0, 1)[..., None]
            self.reflectance[:] = 1.1 * (sky * (1 - cover) + np.float32(0.9) * cover)
        else:
            self.reflectance[:] = self.colour() * self.material(*everything)[..., None]
        self.distance[:] = rng.uniform(3, 30)
        horizon = rng.uniform(0.35, 0.75)
        for ridge in range(rng.integers(0, 3)):
            profile = horizon - 0.12 / (ridge + 1) + 0.04 * power_law(rng, 1, w, 1.4)
            self.paint(profile * h - y * h, everything, self.distance[0, 0] * 0.6)
        edge = horizon + rng.choice([0.0, 0.05]) * power_law(rng, 1, w, 1.5) + rng.normal(0, 0.02)
        near = np.clip((y - horizon) / (1 - horizon), 0, 1)
        floor = self.distance[0, 0] ** (1 - near) * np.float32(0.6) ** near
        self.paint(edge * h - y * h, everything, np.broadcast_to(floor, (h, w)))

    def paint(self, signed: Field, where: tuple[slice, slice], distance: Field | float) -> None:
        """Cover the area where `signed` (distance from the outline in pixels) is negative."""
        alpha = np.clip(0.5 - signed, 0, 1)
        surface = self.colour() * self.material(*where)[..., None]
        # Round bodies turn away from the light.
        depth = float(-signed.min()) + 1.0
        slope = np.broadcast_to(np.clip(-signed / depth, 0, 1), alpha.shape)
        surface *= (0.65 + 0.35 * slope)[..., None]
        target, far = self.reflectance[where], self.distance[where]
        target += (surface - target) * alpha[..., None]
        np.copyto(far, np.asarray(distance, np.float32), where=alpha > 0.5)

    def body(self, centre: tuple[float, float], radius: float, distance: float) -> None:
        """Paint one object and the shadow beside it."""
        reach = int(1.3 * radius) + 3
        cy, cx = int(centre[0]), int(centre[1])
        rows = slice(max(0, cy - reach), min(self.height, cy + reach))
        columns = slice(max(0, cx - reach), min(self.width, cx + reach))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return
        y, x = np.mgrid[rows, columns].astype(np.float32)
        shape = _SHAPES[self.rng.choice(4, p=[0.35, 0.25, 0.3, 0.1])]
        signed = shape(self.rng, y - np.float32(centre[0]), x - np.float32(centre[1]), radius)
        if radius > 12:
            shadow = ndimage.shift(signed, (3.0, 4.0 * math.cos(self.light)), order=1, mode="nearest")
            self.reflectance[rows, columns] *= (1 - 0.45 * np.clip(0.5 - shadow / 5, 0, 1))[..., None]
        self.paint(signed, (rows, columns), distance)

    def bodies(self) -> None:
        """Paint objects of all sizes, many small and few large, in clusters, the nearest last."""
        rng = self.rng
        side = min(self.height, self.width)
        clusters = rng.uniform(0, 1, (rng.integers(2, 6), 2)) * (self.height, self.width)
        spread = rng.uniform(0.08, 0.3, len(clusters)) * side
        count = int(rng.integers(40, 130))
        # Dead leaves: the number of objects falls with the cube of the radius (Lee, Mumford & Huang 2001).
        low, high = 2.5, rng.uniform(0.15, 0.3) * side
        radii = (low**-1.6 + rng.random(count) * (high**-1.6 - low**-1.6)) ** (-1 / 1.6)
        big = np.sort(rng.uniform(0.12, 0.4, rng.integers(2, 5)) * side)
        far = np.sort(rng.lognormal(0.5, 0.7, count + len(big)))[::-1]
        where = rng.integers(len(clusters), size=count)
        for index, distance in enumerate(far):
            if index % max(1, count // len(big)) == 0 and index // max(1, count // len(big)) < len(big):
                place = rng.uniform(0.1, 0.9, 2) * (self.height, self.width)
                self.body((place[0], place[1]), float(big[index // max(1, count // len(big))]), float(distance))
            elif index < count:
                place = clusters[where[index]] + rng.normal(0, spread[where[index]], 2)
                self.body((place[0], place[1]), float(radii[index]), float(distance))
        subject = rng.uniform(0.3, 0.7, 2) * (self.height, self.width)
        self.body((subject[0], subject[1]), rng.uniform(0.12, 0.35) * side, 1.0)

    def lit(self, *, lamps: bool) -> Scene:
        """Light the painted surfaces: uneven daylight, or lamps with steep fall-off."""
        rng, h, w = self.rng, self.height, self.width
        y, x = np.mgrid[:h, :w].astype(np.float32) / np.float32(max(h, w))
        slant = math.cos(self.light) * x + math.sin(self.light) * y
        light = np.exp2(np.float32(rng.uniform(0.3, 1.5)) * slant + 0.25 * power_law(rng, h, w, 2.2))
        if lamps:
            for _ in range(rng.integers(1, 5)):
                away = np.hypot(y - rng.uniform(0, 0.9), x - rng.uniform(0, 1)).astype(np.float32)
                light += np.float32(rng.uniform(0.5, 3)) / (1 + (away / np.float32(rng.uniform(0.05, 0.3))) ** 2)
                bulb = np.clip(1.5 - away * max(h, w) / np.float32(rng.uniform(1.5, 5)), 0, 1)
                self.reflectance += (bulb * 8)[..., None] * np.array([1.0, 0.8, 0.5], np.float32)
        radiance = np.maximum(self.reflectance * light[..., None], np.float32(1e-4))
        radiance *= np.float32(0.18) / np.float32(np.median(radiance[..., 1]))
        return Scene(radiance.astype(np.float32), self.distance)


def render_scene(
    rng: np.random.Generator, height: int, width: int, *, magnification: float = 1.0, lamps: bool = False
) -> Scene:
    """Render the light of a random scene.

    `magnification` is how large the world appears against a normal lens (focal length over 50 mm, 35 mm
    equivalent): it sets the size of the textures, not of the subject, which photographers frame to fit.
    `lamps` lights it by lamps as at night.
    """
    canvas = _Canvas(rng, height, width, magnification)
    canvas.backdrop()
    canvas.bodies()
    return canvas.lit(lamps=lamps)
