import polars as pl

from assets.benchmark_metrics import ALL, SMALL, SMALL_SETS, _generator_sets


def scored(reals: dict[str, int], fakes: dict[str, tuple[int, str | None]]) -> pl.DataFrame:
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
    return pl.DataFrame(rows, schema=schema)


def counts(table: pl.DataFrame) -> dict[str, tuple[int, int]]:
    return {
        name: (len(chosen.filter(pl.col("label") == 0)), len(chosen.filter(pl.col("label") == 1)))
        for name, chosen in _generator_sets(table)
    }


def test_a_generator_is_compared_with_the_sources_it_names() -> None:
    table = scored({"imagenet": 5, "web": 3, "faces": 2}, {"sd": (SMALL, "imagenet+web"), "gan": (SMALL, "faces")})
    assert counts(table) == {"gan": (2, SMALL), "sd": (8, SMALL), ALL: (10, 2 * SMALL)}


def test_without_names_it_is_compared_with_all_photographs() -> None:
    assert counts(scored({"a": 1, "b": 2}, {"sd": (SMALL, None)}))["sd"] == (3, SMALL)


def test_small_generators_are_pooled_and_still_shown() -> None:
    table = scored({"a": 4, "b": 6}, {"one": (3, "a"), "two": (SMALL - 1, "b"), "large": (SMALL, "a")})
    assert counts(table) == {
        "large": (4, SMALL),
        "one": (4, 3),
        "two": (6, SMALL - 1),
        SMALL_SETS: (10, SMALL + 2),
        ALL: (10, 2 * SMALL + 2),
    }


def test_a_photograph_of_several_sources_serves_each() -> None:
    table = scored({"gan+sd": 2, "sd": 1}, {"gan": (SMALL, "gan"), "sd": (SMALL, "sd")})
    assert counts(table) == {"gan": (2, SMALL), "sd": (3, SMALL), ALL: (3, 2 * SMALL)}
