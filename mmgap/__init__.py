"""Show, measure and mitigate the modality gap of multimodal retrieval.

>>> import mmgap as mg
>>> corpus = mg.load_corpus("pictograms", split="test")  # doctest: +SKIP
>>> vectors = mg.embed(corpus, mg.load_encoder("mini-clip"))  # doctest: +SKIP
>>> mg.recall_table(mg.run_strategies(vectors), corpus.qrels)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmgap import (
        corpus,
        encoders,
        evaluation,
        fusion,
        gap,
        index,
        mitigate,
        plots,
        rerankers,
        scores,
        strategies,
    )
    from mmgap.corpus import load_corpus, load_features
    from mmgap.encoders import load_encoder
    from mmgap.evaluation import recall_table
    from mmgap.index.embed import embed
    from mmgap.rerankers import load_reranker
    from mmgap.strategies import run_strategies, score_distributions
    from mmgap.strategies.gap_report import gap_report

__version__ = "0.1.0"

__all__ = [
    "corpus",
    "embed",
    "encoders",
    "evaluation",
    "fusion",
    "gap",
    "gap_report",
    "index",
    "load_corpus",
    "load_encoder",
    "load_features",
    "load_reranker",
    "mitigate",
    "plots",
    "recall_table",
    "rerankers",
    "run_strategies",
    "score_distributions",
    "scores",
    "settings",
    "strategies",
]

_HOME = {
    "embed": "index",
    "gap_report": "strategies",
    "load_corpus": "corpus",
    "load_encoder": "encoders",
    "load_features": "corpus",
    "load_reranker": "rerankers",
    "recall_table": "evaluation",
    "run_strategies": "strategies",
    "score_distributions": "strategies",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import mmgap`` stays quick."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    if name in _HOME:
        value = getattr(import_module(f"mmgap.{_HOME[name]}"), name)
    else:
        value = import_module(f"mmgap.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
