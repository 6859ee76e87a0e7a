"""Every measure of the registry keeps what it declares."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mmgap.gap
from mmgap.gap import MEASURES, Measure

REPOSITORY = Path(__file__).resolve().parents[2]
INVARIANCES = {
    "rotation",
    "permutation of pairs",
    "shuffled texts",
    "modality swap",
    "scale of a row",
}


def measures_with(form: str) -> pytest.MarkDecorator:
    names = [name for name, measure in MEASURES.items() if getattr(measure, form) is not None]
    return pytest.mark.parametrize("measure", [MEASURES[name] for name in names], ids=names)


EVERY = measures_with("function")


@pytest.fixture(scope="module")
def sides():
    """60 pairs with a gap, two clouds of different spread."""
    rng = np.random.default_rng(3)
    shared = rng.standard_normal((60, 12))
    image = shared + 0.6 * rng.standard_normal((60, 12))
    text = 0.7 * shared + 0.6 * rng.standard_normal((60, 12))
    image[:, 0] += 1.5
    text[:, 1] += 1.0
    return image, text


def arguments(measure, sides):
    return sides[:1] if measure.sides else sides


def test_every_measure_of_the_package_is_listed():
    found = {}
    for module in pkgutil.iter_modules(mmgap.gap.__path__, "mmgap.gap."):
        if module.name == "mmgap.gap.registry":
            continue
        for value in vars(importlib.import_module(module.name)).values():
            many = value if isinstance(value, tuple) else (value,)
            found |= {one.name: one for one in many if isinstance(one, Measure)}
    assert found == MEASURES
    assert len(MEASURES) > 25


def test_what_is_exported_is_there():
    assert sorted(mmgap.gap.__all__) == sorted(set(mmgap.gap.__all__))
    assert set(MEASURES) <= set(mmgap.gap.__all__)
    for name in mmgap.gap.__all__:
        assert not inspect.ismodule(getattr(mmgap.gap, name))


def test_names_symbols_and_titles_tell_measures_apart():
    for field in ("name", "symbol", "title"):
        values = [getattr(measure, field) for measure in MEASURES.values()]
        assert len(set(values)) == len(values)


@EVERY
def test_description_is_whole(measure):
    assert MEASURES[measure.name] is measure
    assert getattr(mmgap.gap, measure.name) is measure.function
    assert measure.function.__name__ == measure.name
    assert set(measure.invariances) <= INVARIANCES
    assert len(set(measure.invariances)) == len(measure.invariances)
    assert measure.null in {"labels", "half labels", "pairing", None}
    assert measure.range[0] < measure.range[1]
    assert measure.title
    assert not measure.larger.endswith(".")
    assert measure.larger[0].islower()
    assert re.search(r"\d{4}", measure.reference)
    if measure.sides:
        assert not measure.paired
        assert measure.null is None
        assert not {"modality swap", "shuffled texts"} & set(measure.invariances)


@EVERY
def test_bibtex_is_one_entry_with_the_agreed_key(measure):
    match = re.match(r"@[a-z]+\{([a-z]+)(\d{4}),\n", measure.bibtex)
    assert match
    author, year = match.groups()
    named = measure.bibtex.split("author = {")[1].lower()
    assert re.sub("[^a-z]", "", named).startswith(author)  # accents are commands: Radovanovi{\\'c}
    assert f"year = {{{year}}}" in measure.bibtex
    assert measure.bibtex.count("{") == measure.bibtex.count("}")
    assert measure.bibtex.count("\n@") == 0


def test_one_key_stands_for_one_entry():
    entries = {}
    for measure in MEASURES.values():
        key = measure.bibtex.split("{")[1].split(",")[0]
        assert entries.setdefault(key, measure.bibtex) == measure.bibtex


@EVERY
def test_first_parameters_are_as_declared(measure):
    parameters = list(inspect.signature(measure.function).parameters)
    if measure.sides:
        assert parameters[0] == "embeddings"
    else:
        assert parameters[:2] == ["image_embeddings", "text_embeddings"]


@EVERY
def test_value_is_a_float_in_range(measure, sides):
    for given in (sides, tuple(side[::-1] ** 3 for side in sides), (sides[0], -sides[0])):
        value = measure.function(*arguments(measure, given))
        assert type(value) is float
        assert measure.range[0] - 1e-9 <= value <= measure.range[1] + 1e-9


@measures_with("per_item")
def test_items_average_to_the_value(measure, sides):
    values = measure.per_item(*arguments(measure, sides))
    assert values.shape == (60,)
    expected = measure.function(*arguments(measure, sides))
    assert values.mean() == pytest.approx(expected, abs=1e-12)


@measures_with("weighted")
def test_weights_of_one_give_the_value(measure, sides):
    found = measure.weighted(*arguments(measure, sides), np.ones((2, 60)))
    expected = measure.function(*arguments(measure, sides))
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-9, atol=1e-12)


@EVERY
def test_inputs_stay_as_they_are(measure, sides):
    given = arguments(measure, tuple(side.copy() for side in sides))
    measure.function(*given)
    for one, before in zip(given, sides, strict=False):
        np.testing.assert_array_equal(one, before)


def test_the_pages_of_all_measures_are_current():
    code = (
        "import measure_table as t; from pathlib import Path; docs = Path('../docs'); "
        "assert (docs / 'measures.md').read_text() == t.page(); "
        "assert (docs / 'measures.bib').read_text() == t.bibliography()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY / "scripts", capture_output=True, text=True
    )
    assert done.returncode == 0, f"old; run: python scripts/measure_table.py\n{done.stderr}"
