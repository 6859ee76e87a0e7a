"""Write docs/models.md: every model of the two catalogues in one table.

    python scripts/model_table.py

A test compares the file with what this prints.
"""

from __future__ import annotations

from pathlib import Path

from mmgap.encoders.catalog import ModelFacts, all_models

PAGE = Path(__file__).resolve().parent.parent / "docs" / "models.md"

HEAD = """\
# Models

Written by `python scripts/model_table.py` from `mmgap/encoders/catalog.toml` and
`mmgap/rerankers/catalog.toml`. On the command line `mmgap models` lists the same, `mmgap models
show ID` adds prompts, pooling, revision, notes and published results with their sources, and
`mmgap models check ID` runs a model on bundled drawings and compares it with its row.

- **text**, **image**, **fused** (both in one input): what the model reads; of a reranker, the
  document. mmgap gives an encoder one of the two at a time.
- **rerank**: the kinds of pairs that a reranker takes, query first.
- **Matryoshka**: the shortest length that its vectors may be cut to.
- **languages**: codes, or how many the makers claim.
- **commercial**: whether the licence allows commercial use; `?` is not established here.
- **tested how**: what mmgap's own tests run. They were written where no weights but the bundled
  ones could be had. A *tiny checkpoint* is a random one of the same architecture in the hub's own
  file layout; *family* means that another model of its family and backend is tested so. Whether
  the real weights behave is for `mmgap models check` to say.

"""

NAMES = {
    "mini": "bundled",
    "sentence-transformers": "sentence-transformers",
    "open-clip": "open_clip",
    "onnx": "onnxruntime",
    "multi-vector": "sentence-transformers (multi-vector)",
    "api": "HTTP",
    "cross-encoder": "sentence-transformers (cross-encoder)",
    "jina-m0": "transformers (own head)",
}


def page() -> str:
    """Return the whole page."""
    columns = ["model", "text", "image", "fused", "rerank", "Matryoshka", "languages", "licence"]
    columns += ["commercial", "backend", "tested how"]
    rows = [columns, ["---"] * len(columns), *(row(facts) for facts in all_models())]
    return HEAD + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def row(facts: ModelFacts) -> list[str]:
    """Return the cells of one model."""
    read = {modality.split("-")[-1] for modality in facts.modalities}
    reads = ["yes" if leg in read else "" for leg in ("text", "image", "fused")]
    languages = facts.languages
    if "multilingual" in languages:
        languages = (str(facts.language_count) if facts.language_count else "many",)
    return [
        f"`{facts.id}`",
        *reads,
        ", ".join(facts.modalities) if facts.is_reranker else "",
        str(min(facts.matryoshka_dims, default="")),
        ", ".join(languages),
        facts.licence,
        {True: "yes", False: "no", None: "?"}[facts.commercial],
        NAMES[facts.backend],
        tested(facts),
    ]


def tested(facts: ModelFacts) -> str:
    """Return how mmgap's tests run it."""
    if facts.remote_code:
        return "refused: code from the hub"
    return facts.tested or "family"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE.name}")
