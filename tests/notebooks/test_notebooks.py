"""What every notebook and every committed figure must be; and the tool that makes them."""

import ast
import importlib.util
import json
import re
import shutil
import warnings
from pathlib import Path

import nbformat
import pytest
from PIL import Image

import mmgap.plots
from mmgap.plots.save import MIN_ALT

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOKS = REPOSITORY / "notebooks"
FIGURES = REPOSITORY / "figures"

HEADINGS = (
    "Question and answer",
    "What you need",
    "Setup",
    "Parameters",
    "By hand",
    "With mmgap",
    "Result",
    "What could fool us",
    "Summary",
)
"""Beginnings of the level-2 headings, in this order; others may stand between them."""

FIGURE_KINDS = sorted(
    name
    for name in mmgap.plots.__all__
    if getattr(getattr(mmgap.plots, name), "__annotations__", {}).get("return") == "Figure"
)
"""Functions of mmgap.plots that make a figure."""

MAX_LINES = 20
MAX_DEF_LINES = 5

TEXTS = sorted((NOTEBOOKS / "text").glob("[0-9][0-9]*_*.py"))
TWINS = sorted(NOTEBOOKS.glob("*.ipynb"))
PICTURES = sorted(FIGURES.rglob("*.png"))


def _load_tool():
    path = REPOSITORY / "scripts" / "notebooks.py"
    spec = importlib.util.spec_from_file_location("mmgap_scripts_notebooks", path)
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what jupyter's libraries say of each other
        spec.loader.exec_module(module)
    return module


tool = _load_tool()

each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
each_twin = pytest.mark.parametrize("path", TWINS, ids=lambda path: path.stem)
each_picture = pytest.mark.parametrize(
    "path", PICTURES, ids=lambda path: path.relative_to(FIGURES).as_posix()
)


def cells(text, kind="code"):
    return [cell for cell in tool.from_text(text).cells if cell.cell_type == kind]


def is_subsequence(wanted, found):
    """Whether some of ``found`` begin with the wanted words, in their order."""
    rest = iter(found)
    return all(any(heading.lower().startswith(word.lower()) for heading in rest) for word in wanted)


# --- the folder ----------------------------------------------------------------------------------


def test_there_are_notebooks():
    assert TEXTS, "notebooks/text holds no NN_slug.py: nothing below is tested"
    assert TWINS, "notebooks holds no .ipynb; run: python scripts/notebooks.py build"


def test_there_are_figures():
    assert PICTURES, "figures holds no png; run: python scripts/notebooks.py execute"


def test_both_forms_have_the_same_names():
    every = sorted(path.stem for path in (NOTEBOOKS / "text").glob("*.py"))
    assert every == [path.stem for path in TWINS]
    assert every == [path.stem for path in TEXTS], "a name is not NN_slug"


def test_every_notebook_is_in_the_index():
    index = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)]+\.ipynb)\)", index))
    assert linked == {path.name for path in TWINS}


@each_text
def test_both_forms_hold_the_same_cells(text):
    assert tool.differences(text) == []


@each_twin
def test_notebook_says_nothing_unstable_of_itself(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata == tool.METADATA
    assert [c.id for c in notebook.cells] == [f"cell-{n:02d}" for n in range(len(notebook.cells))]
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)


# --- the template --------------------------------------------------------------------------------


@each_text
def test_headings_follow_the_template(text):
    prose = "\n".join(cell.source for cell in cells(text, "markdown"))
    assert cells(text, "markdown")[0].source.startswith("# ")
    headings = re.findall(r"^## +(.+)$", prose, re.MULTILINE)
    assert is_subsequence(HEADINGS, headings), f"{headings} lacks one of {HEADINGS}, in this order"


@each_text
def test_there_is_one_parameters_cell(text):
    tagged = [c for c in cells(text) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert "settings" in tagged[0].source or "size(" in tagged[0].source


@each_text
def test_settings_and_provenance_are_used(text):
    source = "\n".join(cell.source for cell in cells(text))
    assert re.search(rf"notebook\(\s*['\"]{text.stem}['\"]", source), "notebook(name) is not called"
    assert "provenance(" in source
    assert "assert " in source


@each_text
def test_cells_are_short(text):
    long = [c.source for c in cells(text) if len(c.source.splitlines()) > MAX_LINES]
    assert not long, f"over {MAX_LINES} lines:\n{long[0]}"


@each_text
def test_functions_are_short(text):
    for cell in cells(text):
        for node in ast.walk(ast.parse(plain(cell.source))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                lines = node.end_lineno - node.lineno + 1
                assert lines <= MAX_DEF_LINES, f"{node.name} has {lines} lines: move it to mmgap"


def plain(source):
    """Code without magics, which are no Python."""
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in source.split("\n"))


FORBIDDEN = {
    r"\bsys\.path\b": "install mmgap instead",
    r"\.\./": "take places from mmgap.paths",
    r"\bplt\.show\b": "end the cell with save",
    r"\.savefig\(": "end the cell with save",
    r"pip install": "name what is needed under 'What you need'",
    r"raises-exception": "show an error with try",
    r"skip-execution": "every cell runs",
    r"/(home|root|Users|work|tmp)/": "a folder of one machine",
    r"np\.random\.(?!Generator|default_rng)\w+": "take numbers from settings.rng()",
}


@each_text
def test_nothing_forbidden_stands_in_code(text):
    source = "\n".join(c.source + str(c.metadata) for c in cells(text))
    found = {words: advice for words, advice in FORBIDDEN.items() if re.search(words, source)}
    assert not found


@each_text
def test_every_figure_goes_through_save(text):
    source = "\n".join(cell.source for cell in cells(text))
    makers = "|".join([*FIGURE_KINDS, "subplots"])
    made = len(re.findall(rf"\b(?:{makers}|new_figure)\(", source))
    axes = len(re.findall(r"=\s*\w+\.subplots\(", source)) if "new_figure(" in source else 0
    saved = len(re.findall(r"\bsave\(", source))
    assert saved >= 1, "a notebook ends in a figure"
    assert saved >= made - axes, f"{made - axes} figures are made and {saved} saved"


# --- the outputs ---------------------------------------------------------------------------------


@each_twin
def test_outputs_are_there_and_whole(path):
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    ran = [cell for cell in code if cell.source.strip()]
    assert [cell.execution_count for cell in ran] == list(range(1, len(ran) + 1)), (
        "not executed from top to bottom; run: python scripts/notebooks.py execute"
    )
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]


@each_twin
def test_outputs_name_no_folder_of_a_machine(path):
    words = without_pictures(path.read_text(encoding="utf-8"))
    found = re.search(r"(?<![\w.])/(home|root|Users|work|tmp|usr|opt|private)/[\w.-]+", words)
    assert not found, found.group(0)
    assert not re.search(r" at 0x[0-9a-f]{6}", words)


@each_twin
def test_pictures_in_outputs_have_an_alternative_text(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            assert not [kind for kind in data if kind.startswith("image/")], "show it with save"
            for tag in re.findall(r"<img\b[^>]*>", data.get("text/html", "")):
                found = re.search(r'\balt="([^"]*)"', tag)
                assert found, f"no alternative text: {tag:.80}"
                assert len(found.group(1)) >= MIN_ALT


@each_twin
def test_a_notebook_is_no_heavier_than_its_pictures(path):
    pictures = path.read_text(encoding="utf-8").count("data:image/png;base64")
    assert path.stat().st_size < 200_000 + 220_000 * pictures


def without_pictures(text):
    return re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", text)


# --- the figures ---------------------------------------------------------------------------------


@each_picture
def test_every_figure_is_complete(path):
    assert path.with_suffix(".svg").exists()
    text = path.with_suffix(".json").read_text(encoding="utf-8")
    facts = json.loads(text)
    assert facts["name"] == path.relative_to(FIGURES).with_suffix("").as_posix()
    assert len(facts["alt"]) >= MIN_ALT
    assert facts["caption"]
    assert facts["fast"] is False, "a figure of fast mode is no result"
    assert facts["sha256"], "save(..., data=...) says what is plotted"
    assert not re.search(r"/(home|root|Users|work|tmp)/", text)
    with Image.open(path) as image:
        assert image.width <= 2600
    assert path.stat().st_size < 1_500_000


@each_picture
def test_every_figure_belongs_to_a_notebook(path):
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert facts["notebook"] in {text.stem for text in TEXTS}


def test_no_part_of_a_figure_is_left_over():
    parts = {p.with_suffix("") for end in ("svg", "json") for p in FIGURES.rglob(f"*.{end}")}
    assert parts == {path.with_suffix("") for path in PICTURES}


# --- the tool ------------------------------------------------------------------------------------

GOOD = """# %% [markdown]
# # A small notebook

# %% tags=["parameters"]
size = 3

# %%
from pathlib import Path

print("made in", Path.cwd())
size
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "notebooks" / "text").mkdir(parents=True)
    (tmp_path / "notebooks" / "text" / "00_small.py").write_text(GOOD, encoding="utf-8")
    monkeypatch.setattr(tool, "NOTEBOOKS", tmp_path / "notebooks")
    return tmp_path / "notebooks"


def test_an_empty_folder_is_an_error(folder, capsys):
    shutil.rmtree(folder / "text")
    assert tool.main(["check"]) == 1
    assert "no notebook text" in capsys.readouterr().err


def test_an_unknown_name_is_an_error(folder, capsys):
    assert tool.main(["build", "07"]) == 1
    assert "no notebook starts with '07'; there are 00_small" in capsys.readouterr().err
    assert not list(folder.glob("*.ipynb"))


def test_build_is_repeatable_and_checked(folder, capsys):
    assert tool.main(["check"]) == 1
    assert "00_small.ipynb does not exist" in capsys.readouterr().err
    assert tool.main(["build"]) == 0
    first = (folder / "00_small.ipynb").read_bytes()
    (folder / "00_small.ipynb").unlink()
    assert tool.main(["build"]) == 0
    assert (folder / "00_small.ipynb").read_bytes() == first
    assert tool.main(["check"]) == 0
    notebook = nbformat.reads(first.decode("utf-8"), as_version=4)
    assert [c.id for c in notebook.cells] == ["cell-00", "cell-01", "cell-02"]
    assert notebook.cells[1].metadata == {"tags": ["parameters"]}


@pytest.mark.parametrize(
    ("old", "new"),
    [("size = 3", "size = 4"), ('tags=["parameters"]', ""), ("# %%\nfrom", "# %%\n1\n# %%\nfrom")],
)
def test_check_sees_a_changed_cell(folder, old, new, capsys):
    tool.main(["build"])
    text = folder / "text" / "00_small.py"
    text.write_text(text.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    capsys.readouterr()
    assert tool.main(["check"]) == 1
    assert "00_small.ipynb" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")  # what kernel and sockets warn of is not ours
def test_execute_keeps_outputs_and_no_place(folder, capsys):
    assert tool.main(["execute", "00"]) == 0
    assert "00_small  " in capsys.readouterr().out
    first = (folder / "00_small.ipynb").read_bytes()
    assert str(folder.parent) not in first.decode("utf-8")
    code = nbformat.reads(first.decode("utf-8"), as_version=4).cells[2]
    assert [output.output_type for output in code.outputs] == ["stream", "execute_result"]
    assert code.outputs[0].text == "made in notebooks\n"
    assert code.metadata == {}
    assert tool.main(["build"]) == 0
    assert (folder / "00_small.ipynb").read_bytes() == first, "build dropped outputs"


@pytest.mark.filterwarnings("default")
def test_a_failing_notebook_is_said_at_the_end_and_the_others_run(folder, capsys):
    text = folder / "text" / "00_small.py"
    whole = text.read_text(encoding="utf-8")
    (folder / "text" / "01_other.py").write_text(whole, encoding="utf-8")
    text.write_text(whole + "\n# %%\n1 / 0\n", encoding="utf-8")
    assert tool.main(["execute", "--output-dir", str(folder / "out"), "--jobs", "2"]) == 1
    printed, error = capsys.readouterr()
    assert "00_small  FAILED\n01_other  " in printed
    assert "1 of 2 notebooks executed" in printed
    assert (folder / "out" / "01_other.ipynb").exists()
    assert "00_small failed in cell 3:\n\n1 / 0\n" in error
    assert "ZeroDivisionError" in error
    assert (folder / "out" / "00_small.ipynb").exists()
    assert not (folder / "00_small.ipynb").exists()


@pytest.mark.filterwarnings("default")
def test_what_has_not_changed_is_kept(folder, capsys):
    command = ["execute", "--output-dir", str(folder / "out"), "--keep"]
    said = []
    for change in ("", "", "\n# %%\nsize + 1\n"):
        text = folder / "text" / "00_small.py"
        text.write_text(text.read_text(encoding="utf-8") + change, encoding="utf-8")
        assert tool.main(command) == 0
        said.append("kept" in capsys.readouterr().out)
    assert said == [False, True, False]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["Setup", "Result"], True),
        (["setup and more", "Extra", "Result"], True),
        (["Result", "Setup"], False),
        (["Setup"], False),
    ],
)
def test_the_heading_check_sees_order_and_gaps(found, expected):
    assert is_subsequence(("Setup", "Result"), found) is expected
