"""What a merge loses and why, where the answer is known in closed form."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgap.evaluation import recall
from mmgap.scores import CAUSES, decompose_merge_loss

N_QUERY, N_DOC, N_BANK = 60, 40, 80


@pytest.fixture
def legs():
    """Relevant documents stand far above the others; banks hold none."""
    rng = np.random.default_rng(0)
    relevant = np.eye(N_QUERY, N_DOC, dtype=bool)
    relevant[N_DOC:, 3] = True
    scores = rng.uniform(-1, 1, (2, N_QUERY, N_DOC))
    bank = rng.uniform(-1, 1, (N_BANK, N_DOC))
    return scores, bank, relevant


def parts(text, image, bank_text, bank_image, relevant, leg="image", **options):
    found = decompose_merge_loss(
        text,
        image,
        **{f"{leg}_relevant": relevant},
        reference_text_scores=bank_text,
        reference_image_scores=bank_image,
        **options,
    )
    assert list(found) == [leg]
    return {name: part.mean() for name, part in found[leg].parts().items()}, found[leg]


@pytest.mark.parametrize("leg", ["image", "text"])
def test_a_shift_is_all_offset(legs, leg):
    (wrong, right), bank, relevant = legs
    right = right + 3 * relevant
    sides = [(wrong + 9, bank + 9), (right, bank)]
    (text, bank_text), (image, bank_image) = sides if leg == "image" else sides[::-1]
    found, loss = parts(text, image, bank_text, bank_image, relevant, leg)
    assert found == {"offset": 1, "spread": 0, "hubness": 0, "unexplained": 0}
    assert loss.loss.tolist() == [1] * N_QUERY


def test_a_scale_about_the_same_mean_is_all_spread(legs):
    """Relevant images stand at 1.5 or more, other documents below 1; texts are 10 times as wide."""
    (wrong, right), bank, relevant = legs
    wrong[:, 0] = 0.9
    right = np.where(relevant, 1.5, right)
    bank = np.concatenate([bank, -bank])  # of mean 0, so that no offset is estimated
    found, _ = parts(10 * wrong, right, 10 * bank, bank, relevant)
    assert found == {"offset": 0, "spread": 1, "hubness": 0, "unexplained": 0}


def test_planted_hubs_are_hubness(legs):
    """Two of forty texts are close to every query, by as much as it takes to come first."""
    (wrong, right), bank, relevant = legs
    right = right + 3 * relevant
    hubs = np.zeros(N_DOC)
    hubs[[5, 9]] = 6
    # The hubs shift their leg's mean by .3, which is too little to matter, and they widen it, so
    # that removing the spread alone helps too. Without them the corrected bank is as wide as the
    # other: nothing is left for the spread.
    found, loss = parts(wrong + hubs, right, bank + hubs, bank, relevant)
    assert loss.removed_alone("hubness").mean() == 1
    assert loss.removed_alone("offset").mean() == 0
    assert found["hubness"] > 0.5
    assert found["unexplained"] == 0
    assert found["offset"] == pytest.approx(0, abs=0.02)
    assert loss.in_order(("hubness", "offset", "spread"))["spread"].mean() == 0


def test_offset_does_not_take_the_hubs_mean(legs):
    """Hubness is centred in each modality: removing it leaves the means where they were."""
    (wrong, right), bank, relevant = legs
    rng = np.random.default_rng(3)
    hubs = rng.normal(size=N_DOC)
    _, loss = parts(wrong + 50 + hubs, right, bank + 50 + hubs, bank, relevant, k=3)
    assert loss.recall[("hubness",)].tolist() == [0] * N_QUERY


def brute_force(text, image, relevant, bank_text, bank_image, removed, k, n_neighbours):
    """The definition, step by step, with the recall of mmgap.evaluation."""
    legs = [[text, bank_text], [image, bank_image]]
    if "hubness" in removed:
        for leg in legs:
            top = np.sort(np.where(np.isnan(leg[1]), -np.inf, leg[1]), axis=0)[-n_neighbours:]
            hubness = top.mean(axis=0)
            hubness -= hubness.mean()
            leg[:] = [scores - hubness for scores in leg]
    means = [np.nanmean(bank) for _, bank in legs]
    sds = [np.nanstd(bank) for _, bank in legs]
    if "spread" in removed:
        common = np.sqrt(np.mean(np.square(sds)))
        for leg, mean, sd in zip(legs, means, sds, strict=True):
            leg[0] = mean + (leg[0] - mean) * common / sd
    if "offset" in removed:
        for leg, mean in zip(legs, means, strict=True):
            leg[0] = leg[0] + (np.mean(means) - mean)
    return plain_recall(np.concatenate([legs[0][0], legs[1][0]], axis=1), relevant, k)


def plain_recall(scores, relevant, k):
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-scores, axis=1)
    ranked = [np.take_along_axis(x, order, axis=1) for x in (scores, relevant)]
    return recall(*ranked, relevant.sum(axis=1), k, tolerance=1e-12).expected


def test_against_brute_force():
    """Random scores with left-out pairs, several relevant documents, ties and both directions."""
    rng = np.random.default_rng(5)
    text, image = rng.normal(0.5, 0.2, (30, 12)).round(1), rng.normal(0.2, 0.1, (30, 9)).round(1)
    bank_text, bank_image = rng.normal(0.5, 0.2, (25, 12)), rng.normal(0.2, 0.1, (25, 9))
    for scores in (text, image, bank_text, bank_image):
        scores[rng.random(scores.shape) < 0.05] = np.nan
    text_relevant, image_relevant = rng.random(text.shape) < 0.1, rng.random(image.shape) < 0.2
    image = image + 0.2 * image_relevant
    found = decompose_merge_loss(
        text,
        image,
        text_relevant,
        image_relevant,
        reference_text_scores=bank_text,
        reference_image_scores=bank_image,
        k=2,
        n_neighbours=4,
    )
    nothing_t, nothing_i = np.zeros_like(text_relevant), np.zeros_like(image_relevant)
    for leg in ("text", "image"):
        mine_t, mine_i = text, image
        if leg == "image":
            mine_t = np.where(text_relevant, np.nan, text)
            relevant = np.concatenate([nothing_t, image_relevant & ~np.isnan(image)], axis=1)
            ceiling = plain_recall(image, relevant[:, 12:], 2) if relevant.any(1).all() else None
        else:
            mine_i = np.where(image_relevant, np.nan, image)
            relevant = np.concatenate([text_relevant & ~np.isnan(text), nothing_i], axis=1)
            ceiling = None
        some = relevant.any(axis=1)
        assert 10 < some.sum() < 31
        for removed, values in found[leg].recall.items():
            expected = brute_force(
                mine_t[some], mine_i[some], relevant[some], bank_text, bank_image, removed, 2, 4
            )
            np.testing.assert_allclose(values, expected, atol=1e-9, err_msg=f"{leg} {removed}")
        own = slice(12, None) if leg == "image" else slice(0, 12)
        ceiling = plain_recall((image if leg == "image" else text)[some], relevant[some, own], 2)
        np.testing.assert_allclose(found[leg].ceiling, ceiling, atol=1e-12)
    assert len(found["image"].recall) == 8


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(-2, 2), st.floats(0.1, 3))
def test_parts_sum_to_the_loss(seed, k, shift, scale):
    rng = np.random.default_rng(seed)
    text, bank_text = (rng.normal(shift, scale, (n, 6)).round(1) for n in (9, 5))
    image, bank_image = (rng.normal(0, 1, (n, 7)).round(1) for n in (9, 5))
    relevant = rng.random((9, 6)) < 0.4, rng.random((9, 7)) < 0.4
    for matrix in relevant:
        matrix[0, 0] = True
    losses = decompose_merge_loss(
        text,
        image,
        *relevant,
        reference_text_scores=bank_text,
        reference_image_scores=bank_image,
        k=k,
    )
    assert list(losses) == ["text", "image"]
    for loss in losses.values():
        np.testing.assert_allclose(sum(loss.parts().values()), loss.loss, atol=1e-12)
        for order in permutations(CAUSES):
            won = loss.in_order(order)
            assert list(won) == list(order)
            np.testing.assert_allclose(
                sum(won.values()), loss.recall[CAUSES] - loss.recall[()], atol=1e-12
            )


def test_table(legs):
    (wrong, right), bank, relevant = legs
    right = right + 2 * relevant
    right[:20] -= 3 * relevant[:20]  # a third of the queries fails in its own list
    _, loss = parts(wrong + 5, right, bank + 5, bank, relevant)
    table = loss.to_frame(rng=np.random.default_rng(1), n_resamples=500)
    assert table.columns.tolist() == [
        *("leg", "cause", "measure", "value", "ci_low", "ci_high", "n"),
    ]
    assert not table.duplicated(["cause", "measure"]).any()
    row = table.set_index(["measure", "cause"])
    ceiling = row.loc["recall", "ceiling"]
    assert ceiling["value"] == pytest.approx(loss.ceiling.mean())
    # The interval of a share of queries p: about p +- 1.96 sqrt(p (1 - p) / n).
    p = ceiling["value"]
    half = 1.96 * np.sqrt(p * (1 - p) / N_QUERY)
    assert ceiling["ci_low"] == pytest.approx(p - half, abs=0.04)
    assert ceiling["ci_high"] == pytest.approx(p + half, abs=0.04)
    assert row.loc["fraction of loss", "value"].sum() == pytest.approx(1)
    share = row.loc["fraction of loss", "offset"]
    assert share["ci_low"] <= share["value"] <= share["ci_high"]
    assert (row["n"] == N_QUERY).all()


def test_no_loss_has_no_shares(legs):
    (wrong, right), bank, relevant = legs
    _, loss = parts(wrong, right + 5 * relevant, bank, bank, relevant)
    row = loss.to_frame(n_resamples=50).set_index(["measure", "cause"])
    assert row.loc[("part", "loss"), "value"] == 0
    assert row.loc["fraction of loss", ["value", "ci_low", "ci_high"]].isna().all(axis=None)


def test_a_leg_without_spread_is_not_scaled(legs):
    (wrong, right), bank, relevant = legs
    found, _ = parts(
        np.full_like(wrong, 9.0), right + 3 * relevant, np.full_like(bank, 9.0), bank, relevant
    )
    assert found["offset"] == 1


def test_unusable_input_is_refused(legs):
    (text, image), bank, relevant = legs
    banks = {"reference_text_scores": bank, "reference_image_scores": bank}
    with pytest.raises(ValueError, match="no query has a relevant document"):
        decompose_merge_loss(text, image, **banks)
    with pytest.raises(ValueError, match="k and n_neighbours must be at least 1; got 0 and 16"):
        decompose_merge_loss(text, image, relevant, **banks, k=0)
    with pytest.raises(ValueError, match=r"reference_image_scores \(80, 39\) must hold the same"):
        decompose_merge_loss(
            text, image, relevant, reference_text_scores=bank, reference_image_scores=bank[:, 1:]
        )
    holed = bank.copy()
    holed[:, 7] = np.nan
    with pytest.raises(ValueError, match="text 7 has no score in reference_text_scores"):
        decompose_merge_loss(
            text, image, relevant, reference_text_scores=holed, reference_image_scores=bank
        )
