"""Small corpora in the published schemas, written by code."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How the library ``datasets`` writes an image."""

COLOURS = ("red", "green", "blue", "yellow", "black", "white")


def drawing(colour: str, size: int = 8) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "PNG")
    return buffer.getvalue()


def cell(colour: str | None) -> dict[str, Any] | None:
    return None if colour is None else {"bytes": drawing(colour), "path": f"{colour}.png"}


def write_json_lines(path: Path, records: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_parquet(path: Path, columns: dict[str, Any], group: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


def items(rows: list[tuple[str, str | None, str | None]]) -> dict[str, pa.Array]:
    """Columns id, modality, text and image of mteb's form, from id, text and colour."""
    return {
        "id": pa.array([row[0] for row in rows], pa.string()),
        "modality": pa.array(
            [",".join(["image"] * bool(row[2]) + ["text"] * bool(row[1])) for row in rows]
        ),
        "text": pa.array([row[1] for row in rows], pa.string()),
        "image": pa.array([cell(row[2]) for row in rows], IMAGE),
    }


def judgments(rows: list[tuple[str, str, int]]) -> dict[str, pa.Array]:
    return {
        "query-id": pa.array([row[0] for row in rows], pa.string()),
        "Q0": pa.array(["0"] * len(rows), pa.string()),
        "corpus-id": pa.array([row[1] for row in rows], pa.string()),
        "score": pa.array([row[2] for row in rows], pa.int8()),
    }


def write_mteb(
    root: Path,
    documents: list[tuple[str, str | None, str | None]],
    queries: list[tuple[str, str | None, str | None]],
    qrels: list[tuple[str, str, int]],
) -> Path:
    """Write a task as mteb's data sets have it; the corpus in two files of small row groups."""
    half = (len(documents) + 1) // 2
    for part, rows in enumerate((documents[:half], documents[half:])):
        write_parquet(root / f"corpus/corpus-{part:05d}-of-00002.parquet", items(rows))
    write_parquet(root / "query/test-00000-of-00001.parquet", items(queries))
    write_parquet(root / "qrels/test-00000-of-00001.parquet", judgments(qrels))
    return root


def write_images(folder: Path, names: dict[str, str]) -> None:
    """Write images: file name -> colour."""
    for name, colour in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(drawing(colour))
