import numpy as np
import polars as pl

from assets.benchmark_cells import ALL, SMALL, SMALL_SETS, Member, ScoredSet

NOTHING: frozenset[str] = frozenset()


def scored(reals: dict[str, int], fakes: dict[str, tuple[int, str | None]]) -> ScoredSet:
    rows = [
        {"label": 0, "generator": "real", "source": source, "paired_real": None}
        for source, count in reals.items()
        for _ in range(count)
    ]
    rows += [
        {"label": 1, "generator": generator, "source": generator, "paired_real": paired}
        for generator, (count, paired) in fakes.items()
        for _ in range(count)
    ]
    schema = {"label": pl.Int8, "generator": pl.String, "source": pl.String, "paired_real": pl.String}
    return ScoredSet("dev", pl.DataFrame(rows, schema=schema), [])


def counts(table: ScoredSet, members: dict[str, Member]) -> dict[str, tuple[int, int]]:
    return {
        name: (int((table.labels[member.images] == 0).sum()), int((table.labels[member.images] == 1).sum()))
        for name, member in members.items()
    }


def members(
    reals: dict[str, int], fakes: dict[str, tuple[int, str | None]], seen: frozenset[str] = NOTHING
) -> dict[str, tuple[int, int]]:
    table = scored(reals, fakes)
    return counts(table, table.members(seen))


def test_a_generator_is_compared_with_the_sources_it_names() -> None:
    found = members({"imagenet": 5, "web": 3, "faces": 2}, {"sd": (SMALL, "imagenet+web"), "gan": (SMALL, "faces")})
    assert found == {"gan": (2, SMALL), "sd": (8, SMALL), ALL: (10, 2 * SMALL)}


def test_without_names_it_is_compared_with_all_photographs() -> None:
    assert members({"a": 1, "b": 2}, {"sd": (SMALL, None)})["sd"] == (3, SMALL)


def test_small_generators_are_pooled_and_still_shown() -> None:
    found = members({"a": 4, "b": 6}, {"one": (3, "a"), "two": (SMALL - 1, "b"), "large": (SMALL, "a")})
    assert found == {
        "large": (4, SMALL),
        "one": (4, 3),
        "two": (6, SMALL - 1),
        SMALL_SETS: (10, SMALL + 2),
        ALL: (10, 2 * SMALL + 2),
    }


def test_a_photograph_of_several_sources_serves_each() -> None:
    found = members({"gan+sd": 2, "sd": 1}, {"gan": (SMALL, "gan"), "sd": (SMALL, "sd")})
    assert found == {"gan": (2, SMALL), "sd": (3, SMALL), ALL: (3, 2 * SMALL)}


def test_a_generator_is_seen_however_it_is_spelled() -> None:
    found = scored({"a": 4}, {"BigGAN": (3, None), "other": (SMALL, None)}).members(frozenset({"biggan"}))
    assert [name for name, member in found.items() if member.seen] == ["BigGAN"]
    assert "small_sets" not in found


def test_seen_generators_are_shown_and_pooled_nowhere_while_their_photographs_stay() -> None:
    table = scored({"a": 4, "b": 6}, {"one": (3, "a"), "two": (5, "b"), "large": (SMALL, "a")})
    found = table.members(frozenset({"one", "large"}))
    assert {name for name, member in found.items() if member.seen} == {"one", "large"}
    assert counts(table, found) == {
        "large": (4, SMALL),
        "one": (4, 3),
        "two": (6, 5),
        SMALL_SETS: (10, 5),
        ALL: (10, 5),
    }
    everything = table.members(frozenset({"one", "two", "large"}))
    assert SMALL_SETS not in everything
    assert counts(table, everything)[ALL] == (10, 0)


def test_the_same_images_have_the_same_draws_made_once() -> None:
    table = scored({"a": 30}, {"sd": (SMALL, None)})
    whole, part = np.ones(50, dtype=bool), np.arange(50) > 3
    found = list(table.resampled([(whole, 1), (part, 2), (whole.copy(), 3), (part.copy(), 4)]))
    assert {images.sum(): items for images, _, items in found} == {50: [1, 3], 46: [2, 4]}
    (_, again, _), *_ = table.resampled([(whole, 5)])
    (drawn,) = (drawn for images, drawn, _ in found if images.all())
    assert (again.real_counts == drawn.real_counts).all()
    assert (again.fake_counts == drawn.fake_counts).all()
