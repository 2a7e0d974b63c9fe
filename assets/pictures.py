"""Going through pictures: each is read from its source and decoded, or refused with the reason.

What is made of the pixels belongs to the stages. The guarded process of `decoding.py` imports that module, so that this
one, which knows tables, stands apart.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from assets.decoding import decoding
from warehouse.places import Place, RefusedError, Source
from warehouse.shards import Quarantined
from warehouse.sources import read_place


def decoded_pictures(
    sources: Mapping[str, Source], places: Iterable[Place], refused: list[Quarantined]
) -> Iterator[tuple[Place, npt.NDArray[np.uint8]]]:
    """Pictures with their pixels, in order; those whose pixels cannot be had join `refused`, with the reason."""
    with decoding() as decode:
        for place in places:
            try:
                yield place, decode(read_place(sources, place))
            except RefusedError as error:
                refused.append(Quarantined(place.source, place.uri, error.reason, error.detail, place.sha256))
