"""Rows and images of Parquet files, read group by group."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmgap.corpus.images import ImageFile, version
from mmgap.errors import CorpusError, ImageError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

_BATCH = 1024


@dataclass(frozen=True)
class ParquetImage(ImageFile):
    """An image that is not read yet: a cell of a Parquet file.

    Its row group is read when it is asked for, and the last few groups are kept, so images in the
    order of the file cost one reading of each group. In a random order each may cost a whole group.

    Parameters
    ----------
    path : Path
        The Parquet file.
    member : None
    column : str
        Holds the bytes of an image file, or a structure with ``bytes`` and ``path``, which is how
        the library ``datasets`` writes images.
    group, row : int
        The row group, and the row in it, both from 0.
    """

    column: str = "image"
    group: int = 0
    row: int = 0

    @property
    def name(self) -> str:
        """File, column, row group and row."""
        path = Path(self.path).as_posix()
        return f"{path} (column {self.column!r}, row {self.row} of group {self.group})"

    def read_bytes(self) -> bytes:
        """Return the image file that the cell holds.

        Raises
        ------
        ImageError
            If the Parquet file cannot be read, or the cell holds no bytes.
        """
        try:
            path = os.fspath(self.path)
            cell = _cells(path, version(path), self.group, self.column)[self.row].as_py()
        except (OSError, ValueError, IndexError, KeyError) as error:  # pyarrow's are ValueErrors
            msg = f"image {self.name} cannot be read ({error}); fetch the file again"
            raise ImageError(msg) from error
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not data:
            msg = f"image {self.name}: the cell holds no bytes; fetch the file again or drop it"
            raise ImageError(msg)
        return data


def read_parquet(
    path: Path, columns: Sequence[str] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every row of a Parquet file with the words that name it; images stay in the file.

    Parameters
    ----------
    path : Path
    columns : sequence of str, optional
        Those that are wanted; what the file lacks is left out. Default: all.

    Yields
    ------
    where : str
        ``"test.parquet row 3"``, counted from 1.
    record : dict
        A cell with an image is a :class:`ParquetImage`.

    Raises
    ------
    CorpusError
        If the file is missing or damaged.
    """
    file = open_parquet(path)
    fields = {field.name: field for field in file.schema_arrow}
    wanted = [name for name in fields if columns is None or name in columns]
    images = [name for name in wanted if _holds_images(fields[name])]
    # Of a structure the short "path" alone tells whether there is an image.
    leaves = [
        f"{name}.path" if name in images and _child(fields[name], "path") else name
        for name in wanted
    ]
    number = 0
    try:
        for group in range(file.num_row_groups):
            row = 0
            for batch in file.iter_batches(_BATCH, row_groups=[group], columns=leaves):
                valid = {name: batch[name].is_valid().to_pylist() for name in images}
                others = batch.select([name for name in wanted if name not in images])
                for at, record in enumerate(others.to_pylist()):
                    number += 1
                    for name in images:
                        image = ParquetImage(path, column=name, group=group, row=row + at)
                        record[name] = image if valid[name][at] else None
                    yield f"{path.name} row {number}", record
                row += batch.num_rows
    except (OSError, ValueError) as error:
        msg = f"{path} is damaged after row {number} ({error}); fetch it again"
        raise CorpusError(msg) from error


def open_parquet(source: Any, name: str | None = None) -> pq.ParquetFile:
    """Open a Parquet file, a path or something open, or say what is wrong with it."""
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        purpose = "reading Parquet files"
        raise MissingExtraError(purpose, "corpora") from error
    try:
        return pq.ParquetFile(source)
    except (OSError, ValueError) as error:
        msg = f"{name or source} is no whole Parquet file ({error}); fetch it again"
        raise CorpusError(msg) from error


def create_parquet(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a new Parquet file for writing, and the folders it lies in."""
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    return pq.ParquetWriter(path, schema)


def _holds_images(field: pa.Field) -> bool:
    import pyarrow as pa

    kind = field.type
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return binary or _child(field, "bytes")


def _child(field: pa.Field, name: str) -> bool:
    import pyarrow as pa

    return pa.types.is_struct(field.type) and field.type.get_field_index(name) >= 0


@lru_cache(maxsize=4)
def _cells(path: str, version: tuple[int, ...], group: int, column: str) -> Any:  # noqa: ARG001
    """Return a column of a row group; a changed file is read anew."""
    file = open_parquet(path)
    field = file.schema_arrow.field(column)
    leaf = f"{column}.bytes" if _child(field, "bytes") else column
    return file.read_row_group(group, columns=[leaf])[column]
