"""The files of the corpus, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

from .assemble import Corpus, pool_name
from .languages import LANGUAGES, translations
from .packages import PACKAGES, Archive

_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def write_corpus(
    corpus: Corpus, archives: dict[str, Archive], datasheet: str, target: Path
) -> None:
    """Write documents, queries, judgments, translations, images, datasheet and manifest."""
    for folder, pattern in (("images", "*.zip"), ("languages", "*.jsonl")):
        (target / folder).mkdir(parents=True, exist_ok=True)
        for outdated in (target / folder).glob(pattern):
            outdated.unlink()
    _write_lines(target / "documents.jsonl", [_document(d, p) for d, p in corpus.drawings])
    _write_lines(target / "queries.jsonl", [_query(q) for q in corpus.queries])
    judgments = [
        f"{query.id}\t0\t{document}\t{grade}\n"
        for query in corpus.queries
        for document, grade in query.grades.items()
    ]
    _write_text(target / "qrels.tsv", "".join(judgments))
    for language in LANGUAGES:
        rows = translations(language, archives, corpus)
        _write_lines(target / "languages" / f"{language}.jsonl", rows)
    _write_images(corpus, target / "images")
    counts = _counts(corpus, len(judgments))
    _write_text(target / "README.md", _fill(datasheet, counts, target))
    _write_manifest(counts, target)


def _document(drawing, pool) -> dict:
    """Return one line of documents.jsonl."""
    row = {
        "id": drawing.id,
        "text": drawing.text,
        "style": drawing.style,
        "image": f"{drawing.id}.webp",
        "text_source": drawing.text_source,
        "informative": drawing.informative,
        "concept": drawing.concept,
        "cluster": drawing.cluster,
        "domain": drawing.domain,
        "split": pool[0],
        "condition": pool[1],
        "image_source": drawing.package,
        "licence": drawing.licence,
        "creator": drawing.creator,
    }
    if drawing.title_coverage:
        row["title_coverage"] = drawing.title_coverage
    return row


def _query(query) -> dict:
    """Return one line of queries.jsonl."""
    question = query.question
    return {
        "id": query.id,
        "text": question.text,
        "query_class": query.query_class,
        "phrasing": question.phrasing,
        "text_source": question.text_source,
        "concept": question.concept,
        "cluster": question.cluster,
        "domain": question.domain,
        "split": query.pool[0],
        "condition": query.pool[1],
        "language": "en",
    }


def _write_lines(path: Path, rows: list[dict]) -> None:
    """Write one JSON object a line."""
    _write_text(
        path,
        "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows),
    )


def _write_text(path: Path, text: str) -> None:
    """Write UTF-8 with Unix line ends on every system."""
    path.write_bytes(text.encode("utf-8"))


def _write_images(corpus: Corpus, folder: Path) -> None:
    """Write one uncompressed zip per style, members sorted, without dates."""
    by_style = defaultdict(list)
    for drawing, _ in corpus.drawings:
        by_style[drawing.style].append(f"{drawing.id}.webp")
    for style, names in sorted(by_style.items()):
        with zipfile.ZipFile(folder / f"{style}.zip", "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(names):
                member = zipfile.ZipInfo(name, _LONG_AGO)
                member.create_system = 3
                member.external_attr = 0o644 << 16
                archive.writestr(member, corpus.images[name.removesuffix(".webp")])


def _counts(corpus: Corpus, judgments: int) -> dict:
    """Return everything that the datasheet and the manifest count."""
    documents = Counter(pool_name(pool) for _, pool in corpus.drawings)
    classes: dict[str, Counter] = defaultdict(Counter)
    phrasings: dict[str, Counter] = defaultdict(Counter)
    for query in corpus.queries:
        classes[pool_name(query.pool)][query.query_class] += 1
        phrasings[pool_name(query.pool)][query.question.phrasing] += 1
    queries = Counter(pool_name(query.pool) for query in corpus.queries)
    return {
        "documents": len(corpus.drawings),
        "queries": len(corpus.queries),
        "judgments": judgments,
        "concepts": len({d.concept for d, _ in corpus.drawings}),
        "clusters": len({d.cluster for d, _ in corpus.drawings}),
        "documents_by_pool": _sorted(documents),
        "queries_by_pool": _sorted(queries),
        "documents_by_domain": _sorted(Counter(d.domain for d, _ in corpus.drawings)),
        "queries_by_domain": _sorted(Counter(q.question.domain for q in corpus.queries)),
        "documents_by_style": _sorted(Counter(d.style for d, _ in corpus.drawings)),
        "documents_by_text_source": _sorted(Counter(d.text_source for d, _ in corpus.drawings)),
        "documents_informative": sum(d.informative for d, _ in corpus.drawings),
        "queries_by_text_source": _sorted(Counter(q.question.text_source for q in corpus.queries)),
        "queries_by_class": _sorted(Counter(q.query_class for q in corpus.queries)),
        "queries_by_pool_and_class": {k: _sorted(v) for k, v in sorted(classes.items())},
        "queries_by_pool_and_phrasing": {k: _sorted(v) for k, v in sorted(phrasings.items())},
        "left_out": _sorted(corpus.left_out),
    }


def _sorted(counter: Counter) -> dict:
    """Return a counter as a dictionary in the order of its keys."""
    return dict(sorted(counter.items()))


def _fill(datasheet: str, counts: dict, target: Path) -> str:
    """Return the datasheet with its numbers put in."""
    megabytes = sum(p.stat().st_size for p in target.rglob("*") if p.is_file()) / 1e6
    values = {"megabytes": f"{megabytes:.0f}", "languages": str(len(LANGUAGES))}
    values["scripts"] = str(len(set(LANGUAGES.values())))
    for name, value in counts.items():
        if isinstance(value, int):
            values[name] = f"{value:,}"
            continue
        for key, inner in value.items():
            if isinstance(inner, int):
                values[f"{name}:{key}"] = f"{inner:,}"
                continue
            values.update({f"{name}:{key}:{k}": f"{n:,}" for k, n in inner.items()})
    values["left_out_list"] = "\n".join(f"* {n:,} {why}" for why, n in counts["left_out"].items())
    for name, value in values.items():
        datasheet = datasheet.replace("{" + name + "}", value)
    return datasheet


def _write_manifest(counts: dict, target: Path) -> None:
    """Write checksums of all other files, the packages and the counts."""
    files = {
        path.relative_to(target).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in sorted(target.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    packages = {
        key: {
            "manager": p.manager, "name": p.name, "version": p.version,
            "archive": p.archive, "sha256": p.sha256,
        }
        for key, p in sorted(PACKAGES.items())
    }  # fmt: skip
    manifest = {"format": 1, "counts": counts, "packages": packages, "files": files}
    _write_text(target / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
