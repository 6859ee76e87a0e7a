"""Normalisers against hand-computed lists, scikit-learn's scalers and ranx' formulas."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mmgap.errors import MmgapError
from mmgap.scores.normalise import (
    NORMALISERS,
    BordaNormaliser,
    DBSFNormaliser,
    L2Normaliser,
    MaxNormaliser,
    MinMaxNormaliser,
    PercentileRangeNormaliser,
    QuantileNormaliser,
    RankNormaliser,
    SumNormaliser,
    TheoreticalMinMaxNormaliser,
    ZScoreNormaliser,
)

NAN = np.nan


@parametrize_with_checks(
    [
        *{type(one): one for one in NORMALISERS.values()}.values(),
        MinMaxNormaliser(),
    ]
)
def test_scikit_learn_accepts(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # else scikit-learn skips a check
    check(estimator)


def one(normaliser, *scores):
    """Normalise one list."""
    return normaliser.fit_transform(np.array([scores]))[0].tolist()


@pytest.mark.parametrize(
    ("normaliser", "expected"),
    [
        (MinMaxNormaliser(), [0, 1 / 5, 4 / 5, 1]),
        (TheoreticalMinMaxNormaliser(), [0, 1 / 5, 4 / 5, 1]),
        (TheoreticalMinMaxNormaliser(infimum=-2), [1 / 6, 2 / 6, 5 / 6, 1]),
        (MaxNormaliser(), [-1 / 4, 0, 3 / 4, 1]),
        (SumNormaliser(), [0, 1 / 10, 4 / 10, 5 / 10]),
        # Mean 3/2; squared distances 25/4 + 9/4 + 9/4 + 25/4 = 17.
        (ZScoreNormaliser(), np.array([-5, -3, 3, 5]) / np.sqrt(17)),
        (ZScoreNormaliser(ddof=1), np.array([-5, -3, 3, 5]) / 2 / np.sqrt(17 / 3)),
        (DBSFNormaliser(), np.array([-5, -3, 3, 5]) / 2 / np.sqrt(17 / 3) / 6 + 0.5),
        (DBSFNormaliser(ddof=0), np.array([-5, -3, 3, 5]) / np.sqrt(17) / 6 + 0.5),
        (L2Normaliser(), np.array([-1, 0, 3, 4]) / np.sqrt(26)),
        (RankNormaliser(), [1 / 4, 2 / 4, 3 / 4, 1]),
        (QuantileNormaliser(reference="query"), [1 / 8, 3 / 8, 5 / 8, 7 / 8]),
        (PercentileRangeNormaliser(low=25, high=75), [-3 / 14, 1 / 14, 13 / 14, 17 / 14]),
    ],
    ids=repr,
)
def test_by_hand(normaliser, expected):
    """The list -1 0 3 4, whose quartiles are -1/4 and 13/4."""
    assert one(normaliser, -1.0, 0.0, 3.0, 4.0) == pytest.approx(list(expected), abs=1e-12)


def test_dbsf_clips_what_lies_beyond_three_sigma():
    scores = [0.0] * 19 + [1.0]
    free = one(DBSFNormaliser(ddof=0), *scores)
    cut = one(DBSFNormaliser(ddof=0, clip=True), *scores)
    assert free[-1] == pytest.approx(0.95 / (6 * np.sqrt(0.05 * 0.95)) + 0.5)
    assert free[-1] > 1
    assert cut[-1] == 1
    assert cut[:-1] == free[:-1]


@pytest.mark.parametrize(
    ("system", "normaliser", "scores", "expected"),
    [
        ("ranx", MinMaxNormaliser(equal=0.0), [0.3, 0.3], [0, 0]),
        ("mteb, Qdrant, Vespa", MinMaxNormaliser(), [0.3, 0.3], [0.5, 0.5]),
        ("OpenSearch", MinMaxNormaliser(equal=1.0), [0.3, 0.3], [1, 1]),
        ("Elasticsearch", MinMaxNormaliser(equal="raw"), [0.3, 0.3], [0.3, 0.3]),
        ("AutoRAG", MinMaxNormaliser(equal=NAN), [0.3, 0.3], [NAN, NAN]),
        ("LlamaIndex", MinMaxNormaliser(equal="positive"), [0.3, 0.3], [1, 1]),
        ("LlamaIndex", MinMaxNormaliser(equal="positive"), [-0.3, -0.3], [0, 0]),
        ("Qdrant, one point", MinMaxNormaliser(single="raw"), [0.3], [0.3]),
        ("Qdrant, two points", MinMaxNormaliser(single="raw"), [0.3, 0.3], [0.5, 0.5]),
        ("Qdrant DBSF, one point", DBSFNormaliser(), [0.3], [0.5]),
        ("ranx", ZScoreNormaliser(), [0.1, 0.1, 0.1], [0, 0, 0]),
        ("ranx", SumNormaliser(), [0.3, 0.3], [0, 0]),
        ("no spread", PercentileRangeNormaliser(), [0.1, 0.1, 0.1], [0.5] * 3),
        ("at the infimum", TheoreticalMinMaxNormaliser(infimum=0.0), [0.0, 0.0], [0, 0]),
        ("equal above it", TheoreticalMinMaxNormaliser(), [0.3, 0.3], [1, 1]),
        ("zeros", MaxNormaliser(), [0.0, 0.0], [0, 0]),
        ("equal scores", MaxNormaliser(), [0.3, 0.3], [1, 1]),
        ("zeros", L2Normaliser(), [0.0, 0.0], [0, 0]),
        ("equal ranks", RankNormaliser(), [0.3, 0.3], [0.75, 0.75]),
        ("one score", RankNormaliser(), [0.3], [1]),
        ("one score", BordaNormaliser(), [NAN, 0.3], [0.5, 1]),
    ],
    ids=str,
)
def test_equal_scores_and_one_score(system, normaliser, scores, expected):
    assert one(normaliser, *scores) == pytest.approx(expected, nan_ok=True), system


def test_rounding_in_the_mean_is_no_spread():
    """Three times 0.1 has a mean that is not 0.1 in floating point."""
    scores = np.full((1, 3), 0.1)
    assert scores.mean() != 0.1
    assert np.std(scores) > 0
    assert ZScoreNormaliser().fit_transform(scores).tolist() == [[0, 0, 0]]
    assert DBSFNormaliser().fit_transform(scores).tolist() == [[0.5, 0.5, 0.5]]


@pytest.mark.parametrize("name", NORMALISERS)
def test_missing_documents(name):
    scores = np.array([[0.9, NAN, 0.2, 0.4], [NAN, NAN, NAN, NAN], [0.1, 0.2, NAN, -0.4]])
    gone = np.isnan(scores)

    def normalised(missing):
        return clone(NORMALISERS[name]).set_params(missing=missing).fit_transform(scores)

    kept, zero, lowest = normalised(NAN), normalised(0.0), normalised("min")
    assert np.isnan(kept[gone]).all()
    assert np.isfinite(kept[~gone]).all()
    assert (zero[gone] == 0).all()
    assert (zero[~gone] == kept[~gone]).all()
    assert lowest[0, 1] == kept[0, 2]
    assert lowest[2, 2] == kept[2, 3]
    assert np.isnan(lowest[1]).all()  # a list without a score has no smallest one


def test_missing_documents_do_not_enter_the_statistics():
    short, long = np.array([[0.9, 0.2, 0.4]]), np.array([[0.9, NAN, 0.2, NAN, 0.4]])
    for name, normaliser in NORMALISERS.items():
        if name == "borda":  # counts its candidates, missing ones included
            continue
        a = clone(normaliser).fit(short.T).transform(short)
        b = clone(normaliser).fit(long.T).transform(long)
        assert a.ravel().tolist() == b[~np.isnan(b)].tolist(), name


def test_negative_scores_keep_their_order():
    scores = [-0.5, -0.25, -1.0]
    assert one(MaxNormaliser(), *scores) == [-2, -1, -4]
    assert one(TheoreticalMinMaxNormaliser(infimum=0.0), *scores) == [-2, -1, -4]
    assert one(MinMaxNormaliser(), *scores) == pytest.approx([2 / 3, 1, 0])


def test_borda_shares_the_points_left_over():
    assert one(BordaNormaliser(), 0.9, NAN, 0.2, NAN, NAN) == pytest.approx(
        [1, (3 + 2 + 1) / 5 / 3, 4 / 5] + [(3 + 2 + 1) / 5 / 3] * 2
    )
    assert one(BordaNormaliser(missing=0.0), 0.9, NAN, 0.2) == pytest.approx([1, 0, 2 / 3])
    tied = one(BordaNormaliser(), 0.5, 0.5, NAN)
    assert tied == pytest.approx([5 / 6, 5 / 6, 1 / 3])


def ranx(name, scores):
    """The formulas of ranx 0.3.21 (ranx/normalization), one list of distinct scores."""
    there = scores[~np.isnan(scores)]
    rank = np.array([np.nan if np.isnan(s) else (there > s).sum() for s in scores])
    n, c = there.size, scores.size
    match name:
        case "min-max":
            return (scores - there.min()) / max(np.ptp(there), 1e-9)
        case "max":
            return scores / max(there.max(), 1e-9)
        case "sum":
            return (scores - there.min()) / max(there.sum() - there.min() * n, 1e-9)
        case "z":
            return (scores - there.mean()) / max(there.std(), 1e-9)
        case "rank":
            return 1 - rank / n
        case _:
            return np.where(np.isnan(rank), 0.5 - (n - 1) / (2 * c), 1 - rank / c)


@pytest.mark.parametrize("name", ["min-max", "max", "sum", "z", "rank", "borda"])
def test_ranx_formulas(name):
    rng = np.random.default_rng(1)
    scores = np.where(rng.random((20, 12)) < 0.3, np.nan, rng.normal(0.3, 0.2, (20, 12)))
    expected = np.stack([ranx(name, row) for row in scores])
    assert (np.nanmax(scores, axis=1) > 0).all()
    np.testing.assert_allclose(clone(NORMALISERS[name]).fit_transform(scores), expected, atol=1e-12)


@pytest.fixture
def reference():
    rng = np.random.default_rng(2)
    return rng.normal(0.2, 0.3, (300, 1)).round(2)  # rounded: many scores occur twice


@pytest.fixture
def lists():
    return np.random.default_rng(3).normal(0.2, 0.4, (7, 11)).round(2)


@pytest.mark.parametrize(
    ("normaliser", "scaler"),
    [
        (MinMaxNormaliser(reference="calibration"), MinMaxScaler()),
        (ZScoreNormaliser(reference="calibration"), StandardScaler()),
    ],
    ids=repr,
)
def test_a_bank_is_scikit_learns_scaler_of_one_feature(normaliser, scaler, reference, lists):
    expected = scaler.fit(reference).transform(lists.reshape(-1, 1)).reshape(lists.shape)
    np.testing.assert_allclose(normaliser.fit(reference).transform(lists), expected, atol=1e-9)


def test_lists_are_scikit_learns_features(lists):
    for name, scaler in (("min-max", MinMaxScaler()), ("z", StandardScaler())):
        expected = scaler.fit_transform(lists.T).T
        np.testing.assert_allclose(NORMALISERS[name].transform(lists), expected, atol=1e-12)
    np.testing.assert_allclose(
        L2Normaliser().fit_transform(lists), Normalizer().fit_transform(lists), atol=1e-12
    )


def test_bank_statistics_by_hand():
    reference, at = np.array([[1.0, NAN], [2.0, 5.0]]), np.array([[1.0, 7.0]])
    found = {
        name: clone(normaliser).fit(reference).transform(at)[0].tolist()
        for name, normaliser in NORMALISERS.items()
        if name.startswith("reference ")
    }
    assert found["reference min-max"] == [0, 1.5]
    assert found["reference tmm"] == pytest.approx([2 / 6, 8 / 6])
    # Mean 8/3; squares 25/9 + 4/9 + 49/9 = 78/9, over three.
    assert found["reference z"] == pytest.approx(
        [(-5 / 3) / np.sqrt(26 / 9), (13 / 3) / np.sqrt(26 / 9)]
    )
    assert found["reference cdf"] == pytest.approx([1 / 6, 1])
    assert found["reference p1-p99"] == pytest.approx([(1 - 1.02) / 3.92, (7 - 1.02) / 3.92])
    assert MaxNormaliser(reference="calibration").fit(reference).transform(at).tolist() == [
        [0.2, 1.4]
    ]


def test_a_bank_of_one_score_has_no_spread():
    for normaliser in (MinMaxNormaliser(reference="calibration", equal="raw", single=9.0),):
        assert normaliser.fit([[0.5]]).transform([[0.1, 0.2]]).tolist() == [[9, 9]]
        assert normaliser.fit([[0.5], [0.5]]).transform([[0.1, 0.2]]).tolist() == [[0.1, 0.2]]
    one_score = QuantileNormaliser().fit([[0.5]])
    assert one_score.transform([[0.1, 0.5, 0.9]]).tolist() == [[0, 0.5, 1]]


def test_lists_need_no_fit_and_banks_do():
    scores = np.array([[0.1, 0.3]])
    assert MinMaxNormaliser().transform(scores).tolist() == [[0, 1]]
    for name in ("reference z", "reference cdf"):
        with pytest.raises(NotFittedError):
            clone(NORMALISERS[name]).transform(scores)


def test_lists_of_another_length_need_a_bank_of_one_column():
    reference = np.array([[0.1, 0.3, 0.5]])
    with pytest.raises(MmgapError, match=r"is expecting 3 .*reshape\(-1, 1\)"):
        ZScoreNormaliser(reference="calibration").fit(reference).transform(reference[:, :2])
    fitted = ZScoreNormaliser(reference="calibration").fit(reference.reshape(-1, 1))
    assert fitted.transform(reference[:, 1:2]).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("normaliser", "message"),
    [
        (MinMaxNormaliser(missing="mean"), "missing must be a number, NaN or 'min'; got 'mean'"),
        (MinMaxNormaliser(equal="max"), "equal must be a number, NaN, 'raw' or 'positive'"),
        (MinMaxNormaliser(single="max"), "single must be"),
        (MinMaxNormaliser(reference="leg"), "reference must be one of"),
        (QuantileNormaliser(reference="leg"), "reference must be one of"),
        (ZScoreNormaliser(ddof=2), "ddof must be 0"),
        (PercentileRangeNormaliser(low=99, high=1), "need 0 <= low < high <= 100"),
    ],
    ids=repr,
)
def test_unknown_parameters_are_refused(normaliser, message):
    with pytest.raises(ValueError, match=message):
        normaliser.fit([[0.3], [0.3], [NAN]]).transform([[0.3, NAN]])


def test_unusable_scores_are_refused():
    with pytest.raises(ValueError, match="infinity"):
        MinMaxNormaliser().transform([[np.inf, 0.1]])
    with pytest.raises(
        ValueError, match="at least one reference score; the 2 entries of X are all NaN"
    ):
        QuantileNormaliser().fit([[NAN, NAN]])
    with pytest.raises(ValueError, match="1D array"):
        ZScoreNormaliser().transform([0.1, 0.2])


def test_half_precision_is_widened():
    scores = np.array([[0.1, 0.2, 0.4]], dtype=np.float16)
    found = ZScoreNormaliser().fit_transform(scores)
    assert found.dtype == np.float64
    wide = ZScoreNormaliser().fit_transform(scores.astype(np.float64))
    assert found.tolist() == wide.tolist()
