"""One table of facts about the measures of the gap, in the order in which a report lists them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mmgap.gap import hubness as hubs
from mmgap.gap import measures as m

_SIDES = ("rotation", "permutation of pairs", "scale of a row")
_PAIRS = ("rotation", "permutation of pairs", "modality swap", "scale of a row")
_SETS = ("rotation", "permutation of pairs", "shuffled texts", "modality swap", "scale of a row")
_AXES = _SETS[1:]
_LISTS = ("rotation", "permutation of pairs", "shuffled texts", "scale of a row")


@dataclass(frozen=True)
class Measure:
    """One measure of the modality gap: its function and what a reader must know of it.

    ``function`` takes images and texts, or one modality if ``of == "side"``; ``of == "pairs"``
    means that row i of the images must belong to row i of the texts. ``symbol`` is what tables
    show, ``title`` the same in words, ``larger`` ends the sentence "Larger: ...". ``key`` is the
    entry in docs/measures.bib.

    ``unchanged_by`` names what changes nothing: a rotation of both modalities, the order of the
    pairs or of the texts alone, exchanging the modalities, the length of a row. ``null`` says what
    the null level exchanges: ``"labels"``, image and text within random pairs, so that there is no
    gap; ``"half labels"``, in exactly half of the pairs, so that no remainder of the gap gives the
    null a direction; ``"pairing"``, the texts are shuffled; None = no null level is known.

    The last four are for resampling, on unit rows. ``weighted(..., weights)`` is the measure of
    each draw, where ``weights`` (n_draw, n) says how often each row counts. ``basis`` is what
    several measures, or value and interval, share, and ``of_basis`` makes the value of it;
    ``per_item`` marks a basis of one value per pair or item, of which the measure is the mean.
    ``costly`` measures are resampled less often.
    """

    function: Callable[..., float]
    symbol: str
    title: str
    of: str
    range: tuple[float, float]
    larger: str
    unchanged_by: tuple[str, ...]
    reference: str
    key: str
    null: str | None = None
    weighted: Callable[..., np.ndarray] | None = None
    basis: Callable[..., Any] | None = None
    of_basis: Callable[[Any], float] | None = None
    per_item: Callable[..., np.ndarray] | None = None
    costly: bool = False

    @property
    def name(self) -> str:
        """Name of the function, for programs."""
        return self.function.__name__

    @property
    def sides(self) -> bool:
        """Whether it describes one modality, so that there is one number for each."""
        return self.of == "side"

    @property
    def paired(self) -> bool:
        """Whether row i of the images must belong to row i of the texts."""
        return self.of == "pairs"

    @property
    def seldom(self) -> bool:
        """Whether a value takes so long that it is resampled less often."""
        return self.costly or (self.per_item is None and self.weighted is None)

    def value(self, rows: tuple[np.ndarray, ...], known: dict[Any, Any], at: bytes) -> float:
        """Value on unit rows; ``known`` keeps the bases of the samples ``at``."""
        make = self.per_item or self.basis
        if make is None:
            return float(inspect.unwrap(self.function)(*rows))
        if (make, at) not in known:
            known[make, at] = make(*rows)
        found = known[make, at]
        return float(found.mean() if self.of_basis is None else self.of_basis(found))


_LIANG = "Liang et al., Mind the Gap, NeurIPS 2022, Sec. {}"
_SCHRODI = "Schrodi et al., Two Effects, One Trigger, ICLR 2025, Sec. 3"
_HEUSEL = "Heusel et al., NeurIPS 2017, Eq. 6; Dowson and Landau 1982, Eq. 16"
_FAHIM = "Fahim et al., It's Not a Modality Gap, arXiv 2405.18570, Sec. 4"
_WANG = "Wang and Isola, ICML 2020, Sec. 4.1"
_ZHANG = "Zhang et al., Connect, Collapse, Corrupt, ICLR 2024, Sec. 3"
_RADOVANOVIC = "Radovanovic et al., Hubs in Space, JMLR 2010, Sec. 2"
_FELDBAUER = "Feldbauer et al., IEEE Big Knowledge 2018"


def _hubs(ask: str) -> list[Measure]:
    """Rows of the four statistics of one direction."""
    way = "text to image" if ask == "t2i" else "image to text"
    counts = hubs.t2i_counts if ask == "t2i" else hubs.i2t_counts
    facts: list[tuple[str, hubs.Statistic, str, str, tuple[float, float], str, str, str]] = [
        ("hubness_skew", hubs.skew, "N10 skew", "skewness of the 10-occurrences",
         (-np.inf, np.inf), "few items appear in very many result lists",
         _RADOVANOVIC, "radovanovic2010"),
        ("hubness_max", hubs.largest, "N10 max", "largest 10-occurrence",
         (0, np.inf), "the worst hub appears in more result lists",
         _RADOVANOVIC, "radovanovic2010"),
        ("antihub_rate", hubs.antihubs, "antihubs", "fraction of items in no list of the first 10",
         (0, 1), "more items are found by no query", _RADOVANOVIC, "radovanovic2010"),
        ("robin_hood", hubs.robin_hood, "Robin Hood", "Robin Hood index of the 10-occurrences",
         (0, 1), "ranks in the result lists are distributed less evenly",
         _FELDBAUER, "feldbauer2018"),
    ]  # fmt: skip
    return [
        Measure(
            getattr(hubs, f"{ask}_{name}"), f"{symbol} {ask}", f"{title}, {way}", "sets", bounds,
            larger, _LISTS, reference, key, basis=counts, of_basis=partial(hubs.of_counts, of),
            weighted=partial(hubs.redrawn, of),
        )
        for name, of, symbol, title, bounds, larger, reference, key in facts
    ]  # fmt: skip


_ALL = (
    # How far apart?
    Measure(
        m.l2m, "L2M", "distance of the two centroids", "sets", (0, 2),
        "the centroids are further apart", _SETS, _LIANG.format("4.2"), "liang2022",
        null="labels", weighted=m.weighted_l2m,
    ),
    Measure(
        m.l2m_unbiased, "L2M unbiased",
        "distance of the two centroids, corrected for the number of pairs", "pairs", (0, 2),
        "the centroids are further apart", _PAIRS,
        _LIANG.format("4.2; corrected by tr Cov(x - y) / n"), "liang2022",
        null="labels", weighted=m.weighted_l2m_unbiased,
    ),
    Measure(
        m.l2i, "L2I", "mean distance of an image from its own text", "pairs", (0, 2),
        "an image lies further from its text", _PAIRS, _SCHRODI, "schrodi2025",
        null="pairing", per_item=m.distance_per_pair,
    ),
    Measure(
        m.rmg, "RMG", "distance of pairs relative to the distances within each modality", "pairs",
        (0, 1), "pairs are further apart relative to the spread of each modality", _PAIRS,
        _SCHRODI, "schrodi2025", null="labels", weighted=m.weighted_rmg,
    ),
    Measure(
        m.paired_cosine, "cos paired", "mean cosine of an image with its own text", "pairs",
        (-1, 1), "an image lies closer to its text", _PAIRS,
        "Hessel et al., CLIPScore, EMNLP 2021, Sec. 3", "hessel2021",
        null="pairing", per_item=m.cosine_per_pair,
    ),
    Measure(
        m.unpaired_cosine, "cos unpaired", "mean cosine of an image with the texts of other images",
        "pairs", (-1, 1), "the two modalities lie closer, whatever they show", _PAIRS,
        _LIANG.format("2.1"), "liang2022", null="labels", weighted=m.cosine_over_pairs,
    ),
    # Can the two be told apart, and how do the distributions differ?
    Measure(
        m.linear_separability, "lin sep",
        "held-out accuracy of a linear classifier that tells images from texts", "pairs", (0, 1),
        "the modalities are easier to tell apart", ("rotation", "modality swap", "scale of a row"),
        _FAHIM, "fahim2024", null="labels", per_item=m.told_apart_per_pair, costly=True,
    ),
    Measure(
        m.knn_fraction, "kNN own", "fraction of the own modality among the 10 nearest neighbours",
        "sets", (0, 1), "each modality keeps more to itself", _SETS,
        "Schilling, Journal of the American Statistical Association 1986, Sec. 2",
        "schilling1986", null="labels", per_item=m.own_neighbours_per_pair, costly=True,
    ),
    Measure(
        m.frechet, "FD", "squared Frechet distance of the two clouds", "sets", (0, 4),
        "the two clouds differ more in position or in spread", _SETS, _HEUSEL, "heusel2017",
        null="labels", basis=m.frechet_terms, of_basis=sum,
    ),
    Measure(
        m.frechet_mean_term, "FD mean", "mean term of the Frechet distance", "sets", (0, 4),
        "the centroids are further apart", _SETS, _HEUSEL, "heusel2017",
        null="labels", weighted=m.weighted_mean_term,
    ),
    Measure(
        m.frechet_covariance_term, "FD cov", "covariance term of the Frechet distance", "sets",
        (0, 4), "the two clouds differ more in spread", _SETS, _HEUSEL, "heusel2017",
        null="labels", basis=m.frechet_terms, of_basis=lambda terms: terms[1],
    ),
    Measure(
        m.mmd, "MMD²", "squared maximum mean discrepancy (Gaussian kernel, median width)", "sets",
        (0, 2), "the distributions of the two modalities differ more", _SETS,
        "Gretton et al., JMLR 2012, Eq. 5", "gretton2012",
        null="labels", weighted=m.weighted_mmd, costly=True,
    ),
    # Do both modalities arrange the items alike?
    Measure(
        m.linear_cka, "CKA", "linear centred kernel alignment", "pairs", (0, 1),
        "images and texts arrange the pairs more alike", _PAIRS,
        "Kornblith et al., ICML 2019, Sec. 3", "kornblith2019", null="pairing",
    ),
    Measure(
        m.neighbourhood_agreement, "NAS@10",
        "fraction of the 10 nearest neighbours that images and texts have in common", "pairs",
        (0, 1), "images and texts agree more on what is alike", _PAIRS,
        "Huh et al., The Platonic Representation Hypothesis, ICML 2024, Appendix A", "huh2024",
        null="pairing", per_item=m.agreement_per_pair, costly=True,
    ),
    Measure(
        m.alignment, "align", "mean squared distance of an image from its own text", "pairs",
        (0, 4), "an image lies further from its text", _PAIRS, _WANG, "wang2020",
        null="pairing", per_item=m.squared_distance_per_pair,
    ),
    Measure(
        m.cross_uniformity, "unif cross",
        "closeness of images to the texts of others (cross-uniformity)", "pairs", (-8, 0),
        "images lie closer to the texts of others", _PAIRS, _FAHIM, "fahim2024",
        null="labels", weighted=m.weighted_uniformity, costly=True,
    ),
    # What shape has each modality?
    Measure(
        m.cone, "cone", "mean cosine of two different items of one modality", "side", (-1, 1),
        "the modality fills a narrower cone", _SIDES, _LIANG.format("2.1"), "liang2022",
        weighted=lambda rows, weights: m.cosine_over_pairs(rows, rows, weights),
    ),
    Measure(
        m.uniformity, "unif", "crowding of one modality on the sphere (uniformity)", "side",
        (-8, 0), "the modality crowds together", _SIDES, _WANG, "wang2020",
        weighted=lambda rows, weights: m.weighted_uniformity(rows, rows, weights), costly=True,
    ),
    Measure(
        m.effective_rank, "erank", "number of directions one modality uses, by entropy", "side",
        (0, np.inf), "the spread of the modality uses more directions", _SIDES,
        "Roy and Vetterli, The Effective Rank, EUSIPCO 2007, Sec. 2 (here of centred rows)",
        "roy2007", basis=m.variances, of_basis=m.rank_by_entropy, costly=True,
    ),
    Measure(
        m.variance_dims, "dims 99 %",
        "number of principal axes that hold 99 % of the variance of one modality", "side",
        (0, np.inf), "the spread of the modality needs more directions", _SIDES, _ZHANG,
        "zhang2024", basis=m.variances, of_basis=m.axes_that_hold, costly=True,
    ),
    Measure(
        m.participation_ratio, "PR", "number of directions one modality uses, by variance", "side",
        (0, np.inf), "the variance of the modality is spread over more directions", _SIDES,
        "Gao et al., bioRxiv 214262, 2017", "gao2017",
        basis=m.variances, of_basis=m.rank_by_variance, costly=True,
    ),
    # Where does the gap point?
    Measure(
        m.gap_fraction_top1, "top 1 dim", "fraction of the squared gap in the largest dimension",
        "sets", (0, 1), "one dimension carries more of the gap", _AXES, _SCHRODI, "schrodi2025",
        null="half labels", weighted=m.weighted_top(1),
    ),
    Measure(
        m.gap_fraction_top8, "top 8 dims",
        "fraction of the squared gap in the eight largest dimensions", "sets", (0, 1),
        "few dimensions carry more of the gap", _AXES, _SCHRODI, "schrodi2025",
        null="half labels", weighted=m.weighted_top(8),
    ),
    Measure(
        m.pc1_angle, "|cos(PC1, gap)|",
        "absolute cosine of the first principal component with the gap vector", "sets", (0, 1),
        "the first axis of a PCA of both modalities is closer to the gap", _SETS,
        _LIANG.format("4.2"), "liang2022", null="half labels",
    ),
    Measure(
        m.gap_constancy, "cos(gaps)", "mean cosine between the gap vectors of groups of 100 pairs",
        "pairs", (-1, 1), "the gap is more nearly one vector for all pairs",
        ("rotation", "modality swap", "scale of a row"), _ZHANG, "zhang2024", null="labels",
    ),
    Measure(
        m.gap_orthogonality, "|cos(gap, within)|",
        "mean absolute cosine of the gap with differences within a modality", "sets", (0, 1),
        "the gap is more mixed with what tells items apart", _SETS, _ZHANG, "zhang2024",
        null="half labels",
    ),
    # Which items are everybody's neighbours?
    *_hubs("t2i"),
    *_hubs("i2t"),
)  # fmt: skip

MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}
"""Every measure under its name."""
