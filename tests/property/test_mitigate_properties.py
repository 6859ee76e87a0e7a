"""What changes nothing for a mitigation, whatever the vectors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group
from sklearn.base import clone

from mmgap.mitigate import FACTS, MITIGATIONS, EmbeddingMitigation

SEED = st.integers(0, 2**32 - 1)
TURNS = [name for name, facts in FACTS.items() if facts.turns_with_the_space]


def vectors(seed, n_query, n_doc, dim=8):
    """Queries, texts and images with a gap and spreads of their own."""
    rng = np.random.default_rng(seed)
    made = {}
    for axis, (role, n) in enumerate({"query": n_query, "text": n_doc, "image": n_doc}.items()):
        made[role] = rng.standard_normal((n, dim)) * np.linspace(0.5, 1.5, dim)
        made[role][:, axis // 2] += 1 + axis
    return made


def fitted_and_test(name, seed):
    calibration = vectors(seed, 20, 25)
    return clone(MITIGATIONS[name]).fit(calibration), calibration, vectors(seed + 1, 5, 18)


@pytest.mark.parametrize("name", MITIGATIONS)
@settings(max_examples=20)
@given(seed=SEED)
def test_one_query_at_a_time_is_all_at_once(name, seed):
    fitted, _, test = fitted_and_test(name, seed)
    batch = fitted.leg_scores(test)
    for row in range(5):
        alone = fitted.leg_scores({**test, "query": test["query"][row : row + 1]})
        for leg in ("text", "image"):
            np.testing.assert_allclose(alone[leg][0], batch[leg][row], atol=1e-10)


@pytest.mark.parametrize("name", TURNS)
@settings(max_examples=20)
@given(seed=SEED)
def test_a_rotation_of_the_space_changes_no_score(name, seed):
    fitted, calibration, test = fitted_and_test(name, seed)
    turn = ortho_group.rvs(8, random_state=np.random.default_rng(seed))

    def turned(embeddings):
        return {role: rows @ turn for role, rows in embeddings.items()}

    again = clone(fitted).fit(turned(calibration))
    for leg, scores in fitted.leg_scores(test).items():
        np.testing.assert_allclose(again.leg_scores(turned(test))[leg], scores, atol=1e-8)
    if isinstance(fitted, EmbeddingMitigation):
        moved = again.transform(turned(test))
        for role, rows in fitted.transform(test).items():
            np.testing.assert_allclose(moved[role], rows @ turn, atol=1e-8)


@given(seed=SEED)
@settings(max_examples=20)
def test_dropped_dimensions_follow_the_axes(seed):
    """Renaming the axes changes nothing; a rotation does, alone among the mitigations."""
    fitted, calibration, test = fitted_and_test("drop 2 dims", seed)
    rng = np.random.default_rng(seed)
    order, turn = rng.permutation(8), ortho_group.rvs(8, random_state=rng)
    renamed = clone(fitted).fit({role: rows[:, order] for role, rows in calibration.items()})
    turned = clone(fitted).fit({role: rows @ turn for role, rows in calibration.items()})
    scores = fitted.leg_scores(test)["image"]
    found = renamed.leg_scores({role: rows[:, order] for role, rows in test.items()})["image"]
    np.testing.assert_allclose(found, scores, atol=1e-10)
    found = turned.leg_scores({role: rows @ turn for role, rows in test.items()})["image"]
    assert np.abs(found - scores).max() > 1e-3


@pytest.mark.parametrize("name", MITIGATIONS)
@settings(max_examples=20)
@given(seed=SEED)
def test_order_of_rows_is_of_no_account(name, seed):
    """Calibration rows are no pairs, and documents keep their scores wherever they stand."""
    fitted, calibration, test = fitted_and_test(name, seed)
    rng = np.random.default_rng(seed)
    shuffled = {role: rng.permutation(rows) for role, rows in calibration.items()}
    again = clone(fitted).fit(shuffled)
    order = rng.permutation(18)
    moved = again.leg_scores({**test, "text": test["text"][order], "image": test["image"][order]})
    for leg, scores in fitted.leg_scores(test).items():
        np.testing.assert_allclose(moved[leg], scores[:, order], atol=1e-8)


@pytest.mark.parametrize("name", ["mean centring", "c3 collapse", "whitening", "pooled whitening"])
@settings(max_examples=20)
@given(seed=SEED)
def test_centring_closes_the_gap_of_what_it_was_fitted_on(name, seed):
    fitted, calibration, _ = fitted_and_test(name, seed)

    def gap(embeddings):
        return np.linalg.norm(embeddings["image"].mean(axis=0) - embeddings["text"].mean(axis=0))

    raw = {role: r / np.linalg.norm(r, axis=1, keepdims=True) for role, r in calibration.items()}
    after = gap(fitted.transform(calibration))
    assert after < 0.8 * gap(raw)
    if name == "c3 collapse":
        assert after < 1e-12


@pytest.mark.parametrize("name", ["nnn", "nnn alpha 1", "inverted softmax", "csls", "db-norm"])
@settings(max_examples=20)
@given(seed=SEED)
def test_a_correction_belongs_to_the_document(name, seed):
    """Scores minus cosines (twice those for CSLS) are a sum of a query's and a document's part."""
    fitted, _, test = fitted_and_test(name, seed)
    unit = {role: r / np.linalg.norm(r, axis=1, keepdims=True) for role, r in test.items()}
    for leg, scores in fitted.leg_scores(test).items():
        rest = scores - (2 if name == "csls" else 1) * unit["query"] @ unit[leg].T
        if name == "csls":
            rest = rest - rest.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(rest, np.broadcast_to(rest[0], rest.shape), atol=1e-10)


@given(seed=SEED, steps=st.integers(1, 4))
@settings(max_examples=20)
def test_nnn_in_steps_of_alpha(seed, steps):
    """The score is linear in alpha, from the cosine at 0."""
    calibration, test = vectors(seed, 20, 25), vectors(seed + 1, 5, 18)
    nnn = MITIGATIONS["nnn"]

    def at(alpha):
        return clone(nnn).set_params(alpha=alpha).fit(calibration).leg_scores(test)["image"]

    none, whole = at(0.0), at(1.0)
    np.testing.assert_allclose(at(steps / 4), none + steps / 4 * (whole - none), atol=1e-12)
    assert np.abs(none).max() <= 1 + 1e-12
