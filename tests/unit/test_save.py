import base64
import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from mmgap.plots import FigureError, save
from mmgap.plots.save import MAX_EMBEDDED_BYTES, data_hash, number_clip_paths
from mmgap.plots.style import new_figure

ALT = 'A rising line, labelled "recall" & drawn over <ten> depths of the list.'
CAPTION = "Recall grows with depth."


@pytest.fixture(autouse=True)
def figures(tmp_path, monkeypatch):
    monkeypatch.setenv("MMGAP_FIGURES", str(tmp_path / "figures"))
    monkeypatch.delenv("MMGAP_FAST", raising=False)
    return tmp_path / "figures"


def drawn():
    figure = new_figure(2)
    axes = figure.subplots()
    axes.plot([1, 2, 3])
    axes.fill_between([0, 1, 2], [0, 1, 2], hatch="//", alpha=0.3)
    axes.set_title("recall")
    return figure


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.words = {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found[tag] = dict(attributes)

    def handle_data(self, data):
        self.words.append(data)


def test_files_lie_in_the_folder_of_the_notebook(figures):
    saved = save(drawn(), "01_scores/histograms", alt=ALT, caption=CAPTION)
    names = sorted(path.name for path in (figures / "01_scores").iterdir())
    assert names == ["histograms.json", "histograms.png", "histograms.svg"]
    assert repr(saved) == "SavedFigure(name='01_scores/histograms')"


def test_equal_figures_give_equal_bytes():
    data = {"line": np.array([1, 2, 3])}
    contents = []
    for _ in range(2):
        saved = save(drawn(), "twice", alt=ALT, caption=CAPTION, data=data, seed=0)
        contents.append([path.read_bytes() for path in saved.paths])
    assert contents[0] == contents[1]


def test_sidecar_says_what_the_figure_is_and_nothing_of_the_machine(figures, tmp_path):
    frame = pd.DataFrame({"recall": [0.5]})
    save(drawn(), "01_scores/a", alt=ALT, caption=CAPTION, data={"b": frame, "a": [1]}, seed=4)
    text = (figures / "01_scores" / "a.json").read_text(encoding="utf-8")
    facts = json.loads(text)
    assert {key: facts[key] for key in ("name", "alt", "caption", "notebook", "seed", "fast")} == {
        "name": "01_scores/a",
        "alt": ALT,
        "caption": CAPTION,
        "notebook": "01_scores",
        "seed": 4,
        "fast": False,
    }
    assert {"python", "mmgap", "matplotlib", "numpy"} == set(facts["versions"])
    assert list(facts["sha256"]) == ["a", "b"]
    assert str(tmp_path) not in text
    assert "date" not in text.lower()


def test_svg_and_png_carry_the_alternative_text_and_no_date():
    saved = save(drawn(), "meta", alt=ALT, caption=CAPTION)
    svg = saved.paths[0].read_text(encoding="utf-8")
    assert "dc:date" not in svg
    assert "recall&quot;" in svg or 'recall" &amp; drawn over &lt;ten&gt;' in svg
    with Image.open(saved.paths[1]) as image:
        assert image.text["Description"] == ALT
        assert set(image.text) == {"Title", "Description"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alt": "A line chart."}, "13 characters, at least 40"),
        ({"alt": " " * 60}, "0 characters"),
        ({"caption": "  "}, "no caption"),
    ],
)
def test_a_figure_without_words_is_refused(figures, change, message):
    with pytest.raises(FigureError, match=message):
        save(drawn(), "mute", **({"alt": ALT, "caption": CAPTION} | change))
    assert not figures.exists()


@pytest.mark.parametrize("name", ["", "A b", "../up", "/abs", "a/b/c", "a.png", "a/"])
def test_a_name_that_is_no_plain_name_is_refused(name):
    with pytest.raises(FigureError, match="figure name"):
        save(drawn(), name, alt=ALT, caption=CAPTION)


def test_notebooks_show_a_figure_with_alt_and_caption():
    saved = save(drawn(), "shown", alt=ALT, caption="More <i>depth</i>, more recall.")
    bundle = saved._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/html", "text/plain"}
    tags = Tags(bundle["text/html"])
    assert tags.found["img"]["alt"] == ALT
    assert {"figure", "img", "figcaption"} == set(tags.found)
    assert "".join(tags.words) == "More <i>depth</i>, more recall."
    head, _, code = tags.found["img"]["src"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(code).startswith(b"\x89PNG")


def test_embedded_images_stay_small():
    figure = new_figure(8)
    figure.subplots().imshow(np.random.default_rng(0).random((900, 900, 3)))
    saved = save(figure, "noise", alt=ALT, caption=CAPTION)
    source = Tags(saved._repr_html_()).found["img"]["src"]
    assert len(source) < 1.4 * MAX_EMBEDDED_BYTES < saved.paths[1].stat().st_size


def test_pyplot_figures_are_closed():
    figure = plt.figure()
    save(figure, "closed", alt=ALT, caption=CAPTION)
    assert not plt.fignum_exists(figure.number)


def test_fast_figures_do_not_replace_published_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("MMGAP_FAST", "1")
    monkeypatch.setenv("MMGAP_RESULTS", str(tmp_path / "results"))
    monkeypatch.delenv("MMGAP_FIGURES")
    saved = save(drawn(), "quick", alt=ALT, caption=CAPTION)
    assert saved.paths[1].parent == tmp_path / "results" / "figures_fast"
    assert json.loads(saved.paths[2].read_text(encoding="utf-8"))["fast"] is True


def test_hashes_follow_values_types_and_shapes():
    array = np.arange(6, dtype=np.float32)
    assert data_hash(array) == data_hash(array.astype(">f4"))
    others = [array[::-1], array.astype(float), array.reshape(2, 3), pd.Series(array), ["a"]]
    assert len({data_hash(array), *map(data_hash, others)}) == 6
    assert data_hash(np.array(["a", "b"])) == data_hash(["a", "b"])


def test_a_drawing_laid_out_in_another_last_bit_is_the_same_file():
    svg = '<use clip-path="url(#p{0})"/><clipPath id="p{1}"/><clipPath id="p{0}"/><g id="p123"/>'
    one, two = (
        number_clip_paths(svg.format(*names))
        for names in (("0" * 10, "a" * 10), ("b" * 10, "1" * 10))
    )
    assert one == two
    assert one.count("p1)") == one.count('"p1"') == 1, "what a name refers to stays what it was"
    assert 'id="p123"' in one
