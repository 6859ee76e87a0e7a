import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

from mmgap.notebook import NotebookSettings, notebook
from mmgap.provenance import file_hash, git_commit, provenance, versions
from mmgap.settings import fast_mode


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), ("", False)])
def test_fast_mode_follows_the_environment(monkeypatch, value, expected):
    monkeypatch.setenv("MMGAP_FAST", value)
    assert fast_mode() is expected
    settings = NotebookSettings("x", fast=fast_mode())
    assert settings.size(full=100, fast=3) == (3 if expected else 100)


def test_fast_mode_is_off_by_default(monkeypatch):
    monkeypatch.delenv("MMGAP_FAST", raising=False)
    assert not fast_mode()


def test_notebook_applies_the_notebook_style():
    with mpl.rc_context():
        settings = notebook("00_start_here", seed=3)
        assert mpl.rcParams["svg.hashsalt"] == "mmgap"
        assert mpl.rcParams["figure.constrained_layout.use"]
    assert (settings.name, settings.seed) == ("00_start_here", 3)


def test_streams_repeat_and_differ():
    settings = NotebookSettings("x", seed=1)
    first, again, other = (settings.rng(s).normal(size=5) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(first, NotebookSettings("x", seed=2).rng().normal(size=5))


def test_provenance_is_fit_to_be_committed(tmp_path):
    data = tmp_path / "corpus.jsonl"
    data.write_bytes(b"abc")
    table = provenance(seed=7, files=[data])
    assert table.loc["seed", "value"] == "7"
    assert table.loc["sha256 of corpus.jsonl", "value"] == "ba7816bf8f01"
    text = table.to_csv()
    assert str(tmp_path) not in text
    assert not re.search(r"\b20\d\d-\d\d", text)
    assert text == provenance(seed=7, files=[data]).to_csv()


def test_versions_leave_out_what_is_not_installed():
    found = versions(["numpy", "surely-not-installed"])
    assert list(found) == ["python", "numpy"]
    assert found["numpy"] == np.__version__


def test_commit_is_unknown_outside_a_repository(monkeypatch, tmp_path):
    module = sys.modules["mmgap.provenance"]
    monkeypatch.setattr(module, "__file__", str(tmp_path / "mmgap" / "provenance.py"))
    assert git_commit() == "unknown"


def test_file_hash_reads_the_bytes(tmp_path):
    (tmp_path / "empty").touch()
    assert file_hash(tmp_path / "empty") == "e3b0c44298fc"


def test_settings_need_no_matplotlib():
    imports = "import sys, mmgap.notebook, mmgap.settings, mmgap.provenance"
    code = f"{imports}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
