"""``mmgap models``, run as a process runs it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mmgap.encoders.catalog import all_models

ENCODERS = [facts for facts in all_models() if not facts.is_reranker]


def mmgap(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "mmgap.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


def listed(*arguments: str) -> set[str]:
    """Ids in the table, whose number the last line must give."""
    done = mmgap("models", *arguments)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    cells = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    found = [cell for cell in cells if cell]
    assert lines[-1].startswith(f"{len(found)} models;")
    return set(found)


def test_all_encoders_are_listed_and_no_reranker() -> None:
    assert listed() == {facts.id for facts in ENCODERS}


def test_rerankers_are_listed_on_request() -> None:
    assert "jinaai/jina-reranker-m0" in listed("--rerank")
    assert "mini-clip" not in listed("--rerank")


def test_filters() -> None:
    commercial = listed("--licence", "commercial")
    assert "openai/clip-vit-base-patch32" in commercial
    assert not {"jinaai/jina-clip-v2", "open_clip:ViT-H-14/dfn5b"} & commercial  # no; not known
    assert listed("--licence", "non-commercial") == {
        facts.id for facts in ENCODERS if facts.commercial is False
    }
    assert listed("--licence", "mit") == {f.id for f in ENCODERS if f.licence == "MIT"}

    german = listed("--languages", "de")
    assert {"jinaai/jina-clip-v2", "intfloat/multilingual-e5-base"} <= german
    assert not {"openai/clip-vit-base-patch32", "intfloat/e5-base-v2"} & german
    assert "mini-clip" in listed("--languages", "en")

    small = listed("--max-params", "100")
    assert "mini-clip" in small
    assert "openai/clip-vit-base-patch32" not in small  # 151 million
    assert "api:text-embedding-3-small" not in small  # of unknown size

    assert listed("--one-index", "--licence", "commercial", "--max-params", "300") == {
        *("mini-aligned", "nomic-embed-v1.5"),
        *("nomic-ai/nomic-embed-text-v1.5", "nomic-ai/nomic-embed-vision-v1.5"),
    }


def test_a_language_is_two_letters() -> None:
    done = mmgap("models", "--languages", "German")
    assert done.returncode == 2
    assert "'german'; expected ISO 639-1 codes" in done.stderr


def test_show_says_all_with_sources() -> None:
    done = mmgap("models", "show", "jinaai/jina-clip-v2")
    assert done.returncode == 0, done.stderr
    facts = next(facts for facts in ENCODERS if facts.id == "jinaai/jina-clip-v2")
    for said in (facts.licence, facts.revision, facts.notes, "commercial use:      no", "1024"):
        assert said is not None
        assert said in done.stdout
    for result in facts.results:
        assert f"{result.value:g}  [{result.source}]" in done.stdout
    assert "mmgap.load_encoder('jinaai/jina-clip-v2')" in done.stdout


def test_show_says_what_is_not_known() -> None:
    done = mmgap("models", "show", "facebook/metaclip-2-worldwide-b32")
    assert "dimensions:          not established" in done.stdout
    assert "revision:            none pinned" in done.stdout


def test_show_a_reranker() -> None:
    done = mmgap("models", "show", "jinaai/jina-reranker-m0")
    assert "sigmoid(logit - 2.65), in [0, 1]" in done.stdout
    assert "dimensions" not in done.stdout
    assert "mmgap.load_reranker('jinaai/jina-reranker-m0')" in done.stdout


@pytest.mark.parametrize("command", ["show", "check"])
def test_an_unknown_model_is_one_line_and_exit_code_2(command: str) -> None:
    done = mmgap("models", command, "jinaai/jina-clip-v3")
    assert done.returncode == 2
    assert "did you mean jinaai/jina-clip-v" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_passes_and_fails_by_exit_code() -> None:
    code = (
        "import sys; from mmgap.rerankers import check; "
        "from mmgap.encoders.check import CheckResult; "
        "check.check_model = lambda name: [CheckResult('dimensions', {}, '32', '384'), "
        "CheckResult('norm', True, '1', '1'), CheckResult('licence', None, 'no card', 'MIT')]; "
        "from mmgap.cli import main; sys.argv = ['mmgap', 'models', 'check', 'a']; main()"
    )
    lines = {}
    for passed in (True, False):
        done = subprocess.run(
            [sys.executable, "-c", code.format(passed)], capture_output=True, text=True
        )
        assert done.returncode == (0 if passed else 1), done.stderr
        lines[passed] = done.stdout.splitlines()
    assert lines[False] == [
        "FAIL  dimensions: 32 (expected 384)",
        "PASS  norm: 1 (expected 1)",
        "-     licence: no card (expected MIT)",
        "a: 1 passed, 1 failed, 1 not checked",
    ]
    assert lines[True][0].startswith("PASS")
    assert lines[True][-1] == "a: 2 passed, 0 failed, 1 not checked"


@pytest.mark.parametrize("command", [[], ["show"], ["check"]])
def test_every_help_shows_an_example(command: list[str]) -> None:
    done = mmgap("models", *command, "--help", COLUMNS="120")
    assert done.returncode == 0
    assert "Example: mmgap models" in done.stdout
