"""The same numbers as ir_measures (trec_eval) where no documents are tied."""

import ir_measures
import numpy as np
import pytest

from mmgap.evaluation import Run, evaluate

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
        "mrr": ir_measures.RR(rel=min_grade),
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
