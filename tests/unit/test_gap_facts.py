"""Every measure keeps what the table of facts says of it."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mmgap.gap
from mmgap.arrays import unit_rows
from mmgap.gap import MEASURES

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


def unit(measure, sides):
    return tuple(unit_rows("rows", side) for side in arguments(measure, sides))


@EVERY
def test_a_shared_basis_gives_the_value(measure, sides):
    known = {}
    found = [measure.value(unit(measure, sides), known, b"") for _ in range(2)]
    expected = measure.function(*arguments(measure, sides))
    assert found[0] == found[1] == pytest.approx(expected, rel=1e-12, abs=1e-12)


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
    assert set(measure.unchanged_by) <= INVARIANCES
    assert len(set(measure.unchanged_by)) == len(measure.unchanged_by)
    assert measure.null in {"labels", "half labels", "pairing", None}
    assert measure.range[0] < measure.range[1]
    assert measure.title
    assert not measure.larger.endswith(".")
    assert measure.larger[0].islower()
    assert re.search(r"\d{4}", measure.reference)
    if measure.sides:
        assert not measure.paired
        assert measure.null is None
        assert not {"modality swap", "shuffled texts"} & set(measure.unchanged_by)


def test_keys_are_those_of_the_bibliography():
    text = (REPOSITORY / "docs" / "measures.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{(\w+),$", text, re.MULTILINE)
    assert len(keys) == len(set(keys))
    assert set(keys) == {measure.key for measure in MEASURES.values()}
    for entry in text.strip().split("\n\n"):
        assert entry.count("{") == entry.count("}")


@EVERY
def test_first_parameters_are_as_declared(measure):
    parameters = list(inspect.signature(measure.function).parameters)
    if measure.sides:
        assert parameters[0] == "rows"
    else:
        assert parameters[:2] == ["image", "text"]


@EVERY
def test_value_is_a_float_in_range(measure, sides):
    for given in (sides, tuple(side[::-1] ** 3 for side in sides), (sides[0], -sides[0])):
        value = measure.function(*arguments(measure, given))
        assert type(value) is float
        assert measure.range[0] - 1e-9 <= value <= measure.range[1] + 1e-9


def test_embeddings_may_be_named(sides):
    image, text = sides
    rmg = MEASURES["rmg"].function
    assert rmg(text=text, image=image) == rmg(image, text)
    with pytest.raises(TypeError, match="image"):
        rmg(image_embeddings=image, text=text)


@measures_with("per_item")
def test_items_average_to_the_value(measure, sides):
    values = measure.per_item(*unit(measure, sides))
    assert values.shape == (60,)
    expected = measure.function(*arguments(measure, sides))
    assert values.mean() == pytest.approx(expected, abs=1e-12)


@measures_with("weighted")
def test_weights_of_one_give_the_value(measure, sides):
    given = unit(measure, sides)
    if measure.basis is not None:
        given = (measure.basis(*given),)
    found = measure.weighted(*given, np.ones((2, 60)))
    expected = measure.function(*arguments(measure, sides))
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-9, atol=1e-12)


@EVERY
def test_inputs_stay_as_they_are(measure, sides):
    given = arguments(measure, tuple(side.copy() for side in sides))
    measure.function(*given)
    for one, before in zip(given, sides, strict=False):
        np.testing.assert_array_equal(one, before)


def test_the_page_of_all_measures_is_current():
    code = (
        "import measure_table as t; from pathlib import Path; docs = Path('../docs'); "
        "assert (docs / 'measures.md').read_text() == t.page()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY / "scripts", capture_output=True, text=True
    )
    assert done.returncode == 0, f"old; run: python scripts/measure_table.py\n{done.stderr}"
