"""Closed forms over ties against every order of the tied documents."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgap.evaluation import average_precision, hit, mrr, ndcg, recall


def plain_recall(gains, n_relevant, k):
    return sum(gain >= 1 for gain in gains[:k]) / n_relevant


def plain_hit(gains, k):
    return float(any(gain >= 1 for gain in gains[:k]))


def plain_mrr(gains, k):
    return next((1 / rank for rank, gain in enumerate(gains[:k], start=1) if gain >= 1), 0.0)


def plain_ap(gains, n_relevant, k):
    precisions = [
        sum(gain >= 1 for gain in gains[:rank]) / rank
        for rank, gain in enumerate(gains[:k], start=1)
        if gain >= 1
    ]
    return sum(precisions) / n_relevant


def plain_ndcg(gains, ideal, k, worth=lambda grade: grade):
    def dcg(row):
        return sum(worth(grade) / np.log2(rank + 1) for rank, grade in enumerate(row[:k], start=1))

    return dcg(gains) / dcg(sorted(ideal, reverse=True))


@st.composite
def lists(draw):
    """Up to six places with many ties and grades, some empty, and documents not retrieved."""
    level = st.sampled_from([-1.0, -0.25, 0.0, 0.5])
    scores = sorted(draw(st.lists(level, min_size=1, max_size=6)), reverse=True)
    n = len(scores)
    gains = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    n_empty = draw(st.integers(0, 2))
    missed = draw(st.lists(st.integers(1, 3), min_size=0 if any(gains) else 1, max_size=2))
    k = draw(st.none() | st.integers(1, n + 3))
    return scores, gains, n_empty, missed, k


def over_all_orders(scores, gains, measure):
    """Mean, largest and smallest value over the orders that keep scores descending."""
    values = [
        measure([gains[place] for place in order])
        for order in permutations(range(len(scores)))
        if [scores[place] for place in order] == scores
    ]
    return [np.mean(values), max(values), min(values)]


@given(lists())
def test_measures_equal_the_mean_and_bounds_over_all_orders(case):
    scores, gains, n_empty, missed, k = case
    ideal = gains + missed
    n_relevant = sum(gain >= 1 for gain in ideal)
    score_row = np.array([scores + [-np.inf] * n_empty])
    gain_row = np.array([gains + [0] * n_empty])
    pairs = [
        (recall(score_row, gain_row, np.array([n_relevant]), k),
         lambda row: plain_recall(row, n_relevant, k)),
        (hit(score_row, gain_row, k), lambda row: plain_hit(row, k)),
        (mrr(score_row, gain_row, k), lambda row: plain_mrr(row, k)),
        (ndcg(score_row, gain_row, np.array([ideal]), k), lambda row: plain_ndcg(row, ideal, k)),
        (ndcg(score_row, gain_row, np.array([ideal]), k, gain="exponential"),
         lambda row: plain_ndcg(row, ideal, k, lambda grade: 2**grade - 1)),
        (average_precision(score_row, gain_row, np.array([n_relevant]), k),
         lambda row: plain_ap(row, n_relevant, k)),
    ]  # fmt: skip
    for values, plain in pairs:
        found = [values.expected[0], values.optimistic[0], values.pessimistic[0]]
        assert found == pytest.approx(over_all_orders(scores, gains, plain), abs=1e-12)


@given(lists(), st.randoms(use_true_random=False))
def test_the_order_given_to_tied_documents_does_not_matter(case, random):
    scores, gains, _, missed, k = case
    shuffled = list(range(len(scores)))
    random.shuffle(shuffled)
    shuffled.sort(key=lambda place: -scores[place])
    n_relevant = np.array([sum(gain >= 1 for gain in gains + missed)])
    ideal = np.array([gains + missed])
    for measure in (
        lambda row: recall(np.array([scores]), row, n_relevant, k),
        lambda row: hit(np.array([scores]), row, k),
        lambda row: mrr(np.array([scores]), row, k),
        lambda row: ndcg(np.array([scores]), row, ideal, k),
        lambda row: ndcg(np.array([scores]), row, ideal, k, gain="exponential"),
        lambda row: average_precision(np.array([scores]), row, n_relevant, k),
    ):
        one = measure(np.array([gains]))
        other = measure(np.array([[gains[place] for place in shuffled]]))
        assert vars(one) == {name: pytest.approx(value) for name, value in vars(other).items()}


@given(lists(), st.integers(2, 3))
def test_thresholds_count_grades_as_relevant_or_not(case, min_grade):
    """A grade threshold is the same as judging in two grades."""
    scores, gains, _, missed, k = case
    missed = [*missed, 3]
    n_relevant = np.array([sum(gain >= min_grade for gain in gains + missed)])
    score_row, two_grades = np.array([scores]), (np.array([gains]) >= min_grade).astype(int)
    for measure in (recall, average_precision):
        one = measure(score_row, np.array([gains]), n_relevant, k, min_grade=min_grade)
        other = measure(score_row, two_grades, n_relevant, k)
        assert vars(one) == {name: pytest.approx(value) for name, value in vars(other).items()}


def test_queries_do_not_touch_each_other():
    """Many lists at once, some with ties and some without, equal one list at a time."""
    rng = np.random.default_rng(0)
    scores = -np.sort(-rng.integers(0, 9, size=(40, 8)) / 4.0, axis=1)
    scores[::5] = np.linspace(1, 0, 8)
    scores[7:12, 5:] = -np.inf
    grades = rng.integers(0, 4, size=scores.shape)
    grades[:, 0] = 2
    n_relevant = (grades >= 1).sum(axis=1)
    for measure in (
        lambda q: recall(scores[q], grades[q], n_relevant[q], 3),
        lambda q: average_precision(scores[q], grades[q], n_relevant[q], 5),
        lambda q: hit(scores[q], grades[q], 2, min_grade=2),
        lambda q: mrr(scores[q], grades[q], min_grade=3),
        lambda q: ndcg(scores[q], grades[q], grades[q], 4, gain="exponential"),
    ):
        together = measure(slice(None))
        for query in range(len(scores)):
            alone = measure(slice(query, query + 1))
            for order, values in vars(alone).items():
                assert vars(together)[order][query] == pytest.approx(values[0])
