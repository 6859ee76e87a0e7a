"""Mitigations by hand on two or three dimensions, against brute force, and their errors."""

import inspect

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from scipy.special import softmax
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline, make_pipeline

from mmgap import mitigate
from mmgap.errors import MmgapError
from mmgap.mitigate import (
    CSLS,
    FACTS,
    MITIGATIONS,
    NNN,
    C3Collapse,
    Coral,
    DBNorm,
    DimensionAblation,
    DistributionNormalisation,
    EmbeddingMitigation,
    GapShift,
    InvertedSoftmax,
    MeanCentring,
    Mitigation,
    QBNorm,
    ScoreMitigation,
    Whitening,
    dot_scores,
)

ROLES = ("query", "text", "image")
CHANGES_VECTORS = [n for n, m in MITIGATIONS.items() if isinstance(m, EmbeddingMitigation)]
KEEPS_UNIT = [n for n in CHANGES_VECTORS if FACTS[n].unit_rows]


def cloud(seed, n_query=40, n_doc=60, dim=6):
    """Vectors with a gap; rows of any length."""
    rng = np.random.default_rng(seed)
    away = {"query": (0, 1.0), "text": (0, 1.2), "image": (1, 1.5)}
    made = {}
    for role, (axis, by) in away.items():
        rows = rng.standard_normal((n_query if role == "query" else n_doc, dim))
        rows[:, axis] += by
        made[role] = rows
    return made


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def calibration():
    return cloud(1)


@pytest.fixture(scope="module")
def test():
    return cloud(2, n_query=7, n_doc=30)


# What all share.


def test_every_class_is_registered():
    classes = {value for value in vars(mitigate).values() if inspect.isclass(value)}
    concrete = {c for c in classes if issubclass(c, Mitigation) and not inspect.isabstract(c)}
    assert {type(mitigation) for mitigation in MITIGATIONS.values()} == concrete
    assert len(concrete) == 12


@pytest.mark.parametrize("name", MITIGATIONS)
def test_they_are_estimators(name, calibration, test):
    mitigation = MITIGATIONS[name]
    assert isinstance(mitigation, Mitigation)
    assert isinstance(mitigation, BaseEstimator)
    before = {role: rows.copy() for role, rows in calibration.items()}
    copy = clone(mitigation)
    assert copy is not mitigation
    assert copy.get_params() == mitigation.get_params()
    assert type(mitigation).__name__ in repr(mitigation)
    with pytest.raises(NotFittedError):
        copy.leg_scores(test)
    assert copy.fit(calibration, y=None) is copy
    assert copy.n_features_in_ == 6
    assert not [key for key in vars(mitigation) if key.endswith("_")]  # the registry stays unfitted
    for role, rows in before.items():
        assert (calibration[role] == rows).all()


@pytest.mark.parametrize("name", MITIGATIONS)
def test_scores_of_the_legs_that_are_there(name, calibration, test):
    fitted = clone(MITIGATIONS[name]).fit(calibration)
    both = fitted.leg_scores(test)
    assert {leg: scores.shape for leg, scores in both.items()} == {
        "text": (7, 30),
        "image": (7, 30),
    }
    for leg in ("text", "image"):
        alone = fitted.leg_scores({"query": test["query"], leg: test[leg]})
        assert list(alone) == [leg]
        assert alone[leg].dtype == np.float64
        assert np.isfinite(alone[leg]).all()
        if name != "qb-norm":  # whose gallery is both legs
            np.testing.assert_allclose(alone[leg], both[leg], atol=1e-12)


@pytest.mark.parametrize("name", MITIGATIONS)
def test_lengths_and_float_types_do_not_matter(name, calibration, test):
    """Rows come to unit length in float64, whatever they were."""
    plain = clone(MITIGATIONS[name]).fit(calibration).leg_scores(test)
    scaled = clone(MITIGATIONS[name]).fit({r: 3 * rows for r, rows in calibration.items()})
    for leg, scores in scaled.leg_scores({r: rows / 7 for r, rows in test.items()}).items():
        np.testing.assert_allclose(scores, plain[leg], atol=1e-12)
    half = {role: unit(rows).astype(np.float16) for role, rows in test.items()}
    wide = {role: rows.astype(np.float64) for role, rows in half.items()}
    fitted = clone(MITIGATIONS[name]).fit(calibration)
    for leg, scores in fitted.leg_scores(half).items():
        assert (scores == fitted.leg_scores(wide)[leg]).all()


@pytest.mark.parametrize("name", CHANGES_VECTORS)
def test_transform_takes_any_of_the_roles(name, calibration, test):
    fitted = clone(MITIGATIONS[name]).fit(calibration)
    every = fitted.transform(test)
    assert list(every) == list(ROLES)
    for role in ROLES:
        alone = fitted.transform({role: test[role]})
        assert list(alone) == [role]
        assert (alone[role] == every[role]).all()
        assert alone[role].dtype == np.float64
        if name in KEEPS_UNIT:
            np.testing.assert_allclose(np.linalg.norm(alone[role], axis=1), 1, atol=1e-12)
    for leg, scores in fitted.leg_scores(test).items():
        np.testing.assert_allclose(scores, every["query"] @ every[leg].T, atol=1e-15)


def test_uses_gallery_is_told():
    """A document that leaves changes the scores of others where told, and only there."""
    calibration, test = cloud(3), cloud(4, n_query=20, n_doc=30)
    fewer = {"query": test["query"], "text": test["text"], "image": test["image"][:12]}
    for name, mitigation in MITIGATIONS.items():
        fitted = clone(mitigation).fit(calibration)
        all_there, some_gone = fitted.leg_scores(test), fitted.leg_scores(fewer)
        same = np.allclose(all_there["image"][:, :12], some_gone["image"], atol=1e-12)
        assert same != fitted.uses_gallery, name


# A pipeline of two.


def test_pipeline_of_two(calibration, test):
    both = make_pipeline(MeanCentring(), DimensionAblation(k=1)).fit(calibration)
    centring = MeanCentring().fit(calibration)
    second = DimensionAblation(k=1).fit(centring.transform(calibration))
    expected = second.transform(centring.transform(test))
    found = both.transform(test)
    for role in ROLES:
        np.testing.assert_allclose(found[role], expected[role], atol=1e-15)
    assert dot_scores(found).keys() == {"text", "image"}
    assert isinstance(clone(both), Pipeline)
    again = both.fit_transform(calibration)
    np.testing.assert_allclose(again["text"], both.transform(calibration)["text"], atol=1e-15)


def test_pipeline_that_ends_in_a_score(calibration, test):
    centring, nnn = MeanCentring().fit(calibration), NNN(k=3)
    expected = nnn.fit(centring.transform(calibration)).leg_scores(centring.transform(test))
    both = make_pipeline(MeanCentring(), NNN(k=3)).fit(calibration)
    found = both[-1].leg_scores(both[:-1].transform(test))
    np.testing.assert_allclose(found["image"], expected["image"], atol=1e-15)


# Leakage.


@pytest.mark.parametrize("name", MITIGATIONS)
def test_other_test_queries_change_nothing(name, calibration, test):
    fitted = clone(MITIGATIONS[name]).fit(calibration)
    others = {**test, "query": np.vstack([test["query"][:1], cloud(9)["query"]])}
    for leg, scores in fitted.leg_scores(test).items():
        np.testing.assert_allclose(fitted.leg_scores(others)[leg][0], scores[0], atol=1e-12)


@pytest.mark.parametrize("name", MITIGATIONS)
def test_scoring_never_fits(name, calibration, test, monkeypatch):
    fitted = clone(MITIGATIONS[name]).fit(calibration)

    def learned():
        return {key: repr(value) for key, value in vars(fitted).items()}

    def refuse(*_):
        msg = "fitted on test data"
        raise AssertionError(msg)

    before = learned()
    monkeypatch.setattr(type(fitted), "fit", refuse)
    monkeypatch.setattr(type(fitted), "_fit", refuse)
    fitted.leg_scores(test)
    if name in CHANGES_VECTORS:
        fitted.transform(test)
    assert learned() == before


@pytest.mark.parametrize("name", MITIGATIONS)
def test_a_leak_would_be_seen(name, calibration, test):
    """Fitted on test data too, scores differ: the tests above could see a leak."""
    clean = clone(MITIGATIONS[name]).fit(calibration).leg_scores(test)
    queries_leak = name not in ("gap shift", "gap shift both", "drop 2 dims", "coral")
    roles = ["query"] if queries_leak else ["text", "image"]  # those that fit never looks at
    if name == "drop 2 dims":  # which chooses dimensions: leak one that would choose others
        test = {**test, "image": test["image"] - [0, 40, 0, 0, 0, 0] + [0, 0, 0, 0, 9, 40]}
        clean = clone(MITIGATIONS[name]).fit(calibration).leg_scores(test)
    poisoned = {
        role: np.vstack([rows, test[role]]) if role in roles else rows
        for role, rows in calibration.items()
    }
    leaked = clone(MITIGATIONS[name]).fit(poisoned).leg_scores(test)
    assert max(np.abs(leaked[leg] - clean[leg]).max() for leg in clean) > 1e-6


@pytest.mark.parametrize("name", ["gap shift", "gap shift both", "drop 2 dims", "coral"])
def test_these_do_not_look_at_queries_at_all(name, calibration, test):
    without = {"text": calibration["text"], "image": calibration["image"]}
    fitted = clone(MITIGATIONS[name]).fit(without)
    for leg, scores in clone(MITIGATIONS[name]).fit(calibration).leg_scores(test).items():
        assert (fitted.leg_scores(test)[leg] == scores).all()


# By hand.


def test_centring_takes_three_means():
    calibration = {
        "query": np.array([[0.6, 0.8], [0.6, -0.8]]),  # mean (.6, 0)
        "text": np.array([[1.0, 0.0], [0.0, 1.0]]),  # mean (.5, .5)
        "image": np.array([[-1.0, 0.0], [0.0, -1.0]]),  # mean (-.5, -.5)
    }
    test = {"query": [[0.0, 2.0]], "text": [[1.0, 0.0]], "image": [[0.0, -3.0]]}
    test = {role: np.array(rows) for role, rows in test.items()}
    centred = MeanCentring().fit(calibration).transform(test)
    assert centred["query"] == pytest.approx(np.array([[-0.6, 1.0]]) / np.sqrt(1.36))
    assert centred["text"] == pytest.approx(np.array([[0.5, -0.5]]) / np.sqrt(0.5))
    assert centred["image"] == pytest.approx(np.array([[0.5, -0.5]]) / np.sqrt(0.5))
    collapsed = C3Collapse().fit(calibration).transform(test)
    assert collapsed["query"] == pytest.approx(np.array([[-0.6, 1.0]]))
    assert collapsed["image"] == pytest.approx(np.array([[0.5, -0.5]]))
    half = DistributionNormalisation().fit(calibration)
    # (-.3, 1) . (.75, -.25), and (-.3, 1) . (.25, -.75)
    assert half.leg_scores(test)["text"].item() == pytest.approx(-0.475)
    assert half.leg_scores(test)["image"].item() == pytest.approx(-0.825)


def test_means_are_of_unit_rows():
    long = {"text": np.array([[100.0, 0.0], [0.0, 1.0]])}
    assert MeanCentring().fit(long).means_["text"].tolist() == [0.5, 0.5]


def test_how_c3_differs_from_gr_clip(calibration, test):
    centred = MeanCentring().fit(calibration).transform(test)
    collapsed = C3Collapse().fit(calibration).transform(test)
    for role in ROLES:
        np.testing.assert_allclose(unit(collapsed[role]), centred[role], atol=1e-12)
        assert np.ptp(np.linalg.norm(collapsed[role], axis=1)) > 0.1
    whole = DistributionNormalisation(strength=1).fit(calibration).transform(test)
    none = DistributionNormalisation(strength=0).fit(calibration).leg_scores(test)
    raw = dot_scores({role: unit(rows) for role, rows in test.items()})
    for role in ROLES:
        assert (whole[role] == collapsed[role]).all()
    np.testing.assert_allclose(none["image"], raw["image"], atol=1e-15)


def test_shift_by_hand():
    calibration = {"text": np.array([[1.0, 0.0]]), "image": np.array([[0.0, 1.0]])}  # gap (-1, 1)
    test = {"query": np.array([[0.6, 0.8]]), "text": np.array([[0.8, 0.6]])}
    test["image"] = np.array([[0.0, 1.0]])
    images = GapShift(strength=0.5).fit(calibration)
    assert images.gap_.tolist() == [-1, 1]
    moved = images.transform(test)
    assert moved["query"] == pytest.approx(test["query"])
    assert moved["text"] == pytest.approx(test["text"])
    assert moved["image"] == pytest.approx(np.array([[0.5, 0.5]]) / np.sqrt(0.5))
    both = GapShift(which="both").fit(calibration).transform(test)
    assert both["image"] == pytest.approx(np.array([[0.5, 0.5]]) / np.sqrt(0.5))
    assert both["text"] == pytest.approx(unit(np.array([[0.3, 1.1]])))
    assert both["query"] == pytest.approx(unit(np.array([[0.1, 1.3]])))
    still = GapShift(strength=0).fit(calibration).transform(test)
    assert still["image"].tolist() == [[0, 1]]


def test_shift_is_that_of_the_gap_measures(calibration):
    """The same as mmgap.gap.shifted on the data that it is fitted on."""
    from mmgap.gap import l2m, shifted

    length = l2m(calibration["image"], calibration["text"])
    for which in ("both", "image"):
        image, text = shifted(calibration["image"], calibration["text"], length, which=which)
        found = GapShift(which=which).fit_transform(calibration)
        np.testing.assert_allclose(found["image"], image, atol=1e-12)
        np.testing.assert_allclose(found["text"], text, atol=1e-12)


def test_ablation_drops_the_largest_gap(calibration, test):
    gap = unit(calibration["image"]).mean(axis=0) - unit(calibration["text"]).mean(axis=0)
    fitted = DimensionAblation(k=2).fit(calibration)
    assert set(fitted.dims_) == set(np.argsort(np.abs(gap))[-2:])
    kept = [dim for dim in range(6) if dim not in fitted.dims_]
    found = fitted.transform(test)["image"]
    assert (found[:, fitted.dims_] == 0).all()
    np.testing.assert_allclose(found[:, kept], unit(test["image"][:, kept]), atol=1e-12)
    # Equal parts: the lower number first.
    even = {"text": np.array([[-0.6, 0.0, -0.8]]), "image": np.array([[0.0, -0.6, -0.8]])}
    assert DimensionAblation(k=1).fit(even).dims_.tolist() == [0]
    assert DimensionAblation(k=0).fit(even).dims_.size == 0


def test_whitening_is_zca(calibration):
    """Without shrinkage: the covariance of what comes out is the identity."""
    rows = {role: unit(values) for role, values in calibration.items()}
    fitted = Whitening(shrinkage=0.0).fit(calibration)
    for role, values in rows.items():
        centred = values - values.mean(axis=0)
        covariance = centred.T @ centred / len(centred)
        expected = fractional_matrix_power(covariance, -0.5)
        np.testing.assert_allclose(fitted.maps_[role], expected, atol=1e-9)
        white = centred @ fitted.maps_[role]
        np.testing.assert_allclose(white.T @ white / len(white), np.eye(6), atol=1e-9)
        # PCA whitening is the same but for a rotation (and n - 1), so lengths agree.
        lengths = np.linalg.norm(PCA(whiten=True).fit_transform(values), axis=1)
        scale = np.sqrt(len(values) / (len(values) - 1))
        np.testing.assert_allclose(np.linalg.norm(white, axis=1), scale * lengths, atol=1e-9)
        np.testing.assert_allclose(fitted.transform({role: values})[role], unit(white), atol=1e-9)


def test_pooled_whitening_has_one_map(calibration):
    fitted = Whitening(shrinkage=0.0, pooled=True).fit(calibration)
    rows = [unit(values) - unit(values).mean(axis=0) for values in calibration.values()]
    white = np.vstack(rows) @ fitted.maps_["query"]
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(6), atol=1e-9)
    assert fitted.maps_["image"] is fitted.maps_["text"]


def test_full_shrinkage_only_centres(calibration, test):
    centred = MeanCentring().fit(calibration).transform(test)
    white = Whitening(shrinkage=1.0).fit(calibration).transform(test)
    for role in ROLES:
        np.testing.assert_allclose(white[role], centred[role], atol=1e-12)


def test_fewer_rows_than_dimensions_need_shrinkage():
    few = cloud(5, n_query=4, n_doc=5, dim=12)
    for mitigation in (Whitening(), Coral(), Whitening(pooled=True)):
        for rows in mitigation.fit(few).transform(cloud(6, n_doc=9, dim=12)).values():
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-12)
    for mitigation in (Whitening(shrinkage=0.0), Coral(shrinkage=0.0)):
        with pytest.raises(MmgapError, match=r"rows with shrinkage=0\.0 give one of less rank"):
            mitigation.fit(few)
    for wrong in (1.5, -0.1, "oas"):
        with pytest.raises(MmgapError, match=r"shrinkage must lie in \[0, 1\] or be"):
            Whitening(shrinkage=wrong).fit(few)


def test_coral_gives_images_the_moments_of_texts(calibration):
    fitted = Coral(shrinkage=0.0).fit(calibration)
    text, image = unit(calibration["text"]), unit(calibration["image"])
    moved = (image - image.mean(axis=0)) @ fitted.map_ + text.mean(axis=0)
    np.testing.assert_allclose(moved.mean(axis=0), text.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(np.cov(moved.T), np.cov(text.T), atol=1e-9)
    root = fractional_matrix_power(np.cov(image.T), -0.5) @ fractional_matrix_power(
        np.cov(text.T), 0.5
    )
    np.testing.assert_allclose(fitted.map_, root, atol=1e-9)
    found = fitted.transform(calibration)
    np.testing.assert_allclose(found["image"], unit(moved), atol=1e-12)
    np.testing.assert_allclose(found["text"], text, atol=1e-15)


# Scores.


def test_nnn_square():
    """The square of the authors' tests, halved and padded to unit length.

    One image lies close to all queries; each other belongs to one of them.
    """
    directions = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0]])
    queries = np.array(
        [[0, 0.6, 0.8, 0], [0.6, 0, 0.8, 0], [0, -0.6, 0.8, 0], [-0.6, 0, 0.8, 0], [0, 0, 1, 0]]
    )
    moves = np.array([[0, 0.01, 0, 0], [0, -0.01, 0, 0], [0.01, 0, 0, 0], [-0.01, 0, 0, 0]])

    def padded(rows):
        rest = np.sqrt(1 - np.sum((rows / 2) ** 2, axis=1))
        return np.column_stack([rows / 2, rest])

    bank = padded(np.concatenate([queries + move for move in moves]))
    image = np.column_stack([directions, np.zeros(5)])
    test = {"query": padded(queries), "image": image}
    raw = dot_scores(test)["image"]
    assert raw.argmax(axis=1).tolist() == [4] * 5
    assert 2 * raw.max(axis=1) == pytest.approx([0.8] * 4 + [1])
    found = NNN(alpha=0.75, k=2).fit({"query": bank}).leg_scores(test)["image"]
    assert found.argmax(axis=1).tolist() == [0, 1, 2, 3, 4]
    assert 2 * found.max(axis=1) == pytest.approx([0.14625] * 4 + [0.25], abs=1e-12)


def test_nnn_by_brute_force(calibration, test):
    rows = {role: unit(values) for role, values in test.items()}
    bank = unit(calibration["query"])
    found = NNN(alpha=0.6, k=5).fit(calibration).leg_scores(test)
    for leg in ("text", "image"):
        bias = [np.mean(sorted(bank @ one)[-5:]) for one in rows[leg]]
        expected = rows["query"] @ rows[leg].T - 0.6 * np.array(bias)
        np.testing.assert_allclose(found[leg], expected, atol=1e-12)


def test_many_documents_are_taken_by_blocks(monkeypatch, calibration, test):
    whole = {name: clone(m).fit(calibration).leg_scores(test) for name, m in MITIGATIONS.items()}
    monkeypatch.setattr("mmgap.mitigate.scores._ROWS_AT_ONCE", 4)
    monkeypatch.setattr("mmgap.mitigate.scores._QUERIES_AT_ONCE", 3)
    for name, mitigation in MITIGATIONS.items():
        found = clone(mitigation).fit(calibration).leg_scores(test)
        np.testing.assert_allclose(found["image"], whole[name]["image"], atol=1e-12)


def published_inverted_softmax(bank, test, beta):
    """``exp(beta s) / sum over the bank``: rows are queries, columns documents."""
    return np.exp(beta * test) / np.exp(beta * bank).sum(axis=0)


def test_inverted_softmax_is_the_published_one(calibration, test):
    bank, rows = unit(calibration["query"]), {role: unit(v) for role, v in test.items()}
    found = InvertedSoftmax(beta=12).fit(calibration).leg_scores(test)
    for leg in ("text", "image"):
        scores = rows["query"] @ rows[leg].T
        expected = published_inverted_softmax(bank @ rows[leg].T, scores, 12)
        np.testing.assert_allclose(np.exp(12 * found[leg]), expected, rtol=1e-9)
    # A query in the bank: the softmax over queries itself.
    own = {"query": calibration["query"], "image": test["image"]}
    found = InvertedSoftmax(beta=12).fit(calibration).leg_scores(own)["image"]
    expected = softmax(12 * bank @ rows["image"].T, axis=0)
    np.testing.assert_allclose(np.exp(12 * found), expected, rtol=1e-9)


def test_sharp_softmax_melts_no_scores_into_ties(calibration, test):
    """The published score underflows; the order and the steps in cosine units stay."""
    fitted = InvertedSoftmax(beta=2000.0).fit(calibration)
    found = fitted.leg_scores(test)["image"]
    assert len(np.unique(found)) == found.size
    nearest = (unit(test["image"]) @ unit(calibration["query"]).T).max(axis=1)
    cosines = unit(test["query"]) @ unit(test["image"]).T
    np.testing.assert_allclose(found, cosines - nearest, atol=0.002)


@pytest.mark.parametrize("k", [1, 4])
def test_qb_norm_is_the_authors(calibration, k):
    """Their arithmetic on the merged pool; some queries are normalised and some are not."""
    test = cloud(8, n_query=60, n_doc=80)
    rows = {role: unit(values) for role, values in test.items()}
    gallery = np.vstack([rows["text"], rows["image"]])
    bank, scores = unit(calibration["query"]) @ gallery.T, rows["query"] @ gallery.T
    active = {int(i) for row in bank for i in np.argsort(-row)[:k]}
    hit = np.array([int(np.argmax(row)) in active for row in scores])
    assert 0 < hit.sum() < len(hit)
    found = QBNorm(k=k).fit(calibration).leg_scores(test)
    found = np.hstack([found["text"], found["image"]])
    expected = published_inverted_softmax(bank, scores, 20)
    np.testing.assert_allclose(np.exp(20 * found[hit]), expected[hit], rtol=1e-9)
    np.testing.assert_allclose(found[~hit], scores[~hit], atol=1e-15)


def test_db_norm_is_the_published_product(calibration, test):
    rows = {role: unit(values) for role, values in test.items()}
    banks = {role: unit(values) for role, values in calibration.items()}
    found = DBNorm(beta_query=0.7, beta_gallery=4.0).fit(calibration).leg_scores(test)
    for leg in ("text", "image"):
        scores = rows["query"] @ rows[leg].T
        by_query = published_inverted_softmax(banks["query"] @ rows[leg].T, scores, 0.7)
        by_gallery = published_inverted_softmax(banks[leg] @ rows[leg].T, scores, 4.0)
        np.testing.assert_allclose(np.exp(4.7 * found[leg]), by_query * by_gallery, rtol=1e-9)


def test_csls_by_brute_force(calibration, test):
    rows, bank = {role: unit(v) for role, v in test.items()}, unit(calibration["query"])
    found = CSLS(k=4).fit(calibration).leg_scores(test)
    for leg in ("text", "image"):
        expected = np.empty((7, 30))
        for i, query in enumerate(rows["query"]):
            of_query = np.mean(sorted(rows[leg] @ query)[-4:])
            for j, document in enumerate(rows[leg]):
                of_document = np.mean(sorted(bank @ document)[-4:])
                expected[i, j] = 2 * query @ document - of_query - of_document
        np.testing.assert_allclose(found[leg], expected, atol=1e-12)


def test_csls_orders_a_leg_as_nnn_at_one_half(calibration, test):
    csls = CSLS(k=5).fit(calibration).leg_scores(test)
    nnn = NNN(alpha=0.5, k=5).fit(calibration).leg_scores(test)
    for leg in ("text", "image"):
        np.testing.assert_allclose(
            csls[leg] - csls[leg].mean(axis=1, keepdims=True),
            2 * (nnn[leg] - nnn[leg].mean(axis=1, keepdims=True)),
            atol=1e-12,
        )


# Errors.


@pytest.mark.parametrize("name", MITIGATIONS)
def test_vectors_that_cannot_be_used(name, calibration, test):
    fitted = clone(MITIGATIONS[name]).fit(calibration)
    for bad, message in [
        (np.where(np.eye(30, 6) == 1, np.nan, test["image"]), "holds NaN or infinity"),
        (np.where(np.arange(30)[:, None] == 3, 0.0, test["image"]), "row 3 of 'image' is zero"),
        (test["image"][:, :5], r"dimensions .* after a fit on 6; expected one space"),
        (test["image"][0], "must be real numbers of shape"),
        (test["image"][:0], "hold at least one"),
        (test["image"].astype(str), "must be real numbers"),
    ]:
        with pytest.raises(MmgapError, match=message):
            fitted.leg_scores({**test, "image": bad})
        if "after a fit" not in message:
            with pytest.raises(MmgapError, match=message):
                clone(fitted).fit({**calibration, "image": bad})
    with pytest.raises(MmgapError, match="after a fit on 6; expected one space"):
        fitted.leg_scores({role: rows[:, :5] for role, rows in test.items()})
    with pytest.raises(MmgapError, match="expected one space"):
        clone(fitted).fit({**calibration, "image": calibration["image"][:, :5]})


@pytest.mark.parametrize("name", MITIGATIONS)
def test_roles_that_are_not_there(name, calibration, test):
    fitted = clone(MITIGATIONS[name]).fit(calibration)
    with pytest.raises(MmgapError, match="query"):
        fitted.leg_scores({"text": test["text"]})
    with pytest.raises(MmgapError, match="at least one of 'text' and 'image'"):
        fitted.leg_scores({"query": test["query"]})
    with pytest.raises(MmgapError, match=r"takes the roles \['query', 'text', 'image'\]; got"):
        fitted.leg_scores({**test, "audio": test["text"]})
    with pytest.raises(MmgapError, match=r"the roles .*; got \[\]"):
        clone(fitted).fit({})
    with pytest.raises(MmgapError, match="takes a mapping of role to vectors"):
        clone(fitted).fit(calibration["text"])
    for role in fitted.needs:
        without = {r: rows for r, rows in calibration.items() if r != role}
        with pytest.raises(MmgapError, match=rf"needs the roles \['{role}'\] too; got"):
            clone(fitted).fit(without)


@pytest.mark.parametrize("name", ["mean centring", "c3 collapse", "whitening", "db-norm"])
def test_a_role_that_was_not_fitted_on(name, calibration, test):
    fitted = clone(MITIGATIONS[name]).fit(
        {"query": calibration["query"], "text": calibration["text"]}
    )
    fitted.leg_scores({"query": test["query"], "text": test["text"]})
    with pytest.raises(MmgapError, match="fit it on calibration"):
        fitted.leg_scores(test)


@pytest.mark.parametrize(
    ("mitigation", "message"),
    [
        (NNN(k=41), "k is 41 and there are 40 calibration queries; expected k from 1"),
        (NNN(k=0), "k is 0"),
        (CSLS(k=41), "k is 41 and there are 40 calibration queries"),
        (DimensionAblation(k=6), "k is 6 and vectors have 6 dimensions; expected k from 0 to 5"),
        (DimensionAblation(k=-1), "expected k from 0"),
        (GapShift(which="text"), "which must be 'image' or 'both'"),
        (InvertedSoftmax(beta=0), "beta, an inverse temperature, must be above 0; got 0"),
        (QBNorm(beta=-1), "beta, an inverse temperature"),
        (DBNorm(beta_query=0), "beta_query"),
        (DBNorm(beta_gallery=np.nan), "beta_gallery"),
    ],
    ids=repr,
)
def test_parameters_that_are_not_offered(mitigation, message, calibration):
    with pytest.raises(MmgapError, match=message):
        mitigation.fit(calibration)


def test_k_larger_than_the_gallery(calibration, test):
    few = {role: rows[:3] for role, rows in test.items()}
    with pytest.raises(MmgapError, match="k is 10 and there are 3 documents in the text leg"):
        CSLS().fit(calibration).leg_scores(few)
    with pytest.raises(MmgapError, match="k is 7 and there are 6 documents"):
        QBNorm(k=7).fit(calibration).leg_scores(few)


SAME = np.tile([[0.6, 0.8]], (4, 1))
APART = {
    "text": np.array([[0.6, 0.8], [0.6, -0.8]]),
    "image": np.array([[-0.6, 0.8], [-0.6, -0.8]]),
}


@pytest.mark.parametrize(
    ("mitigation", "calibration", "gone"),
    [
        (MeanCentring(), {"image": SAME}, [0.6, 0.8]),
        (Whitening(shrinkage=0.5, pooled=True), {"image": SAME, "text": np.eye(2)}, [0.6, 0.8]),
        (GapShift(strength=1 / 1.2), APART, [-1, 0]),
        (DimensionAblation(k=1), APART, [1, 0]),
    ],
    ids=repr,
)
def test_a_row_that_lands_in_the_origin(mitigation, calibration, gone):
    """It equals its role's mean or the gap, or has nothing but the dimension left out."""
    fitted = mitigation.fit(calibration)
    with pytest.raises(MmgapError, match="moves row 1 of 'image' to the origin"):
        fitted.transform({"image": np.array([[1.0, -3.0], gone])})


def test_no_spread_cannot_be_whitened():
    for mitigation in (Whitening(), Whitening(shrinkage=1.0), Coral(shrinkage=1.0)):
        with pytest.raises(MmgapError, match="must invert a covariance of 2 dimensions"):
            mitigation.fit({"text": np.eye(2), "image": SAME})


def test_corrections_of_scores_have_no_vectors():
    assert not hasattr(NNN(), "transform")
    assert issubclass(NNN, ScoreMitigation)
