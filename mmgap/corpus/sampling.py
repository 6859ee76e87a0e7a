"""Fetch a part of a large corpus: some queries, the documents judged for them, some others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mmgap.corpus.benchmarks import mteb_files
from mmgap.corpus.catalog import CorpusFacts
from mmgap.corpus.hub import (
    SAMPLE_FILE,
    FetchPlan,
    Report,
    corpus_folder,
    hub_errors,
    load_file,
    plan_fetch,
    refuse_full_disk,
    silent,
)
from mmgap.corpus.images import open_parquet
from mmgap.corpus.reading import Rejects, guarded, read_judgments
from mmgap.errors import CorpusError

OTHERS_PER_QUERY = 10


def sample_words(n_query: int, of_queries: int | None, others: int, seed: int) -> list[str]:
    """Say in lines what a sample of queries, with so many other documents, does to results.

    A query's recall lies between 0 and 1, so its variance is at most 1/4.
    """
    of = "" if of_queries is None else f" of {of_queries:,}"
    return [
        f"sample: {n_query:,}{of} queries, sampled at random with seed {seed}; every document that "
        f"is judged for them is kept, with {others:,} others sampled at random",
        "a smaller pool makes every search easier: no recall of the sample is one of the whole "
        "corpus",
        f"95 % CI of a mean over its queries: at most +- {_widest(n_query):.1f} points"
        + ("" if of_queries is None else f"; with all queries {_widest(of_queries):.1f}"),
    ]


def _widest(n_query: int) -> float:
    return 100 * 1.959964 * (0.25 / n_query) ** 0.5


@guarded
def fetch_sample(
    facts: CorpusFacts,
    n_query: int,
    *,
    others: int | None = None,
    seed: int = 0,
    report: Report = silent,
) -> Path:
    """Fetch some queries of a corpus with the documents judged for them, and random others.

    Queries and judgments are loaded whole. Of the documents (``others``: ten for each query by
    default), first their ids are read, then only the row groups of the remote Parquet files in
    which a wanted one stands. Returns a folder in the corpus' own form, whose ``sample.json`` says
    how it was drawn; loaders take it as ``ID@FOLDER`` and name the sample in ``Corpus.name``.
    """
    if not facts.samples:
        msg = (
            f"corpus {facts.id!r} cannot be fetched in part; fetch it whole and draw queries with "
            "corpus.sample(N), or --sample N of 'mmgap report'"
        )
        raise CorpusError(msg)
    if n_query < 1 or (others is not None and others < 0):
        msg = f"a sample of {n_query} queries and {others} others; expected at least 1 and 0"
        raise CorpusError(msg)
    plan = plan_fetch(facts)
    roles = mteb_files([file.path for file in plan.files], "test")
    if missing := [role for role, files in roles.items() if not files]:
        msg = f"{facts.hub} holds no {', '.join(missing)} files; expected mteb's form"
        raise CorpusError(msg)
    others_wanted = OTHERS_PER_QUERY * n_query if others is None else others
    whole = corpus_folder(facts.hub)
    folder = whole.with_name(f"{whole.name}-sample-{n_query}-{others_wanted}-seed-{seed}")
    (folder / SAMPLE_FILE).unlink(missing_ok=True)  # until this fetch is complete
    by_path = {file.path: file for file in plan.files}
    small = [*roles["queries"], *roles["qrels"]]
    refuse_full_disk(folder, sum(by_path[path].size for path in small))
    local = {path: load_file(plan, by_path[path], folder / ".whole") for path in small}

    rng = np.random.default_rng(seed)
    judged = _judgments([local[path] for path in roles["qrels"]])
    known = [*judged]
    drawn_at = np.sort(rng.permutation(len(known))[:n_query])
    drawn = {known[at] for at in drawn_at.tolist()}
    wanted = {doc_id for query_id in drawn for doc_id in judged[query_id]}
    for line in sample_words(len(drawn), len(known), others_wanted, seed):
        report(line)

    files = [_Remote(plan, path) for path in roles["corpus"]]
    ids = [file.ids() for file in files]
    starts = np.cumsum([0, *map(len, ids)])
    all_ids = np.concatenate([np.asarray(each, dtype=object) for each in ids])
    is_judged = np.fromiter((doc_id in wanted for doc_id in all_ids), bool, len(all_ids))
    rest = np.flatnonzero(~is_judged)
    chosen = is_judged.copy()
    chosen[rng.permutation(rest)[:others_wanted]] = True
    written: dict[str, dict[str, int]] = {}
    for file, start, end in zip(files, starts[:-1], starts[1:], strict=True):
        rows = np.flatnonzero(chosen[start:end])
        if len(rows):
            report(f"{file.path}: {len(rows):,} of {end - start:,} documents")
            _note(written, folder, file.write(rows, folder / file.path))
    for path in small:
        key = "id" if path in roles["queries"] else "query-id"
        _note(written, folder, _keep(local[path], folder / path, key, drawn))
    content = {
        "hub": facts.hub,
        "revision": plan.revision,
        "seed": seed,
        "queries": len(drawn),
        "of_queries": len(known),
        "documents": int(chosen.sum()),
        "of_documents": len(all_ids),
        "judged": int(is_judged.sum()),
        "files": written,
    }
    (folder / SAMPLE_FILE).write_text(json.dumps(content, indent=1), encoding="utf-8")
    report(f"{content['documents']:,} of {content['of_documents']:,} documents are in {folder}")
    return folder


class _Remote:
    """A Parquet file on the hub, of which only the needed parts are read."""

    def __init__(self, plan: FetchPlan, path: str) -> None:
        self.plan, self.path = plan, path

    def ids(self) -> list[str]:
        with self._open() as file:
            names = file.schema_arrow.names
            column = file.read(columns=["id" if "id" in names else "_id"]).column(0)
            return [str(each) for each in column.to_pylist()]

    def write(self, rows: np.ndarray, target: Path) -> Path:
        """Write these rows, counted from 0 and sorted, to a file here."""
        with self._open() as file:
            first = 0
            with _create(target, file.schema_arrow) as writer:
                for group in range(file.num_row_groups):
                    end = first + file.metadata.row_group(group).num_rows
                    here = rows[(rows >= first) & (rows < end)] - first
                    if len(here):
                        writer.write_table(file.read_row_group(group).take(here))
                    first = end
        return target

    @contextmanager
    def _open(self) -> Iterator[Any]:
        from huggingface_hub import HfFileSystem

        name = f"datasets/{self.plan.facts.hub}@{self.plan.revision}/{self.path}"
        with hub_errors(self.plan.facts), HfFileSystem().open(name, "rb") as handle:
            yield open_parquet(handle, self.path)


def _judgments(files: Sequence[Path]) -> dict[str, list[str]]:
    """Return the judged documents of each query, in the order of the file."""
    judged: dict[str, list[str]] = {}
    for file in files:
        for _, judgment in read_judgments(file, Rejects()):
            judged.setdefault(judgment.query_id, []).append(judgment.doc_id)
    return judged


def _create(path: Path, schema: Any) -> Any:
    """Open a new Parquet file for writing, and the folders it lies in."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    path.parent.mkdir(parents=True, exist_ok=True)
    return pq.ParquetWriter(path, schema)


def _keep(source: Path, target: Path, key: str, drawn: set[str]) -> Path:
    """Write the rows of these queries."""
    file = open_parquet(source)
    names = {"id": ("id", "_id"), "query-id": ("query-id", "query_id")}[key]
    column = next(name for name in names if name in file.schema_arrow.names)
    with _create(target, file.schema_arrow) as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            mask = [str(each) in drawn for each in table[column].to_pylist()]
            writer.write_table(table.filter(mask))
    return target


def _note(written: dict[str, dict[str, int]], folder: Path, path: Path) -> None:
    written[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size}
