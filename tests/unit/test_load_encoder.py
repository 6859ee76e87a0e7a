"""What a name means: which backend gets it, with which files, facts and options."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import mmgap
from mmgap import paths
from mmgap.encoders import load_encoder, loading
from mmgap.encoders.catalog import BACKENDS
from mmgap.errors import EncoderError, MissingExtraError, NonCommercialWarning
from mmgap.rerankers import load_reranker


class Recorded:
    """Stands in for a backend, and remembers how it was called."""

    def __init__(
        self,
        name: str,
        *,
        folder: Path | None = None,
        revision: str | None = None,
        device: str = "auto",
        dim: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self.name, self.folder = name, folder
        self.options = (revision, device, dim, trust_remote_code)


@pytest.fixture(autouse=True)
def _nothing_was_noted_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_warned", set())


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The backends that are asked for, in order; none is imported."""
    asked: list[str] = []

    name_of = {path: name for kind in BACKENDS.values() for name, path in kind.items()}

    def class_at(path: str) -> type[Recorded]:
        asked.append(name_of[path])
        return Recorded

    monkeypatch.setattr(loading, "_class_at", class_at)
    return asked


def folder_with(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("openai/clip-vit-base-patch32", "sentence-transformers"),
        ("google/siglip2-base-patch16-naflex", "sentence-transformers"),
        ("Qwen/Qwen3-VL-Embedding-2B", "sentence-transformers"),
        ("nomic-embed-v1.5", "onnx"),
        ("jinaai/jina-clip-v1", "onnx"),
        ("vidore/colqwen2-v1.0-hf", "multi-vector"),
        ("open_clip:PE-Core-B-16/meta", "open-clip"),
        ("api:text-embedding-3-small", "api"),
    ],
)
def test_an_id_of_the_catalogue_gets_its_backend(
    name: str, backend: str, backends: list[str]
) -> None:
    model = load_encoder(name)
    assert backends == [backend]
    assert model.name == name
    assert model.folder is None


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("owner/some-model.v1", "sentence-transformers"),
        ("open_clip:ViT-S-32/mine", "open-clip"),
        ("hf-hub:owner/model", "open-clip"),
        ("local-dir:/nowhere", "open-clip"),
    ],
)
def test_other_names_get_a_backend_too(name: str, backend: str, backends: list[str]) -> None:
    model = load_encoder(name, device="cpu", revision="abc")
    assert backends == [backend]
    assert model.name == name
    assert model.options == ("abc", "cpu", None, False)


def test_id_at_folder_takes_the_name_of_the_one_and_files_of_the_other(
    backends: list[str], tmp_path: Path
) -> None:
    model = load_encoder(f"openai/clip-vit-base-patch32@{tmp_path}", dim=512)
    assert backends == ["sentence-transformers"]
    assert model.name == "openai/clip-vit-base-patch32"
    assert model.folder == tmp_path
    assert model.options[2] == 512


def test_a_folder_may_have_an_at_in_its_name(backends: list[str], tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "me@home", {"config.json": {"model_type": "clip"}})
    assert load_encoder(str(folder)).name == str(folder)
    assert backends == ["sentence-transformers"]


@pytest.mark.parametrize("name", ["mini-clip@/no/such/folder", "mini-clip@", "@."])
def test_a_missing_folder_is_named(name: str) -> None:
    with pytest.raises(EncoderError, match=r"does not exist; expected ID@FOLDER"):
        load_encoder(name)


@pytest.mark.parametrize(
    ("files", "backend"),
    [
        ({"open_clip_config.json": {}, "config.json": {"model_type": "clip"}}, "open-clip"),
        ({"config.json": {"model_type": "colpali"}}, "multi-vector"),
        ({"config.json": {"model_type": "colqwen2"}}, "multi-vector"),
        ({"config.json": {"model_type": "colqwen2_5"}}, "multi-vector"),
        ({"config.json": {"model_type": "colmodernvbert"}}, "multi-vector"),
        (
            {"config_sentence_transformers.json": {"model_type": "MultiVectorEncoder"}},
            "multi-vector",
        ),
        ({"onnx/model.onnx": {}, "model.safetensors": {}}, "sentence-transformers"),
        ({"config.json": {"model_type": "siglip"}}, "sentence-transformers"),
        ({"config.json": ["damaged"]}, "sentence-transformers"),
        ({}, "sentence-transformers"),
    ],
)
def test_a_folder_gets_the_backend_that_its_files_ask_for(
    files: dict[str, Any], backend: str, backends: list[str], tmp_path: Path
) -> None:
    folder = folder_with(tmp_path, files)
    assert load_encoder(str(folder)).name == str(folder)
    named = load_encoder(f"owner/mine@{folder}")
    assert (named.name, named.folder) == ("owner/mine", folder)
    assert backends == [backend, backend]


def test_onnx_graphs_alone_do_not_say_whose_they_are(backends: list[str], tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {"onnx/model.onnx": {}, "config.json": {"model_type": "clip"}})
    with pytest.raises(EncoderError, match=r"ID@.*jinaai/jina-clip-v2"):
        load_encoder(str(folder))
    assert backends == []


@pytest.mark.parametrize(
    "files",
    [
        {"config.json": {"architectures": ["BertForSequenceClassification"]}},
        {"config.json": {"architectures": ["JinaVLForRanking"], "model_type": "qwen2_vl"}},
        {"config_sentence_transformers.json": {"model_type": "CrossEncoder"}},
    ],
)
def test_a_folder_with_a_reranker_is_no_encoder(files: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"holds a reranker.*use load_reranker"):
        load_encoder(str(folder_with(tmp_path, files)))


def test_backends_are_there() -> None:
    for path in (path for kind in BACKENDS.values() for path in kind.values()):
        assert loading._class_at(path).__name__ == path.partition(":")[2]


# Names that are no model


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mini-klip", "mini-clip"),
        ("jina-clip-v2", "jinaai/jina-clip-v2"),
        ("api:text-embedding-3-smal", "api:text-embedding-3-small"),
        ("./no/such/folder", "'mmgap models' lists all"),
    ],
)
def test_an_unknown_name_gets_the_nearest_ones(name: str, meant: str) -> None:
    with pytest.raises(EncoderError, match=f"neither a folder nor a hub id.*{meant}"):
        load_encoder(name)


def test_rerankers_are_not_offered_for_encoders_nor_the_other_way_round() -> None:
    with pytest.raises(EncoderError) as error:
        load_encoder("jina-reranker-m")
    assert "jinaai/jina-reranker-m0" not in str(error.value)
    with pytest.raises(EncoderError, match="did you mean jinaai/jina-reranker-m0"):
        load_reranker("jina-reranker-m")


def test_a_mistyped_hub_id_gets_the_nearest_name() -> None:
    with pytest.raises(EncoderError, match=r"hub.*did you mean openai/clip-vit-base-patch32"):
        load_encoder("openai/clip-vit-base-patch33")


def test_a_reranker_is_no_encoder_and_an_encoder_no_reranker() -> None:
    with pytest.raises(EncoderError, match="'jinaai/jina-reranker-m0' is a reranker"):
        load_encoder("jinaai/jina-reranker-m0")
    with pytest.raises(EncoderError, match=r"'mini-clip' is an encoder.*use load_encoder"):
        load_reranker("mini-clip")


# Options


def test_an_option_that_a_backend_has_not_is_named(backends: list[str]) -> None:
    known = "revision, device, dim, trust_remote_code"
    with pytest.raises(EncoderError, match=f"no option 'dimension'; its options are: {known}"):
        load_encoder("openai/clip-vit-base-patch32", dimension=256)
    assert backends


def test_a_bundled_encoder_says_which_options_it_takes() -> None:
    with pytest.raises(EncoderError, match="'mini-clip' takes no option 'device'"):
        load_encoder("mini-clip", device="cuda")


def test_a_bundled_encoder_from_a_folder() -> None:
    folder = paths.data_dir() / "models"
    bundled = load_encoder("mini-clip").info
    assert load_encoder(f"mini-clip@{folder}").info == bundled
    assert load_encoder(f"mini-clip@{folder / 'mini-clip'}").info == bundled


# Terms of use


def test_a_licence_against_commercial_use_is_noted_once(backends: list[str]) -> None:
    with pytest.warns(NonCommercialWarning, match=r"jina-clip-v2 is under CC-BY-NC-4\.0") as noted:
        load_encoder("jinaai/jina-clip-v2")
    assert noted[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_encoder("jinaai/jina-clip-v2")
        load_encoder("openai/clip-vit-base-patch32")
        load_encoder("api:jina-clip-v2")  # its terms are not established: nothing to note
    with pytest.warns(NonCommercialWarning, match="jina-reranker-m0"):
        load_reranker("jinaai/jina-reranker-m0")
    assert len(backends) == 5


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("nomic-ai/nomic-embed-vision-v1.5", "take 'nomic-embed-v1.5' instead"),
        ("jinaai/jina-embeddings-v4", "take 'api:jina-embeddings-v4' instead"),
        ("jinaai/jina-embeddings-v5-omni-nano", "read that code"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"trust_remote_code": True}, {"revision": "abc"}])
def test_code_from_the_hub_is_refused(
    name: str, instead: str, options: dict[str, Any], backends: list[str]
) -> None:
    with pytest.raises(EncoderError, match=f"only with Python code from the hub; {instead}"):
        load_encoder(name, **options)
    assert not backends


def test_code_from_the_hub_that_the_caller_trusts(backends: list[str]) -> None:
    name = "nomic-ai/nomic-embed-vision-v1.5"
    model = load_encoder(name, trust_remote_code=True, revision="abc")
    assert backends == ["sentence-transformers"]
    assert model.options == ("abc", "auto", None, True)


@pytest.mark.parametrize(
    ("name", "library", "extra"),
    [
        ("open_clip:ViT-B-32/openai", "open_clip", "open-clip"),
        ("nomic-embed-v1.5", "onnxruntime", "onnx"),
    ],
)
def test_a_missing_library_has_its_install_line(
    name: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch, backends: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=rf'{library}.*pip install "mmgap\[{extra}\]"'):
        load_encoder(name)
    assert not backends  # nothing was downloaded in vain


# Rerankers


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("jinaai/jina-reranker-m0", "jina-m0"),
        ("Qwen/Qwen3-VL-Reranker-2B", "cross-encoder"),
        ("api:jina-reranker-m0", "api"),
        ("owner/any-cross-encoder", "cross-encoder"),
    ],
)
@pytest.mark.filterwarnings("ignore::mmgap.errors.NonCommercialWarning")
def test_a_reranker_gets_its_backend(name: str, backend: str, backends: list[str]) -> None:
    model = load_reranker(name)
    assert backends == [backend]
    assert (model.name, model.folder) == (name, None)


@pytest.mark.parametrize(
    ("config", "backend"),
    [
        ({"architectures": ["JinaVLForRanking"], "model_type": "qwen2_vl"}, "jina-m0"),
        ({"architectures": ["BertForSequenceClassification"]}, "cross-encoder"),
        ({}, "cross-encoder"),
    ],
)
def test_a_folder_with_a_reranker_gets_its_backend(
    config: dict[str, Any], backend: str, backends: list[str], tmp_path: Path
) -> None:
    folder = folder_with(tmp_path, {"config.json": config})
    assert load_reranker(str(folder)).name == str(folder)
    named = load_reranker(f"Qwen/Qwen3-VL-Reranker-2B@{folder}")
    assert (named.folder, named.name) == (folder, "Qwen/Qwen3-VL-Reranker-2B")
    assert backends == [backend, "cross-encoder"]


def test_the_package_has_both_by_name() -> None:
    assert mmgap.load_encoder is load_encoder
    assert mmgap.load_reranker is load_reranker
