"""The options that commands share, each declared once, and what they load.

A command takes a :class:`Job`; the decorator :func:`takes_job` turns its fields into options.
Everything that can be checked before a corpus is embedded is checked by :meth:`Job.check`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from mmgap.cli.show import folder_for
from mmgap.corpus.reading import OnError
from mmgap.errors import EncoderError, MmgapError

if TYPE_CHECKING:
    from mmgap.corpus.schema import Corpus
    from mmgap.encoders.base import Encoder
    from mmgap.index.vectors import Vectors

BUNDLED = ("mini-clip", "mini-siglip", "mini-aligned")
CORPUS_HELP = (
    "pictograms (its parts: pictograms/calibration/style/de); a folder of your own; "
    "features/clip-vit-b16-coco500 (real CLIP embeddings) or IMAGE.npy,TEXT.npy (your own "
    "embeddings); a name of `mmgap corpus list`, NAME/SPLIT or NAME@FOLDER."
)


@dataclass(frozen=True)
class Job:
    """What is searched, and by which encoders."""

    corpus: Annotated[str, typer.Option(help=CORPUS_HELP)] = "pictograms"
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="An id of `mmgap models`, ID@FOLDER, a folder or a hub id; repeatable. Default: "
            "the bundled ones. None for ready-made embeddings."
        ),
    ] = None
    on_error: Annotated[
        OnError, typer.Option(help="raise: stop at the first bad item; skip: leave it out.")
    ] = "raise"

    def check(self) -> None:
        """Refuse names of encoders that nothing could load, before the first one is loaded."""
        from mmgap.encoders.catalog import find_model

        for name in self.encoder or ():
            model, at, folder = name.partition("@")
            if at and not Path(folder).is_dir():
                msg = f"--encoder {name}: there is no folder {folder!r}"
                raise EncoderError(msg)
            if "/" not in model and ":" not in model and not Path(name).exists():
                find_model(model)

    def pools(self, *, judged: bool = True, **options: Any) -> list[Corpus]:
        """Load the corpus; of pictograms one pool for each test condition, unless one is named."""
        pools = load_corpora(self.corpus, on_error=self.on_error, **options)
        for pool in pools if judged else ():
            pool.require_judgments("this command")
        return pools

    def encoders(self, pools: list[Corpus], **options: Any) -> Iterator[Encoder | None]:
        """Load one encoder after the other; None for embeddings that are there already."""
        from mmgap.corpus import FeatureCorpus
        from mmgap.encoders import load_encoder

        if self.encoder is None and isinstance(pools[0], FeatureCorpus):
            yield None
            return
        for name in self.encoder or BUNDLED:
            yield load_encoder(name, **options)

    def embed(self, pool: Corpus, encoder: Encoder | None) -> Vectors:
        """Embed a pool, from the cache where it has been before."""
        from mmgap.index import embed

        return embed(pool, encoder, on_error=self.on_error)

    def vectors(self, pools: list[Corpus]) -> Iterator[Vectors]:
        """Embed every pool with every encoder."""
        for encoder in self.encoders(pools):
            for pool in pools:
                yield self.embed(pool, encoder)

    def halves(self) -> Iterator[tuple[str, Vectors, Vectors]]:
        """Yield condition, calibration and test vectors, one encoder after the other.

        A corpus without a calibration split has its queries divided in two at random.
        """
        from mmgap.strategies import split_queries

        pools, references = self.pools(), self.calibration()
        for encoder in self.encoders(pools):
            for pool, reference in zip(pools, references or pools, strict=True):
                test = self.embed(pool, encoder)
                if references:
                    condition = pool.documents[0].metadata.get("condition", "")
                    yield condition, self.embed(reference, encoder), test
                else:
                    yield ("", *split_queries(test))

    def calibration(self) -> list[Corpus]:
        """Pools of the calibration split, where the corpus has one beside its test split."""
        parts = self.corpus.split("/")
        if parts[0] != "pictograms" or {"train", "calibration"} & set(parts):
            return []
        return load_corpora(self.corpus, "calibration", on_error=self.on_error)


@dataclass(frozen=True)
class WritingJob(Job):
    """A job whose tables go into a folder."""

    out: Annotated[
        Path | None, typer.Option(help="Folder of the files that are written; default: results.")
    ] = None

    @functools.cached_property
    def folder(self) -> Path:
        """The folder, which exists and can be written to."""
        return folder_for(self.out)

    def check(self) -> None:
        """Refuse what cannot be loaded or written."""
        super().check()
        folder_for(self.out)


def takes_job(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command whose first parameter is a job take the job's fields as options."""
    signature = inspect.signature(command, eval_str=True)
    first, *others = signature.parameters.values()
    kind = first.annotation
    hints = get_type_hints(kind, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        job = kind(**{name: given.pop(name) for name in hints if name in given})
        job.check()
        command(job, **given)

    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in others]
    run.__signature__ = signature.replace(parameters=[*shared, *own])  # type: ignore[attr-defined]
    return run


def load_corpora(
    given: str, split: str = "test", *, on_error: OnError, **options: Any
) -> list[Corpus]:
    """Load what ``--corpus`` names: ``pictograms/PART/PART``, ``NAME/SPLIT``, or a corpus."""
    from mmgap.corpus import load_corpus, takes_split
    from mmgap.corpus.pictograms import CONDITIONS

    if not given.strip():
        msg = "--corpus is empty; name a folder, or a corpus of 'mmgap corpus list'"
        raise MmgapError(msg)
    name, *parts = given.split("/")
    if name == "pictograms":
        wanted = _parts_of_pictograms(parts)
        chosen = wanted.get("split", split)
        language = wanted.get("language", "en")
        if chosen == "train":
            return [load_corpus(name, split=chosen, language=language)]
        conditions = [wanted["condition"]] if "condition" in wanted else CONDITIONS
        return [
            load_corpus(name, split=chosen, condition=each, language=language)
            for each in conditions
        ]
    whole, at, folder = given.partition("@")
    base, slash, last = whole.rpartition("/")
    if slash and takes_split(base) and not Path(given).exists():
        return [load_corpus(base + at + folder, split=last, on_error=on_error, **options)]
    if takes_split(given):
        options["split"] = split
    return [load_corpus(given, on_error=on_error, **options)]


def _parts_of_pictograms(parts: list[str]) -> dict[str, str]:
    from mmgap.corpus.pictograms import CONDITIONS, SPLITS

    found: dict[str, str] = {}
    for part in parts:
        if part in SPLITS:
            found["split"] = part
        elif part in CONDITIONS:
            found["condition"] = part
        elif len(part) == 2:
            found["language"] = part
        else:
            msg = (
                f"pictograms has no part {part!r}; its splits are {', '.join(SPLITS)}, its test "
                f"conditions {' and '.join(CONDITIONS)}, its languages two letters such as de"
            )
            raise MmgapError(msg)
    return found
