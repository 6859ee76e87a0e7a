"""What the article leaves open, as a table: each point, its option, its default, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class OpenPoint(NamedTuple):
    """One thing that a reproduction of the article must decide.

    Parameters
    ----------
    number : int
    question : str
    option : str
        Where it is set, and to what.
    default : str
    reason : str
        Why this default.
    """

    number: int
    question: str
    option: str
    default: str
    reason: str


OPEN_POINTS = (
    OpenPoint(
        1,
        "Is recall the share of relevant documents found, or whether any is found?",
        "seed_table(measure='recall@10' or 'hit@10'); --measure",
        "recall@10, the share",
        "EDIS, MTEB and trec_eval mean the share; published numbers of other models on this task "
        "fit it, and are 1.4 to 1.7 times as high on the other scale.",
    ),
    OpenPoint(
        2,
        "From which grade on is a document relevant?",
        "seed_table(min_grade=1, 2 or 3); --set min_grade=2",
        "the corpus' own; grade 3 of EDIS",
        "EDIS' own code, M-BEIR and MTEB count grade 3 alone.",
    ),
    OpenPoint(
        3,
        "Which pool: all 1,047,067 documents, or the 25,463 that were judged?",
        "the corpus that is loaded; --corpus, --set pool=restricted",
        "the corpus reader's",
        "Numbers as low as the article's point to the full pool; only who holds it can run it.",
    ),
    OpenPoint(
        4,
        "All 3,241 test queries, or a sample?",
        "corpus.sample(n, seed=...); --set sample=500, --corpus NAME/SPLIT",
        "all queries of the test split",
        "With 1,000 queries the standard error is 1.2 to 1.5 points, so that two decimals could "
        "not be matched. A sample also shrinks the pool, which makes every row easier.",
    ),
    OpenPoint(
        5,
        "A document that both legs find: which of its scores counts, and is its place refilled?",
        "TwoStage(duplicates='max' or 'first', refill=...); --set duplicates=first, backfill=yes",
        "max, not refilled: 16 to 32 documents",
        "A document never takes two places. Not refilling makes no more calls than 32.",
    ),
    OpenPoint(
        6,
        "Is the mean of two views taken after the reranker's sigmoid, or before it?",
        "TwoStage(average='after' or 'before'); --set average=before",
        "after",
        "It is what the model's public interface returns. Both views of every document are scored, "
        "so up to 64 calls a query.",
    ),
    OpenPoint(
        7,
        "In which order do documents with equal scores stand?",
        "seed_table(ties='expected', 'index' or 'doc_id'); --set ties=index",
        "expected: the mean over all orders",
        "Equal headlines have equal cosines and equal reranker scores; no order among them is "
        "right. The columns optimistic and pessimistic hold the bounds. Where a leg's list is cut "
        "inside of a tie, the corpus' order decides.",
    ),
    OpenPoint(
        8,
        "Which dimensions, query prompt, picture size, number format; are headlines cut?",
        "load_encoder(dim=..., query_prompt=..., dtype or variant=...); "
        "cut_texts(corpus, 30); --set dim=..., query_prompt=..., max_words=30",
        "as the catalogue has the encoder: all dimensions, its own prompt and picture size, "
        "float32; headlines whole",
        "The article names the model and nothing more. EDIS' own code cuts headlines to 30 words.",
    ),
    OpenPoint(
        9,
        "What does the reranker see: kinds of query and document, length, picture size?",
        "load_reranker(max_length=..., max_query_length=...); PairScorer(image_side=...); "
        "--set max_length=..., image_side=...",
        "text query with text or image; 10,240 tokens; pictures as large as the model takes",
        "These are the defaults of the model's own code.",
    ),
    OpenPoint(
        10,
        "Is the mean over queries, or over relevant documents?",
        "seed_table(mean='macro' or 'micro'); --set mean=micro",
        "macro: every query counts the same",
        "Standard in every evaluation named here.",
    ),
    OpenPoint(
        11,
        "How is the number written?",
        "format_seed_table(digits=2)",
        "percent with two decimals",
        "As in the article. The interval beside it says how many of them mean something.",
    ),
)
"""The eleven open points, in the order of the project's notes on the article."""


def open_points() -> pd.DataFrame:
    """Return :data:`OPEN_POINTS` as a table, one row each.

    Examples
    --------
    >>> open_points().loc[6, "default"]
    'after'
    """
    import pandas as pd

    return pd.DataFrame(OPEN_POINTS, columns=OpenPoint._fields).set_index("number")
