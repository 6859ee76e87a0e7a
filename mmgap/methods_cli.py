"""Commands about merging two legs: threshold, leaderboard, probe, label-budget, advise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmgap.cli_shared import (
    ConditionOption,
    CorpusOption,
    EncoderOption,
    LanguageOption,
    QuietOption,
    each_split,
    load_corpora,
    print_table,
    write_table,
)
from mmgap.errors import MmgapError

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(rich_markup_mode="markdown")


@app.command()
def threshold(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    precision: Annotated[
        float | None, typer.Option(help="Share of relevant pairs wanted among the accepted ones.")
    ] = None,
    false_positive_rate: Annotated[
        float | None, typer.Option(help="Share of irrelevant pairs that may be accepted.")
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="With which the target is to be reached, e.g. 0.95.")
    ] = 0.95,
    out: Annotated[Path | None, typer.Option(help="Folder of threshold.csv.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Below which score to reject, leg by leg; found on calibration, checked on test queries.

    Example: `mmgap threshold --encoder mini-clip --false-positive-rate 0.001`

    A corpus without a calibration split has its queries divided in two by lot.
    """
    from mmgap.scores.thresholds import check_target
    from mmgap.strategies import threshold_table

    if (precision is None) == (false_positive_rate is None):
        msg = "name one target: --precision 0.5 or --false-positive-rate 0.001"
        raise MmgapError(msg)
    check_target(precision, false_positive_rate, confidence)
    tables = []
    for _, calibration, test in each_split(corpus, encoder, condition, language, quiet):
        table = threshold_table(
            calibration,
            test,
            precision=precision,
            false_positive_rate=false_positive_rate,
            confidence=confidence,
            n_resamples=200,
        )
        table.insert(0, "encoder", test.encoder.id)
        table.insert(0, "corpus", test.corpus.name)
        tables.append(table)
        _print_thresholds(table)
    write_table(tables, out, "threshold.csv")


@app.command()
def leaderboard(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    top: Annotated[int, typer.Option(min=1, help="Show so many methods besides the legs.")] = 15,
    out: Annotated[Path | None, typer.Option(help="Folder of leaderboard.csv.")] = None,
    quiet: QuietOption = False,
) -> None:
    """All methods of merging two legs, fitted on calibration and judged on test queries.

    Writes results/leaderboard.csv. Example: `mmgap leaderboard --encoder mini-clip`

    A corpus without a calibration split has its queries divided in two by lot.
    """
    from mmgap import strategies

    tables = []
    for where, calibration, test in each_split(corpus, encoder, condition, language, quiet):
        table = strategies.leaderboard(calibration, test)
        table.insert(2, "condition", where)
        tables.append(table)
        shown = strategies.format_leaderboard(table, top=top)
        print_table(f"{test.corpus.name}, {test.encoder.id}: percent [95 % interval]", shown)
    typer.echo(
        "against: difference to the better single leg, in points; * p < 0.05 after Holm. "
        "worse: the smaller of T and I"
    )
    write_table(tables, out, "leaderboard.csv")


@app.command()
def probe(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    out: Annotated[Path | None, typer.Option(help="Folder of probe.csv.")] = None,
    quiet: QuietOption = False,
) -> None:
    """One index of all texts and images in which one modality answers, in both directions.

    Writes results/probe.csv. Example: `mmgap probe --encoder mini-clip --condition style`

    Ready-made pairs are halved by lot and asked by their captions, so that images alone answer:
    `mmgap probe --corpus features/clip-vit-b16-coco500`
    """
    from mmgap import strategies
    from mmgap.corpus import FeatureCorpus
    from mmgap.index import embed as embed_corpus

    (pool, *_) = load_corpora(corpus, "test", condition, language, "raise")
    if isinstance(pool, FeatureCorpus):
        halves = strategies.halve_pairs(embed_corpus(pool, None, progress=not quiet))
        tables = [strategies.probe_table(*halves, directions=["image"])]
    else:
        tables = [
            strategies.probe_table(calibration, test)
            for _, calibration, test in each_split(corpus, encoder, condition, language, quiet)
        ]
    for table in tables:
        title = f"{table['corpus'].iloc[0]}, {table['encoder'].iloc[0]}: one modality answers"
        print_table(title, strategies.format_probe(table))
    write_table(tables, out, "probe.csv")


@app.command("label-budget")
def label_budget(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    draws: Annotated[int, typer.Option(min=1, help="Sets of labels drawn for each number.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Folder of label_budget.csv.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Recall of calibrated fusion against the number of labelled pairs.

    Writes results/label_budget.csv. Example: `mmgap label-budget --encoder mini-clip`
    """
    from mmgap import strategies

    tables = []
    for where, calibration, test in each_split(corpus, encoder, condition, language, quiet):
        table = strategies.label_budget(calibration, test, n_draws=draws)
        table.insert(2, "condition", where)
        tables.append(table)
        cells = table.assign(
            labels=["none" if n != n else f"{n:g}" for n in table["n_labels"]],
            cell=[
                f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
                for value, low, high in zip(
                    table["value"], table["ci_low"], table["ci_high"], strict=True
                )
            ],
        )
        wide = cells.pivot(index="method", columns="labels", values="cell").fillna("")
        wide = wide.loc[list(dict.fromkeys(cells["method"])), list(dict.fromkeys(cells["labels"]))]
        title = (
            f"{test.corpus.name}, {test.encoder.id}: {table['measure'].iloc[0]} by labelled pairs"
        )
        print_table(title, wide.reset_index())
    write_table(tables, out, "label_budget.csv")


@app.command()
def advise(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    reranker: Annotated[
        str,
        typer.Option(help="An id of `mmgap models --rerank`, ID@FOLDER, a folder, or none."),
    ] = "none",
    budget_ms: Annotated[
        float | None,
        typer.Option(help="Most milliseconds for one query, the encoder's time apart."),
    ] = None,
    labels: Annotated[
        int,
        typer.Option(min=0, help="Labelled pairs that methods may be fitted on; 0 needs none."),
    ] = 0,
    lists_only: Annotated[
        bool,
        typer.Option("--lists-only", help="The other leg's score cannot be looked up."),
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="Show so many methods.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Folder of advice.csv.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Which merge to use, with the numbers behind it and what would change the advice.

    Chosen on calibration queries, reported on test queries; writes results/advice.csv. Example:
    `mmgap advise --encoder mini-clip --condition style --labels 300`

    A corpus without a calibration split has its queries divided in two by lot.
    """
    from mmgap import strategies

    model = None
    if reranker != "none":
        from mmgap.rerankers import load_reranker

        model = load_reranker(reranker)
    tables = []
    for where, calibration, test in each_split(corpus, encoder, condition, language, quiet):
        found = strategies.advise(
            calibration,
            test,
            reranker=model,
            budget_ms=budget_ms,
            n_labels=labels,
            lists_only=lists_only,
        )
        typer.echo(found.to_text())
        print_table(
            f"{found.measure} in % on calibration and on test queries [95 % interval]",
            strategies.format_advice(found, top=top),
        )
        table = found.table
        table.insert(0, "encoder", found.encoder)
        table.insert(0, "corpus", found.corpus)
        table.insert(2, "condition", where)
        tables.append(table)
    write_table(tables, out, "advice.csv")


def _print_thresholds(table: pd.DataFrame) -> None:
    rows = table.to_dict("records")
    typer.echo("{corpus}, {encoder}: {measure} {target:g}".format_map(rows[0]))
    for row in rows:
        if row["threshold"] != row["threshold"]:
            typer.echo("  {leg}: no threshold; {reason}".format_map(row))
            continue
        row["outcome"] = "reached" if row["reached"] else "missed"
        line = (
            "  {leg}: reject below {threshold:.3f} [{threshold_low:.3f}, {threshold_high:.3f}]; "
            "accepts {recall:.1%} of the relevant pairs\n    on test queries "
        ) + (
            "not checked; {reason}"
            if row["reason"]
            else "{observed:.3g} [{ci_low:.3g}, {ci_high:.3g}], accepts {observed_recall:.1%}: "
            "target {outcome}"
        )
        typer.echo(line.format_map(row))
