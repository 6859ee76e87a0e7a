"""Checks of a drawn figure through matplotlib's own renderer."""

from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.text import Text

SLACK = 1.5
"""Pixels by which boxes may touch: letters are smaller than their boxes."""


def _visible_texts(figure: Figure) -> list[Text]:
    """Every text that is drawn; tick labels outside of their axis' view are not."""
    undrawn = _undrawn_ticks(figure)
    for axes in figure.axes:
        if not axes.get_visible():
            undrawn.update(axes.findobj(Text))
    return [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in undrawn
    ]


def _undrawn_ticks(figure: Figure) -> set[Text]:
    undrawn: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            every = {*axis.get_major_ticks(), *axis.get_minor_ticks()} - {*axis._update_ticks()}
            undrawn |= {label for tick in every for label in (tick.label1, tick.label2)}
    return undrawn


def assert_no_clipped_text(figure: Figure) -> None:
    """Fail if a text lies partly outside of the figure."""
    figure.draw_without_rendering()
    width, height = figure.bbox.width, figure.bbox.height
    for text in _visible_texts(figure):
        box = text.get_window_extent()
        inside = (
            box.x0 >= -SLACK
            and box.y0 >= -SLACK
            and box.x1 <= width + SLACK
            and box.y1 <= height + SLACK
        )
        assert inside, f"{text.get_text()!r} at {box.extents} leaves the figure {width, height}"


def assert_no_overlapping_text(figure: Figure) -> None:
    """Fail if two texts cover each other."""
    figure.draw_without_rendering()
    boxes = [(text.get_text(), text.get_window_extent()) for text in _visible_texts(figure)]
    for (first, a), (second, b) in combinations(boxes, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= SLACK or down <= SLACK, f"{first!r} and {second!r} overlap"


def assert_legible_size(figure: Figure, points: float = 8.0) -> None:
    """Fail if a text is smaller than a reader can be asked to read."""
    for text in _visible_texts(figure):
        assert text.get_fontsize() >= points - 0.01, f"{text.get_text()!r} is too small"
