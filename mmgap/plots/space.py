"""Text and image vectors of one space, laid out in two dimensions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from mmgap.errors import MmgapError
from mmgap.plots.palette import IMAGE, LEG, PAIR_COLOUR, Mark
from mmgap.plots.panels import Panels, handle
from mmgap.plots.style import new_figure, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

    from mmgap.index.vectors import Vectors

LEADER_COLOUR = "#222222"
"""Line from an image to its point."""

THUMBNAIL = 0.34
"""Side of a thumbnail in inches."""

Method = Literal["umap", "pca"]


@dataclass(frozen=True)
class Projection:
    """Two coordinates for every text and every image of a corpus.

    ``text_positions`` and ``image_positions`` are the document of each row of ``text`` and
    ``image``; texts and images of one document are drawn as a pair.
    """

    text: np.ndarray
    image: np.ndarray
    text_positions: np.ndarray
    image_positions: np.ndarray
    axis_names: tuple[str, str]

    @property
    def pairs(self) -> np.ndarray:
        """Rows of ``text`` and of ``image`` that belong together, of shape (n_pair, 2)."""
        _, text_rows, image_rows = np.intersect1d(
            self.text_positions, self.image_positions, return_indices=True
        )
        return np.column_stack([text_rows, image_rows])


def project(
    vectors: Vectors | tuple[np.ndarray, np.ndarray],
    *,
    method: Method = "umap",
    n_doc: int | None = None,
    seed: int = 0,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
) -> Projection:
    """Lay both legs out in two dimensions by one joint fit.

    A pair is ``(text_embeddings, image_embeddings)``; equal rows belong to one document. PCA keeps
    the directions of largest variance: distances within the plane can be read, what is outside of
    it is lost. UMAP keeps neighbourhoods: neither the width of a gap, nor the size of a cluster,
    nor the density of points can be read from it. ``n_doc`` documents are sampled at random.

    >>> rng = np.random.default_rng(0)
    >>> projection = project((rng.normal(size=(30, 5)), rng.normal(size=(30, 5))), method="pca")
    >>> projection.text.shape, projection.pairs.shape
    ((30, 2), (30, 2))
    """
    text, image, text_positions, image_positions = _legs(vectors)
    if n_doc is not None:
        documents = np.union1d(text_positions, image_positions)
        chosen = np.random.default_rng(seed).permutation(documents)[:n_doc]
        keep_text, keep_image = np.isin(text_positions, chosen), np.isin(image_positions, chosen)
        text, text_positions = text[keep_text], text_positions[keep_text]
        image, image_positions = image[keep_image], image_positions[keep_image]
    both = np.concatenate([text, image])
    if method == "pca":
        coordinates, names = _pca(both, seed)
    elif method == "umap":
        coordinates, names = _umap(both, seed, n_neighbors, min_dist)
    else:
        msg = f"there is no method {method!r}; choose 'umap' or 'pca'"
        raise MmgapError(msg)
    return Projection(
        coordinates[: len(text)], coordinates[len(text) :], text_positions, image_positions, names
    )


def pick_thumbnails(vectors: Vectors, n: int = 24, seed: int = 0) -> dict[int, Image.Image]:
    """Return images of documents sampled at random, by the position of the document."""
    positions = np.random.default_rng(seed).permutation(vectors.image.positions)[:n]
    found = {int(at): vectors.corpus.documents[at].image for at in positions}
    return {at: image.open() for at, image in found.items() if image is not None}


def shared_space(
    projection: Projection | Mapping[str, Projection],
    *,
    thumbnails: Mapping[int, Image.Image] | None = None,
    n_lines: int = 100,
    height: float | None = None,
    seed: int = 0,
    ax: Axes | None = None,
) -> Figure:
    """Draw texts and images as points, and documents as lines between their two points.

    A mapping gives one panel per entry, two in a row, or three if there are five or more; panels
    of principal components have one scale. ``thumbnails`` maps document positions to images to show
    beside their points, about 12 at most. ``n_lines`` documents, sampled at random, get a line;
    those with a thumbnail always do.
    """
    panels = projection if isinstance(projection, Mapping) else {"": projection}
    if not all(isinstance(panel, Projection) for panel in panels.values()):
        msg = "shared_space draws projections; make them with plots.project(vectors)"
        raise MmgapError(msg)
    columns = 1 if len(panels) == 1 else 2 if len(panels) < 5 else 3
    inches = height or (0.7 if columns == 1 else 1 / columns) * new_figure().get_figwidth()
    total = (-(-len(panels) // columns) * inches + 0.4) / scale()
    grid = Panels(panels, total, columns=columns, ax=ax, sharex=False, sharey=False)
    for axes, panel in zip(grid.axes, panels.values(), strict=True):
        draw_space(axes, panel, thumbnails or {}, n_lines, seed)
    linear = [axes for axes in grid.axes if axes.get_aspect() != "auto"]
    ends = np.array([[axes.get_xlim(), axes.get_ylim()] for axes in linear]).reshape(-1, 2, 2)
    reach = np.array([-1, 1]) * np.ptp(ends, axis=2).max(initial=0) / 2
    for axes, (x, y) in zip(linear, ends.mean(axis=2), strict=True):
        axes.set(xlim=x + reach, ylim=y + reach)
    points = [handle(leg, mark, linestyle="none") for leg, mark in LEG.items()]
    pair = handle("one document", Mark(PAIR_COLOUR, "none"))
    grid.legend([*points, pair], "outside lower center")
    if thumbnails:
        grid.figure.draw_without_rendering()  # settles the layout, which places are measured in
        for axes, panel in zip(grid.axes, panels.values(), strict=True):
            _place_thumbnails(axes, panel, thumbnails)
    return grid.figure


def _legs(
    vectors: Vectors | tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    if not isinstance(vectors, tuple):
        text, image = vectors.text, vectors.image
        # Several vectors a document, as of late interaction, are no points of one map.
        return (
            np.asarray(text.embeddings),
            np.asarray(image.embeddings),
            text.positions,
            image.positions,
        )
    text_embeddings, image_embeddings = map(np.asarray, vectors)
    rows = np.arange(len(text_embeddings)), np.arange(len(image_embeddings))
    return text_embeddings, image_embeddings, *rows


def _pca(embeddings: np.ndarray, seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    from sklearn.decomposition import PCA

    pca = PCA(2, random_state=seed)
    coordinates = pca.fit_transform(embeddings)
    shares = [f"{share:.0%}".replace("%", " %") for share in pca.explained_variance_ratio_]
    first, second = (f"PC {axis} ({share} of variance)" for axis, share in enumerate(shares, 1))
    return coordinates, (first, second)


def _umap(
    embeddings: np.ndarray, seed: int, n_neighbors: int, min_dist: float
) -> tuple[np.ndarray, tuple[str, str]]:
    with warnings.catch_warnings():
        # umap and numba warn of their own dependencies while they are imported
        warnings.simplefilter("ignore")
        from umap import UMAP

    reducer = UMAP(
        n_neighbors=min(n_neighbors, len(embeddings) - 1),
        min_dist=min_dist,
        metric="cosine",
        init="pca",  # a graph in two pieces, such as a wide gap gives, has no spectral start
        random_state=seed,
        n_jobs=1,
    )
    with warnings.catch_warnings():
        # a graph in two pieces is what a wide gap looks like, not a fault
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        coordinates = reducer.fit_transform(embeddings)
    return np.asarray(coordinates), ("UMAP 1", "UMAP 2")


def draw_space(
    axes: Axes,
    panel: Projection,
    thumbnails: Mapping[int, Image.Image],
    n_lines: int,
    seed: int,
) -> None:
    """Draw one panel's points and lines."""
    pairs = panel.pairs
    shown = np.isin(panel.text_positions[pairs[:, 0]], list(thumbnails))
    order = np.random.default_rng(seed).permutation(len(pairs))
    drawn = np.union1d(order[:n_lines], np.flatnonzero(shown))
    ends = np.stack([panel.text[pairs[drawn, 0]], panel.image[pairs[drawn, 1]]], axis=1)
    axes.add_collection(LineCollection(list(ends), colors=PAIR_COLOUR, linewidths=0.6, alpha=0.6))
    size = np.clip(20_000 / (len(panel.text) + len(panel.image)), 6, 30)
    for leg, points in (("text", panel.text), ("image", panel.image)):
        mark = LEG[leg]
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=size,
            c=mark.colour,
            marker=mark.marker,
            alpha=0.6,
            linewidths=0,
        )
    axes.set(xlabel=panel.axis_names[0], ylabel=panel.axis_names[1])
    axes.set(xticks=[], yticks=[])
    axes.margins(0.08 if thumbnails else 0.04)
    if panel.axis_names[0].startswith("PC"):
        axes.set_aspect("equal")


def _place_thumbnails(axes: Axes, panel: Projection, thumbnails: Mapping[int, Image.Image]) -> None:
    """Put each thumbnail near its point: never on another one, rarely on points."""
    row_of = {int(position): row for row, position in enumerate(panel.image_positions)}
    rows = {at: row_of[at] for at in thumbnails if at in row_of}
    side = (THUMBNAIL + 0.06) * axes.figure.dpi
    points = axes.transData.transform(np.concatenate([panel.text, panel.image]))
    anchors = axes.transData.transform(panel.image)
    extents = np.array(axes.get_window_extent().extents)
    placed: list[np.ndarray] = []
    for at, row in rows.items():
        centre = _free_spot(anchors[row], placed, points, side, extents)
        if centre is None:
            continue
        placed.append(centre)
        middle = axes.transData.inverted().transform(centre)
        x, y = np.stack([panel.image[row], middle]).T
        axes.plot(x, y, color=LEADER_COLOUR, linewidth=0.9, linestyle="-", marker="none", zorder=3)
        axes.plot(x[:1], y[:1], IMAGE.marker, mfc=IMAGE.colour, mec=LEADER_COLOUR, ms=6, zorder=3)
        thumbnail = thumbnails[at].convert("RGB")
        thumbnail.thumbnail((96, 96))
        artist = AnnotationBbox(
            OffsetImage(np.asarray(thumbnail), zoom=THUMBNAIL * 72 / max(thumbnail.size)),
            tuple(middle),
            pad=0.1,
            bboxprops={"edgecolor": LEADER_COLOUR, "linewidth": 0.8},
            zorder=4,
        )
        artist.set_in_layout(False)
        axes.add_artist(artist)


def _free_spot(
    anchor: np.ndarray,
    placed: list[np.ndarray],
    points: np.ndarray,
    side: float,
    extents: np.ndarray,
) -> np.ndarray | None:
    """Best centre of a square around its point, in pixels; None where all are taken."""
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radii = side * np.arange(0.9, 9, 0.45)
    rings = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    centres = anchor + (radii[:, None, None] * rings).reshape(-1, 2)
    low, high = extents[:2] + 0.55 * side, extents[2:] - 0.55 * side
    free = ((centres >= low) & (centres <= high)).all(axis=1)
    for other in placed:
        free &= (np.abs(centres - other) >= side).any(axis=1)
    if not free.any():
        return None
    centres = centres[free]
    inside = (np.abs(centres[:, None] - points) < side / 2).all(axis=2).sum(axis=1)
    distance = np.linalg.norm(centres - anchor, axis=1) / side
    way = np.linspace(0, 1, 9)[1:-1, None, None]
    leader = anchor + way * (centres - anchor)  # (n_step, n_centre, 2)
    crossed = sum(
        (np.abs(leader - other) < side / 2).all(axis=2).any(axis=0).astype(float)
        for other in placed
    )
    return centres[np.argmin(distance + 0.25 * inside + 1.5 * crossed)]
