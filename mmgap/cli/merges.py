"""How to make one list of two legs: leaderboard, threshold, single-modality, label-budget, advise.

All is fitted on calibration queries and judged on test queries. A corpus without a calibration
split has its queries divided in two at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmgap.cli.job import WritingJob, takes_job
from mmgap.cli.show import print_table, say, say_written, write_tables
from mmgap.errors import MmgapError

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(rich_markup_mode="markdown")


@app.command()
@takes_job
def threshold(
    job: WritingJob,
    precision: Annotated[
        float | None, typer.Option(help="Fraction of the accepted pairs that is to be relevant.")
    ] = None,
    false_positive_rate: Annotated[
        float | None, typer.Option(help="Fraction of non-relevant pairs that may be accepted.")
    ] = None,
) -> None:
    """Below which score to reject, leg by leg; found on calibration, checked on test queries.

    Example: `mmgap threshold --encoder mini-clip --false-positive-rate 0.001`
    """
    from mmgap.scores.thresholds import check_target
    from mmgap.strategies import threshold_table

    if (precision is None) == (false_positive_rate is None):
        msg = "name one target: --precision 0.5 or --false-positive-rate 0.001"
        raise MmgapError(msg)
    check_target(precision, false_positive_rate, 0.95)
    tables = []
    for _, calibration, test in job.halves():
        table = threshold_table(
            calibration,
            test,
            precision=precision,
            false_positive_rate=false_positive_rate,
            n_resamples=200,
        )
        table.insert(0, "encoder", test.encoder.id)
        table.insert(0, "corpus", test.corpus.name)
        tables.append(table)
    written = write_tables(job.folder, {"threshold": tables})
    for table in tables:
        _print_thresholds(table)
    say_written(written)


@app.command()
@takes_job
def leaderboard(
    job: WritingJob,
    by: Annotated[
        str | None,
        typer.Option(help="Also show each class of queries by this field, e.g. query_class."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Show so many methods besides the legs.")] = 15,
) -> None:
    """All methods of merging two legs, compared; writes results/leaderboard.csv.

    Methods that could not be fitted are in leaderboard_left_out.csv, each with its reason.

    Example: `mmgap leaderboard --encoder mini-clip --by query_class`
    """
    from mmgap import strategies
    from mmgap.report import groups_of

    for pool in job.pools() if by else ():
        groups_of(pool, by or "")  # an unknown field is refused before any work
    tables = []
    for condition, calibration, test in job.halves():
        tables.append(strategies.leaderboard(calibration, test, by=by))
        tables[-1].insert(2, "condition", condition)
    written = write_tables(job.folder, {"leaderboard": tables})
    for table in tables:
        shown = strategies.format_leaderboard(table, top=top)
        print_table(f"{_names(table)}: percent [95 % CI]", shown)
        _say_left_out(table)
    worse = " worse: the smaller of T and I" if by else ""
    say(f"against: difference to the better single leg, in points; * p < 0.05 after Holm.{worse}")
    say_written(written)


@app.command("single-modality")
@takes_job
def single_modality(job: WritingJob) -> None:
    """One index of all texts and images in which one modality answers, in both directions.

    Writes results/single_modality.csv. Example: `mmgap single-modality --encoder mini-clip`

    Ready-made pairs are halved at random and asked by their captions, so that images alone answer:
    `mmgap single-modality --corpus features/clip-vit-b16-coco500`
    """
    from mmgap import strategies
    from mmgap.corpus import FeatureCorpus

    (pool, *_) = job.pools()
    if isinstance(pool, FeatureCorpus):
        halves = strategies.halve_pairs(job.embed(pool, None))
        tables = [strategies.single_modality_table(*halves, directions=["image"])]
    else:
        tables = [strategies.single_modality_table(known, test) for _, known, test in job.halves()]
    written = write_tables(job.folder, {"single_modality": tables})
    for table in tables:
        print_table(
            f"{_names(table)}: one modality answers", strategies.format_single_modality(table)
        )
        _say_left_out(table)
    say_written(written)


@app.command("label-budget")
@takes_job
def label_budget(
    job: WritingJob,
    draws: Annotated[int, typer.Option(min=1, help="Sets of labels for each number.")] = 200,
) -> None:
    """Recall of calibrated fusion against the number of labelled pairs.

    Writes results/label_budget.csv. Example: `mmgap label-budget --encoder mini-clip`
    """
    from mmgap import strategies

    tables = []
    for condition, calibration, test in job.halves():
        tables.append(strategies.label_budget(calibration, test, n_draws=draws))
        tables[-1].insert(2, "condition", condition)
    written = write_tables(job.folder, {"label_budget": tables})
    for table in tables:
        measure = table["measure"].iloc[0]
        print_table(f"{_names(table)}: {measure} by labelled pairs", _by_labels(table))
        _say_left_out(table)
    say_written(written)


@app.command()
@takes_job
def advise(
    job: WritingJob,
    reranker: Annotated[
        str,
        typer.Option(help="An id of `mmgap models --rerank`, ID@FOLDER, a folder, or none."),
    ] = "none",
    budget_ms: Annotated[
        float | None,
        typer.Option(min=0, help="Most milliseconds for one query, the encoder's time apart."),
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
) -> None:
    """Which merge to use, with the numbers behind it and what would change the advice.

    Chosen on calibration queries, reported on test queries; writes results/advice.csv. Example:
    `mmgap advise --encoder mini-clip --corpus pictograms/style --labels 300`
    """
    from mmgap import strategies

    model = None
    if reranker != "none":
        from mmgap.rerankers import load_reranker

        model = load_reranker(reranker)
    advice, tables = [], []
    for condition, calibration, test in job.halves():
        found = strategies.advise(
            calibration,
            test,
            reranker=model,
            budget_ms=budget_ms,
            n_labels=labels,
            lists_only=lists_only,
        )
        table = found.table.copy()
        table.insert(0, "encoder", found.encoder)
        table.insert(0, "corpus", found.corpus)
        table.insert(2, "condition", condition)
        advice.append(found)
        tables.append(table)
    written = write_tables(job.folder, {"advice": tables})
    for found in advice:
        say(found.to_text())
        title = f"{found.measure} in % on calibration and on test queries [95 % CI]"
        print_table(title, strategies.format_advice(found, top=top))
    say_written(written)


def _names(table: pd.DataFrame) -> str:
    return f"{table['corpus'].iloc[0]}, {table['encoder'].iloc[0]}"


def _say_left_out(table: pd.DataFrame) -> None:
    """Name the methods that could not be fitted on so little, each with its reason."""
    for name, reason in table.attrs.get("failures", {}).items():
        say(f"left out: {name}: {reason}")


def _by_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Methods down, numbers of labelled pairs across."""
    percent = (100 * table[["value", "ci_low", "ci_high"]]).map("{:.1f}".format)
    cells = table.assign(
        labels=["none" if n != n else f"{n:g}" for n in table["n_labels"]],
        cell=percent["value"] + " [" + percent["ci_low"] + ", " + percent["ci_high"] + "]",
    )
    wide = cells.pivot(index="method", columns="labels", values="cell").fillna("")
    wide = wide.loc[list(dict.fromkeys(cells["method"])), list(dict.fromkeys(cells["labels"]))]
    return wide.reset_index()


def _print_thresholds(table: pd.DataFrame) -> None:
    rows = table.to_dict("records")
    say("{corpus}, {encoder}: {measure} {target:g}".format_map(rows[0]))
    for row in rows:
        if row["threshold"] != row["threshold"]:
            say("  {leg}: no threshold; {reason}".format_map(row))
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
        say(line.format_map(row))
