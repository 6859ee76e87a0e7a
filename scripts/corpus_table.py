"""Write docs/corpora.md: every corpus that loads by name in one table.

    python scripts/corpus_table.py

A test compares the file with what this prints.
"""

from __future__ import annotations

from pathlib import Path

from mmgap.corpus.catalog import CorpusFacts, all_corpora

PAGE = Path(__file__).resolve().parent.parent / "docs" / "corpora.md"

HEAD = """\
# Corpora

Written by `python scripts/corpus_table.py` from `mmgap/corpus/catalog.toml`. On the command line
`mmgap corpus list` lists the same, `mmgap corpus show ID` shows everything known about one, and
`mmgap corpus fetch ID --dry-run` shows size, licence, time and disk space before downloading.

    mmgap corpus fetch edis                    # pinned, resumable, with checksums, into the cache
    mmgap corpus fetch edis --sample 500       # 500 queries, their judged documents, and others
    mmgap report --corpus edis --encoder ID

In Python `mmgap.load_corpus(ID)`; files that lie elsewhere load as `ID@FOLDER`. Images are read
when needed and never all held in memory.

- **documents**, **queries**: of the split that is loaded by default; `-` means unknown.
- **licence**: as the publisher states it, which is mteb for its own data sets.
- **revision**: the commit of the hub. Eight digits are a prefix that a fetch completes; where none
  is known, a fetch takes the newest one and records it.
- **in part**: whether `--sample N` can fetch a part. It keeps every document judged for the sampled
  queries. The pool is smaller, so search is easier: its recall is not that of the whole corpus. The
  command prints what the sample does to intervals.
- **tested how**: none of these data sets could be reached where mmgap was written. *true schema*:
  the tests read small generated files with the same fields. *real judgments*: for EDIS also the
  published queries and judgments.

"""

FOOT = """
## Other forms of the same data

- `load_corpus("edis@FOLDER")` also reads the authors' JSON in both layouts (`EDIS_test.json` with
  `EDIS_candidates_1m.json`; `test.json` with `candidates_full.json`), with grades 1 to 3, of which
  3 is relevant. `pool="restricted"` is the pool of the judged candidates; the default is the full
  one. mteb's form has binary relevance; `topics=FILE` adds the grades.
- `load_corpus("mbeir/TASK@FOLDER")` also reads UniIR's own files (`TIGER-Lab/M-BEIR`, MIT; the
  images are four files of 169.3 GB in total) with `query/`, `cand_pool/` and `qrels/`, whose fifth
  column is cut; `pool="global"` is the pool of all tasks (2.43 GB of text).
- Queries that are images (tasks 3 to 8 of M-BEIR) load with `image_queries=True` only, since
  mmgap's strategies ask with texts.
- `load_corpus("mixbench/SUBSET@FOLDER")` reads the fields of `MixBench25` (paths of images) and of
  `MixBench2025` (images); a version without judgments needs `qrels=FILE`.
- `load_corpus("captions/coco@FOLDER")` also reads Karpathy's `dataset_coco.json`; the same for
  `flickr30k`. `pool="pairs"` gives each image its first caption as text.
- A folder of your own is named by its path, see below.

## A folder of your own

| file | fields |
|---|---|
| `documents.jsonl` | `id`; `text`, `image` (a path relative to the folder) or both; further fields become metadata |
| `queries.jsonl` | `id`, `text`; further fields become metadata |
| `qrels.tsv` | four columns: query id, 0, document id, grade; relevant from grade 1 on |

All three may be `.jsonl`, `.json`, `.csv` or `.parquet`, documents and queries `.tsv` too, with these names of columns;
judgments then have `query_id`, `doc_id`, `grade`. BEIR's layout (`corpus.jsonl`, `_id`, `qrels/test.tsv`) is read too. Without
judgments, or without queries, `mmgap gap`, `embed` and `report` do what can be done. A plain folder of images, each with its
text beside it (`cat.png`, `cat.txt`), is read as well.

## Queries that are the documents' own texts

A plain folder of images with their texts beside them, and embeddings without queries
(`IMAGE.npy,TEXT.npy`), use the documents' own texts as queries. A text must not be compared with
itself, so that one score is left out; but then the relevant document is the only one without a text
score, and merges that favour missing scores find it in pure noise. Therefore one rule holds
everywhere: **a leg from which pairs are left out, while another leg still shows their documents,
takes no part in any ranking, for any query** (`Vectors.ranked_legs`).

- Reports and tables show the image leg alone; leaderboard, advice, label budget and verdicts are
  refused, with the remedy.
- Distributions, gap, thresholds of the image leg, and the single-modality-answer test with
  relevant images remain valid: there every text and every image is an entry with one score.
- To compare merges, use your own queries: `queries.jsonl` and `qrels.tsv` in the folder,
  `IMAGE.npy,TEXT.npy,QUERIES.npy` for embeddings; another caption of each image is enough.
"""


def page() -> str:
    """Return the whole page."""
    columns = ["corpus", "what", "asks", "documents", "queries", "relevant", "size", "licence"]
    columns += ["hub", "revision", "in part", "tested how"]
    rows = [columns, ["---"] * len(columns), *(row(facts) for facts in all_corpora())]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
    notes = "".join(f"- `{facts.id}`: {facts.notes}\n" for facts in all_corpora() if facts.notes)
    return f"{HEAD}{table}\n## Notes\n\n{notes}{FOOT}"


def row(facts: CorpusFacts) -> list[str]:
    """Return the cells of one corpus."""
    return [
        f"`{facts.id}`",
        facts.title,
        facts.task,
        *(number(count) for count in (facts.documents, facts.queries, facts.relevant)),
        size(facts),
        facts.licence,
        f"`{facts.hub}`" if facts.hub else "-",
        revision(facts),
        "yes" if facts.samples else "",
        tested(facts),
    ]


def number(count: int | None) -> str:
    """Return a count, or a dash where it is not established."""
    return "-" if count is None else f"{count:,}"


def size(facts: CorpusFacts) -> str:
    """Return what a fetch loads."""
    if facts.bundled:
        return "bundled"
    if facts.bytes is None:
        return "-"
    return f"{facts.bytes / 1e9:.1f} GB" if facts.bytes >= 1e9 else f"{facts.bytes / 1e6:.1f} MB"


def revision(facts: CorpusFacts) -> str:
    """Return the first digits of the commit."""
    if not facts.hub:
        return "-"
    return f"`{facts.revision[:8]}`" if facts.revision else "not pinned: unknown here"


def tested(facts: CorpusFacts) -> str:
    """Return how mmgap's tests read it."""
    if facts.bundled or not facts.hub:
        return "the data itself"
    return "true schema, real judgments" if facts.id == "edis" else "true schema"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE.name}")
