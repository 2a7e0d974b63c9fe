import numpy as np
import pytest

from models.bootstrap import Estimate, Resamples, estimates


def test_every_draw_has_each_stratum_in_full_and_the_first_column_is_the_sample() -> None:
    labels = np.array([0, 1, 1, 0, 0, 1, 1, 1, 0])
    sources = np.array(list("abacabbaa"))
    drawn = Resamples(labels, sources, draws=300)
    assert (drawn.real.tolist(), drawn.fake.tolist()) == ([0, 3, 4, 8], [1, 2, 5, 6, 7])
    for images, counts in ((drawn.real, drawn.real_counts), (drawn.fake, drawn.fake_counts)):
        assert counts.shape == (len(images), 301)
        assert (counts[:, 0] == 1).all()
        for source in np.unique(sources[images]):
            own = counts[sources[images] == source]
            assert (own.sum(axis=0) == len(own)).all()
            assert len(own) == 1 or own[:, 1:].var() > 0


def test_draws_are_uniform() -> None:
    counts = Resamples(np.zeros(40), draws=20_000).real_counts[:, 1:]
    # Binomial: 40 draws of probability 1/40.
    assert counts.mean(axis=1) == pytest.approx(np.ones(40), abs=0.05)
    assert counts.var() == pytest.approx(1 - 1 / 40, rel=0.02)
    assert (counts == 0).mean() == pytest.approx((1 - 1 / 40) ** 40, rel=0.02)


def test_draws_depend_on_the_seed_and_not_on_how_they_are_batched(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, sources = np.arange(50) % 2, np.arange(50) % 3
    first = Resamples(labels, sources, draws=200)
    monkeypatch.setattr("models.bootstrap._DRAWN_CELLS", 37)
    again = Resamples(labels, sources, draws=200)
    assert (again.real_counts == first.real_counts).all()
    assert (again.fake_counts == first.fake_counts).all()
    fewer = Resamples(labels, sources, draws=20)
    assert (fewer.fake_counts == first.fake_counts[:, :21]).all()
    other = Resamples(labels, sources, draws=200, seed=1)
    assert (other.real_counts != first.real_counts).any()


def test_strata_of_one_size_are_drawn_independently() -> None:
    drawn = Resamples(np.repeat([0, 1], 40), np.tile(np.repeat(["a", "b"], 20), 2))
    strata = [
        counts[part, 1:] for counts in (drawn.real_counts, drawn.fake_counts) for part in (slice(20), slice(20, 40))
    ]
    for i in range(4):
        for j in range(i):
            assert abs(np.corrcoef(strata[i].ravel(), strata[j].ravel())[0, 1]) < 0.03


def test_nonsense_is_refused_and_nothing_is_drawn_of_nothing() -> None:
    with pytest.raises(ValueError, match="label"):
        Resamples([0, 2])
    with pytest.raises(ValueError, match="one length"):
        Resamples([0, 1], ["a"])
    assert not Resamples([]).both
    assert Resamples([]).real_counts.shape[0] == 0


def test_estimates_are_the_sample_and_percentiles_of_the_draws() -> None:
    drawn = np.random.default_rng(0).normal(size=500)
    some = np.concatenate(([0.25], drawn))
    without = np.where(np.arange(501) == 7, np.nan, some)
    found = estimates({"a": some, "b": np.full(501, np.nan), "c": without})
    assert found["a"] == Estimate(0.25, *np.percentile(drawn, [2.5, 97.5]))
    assert found["b"] == Estimate(None, None, None)
    assert found["c"] == Estimate(0.25, None, None)
    assert estimates({}) == {}
    assert estimates({"a": np.array([0.5])}) == {"a": Estimate(0.5, None, None)}
