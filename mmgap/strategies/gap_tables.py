"""The gap report as text, HTML and LaTeX."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_HEADS = ("measure", "side", "value", "95 % interval", "of nothing", "n", "what it means")
_NUMBERS = slice(2, 6)
_LEAST_WORDS = 30

_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "²": r"\textsuperscript{2}",
}


def text_table(table: pd.DataFrame, title: str, notes: Sequence[str], width: int) -> str:
    """Write the report for a terminal or a log, ``width`` columns wide.

    Where less than 30 columns are left for the sentences, each goes below its row.
    """
    rows = [_cells(row) for _, row in table.iterrows()]
    columns = zip(_HEADS[:-1], *(cells[:-1] for cells in rows), strict=True)
    widths = [max(map(len, column)) for column in columns]
    left = sum(widths) + 2 * len(widths)
    beside = width - left >= _LEAST_WORDS
    indent = " " * (left if beside else 4)
    lines = [*_wrapped(title, width), ""]
    for part in dict.fromkeys(table["part"]):
        heads = _line(_HEADS[:-1], widths) + (_HEADS[-1] if beside else "")
        lines += [str(part).upper(), heads.rstrip(), "-" * (width if beside else left - 2)]
        for cells, of_part in zip(rows, table["part"], strict=True):
            if of_part != part:
                continue
            words = _wrapped(cells[-1], width, indent)
            line = _line(cells[:-1], widths)
            if beside:
                line, words = line + words[0].lstrip(), words[1:]
            lines += [line.rstrip(), *words]
        lines.append("")
    for note in notes:
        first, *more = _wrapped(note, width, "  ")
        lines += [f"* {first.lstrip()}", *more]
    return "\n".join(lines).rstrip() + "\n"


def html_table(table: pd.DataFrame, title: str, notes: Sequence[str]) -> str:
    """Write the report as one HTML element; whatever was named outside of mmgap is escaped."""
    lines = [
        '<div class="mmgap-gap-report">',
        "<table>",
        f"<caption>{html.escape(title)}</caption>",
    ]
    heads = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in _HEADS)
    lines.append(f"<thead><tr>{heads}</tr></thead>")
    for part, rows in table.groupby("part", sort=False):
        lines.append("<tbody>")
        lines.append(
            f'<tr><th colspan="{len(_HEADS)}" scope="rowgroup">{html.escape(str(part))}</th></tr>'
        )
        for _, row in rows.iterrows():
            first, *cells = map(html.escape, _cells(row))
            body = "".join(f"<td>{cell}</td>" for cell in cells)
            lines.append(f'<tr><th scope="row">{first}</th>{body}</tr>')
        lines.append("</tbody>")
    lines.append("</table>")
    if notes:
        lines += ["<ul>", *(f"<li>{html.escape(note)}</li>" for note in notes), "</ul>"]
    lines.append("</div>")
    return "\n".join(lines) + "\n"


def latex_table(table: pd.DataFrame, title: str, notes: Sequence[str]) -> str:
    """Write the report as a table environment; needs the package booktabs.

    The sentences are left out, since a paper says them in its text.
    """
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(title)}}}",
        r"\begin{tabular}{llrrrr}",
        r"\toprule",
        " & ".join(map(latex, _HEADS[:-1])) + r" \\",
    ]
    for part, rows in table.groupby("part", sort=False):
        lines += [r"\midrule", rf"\multicolumn{{6}}{{l}}{{\emph{{{latex(str(part))}}}}} \\"]
        lines += [" & ".join(map(latex, _cells(row)[:-1])) + r" \\" for _, row in rows.iterrows()]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if notes:
        lines += [r"\par\smallskip", r"\footnotesize", *(f"{latex(note)}\\\\" for note in notes)]
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    r"""Escape what LaTeX would read as a command.

    Examples
    --------
    >>> print(latex("95 % of a_b"))
    95 \% of a\_b
    """
    return "".join(_LATEX.get(character, character) for character in text)


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    room = max(width, len(indent) + _LEAST_WORDS)
    return textwrap.wrap(text, room, initial_indent=indent, subsequent_indent=indent) or [indent]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    padded[_NUMBERS] = [
        cell.rjust(width) for cell, width in zip(cells[_NUMBERS], widths[_NUMBERS], strict=True)
    ]
    return "".join(f"{cell}  " for cell in padded)


def _cells(row: pd.Series) -> list[str]:
    """Return the seven cells of a row."""
    interval = "-"
    if row["ci_low"] == row["ci_low"]:
        interval = f"[{_number(row['ci_low'], 4)}, {_number(row['ci_high'], 4)}]"
    return [
        row["symbol"],
        row["side"],
        _number(row["value"], 6),
        interval,
        _number(row["null"], 4),
        f"{row['n']:,}",
        row["meaning"],
    ]


def _number(value: float, digits: int) -> str:
    if value != value:  # NaN
        return "-"
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:,.{digits - 4 + 1}f}"
