"""Make the notebooks from their text twins, execute them, and prove that both forms agree.

The source is ``notebooks/text/NN_slug.py`` (jupytext's py:percent); ``notebooks/NN_slug.ipynb`` is
made from it and committed with its outputs.

    python scripts/notebooks.py build
    python scripts/notebooks.py execute                              # in place, outputs kept
    python scripts/notebooks.py execute --output-dir DIR 00 01       # copies elsewhere
    python scripts/notebooks.py execute --jobs 2 --keep ...          # two at once, see below
    python scripts/notebooks.py check

With ``--keep`` a copy is kept, not made again, if it ran to its end and nothing it is made from has
changed since: its text, the package, the data, the pinned libraries.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

REPOSITORY = Path(__file__).resolve().parent.parent
NOTEBOOKS = REPOSITORY / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""All that a notebook says about itself; versions are what ``mmgap.provenance()`` prints."""

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(Exception):
    """A notebook is missing, failed, or differs from its text; the message says which."""


def texts(names: Sequence[str] = (), folder: Path | None = None) -> list[Path]:
    """Return the text twins, all or those whose file name starts with one of ``names``."""
    folder = folder or NOTEBOOKS
    found = sorted((folder / "text").glob("[0-9][0-9]*_*.py"))
    if not found:
        msg = f"no notebook text in {folder.name}/text (expected NN_slug.py)"
        raise NotebookError(msg)
    unknown = [name for name in names if not any(path.stem.startswith(name) for path in found)]
    if unknown:
        known = ", ".join(path.stem for path in found)
        msg = f"no notebook starts with {unknown[0]!r}; there are {known}"
        raise NotebookError(msg)
    return [path for path in found if not names or path.stem.startswith(tuple(names))]


def twin(text: Path) -> Path:
    """Return the path of the notebook that a text makes."""
    return text.parent.parent / f"{text.stem}.ipynb"


def from_text(text: Path) -> Any:
    """Return the notebook that a text holds: sequential cell ids, stable metadata, no outputs."""
    notebook = jupytext.reads(text.read_text(encoding="utf-8"), fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = nbformat.from_dict(_tags(cell))
    return notebook


def differences(text: Path) -> list[str]:
    """Say where a notebook and its text hold different cells; an empty list where nowhere."""
    path = twin(text)
    if not path.exists():
        return [f"{path.name} does not exist; run: python scripts/notebooks.py build"]
    made, kept = from_text(text).cells, nbformat.read(path, as_version=4).cells
    found = [
        f"{path.name}, cell {number}: {of_made[0]} in the text {of_made[1]!r:.60}, "
        f"{of_kept[0]} in the notebook {of_kept[1]!r:.60}"
        for number, (of_made, of_kept) in enumerate(
            zip(map(_essence, made), map(_essence, kept), strict=False)
        )
        if of_made != of_kept
    ]
    if len(made) != len(kept):
        found.append(f"{path.name}: {len(made)} cells in the text, {len(kept)} in the notebook")
    return found


def build(chosen: Iterable[Path]) -> None:
    """Write every notebook whose cells changed; one that did not keeps its outputs."""
    for text in chosen:
        if not differences(text):
            print(f"{text.stem}  unchanged")
            continue
        write(from_text(text), twin(text))
        print(f"{text.stem}  built, not executed")


def execute(text: Path, output_dir: Path | None) -> float:
    """Execute one notebook and return the seconds it took.

    A cell may take as long as it takes: a slow machine is slow, never a failure. In place only a
    notebook that ran to its end is written. A copy in ``output_dir`` is written even of one that
    failed, to be looked at.
    """
    notebook = from_text(text)
    client = NotebookClient(
        notebook,
        timeout=None,
        startup_timeout=600,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=40"],
        resources={"metadata": {"path": str(twin(text).parent)}},
    )
    started = time.perf_counter()
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError) as error:
        raise NotebookError(_failure(text.stem, notebook, error)) from error
    finally:
        clean(notebook, text.resolve().parents[2])
        if output_dir is not None:
            output_dir.mkdir(parents=True, exist_ok=True)
            write(notebook, output_dir / twin(text).name)
    if output_dir is None:
        write(notebook, twin(text))
    return time.perf_counter() - started


def clean(notebook: Any, repository: Path = REPOSITORY) -> None:
    """Take out of the outputs what differs between two machines or two runs."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(_tags(cell))
        for output in cell.get("outputs", []):
            for holder in (output, output.get("data", {})):
                for key, value in holder.items():
                    if isinstance(value, str) and not key.startswith("image/"):
                        holder[key] = without_places(value, repository)
            if "traceback" in output:
                output["traceback"] = [
                    without_places(line, repository) for line in output["traceback"]
                ]
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


def without_places(text: str, repository: Path = REPOSITORY) -> str:
    """Write folders of this machine as a reader of the notebook knows them.

    >>> without_places(f"wrote {REPOSITORY}/results/recall.csv; <object at 0x7f3a5c0012d0>")
    'wrote results/recall.csv; <object at 0x...>'
    """
    text = text.replace(sys.prefix, "<python>")
    for variable in ("MMGAP_CACHE", "MMGAP_DATA", "MMGAP_FIGURES", "MMGAP_RESULTS"):
        if place := os.environ.get(variable):
            text = text.replace(place, f"${variable}")
    text = text.replace(f"{repository}/", "").replace(str(repository), ".")
    text = text.replace(f"{Path.home()}/", "~/")
    text = re.sub(r"(?:/[\w.-]+)*/ipykernel_\d+/\d+\.py", "<cell>", text)
    return re.sub(r"\bat 0x[0-9a-fA-F]{6,}", "at 0x...", text)


def write(notebook: Any, path: Path) -> None:
    """Write a notebook whole or not at all, after checking its form."""
    nbformat.validate(notebook)
    part = path.with_name(path.name + ".part")
    part.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
    part.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "run":
            execute(options.text, options.output_dir)
            return 0
        chosen = texts(options.names)
        if options.command == "build":
            build(chosen)
        elif options.command == "execute":
            _execute_all(chosen, options.output_dir, options.jobs, keep=options.keep)
        else:
            _check_all(chosen)
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _execute_all(
    chosen: Sequence[Path], output_dir: Path | None, jobs: int, *, keep: bool = False
) -> None:
    """Execute all, a line each as it ends; those that fail are said at the end."""
    started, failed = time.perf_counter(), []
    sources = _digest(_sources()) if keep else ""

    def outcome(text: Path) -> tuple[Path, str, str]:
        made = (output_dir or NOTEBOOKS) / twin(text).name
        key = f"{sources} {_digest([text])}"
        stamp = made.with_suffix(".made-from")
        if keep and made.exists() and stamp.exists() and stamp.read_text() == key:
            return text, "unchanged since its last run, kept", ""
        stamp.unlink(missing_ok=True)
        seconds, problem = _alone(text, output_dir)
        if keep and not problem:
            stamp.write_text(key)
        return text, "FAILED" if problem else f"{seconds:.1f} s", problem

    with ThreadPoolExecutor(jobs) as pool:
        for text, words, problem in pool.map(outcome, chosen):
            print(f"{text.stem}  {words}", flush=True)
            if problem:
                failed.append(problem)
    n_ran = len(chosen) - len(failed)
    total = time.perf_counter() - started
    print(f"{n_ran} of {len(chosen)} notebooks executed in {total:.1f} s")
    if failed:
        raise NotebookError("\n".join(failed))


def _sources() -> list[Path]:
    """List what every notebook is made from, besides its text."""
    files = [
        path
        for folder in ("mmgap", "data")
        for path in sorted((REPOSITORY / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    optional = Path(os.environ.get("MMGAP_ORACLES", REPOSITORY.parent / "shared" / "oracles"))
    return [*files, REPOSITORY / "constraints" / "cpu.txt", *sorted(optional.glob("*"))]


def _digest(paths: Iterable[Path]) -> str:
    """Hash the contents of files, their names, and what else a run depends on."""
    found = hashlib.sha256(f"{sys.version} {os.environ.get('MMGAP_FAST', '0')}".encode())
    for path in paths:
        found.update(f"{path.name} {path.stat().st_size}\n".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _alone(text: Path, output_dir: Path | None) -> tuple[float, str]:
    """Execute one notebook in a process of its own: seconds, and what went wrong if anything."""
    command = [sys.executable, __file__, "run", str(text)]
    command += ["--output-dir", str(output_dir)] if output_dir else []
    # One thread each: as quick for most cells, and numbers do not hang on the number of cores.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    started = time.perf_counter()
    ended = subprocess.run(
        command, env={**os.environ, **threads}, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    return seconds, (ended.stderr.strip() or "stopped") if ended.returncode else ""


def _check_all(chosen: Sequence[Path]) -> None:
    found = [line for text in chosen for line in differences(text)]
    if found:
        raise NotebookError("\n".join(found))
    print(f"{len(chosen)} notebooks hold the same cells as their texts")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("build", "make notebooks from their texts"),
        ("execute", "execute notebooks, in place or into a folder"),
        ("check", "prove that notebooks and texts hold the same cells"),
    ):
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("names", nargs="*", help="first characters, e.g. 01; default all")
        if name == "execute":
            command.add_argument("--output-dir", type=Path, help="write copies there")
            command.add_argument("--jobs", type=int, default=1, help="so many at once")
            command.add_argument("--keep", action="store_true", help="what has not changed")
    alone = commands.add_parser("run", help="execute one text; what the others start")
    alone.add_argument("text", type=Path)
    alone.add_argument("--output-dir", type=Path)
    return parser


def _failure(name: str, notebook: Any, error: Exception) -> str:
    """Say which cell failed, with its source and the error."""
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    failed = next(
        (cell for cell in ran if any(out.output_type == "error" for out in cell.outputs)), None
    )
    if failed is None:
        return f"\n{name} failed: {error}"
    out = next(out for out in failed.outputs if out.output_type == "error")
    trace = _ESCAPES.sub("", "\n".join(out.traceback))
    number = notebook.cells.index(failed)
    return f"\n{name} failed in cell {number}:\n\n{failed.source}\n\n{trace}"


def _tags(cell: Any) -> dict[str, list[str]]:
    tags = list(cell.metadata.get("tags", []))
    return {"tags": tags} if tags else {}


def _essence(cell: Any) -> tuple[str, str, list[str]]:
    return cell.cell_type, cell.source, list(cell.metadata.get("tags", []))


if __name__ == "__main__":
    sys.exit(main())
