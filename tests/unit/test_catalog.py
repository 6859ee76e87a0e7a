"""The catalogue: checked strictly when it is read, and true where that can be tested here."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mmgap
from mmgap.encoders import catalog
from mmgap.encoders.catalog import ModelFacts, all_models, find_model, load_catalog
from mmgap.errors import EncoderError

REPOSITORY = Path(mmgap.__file__).parent.parent
MODELS = {facts.id: facts for facts in all_models()}

GOOD = """
[[model]]
id = "owner/model"
backend = "sentence-transformers"
modalities = ["text", "image"]
licence = "MIT"
languages = ["en"]
dim = 512
matryoshka_dims = [128, 512]
files = { text = "a.onnx" }
results = [{ task = "COCO", measure = "R@1", value = 30, source = "a paper" }]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "catalog.toml"
    path.write_text(text)
    return path


def test_a_good_row_is_read_as_it_stands(tmp_path: Path) -> None:
    (facts,) = load_catalog(write(tmp_path, GOOD))
    assert facts == ModelFacts(
        id="owner/model",
        backend="sentence-transformers",
        modalities=("text", "image"),
        licence="MIT",
        languages=("en",),
        dim=512,
        matryoshka_dims=(128, 512),
        files={"text": "a.onnx"},
        results=(catalog.PublishedResult("COCO", "R@1", 30, "a paper"),),
    )
    assert facts.commercial is None
    assert facts.revision is None
    assert not facts.is_reranker


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dim = 512", "dims = 512", r"owner/model.*'dims': Unexpected keyword"),
        ("dim = 512", 'dim = "512"', r"owner/model.*'dim': .*valid integer; got '512'"),
        ("dim = 512", "dim = true", r"'dim': .*valid integer; got True"),
        ("dim = 512", "dim = 0", r"must be 1 or more"),
        ("dim = 512", "dim = 256", r"matryoshka_dims has 512; expected 1 to dim, which is 256"),
        ("dim = 512", "", r"matryoshka_dims has 128; .*which is None"),
        ("[128, 512]", "[0, 512]", r"matryoshka_dims has 0"),
        ("[128, 512]", '["128"]', r"'matryoshka_dims.0': .*valid integer; got '128'"),
        ('"MIT"', "[]", r"'licence': .*valid string; got \[\]"),
        ('licence = "MIT"', "", r"'licence': .*required"),
        ('id = "owner/model"', "", r"\(without id\).*'id': .*required"),
        ('["en"]', '"en"', r"'languages': .*array; got 'en'"),
        ('["text", "image"]', '["text", "audio"]', r"unknown modality 'audio'; expected.*fused"),
        ('["text", "image"]', "[]", r"no modality"),
        ('["text", "image"]', '["text-image"]', r"unknown backend 'sentence-transformers'"),
        ('"sentence-transformers"', '"torch"', r"unknown backend 'torch'; expected one of mini"),
        ('"sentence-transformers"', '"jina-m0"', r"unknown backend 'jina-m0'"),
        ('"a.onnx"', "1", r"'files.text': .*valid string; got 1"),
        ("value = 30", 'value = "30"', r"'results.0.value': .*valid number; got '30'"),
        ("value = 30", "value = 30, year = 2024", r"'results.0.year': Unexpected keyword"),
        (', source = "a paper"', "", r"'results.0.source': .*required"),
        ("dim = 512", "dim =", r"is not valid TOML"),
        ("[[model]]", "[model]", r"expected \[\[model\]\] tables only"),
        ("[[model]]", "[[models]]", r"holds \['models'\] at its top"),
        ('"COCO"', "7", r"'results.0.task': .*valid string; got 7"),
    ],
)
def test_a_bad_row_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in GOOD
    with pytest.raises(EncoderError, match=f"(?s)catalog.toml.*{message}"):
        load_catalog(write(tmp_path, GOOD.replace(old, new)))


def test_a_model_may_stand_there_once(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"'owner/model' occurs twice"):
        load_catalog(write(tmp_path, GOOD + GOOD))


def test_a_reranker_has_no_vectors(tmp_path: Path) -> None:
    text = GOOD.replace('["text", "image"]', '["text-image"]').replace(
        '"sentence-transformers"', '"cross-encoder"'
    )
    with pytest.raises(EncoderError, match=r"dim is 512; a reranker gives scores"):
        load_catalog(write(tmp_path, text))


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("openai/clip-vit-base-patch33", "openai/clip-vit-base-patch32"),
        ("clip-vit-base-patch32", "openai/clip-vit-base-patch32"),
        ("jina-clip-v2", "jinaai/jina-clip-v2"),
        ("Jinaai/Jina-Reranker-M0", "jinaai/jina-reranker-m0"),
        ("mini_clip", "mini-clip"),
        ("nomic-embed-vision", "nomic-ai/nomic-embed-vision-v1.5"),
        ("open_clip:PE-Core-B-16/mata", "open_clip:PE-Core-B-16/meta"),
        ("sentence-transformers/e5-base-v2", "intfloat/e5-base-v2"),  # another owner's
    ],
)
def test_an_unknown_model_gets_the_nearest_names(wrong: str, meant: str) -> None:
    with pytest.raises(EncoderError, match=re.escape(f"did you mean {meant}")):
        find_model(wrong)


def test_a_name_near_to_nothing_gets_none() -> None:
    with pytest.raises(EncoderError, match=r"'xyzzy'\. 'mmgap models' lists all"):
        find_model("xyzzy")


# What the bundled catalogue says


@pytest.mark.parametrize(
    "name",
    [
        "openai/clip-vit-base-patch32",
        "google/siglip-base-patch16-224",
        "google/siglip2-base-patch16-224",
        "google/siglip2-base-patch16-naflex",
        "jinaai/jina-clip-v2",
        "nomic-embed-v1.5",
        "nomic-ai/nomic-embed-text-v1.5",
        "jinaai/jina-reranker-m0",
        "vidore/colpali-v1.3-hf",
        "api:text-embedding-3-small",
    ],
)
def test_every_system_of_the_two_articles_has_its_row(name: str) -> None:
    assert MODELS[name].tested


def test_facts_that_decide_what_a_model_returns() -> None:
    jina, nomic = MODELS["jinaai/jina-clip-v2"], MODELS["nomic-embed-v1.5"]
    assert (jina.dim, jina.image_size, jina.commercial) == (1024, 512, False)
    assert jina.matryoshka_dims == (64, 128, 256, 512, 768, 1024)
    assert nomic.layer_norm
    assert (nomic.query_prompt, nomic.document_prompt) == ("search_query: ", "search_document: ")
    assert MODELS["google/siglip-so400m-patch14-224"].max_text_tokens == 16
    for name, facts in MODELS.items():
        if name.startswith("google/siglip"):
            assert facts.score == "sigmoid(scale * cosine + bias)"
        if "/e5-" in name or "-e5-" in name:
            assert (facts.query_prompt, facts.document_prompt) == ("query: ", "passage: ")
    assert MODELS["jinaai/jina-reranker-m0"].score == "sigmoid(logit - 2.65), in [0, 1]"


def test_the_articles_claims_of_one_index() -> None:
    one_index = {name for name, facts in MODELS.items() if facts.one_index}
    assert {"nomic-embed-v1.5", "mini-aligned"} <= one_index
    assert not {"openai/clip-vit-base-patch32", "google/siglip2-base-patch16-224"} & one_index


def test_published_results_have_a_source_and_are_percent() -> None:
    results = [result for facts in MODELS.values() for result in facts.results]
    assert len(results) > 100
    assert all(result.source for result in results)
    assert all(1 < result.value <= 100 for result in results)


def test_revisions_are_commits() -> None:
    revisions = [facts.revision for facts in MODELS.values() if facts.revision]
    revisions += [
        value
        for facts in MODELS.values()
        for key, value in facts.files.items()
        if key.endswith("revision")
    ]
    assert len(revisions) > 20
    assert all(re.fullmatch("[0-9a-f]{40}", revision) for revision in revisions)


def test_a_model_that_needs_remote_code_names_an_alternative_that_does_not() -> None:
    refused = [facts for facts in MODELS.values() if facts.remote_code]
    assert refused
    for facts in refused:
        if facts.alternative:
            assert not MODELS[facts.alternative].remote_code


def test_open_clip_models_are_as_open_clip_says() -> None:
    """Its own list and configurations are an independent source."""
    import open_clip

    listed = set(open_clip.list_pretrained())
    checked = 0
    for name, facts in MODELS.items():
        if facts.backend != "open-clip":
            continue
        architecture, tag = name.removeprefix("open_clip:").split("/")
        config = open_clip.get_model_config(architecture)
        size = config["vision_cfg"]["image_size"]
        assert (architecture, tag) in listed
        assert (facts.dim, facts.image_size) == (config["embed_dim"], size)
        assert facts.max_text_tokens == config["text_cfg"]["context_length"]
        checked += 1
    assert checked > 20


def test_bundled_encoders_are_as_their_files_say() -> None:
    import json

    from mmgap.encoders.mini import MAX_TEXT_TOKENS, MINI_IDS

    bundled = [name for name, facts in MODELS.items() if facts.backend == "mini"]
    assert bundled == [*MINI_IDS, "mini-reranker"]
    for name in MINI_IDS:
        config = json.loads((REPOSITORY / "data" / "models" / name / "config.json").read_text())
        facts = MODELS[name]
        assert (facts.dim, facts.image_size) == (config["dim"], config["image_size"])
        assert facts.max_text_tokens == MAX_TEXT_TOKENS
        assert ("sigmoid" in facts.score) == (config["loss"] == "sigmoid")


def test_the_page_of_all_models_is_current() -> None:
    page = subprocess.run(
        [sys.executable, "-c", "import model_table; print(model_table.page(), end='')"],
        cwd=REPOSITORY / "scripts",
        env={"PYTHONPATH": str(REPOSITORY)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert (REPOSITORY / "docs" / "models.md").read_text() == page, (
        "docs/models.md is old; run: python scripts/model_table.py"
    )
    assert all(f"| `{name}` |" in page for name in MODELS)


CORPORA = Path(mmgap.__file__).parent / "corpus" / "catalog.toml"


def test_the_catalogues_are_part_of_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    data = project["tool"]["setuptools"]["package-data"]["mmgap"]
    package = Path(mmgap.__file__).parent
    models = {package / name for name in data if name.endswith(".toml")} - {CORPORA}
    assert models == set(catalog._FILES)
    assert CORPORA.exists()
