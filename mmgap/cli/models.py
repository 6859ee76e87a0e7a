"""``mmgap models``: what models there are, and whether they do what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmgap.cli.show import print_facts, print_table, say
from mmgap.errors import MmgapError

if TYPE_CHECKING:
    from mmgap.encoders.catalog import ModelFacts

app = typer.Typer(
    rich_markup_mode="markdown",
    help="Models that load by name: list them, look at one, check one.\n\n"
    "Example: `mmgap models --licence commercial --languages de --max-params 500`",
)


@app.callback(invoke_without_command=True)
def models(
    context: typer.Context,
    licence: Annotated[
        str | None,
        typer.Option(help="commercial, non-commercial, or the name of a licence, e.g. MIT."),
    ] = None,
    languages: Annotated[
        str | None,
        typer.Option(help="ISO 639-1 codes, e.g. de or de,fr; multilingual models count for all."),
    ] = None,
    max_params: Annotated[
        float | None,
        typer.Option(help="At most so many million parameters; drops models of unknown size."),
    ] = None,
    one_index: Annotated[
        bool,
        typer.Option(
            "--one-index", help="Only models that share the space of an existing text embedder."
        ),
    ] = False,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Rerankers instead of encoders.")
    ] = False,
) -> None:
    """List the models of the catalogue.

    Example: `mmgap models --one-index`
    """
    if context.invoked_subcommand is not None:
        return
    import pandas as pd

    from mmgap.encoders.catalog import all_models

    codes = _codes(languages)
    _refuse_unknown_licence(licence)
    rows = [
        facts
        for facts in all_models()
        if facts.is_reranker == rerank
        and _has_licence(facts, licence)
        and ("multilingual" in facts.languages or codes <= set(facts.languages))
        and (max_params is None or (facts.parameters or float("inf")) <= max_params)
        and (facts.one_index or not one_index)
    ]
    table = pd.DataFrame(_columns(rows, rerank=rerank))
    print_table("Rerankers" if rerank else "Encoders", table, width=220, whole=["id"])
    say(f"{len(rows)} models; 'mmgap models show ID' says all that is known of one")


@app.command()
def show(
    model_id: Annotated[str, typer.Argument(metavar="ID", help="An id of the catalogue.")],
) -> None:
    """Say all that the catalogue knows of a model, with sources.

    Example: `mmgap models show jinaai/jina-clip-v2`
    """
    from mmgap.encoders.catalog import find_model

    facts = find_model(model_id)
    print_facts(_lines(facts), 20)
    if facts.results:
        say("published (none of it measured by mmgap):")
    for result in facts.results:
        say(f"  {result.task}, {result.measure}: {result.value:g}  [{result.source}]")
    loader = "load_reranker" if facts.is_reranker else "load_encoder"
    say(f"{'load it:':<20} mmgap.{loader}({facts.id!r})")


@app.command()
def check(
    name: Annotated[
        str,
        typer.Argument(metavar="ID[@FOLDER]", help="An id of the catalogue; its files, if here."),
    ],
) -> None:
    """Run a model on bundled drawings, and compare it with the catalogue. Exit code 1 on FAIL.

    Example: `mmgap models check openai/clip-vit-base-patch32`
    """
    from mmgap.rerankers.check import check_model

    words = {True: "PASS", False: "FAIL", None: "-"}
    results = check_model(name)
    for result in results:
        say(
            f"{words[result.passed]:<4}  {result.name}: {result.found} (expected {result.expected})"
        )
    n_failed = sum(result.passed is False for result in results)
    n_passed = sum(result.passed is True for result in results)
    n_open = len(results) - n_passed - n_failed
    say(f"{name}: {n_passed} passed, {n_failed} failed, {n_open} not checked")
    if n_failed:
        raise typer.Exit(1)


def _has_licence(facts: ModelFacts, wanted: str | None) -> bool:
    if wanted is None:
        return True
    if wanted.lower() in {"commercial", "non-commercial"}:
        return facts.commercial is (wanted.lower() == "commercial")
    return facts.licence.lower() == wanted.lower()


def _refuse_unknown_licence(wanted: str | None) -> None:
    from mmgap.encoders.catalog import all_models

    known = sorted({"commercial", "non-commercial", *(facts.licence for facts in all_models())})
    if wanted is not None and wanted.lower() not in map(str.lower, known):
        msg = f"no model has the licence {wanted!r}; known: {', '.join(known)}"
        raise MmgapError(msg)


def _codes(wanted: str | None) -> set[str]:
    codes = {code.strip().lower() for code in (wanted or "").split(",")} - {""}
    if wrong := sorted(code for code in codes if len(code) != 2):
        msg = f"--languages has {wrong[0]!r}; expected ISO 639-1 codes of two letters, e.g. de,fr"
        raise MmgapError(msg)
    return codes


def _languages(facts: ModelFacts) -> str:
    if "multilingual" in facts.languages:
        return f"{facts.language_count}" if facts.language_count else "many"
    return ", ".join(facts.languages)


def _columns(rows: list[ModelFacts], *, rerank: bool) -> dict[str, list[str]]:
    """Return the cells of each column; encoders and rerankers differ in what matters."""
    use = {True: "yes", False: "no", None: "?"}
    columns = {
        "id": [row.id for row in rows],
        "reads": [", ".join(row.modalities) for row in rows],
        "score": [row.score for row in rows],
        "dim": [_or_dash(row.dim) for row in rows],
        "Matryoshka": [_shortest(row) for row in rows],
        "tokens": [_or_dash(row.max_text_tokens) for row in rows],
        "languages": [_languages(row) for row in rows],
        "M params": [_or_dash(row.parameters) for row in rows],
        "licence": [row.licence for row in rows],
        "commercial": [use[row.commercial] for row in rows],
        "one index": ["yes" if row.one_index else "" for row in rows],
        "backend": [row.backend for row in rows],
    }
    dropped = {"dim", "Matryoshka", "one index"} if rerank else {"score"}
    return {column: cells for column, cells in columns.items() if column not in dropped}


def _shortest(facts: ModelFacts) -> str:
    return f"{min(facts.matryoshka_dims)} up" if facts.matryoshka_dims else ""


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _lines(facts: ModelFacts) -> list[tuple[str, str]]:
    """Return label and value of every fact but the results; what is not known is said to be so."""
    unknown = "not established"
    use = {True: "yes", False: "no", None: f"{unknown}: read the licence"}[facts.commercial]
    count = f" ({facts.language_count} claimed)" if (facts.language_count or 1) > 1 else ""
    lines = [
        ("id", facts.id),
        ("backend", facts.backend),
        ("reads", ", ".join(facts.modalities)),
        ("licence", facts.licence),
        ("commercial use", use),
        ("languages", ", ".join(facts.languages) + count),
        ("million parameters", unknown if facts.parameters is None else f"{facts.parameters:g}"),
    ]
    if not facts.is_reranker:
        lines.append(("dimensions", unknown if facts.dim is None else str(facts.dim)))
        shorter = ", ".join(map(str, facts.matryoshka_dims))
        lines.append(("Matryoshka", shorter or "none in the catalogue"))
    tokens = unknown if facts.max_text_tokens is None else str(facts.max_text_tokens)
    lines.append(("text tokens", tokens))
    optional = [
        ("image size", "" if facts.image_size is None else f"{facts.image_size} px"),
        ("query prompt", repr(facts.query_prompt) if facts.query_prompt else ""),
        ("document prompt", repr(facts.document_prompt) if facts.document_prompt else ""),
        ("pooling", facts.pooling + (", then layer norm" if facts.layer_norm else "")),
        ("score", facts.score),
        ("one index", "yes: with texts that the text embedder made" if facts.one_index else ""),
        ("remote code", "needed" if facts.remote_code else ""),
        ("take instead", facts.alternative),
        *((f"file {role}", path) for role, path in facts.files.items()),
    ]
    lines += [(label, value) for label, value in optional if value]
    lines += [
        ("revision", facts.revision or "none pinned"),
        ("tested by mmgap", facts.tested or "only models of its family"),
    ]
    return [*lines, ("notes", facts.notes)] if facts.notes else lines
