"""The same numbers as ir_measures (trec_eval), ranx and scikit-learn; ties where they know any."""

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from sklearn.metrics import ndcg_score

from mmgap.evaluation import Run, evaluate, ndcg

# numba says this of its own code when it compiles ranx for the first time.
pytestmark = pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaTypeSafetyWarning")

N_QUERY, N_DOC, DEPTH = 40, 120, 30


@pytest.fixture(scope="module")
def qrels():
    """Grades 0 to 3 for a quarter of the pool; every query has one of grade 3."""
    rng = np.random.default_rng(7)
    judged = {}
    for query in range(N_QUERY):
        docs = rng.choice(N_DOC, size=N_DOC // 4, replace=False)
        grades = rng.integers(0, 4, size=len(docs))
        grades[0] = 3
        judged[f"q{query}"] = {f"d{doc}": int(g) for doc, g in zip(docs, grades, strict=True)}
    return judged


@pytest.fixture(scope="module")
def run():
    """Distinct scores around zero; some lists are shorter than the cut-offs."""
    rng = np.random.default_rng(8)
    candidates = np.stack([rng.permutation(N_DOC)[:DEPTH] for _ in range(N_QUERY)])
    candidates[:10, rng.integers(5, DEPTH, size=10)] = -1
    candidates[0, 4:] = -1
    scores = rng.permuted(np.linspace(-0.3, 0.4, N_QUERY * DEPTH)).reshape(N_QUERY, DEPTH)
    queries = [f"q{query}" for query in range(N_QUERY)]
    return Run.from_scores("random", queries, [f"d{d}" for d in range(N_DOC)], candidates, scores)


@pytest.mark.parametrize("min_grade", [1, 2, 3])
@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_equals_ir_measures(run, qrels, k, min_grade):
    ours = {
        f"recall@{k}": ir_measures.R(rel=min_grade) @ k,
        f"hit@{k}": ir_measures.Success(rel=min_grade) @ k,
        f"ndcg@{k}": ir_measures.nDCG @ k,
        f"mrr@{k}": ir_measures.RR(rel=min_grade) @ k,
        f"map@{k}": ir_measures.AP(rel=min_grade) @ k,
        "mrr": ir_measures.RR(rel=min_grade),
        "map": ir_measures.AP(rel=min_grade),
        "ndcg": ir_measures.nDCG,
    }
    values = evaluate(run, qrels, list(ours), min_grade=min_grade)
    theirs = {
        (metric.query_id, metric.measure): metric.value
        for metric in ir_measures.iter_calc(list(ours.values()), qrels, run.to_dict())
    }
    assert 0 < values["expected"].to_numpy().mean() < 1
    for name, measure in ours.items():
        reference = [theirs[query, measure] for query in run.query_ids]
        for order in ("expected", "optimistic", "pessimistic"):
            np.testing.assert_allclose(values[order][name], reference, atol=1e-12)


def test_one_order_of_ties_lies_between_the_bounds(run, qrels):
    """A library that breaks ties its own way reports a number inside ours."""
    tied = Run("tied", run.query_ids, run.doc_ids, run.indices, np.round(run.scores, 1))
    values = evaluate(tied, qrels, ["ndcg@10"])
    theirs = {
        metric.query_id: metric.value
        for metric in ir_measures.iter_calc([ir_measures.nDCG @ 10], qrels, tied.to_dict())
    }
    reference = np.array([theirs[query] for query in tied.query_ids])
    low, high = values["pessimistic"]["ndcg@10"], values["optimistic"]["ndcg@10"]
    assert (high - low).mean() > 0.05
    assert (reference >= low - 1e-12).all()
    assert (reference <= high + 1e-12).all()


@pytest.mark.parametrize("k", [1, 10])
def test_exponential_gain_is_trec_evals_on_exponential_grades(run, qrels, k):
    exponential = {
        query: {doc: 2**grade - 1 for doc, grade in row.items()} for query, row in qrels.items()
    }
    evaluator = pytrec_eval.RelevanceEvaluator(exponential, {f"ndcg_cut.{k}", "ndcg"})
    theirs = evaluator.evaluate(run.to_dict())
    values = evaluate(run, qrels, [f"ndcg_exp@{k}", "ndcg_exp"])["expected"]
    for name, other in ((f"ndcg_exp@{k}", f"ndcg_cut_{k}"), ("ndcg_exp", "ndcg")):
        reference = [theirs[query][other] for query in run.query_ids]
        np.testing.assert_allclose(values[name], reference, atol=1e-12)


def test_equals_ranx(run, qrels):
    """Also where the lists end before the cut-off, and for a grade threshold."""
    ranx = pytest.importorskip("ranx", reason="ranx is not installed")
    relevant = {
        query: {doc: grade for doc, grade in row.items() if grade > 0}
        for query, row in qrels.items()
    }  # ranx takes a judged document for a relevant one when it counts R
    pairs = {
        "recall@10": "recall@10",
        "hit@10": "hit_rate@10",
        "map": "map",
        "map@10": "map@10",
        "mrr@10": "mrr@10",
        "ndcg@10": "ndcg@10",
        "ndcg_exp@10": "ndcg_burges@10",
    }
    values = evaluate(run, qrels, list(pairs))["expected"]
    theirs = ranx.Run(run.to_dict(), name="random")
    found = ranx.evaluate(ranx.Qrels(relevant), theirs, list(pairs.values()), return_mean=False)
    order = np.argsort(run.query_ids)  # ranx sorts query ids
    for name, other in pairs.items():
        np.testing.assert_allclose(values[name].iloc[order], found[other], atol=1e-12, err_msg=name)
    graded = evaluate(run, qrels, ["map@10", "recall@10"], min_grade=2)["expected"].mean()
    found = ranx.evaluate(ranx.Qrels(relevant), theirs, ["map@10-l2", "recall@10-l2"])
    assert graded.to_list() == pytest.approx(list(found.values()))


@pytest.mark.parametrize("k", [1, 3, 10, None])
@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_expected_ndcg_is_what_scikit_learn_averages_over_ties(k, gain):
    """scikit-learn averages gains over ties, by another formula; it needs the whole pool."""
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 5, size=(60, 15)) / 4
    grades = rng.integers(0, 4, size=scores.shape)
    grades[:, 0] = 1
    worth = grades if gain == "linear" else 2**grades - 1
    order = np.argsort(-scores, axis=1, kind="stable")
    ours = ndcg(
        np.take_along_axis(scores, order, axis=1),
        np.take_along_axis(grades, order, axis=1),
        grades,
        k,
        gain=gain,
    )
    reference = [ndcg_score([row], [score], k=k) for row, score in zip(worth, scores, strict=True)]
    np.testing.assert_allclose(ours.expected, reference, atol=1e-12)
    assert (ours.optimistic - ours.pessimistic).mean() > 0.1
