from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_onnx
import torch
from PIL import Image
from tiny_onnx import CLIP_PIXELS, JINA_PIXELS, SIDE, WIDTH, Graph, towers

from mmgap.encoders import Encoder, load_encoder
from mmgap.encoders.catalog import find_model
from mmgap.encoders.onnx import (
    OnnxEncoder,
    OnnxGraph,
    PixelRecipe,
    TextTokenizer,
    pixel_recipe,
)
from mmgap.errors import EncoderError

V1, V2, NOMIC = "jinaai/jina-clip-v1", "jinaai/jina-clip-v2", "nomic-embed-v1.5"
WRITERS: dict[str, Callable[[Path], Path]] = {
    V1: tiny_onnx.write_jina_v1,
    V2: tiny_onnx.write_jina_v2,
    NOMIC: tiny_onnx.write_nomic,
}
INSTRUCTION = "Represent the query for retrieving evidence documents: "
TEXTS = ["a photo of the black cat", "dog", "white dog sits on the red mat : a cat", ""]


def drawings() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    shapes = [(40, 31), (16, 16), (20, 64), (64, 21), (9, 9)]
    return [Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("onnx")
    return {name: write(root / name.split("/")[-1]) for name, write in WRITERS.items()}


@pytest.fixture(scope="module")
def encoders(folders: dict[str, Path]) -> dict[str, OnnxEncoder]:
    return {name: OnnxEncoder(name, folder=folder) for name, folder in folders.items()}


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    def copied(name: str) -> Path:
        return Path(shutil.copytree(folders[name], tmp_path / name.split("/")[-1]))

    return copied


# --- the same towers in torch, with the tokenizers and image processors of transformers -----------


def tokens(folder: Path, texts: list[str], max_length: int):
    from transformers import PreTrainedTokenizerFast

    pad = json.loads((folder / "tokenizer_config.json").read_text())["pad_token"]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token=pad
    )
    options = {"padding": True, "truncation": True, "max_length": max_length}
    batch = tokenizer(texts, return_tensors="pt", **options)
    return batch["input_ids"], batch["attention_mask"]


def pixels() -> torch.Tensor:
    from transformers import CLIPImageProcessorPil

    square = {"height": SIDE, "width": SIDE}
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=square)
    return processor(drawings(), return_tensors="pt")["pixel_values"]


def mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def expected(name: str, folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Raw vectors of TEXTS, as documents, and of the images."""
    text_tower, image_tower = towers()
    if name == NOMIC:
        folder = folder / "nomic-embed-text-v1.5"
        ids, mask = tokens(folder, [f"search_document: {text}" for text in TEXTS], 8192)
        states = mean(text_tower(ids, mask), mask)
        texts = torch.nn.functional.layer_norm(states, (WIDTH,))
        return texts, image_tower(pixels())[:, 0]
    ids, mask = tokens(folder, TEXTS, 32)
    texts = mean(text_tower(ids, mask), mask)
    if name == V2:  # its processor is open_clip's transform
        from open_clip import image_transform

        transform = image_transform(SIDE, is_train=False)
        return texts, image_tower(torch.stack([transform(each) for each in drawings()]))[:, 0]
    return texts, image_tower(pixels())[:, 0]


@pytest.mark.parametrize("name", WRITERS)
def test_equals_torch(name: str, folders: dict[str, Path], encoders: dict[str, Encoder]) -> None:
    texts, images = expected(name, folders[name])
    encoder = encoders[name]
    for vectors in (texts, images):  # the tiny model tells its inputs apart
        assert vectors.std(dim=0).norm() > 0.05 * vectors.norm(dim=1).mean()
    np.testing.assert_allclose(encoder.encode_text(TEXTS, normalize=False), texts, atol=2e-5)
    np.testing.assert_allclose(
        encoder.encode_images(drawings(), normalize=False), images, atol=2e-5
    )
    unit = texts / texts.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(encoder.encode_text(TEXTS), unit, atol=1e-5)


# --- Jina CLIP v2: one graph ----------------------------------------------------------------------


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, np.ndarray]]]:
    """What the graphs are given, and what is asked of them."""
    runs = []
    run = OnnxGraph.run

    def record(self: OnnxGraph, feeds: dict[str, np.ndarray], output: str) -> np.ndarray:
        runs.append((output, dict(feeds)))
        return run(self, feeds, output)

    monkeypatch.setattr(OnnxGraph, "run", record)
    return runs


def test_jina_v2_gets_no_image_with_a_text_and_one_token_with_an_image(
    encoders: dict[str, OnnxEncoder], fed: list
) -> None:
    encoders[V2].encode_text(TEXTS)
    ((output, feeds),) = fed
    assert output == "text_embeddings"  # not the normalised one, which cannot be cut
    assert feeds["pixel_values"].shape == (0, 3, SIDE, SIDE)
    fed.clear()
    encoders[V2].encode_images(drawings())
    ((output, feeds),) = fed
    assert output == "image_embeddings"
    np.testing.assert_array_equal(feeds["input_ids"], np.ones((5, 1)))


def test_jina_v2_is_cut_first_and_normalised_then(folders: dict[str, Path]) -> None:
    facts = replace(find_model(V2), matryoshka_dims=(8, 16, 1024))
    full = OnnxEncoder(V2, folder=folders[V2], facts=facts)
    short = OnnxEncoder(V2, folder=folders[V2], facts=facts, dim=8)
    raw = full.encode_images(drawings(), normalize=False)
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).min() > 0.1
    np.testing.assert_array_equal(short.encode_images(drawings(), normalize=False), raw[:, :8])
    cut = raw[:, :8] / np.linalg.norm(raw[:, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(short.encode_images(drawings()), cut, atol=1e-6)
    assert short.info.dim == 8
    assert short.info.matryoshka_dims == (8, 16)
    assert short.info.fingerprint != full.info.fingerprint


def test_jina_v2_has_an_instruction_only_when_asked(
    folders: dict[str, Path], encoders: dict[str, Encoder]
) -> None:
    plain, query = encoders[V2], ["black cat"]
    np.testing.assert_array_equal(plain.encode_text(query, role="query"), plain.encode_text(query))
    told = OnnxEncoder(V2, folder=folders[V2], query_prompt=INSTRUCTION)
    np.testing.assert_allclose(
        told.encode_text(query, role="query"),
        plain.encode_text([INSTRUCTION + query[0]]),
        atol=1e-6,
    )
    np.testing.assert_array_equal(told.encode_text(query), plain.encode_text(query))
    assert told.info.fingerprint != plain.info.fingerprint


# --- Nomic: two repositories, one space -----------------------------------------------------------


def test_nomic_texts_have_a_prefix_each(encoders: dict[str, OnnxEncoder], fed: list) -> None:
    encoder = encoders[NOMIC]
    as_document = encoder.encode_text(["black cat"])
    as_query = encoder.encode_text(["black cat"], role="query")
    assert np.abs(as_document - as_query).max() > 0.01
    document_ids, query_ids = (feeds["input_ids"][0].tolist() for _, feeds in fed)
    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *tiny_onnx.WORDS]
    spelled = [[words[number] for number in ids] for ids in (document_ids, query_ids)]
    assert spelled == [
        ["[CLS]", "search_document", ":", "black", "cat", "[SEP]"],
        ["[CLS]", "search_query", ":", "black", "cat", "[SEP]"],
    ]


def test_nomic_is_layer_normed_then_cut_then_normalised(folders: dict[str, Path]) -> None:
    facts = replace(find_model(NOMIC), matryoshka_dims=(8, 16))
    encoder = OnnxEncoder(NOMIC, folder=folders[NOMIC], facts=facts, dim=8)
    texts, images = expected(NOMIC, folders[NOMIC])
    assert abs(texts.mean(dim=1)).max() < 1e-5
    assert images.mean(dim=1).abs().max() > 0.1  # images get no layer norm
    for vectors, ours in (
        (texts, encoder.encode_text(TEXTS)),
        (images, encoder.encode_images(drawings())),
    ):
        short = vectors[:, :8] / vectors[:, :8].norm(dim=1, keepdim=True)
        np.testing.assert_allclose(ours, short, atol=1e-5)


def test_nomic_vision_alone_is_no_encoder(folders: dict[str, Path]) -> None:
    """Nothing in its repository says how its token states become a vector."""
    vision = folders[NOMIC] / "nomic-embed-vision-v1.5"
    with pytest.raises(EncoderError, match="whose model its files do not name"):
        load_encoder(str(vision))


def test_nomic_repositories_are_looked_for_by_name(copy: Callable[[str], Path]) -> None:
    folder = copy(NOMIC)
    shutil.rmtree(folder / "nomic-embed-vision-v1.5")
    with pytest.raises(
        EncoderError,
        match=r"no folder 'nomic-embed-vision-v1.5'.*hf download nomic-ai/nomic-embed-vision-v1.5",
    ):
        load_encoder(f"{NOMIC}@{folder}")


def tokens_of(encoder: OnnxEncoder, *texts: str) -> list[list[int]]:
    return encoder._tokenize.cut(texts)


# --- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [V1, V2, NOMIC])
def test_padding_and_cutting_of_the_tokenizer_file_are_left_out_of_account(
    name: str, encoders: dict[str, OnnxEncoder]
) -> None:
    """The files pad to 9 and cut to 5."""
    ids, mask = encoders[name]._tokenize.pad(
        tokens_of(encoders[name], "the cat sits on the", "dog")
    )
    assert ids.shape == (2, 7)
    assert mask.tolist() == [[1] * 7, [1, 1, 1, 0, 0, 0, 0]]
    assert set(ids[1, 3:]) == {1 if name == V2 else 0}


def test_long_texts_are_cut_and_keep_their_end(folders: dict[str, Path]) -> None:
    facts = replace(find_model(V1), max_text_tokens=6)
    encoder = OnnxEncoder(V1, folder=folders[V1], facts=facts)
    kept, cut = encoder.encode_text(["the cat sits on", "the cat sits on the mat"])
    np.testing.assert_allclose(cut, kept, atol=1e-6)
    (ids,) = tokens_of(encoder, "the cat sits on the mat")
    assert ids[-1] == 2  # [SEP]
    assert encoder.info.max_text_tokens == 6


@pytest.mark.parametrize(
    "pad", [None, {"content": "[PAD]", "lstrip": False}, "special_tokens_map.json"]
)
def test_the_padding_token_is_found(pad: object, copy: Callable[[str], Path]) -> None:
    folder = copy(V1)
    settings = {} if pad is None or pad == "special_tokens_map.json" else {"pad_token": pad}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if pad == "special_tokens_map.json":
        (folder / pad).write_text(json.dumps({"pad_token": "[UNK]"}))
        assert TextTokenizer(folder, None).pad_id == 3
    else:
        assert TextTokenizer(folder, None).pad_id == 0  # also out of tokenizer.json itself


def test_without_a_padding_token_it_stops(copy: Callable[[str], Path]) -> None:
    folder = copy(V1)
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<none>"}))
    with pytest.raises(EncoderError, match=r"names no padding token \(found '<none>'\)"):
        OnnxEncoder(V1, folder=folder)


# --- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        CLIP_PIXELS,
        {**CLIP_PIXELS, "size": 24, "crop_size": 16},  # as older files write it
        {**CLIP_PIXELS, "crop_size": {"height": 20, "width": 24}},  # larger than the image
        {**CLIP_PIXELS, "size": {"height": 20, "width": 12}, "do_center_crop": False},
        {**CLIP_PIXELS, "resample": 2},
        {**CLIP_PIXELS, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 0.01},
    ],
)
def test_pixels_are_those_of_transformers(config: dict) -> None:
    from transformers import CLIPImageProcessorPil

    recipe = pixel_recipe(config)
    theirs = CLIPImageProcessorPil(**config)(drawings(), return_tensors="np")["pixel_values"]
    np.testing.assert_allclose([recipe(each) for each in drawings()], theirs, atol=1e-5)


@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_pixels_of_jina_are_those_of_open_clip(mode: str) -> None:
    from open_clip import image_transform

    recipe = pixel_recipe({**JINA_PIXELS, "resize_mode": mode})
    transform = image_transform(SIDE, is_train=False, resize_mode=mode)
    odd = [
        Image.linear_gradient("L").convert("RGB").resize((16, 16 + extra)) for extra in (1, 3, 5)
    ]
    for image in [*drawings(), *odd]:
        np.testing.assert_allclose(recipe(image), transform(image), atol=1e-5)


def test_pixels_by_hand() -> None:
    recipe = PixelRecipe(size=2, crop=(2, 2), mean=(0.5, 0.0, 0.0), std=(0.5, 1.0, 2.0))
    image = Image.new("RGB", (4, 2), (255, 0, 51))
    np.testing.assert_allclose(recipe(image)[:, 0, 0], [1.0, 0.0, 0.1], atol=1e-6)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({**CLIP_PIXELS, "do_center_crop": False}, "many shapes"),
        ({**CLIP_PIXELS, "image_mean": [0.5]}, "1 numbers for mean"),
        ({"image_processor_type": "CLIPImageProcessor"}, "'size'"),
        ({**JINA_PIXELS, "resize_mode": "longest"}, "expected shortest or squash"),
        ([], "prepare an image"),
    ],
)
def test_an_image_processor_of_another_kind_is_refused(
    config: object, problem: str, copy: Callable[[str], Path]
) -> None:
    folder = copy(V1)
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match=problem):
        OnnxEncoder(V1, folder=folder)


# --- files ----------------------------------------------------------------------------------------


def test_facts(encoders: dict[str, Encoder]) -> None:
    info = encoders[V2].info
    assert (info.id, info.backend, info.licence) == (V2, "onnx", "CC-BY-NC-4.0")
    assert (info.image_size, info.max_text_tokens) == (SIDE, 8192)
    assert info.logit_scale is None
    assert info.revision is None  # these are not the files of the pinned commit


def test_a_variant_is_another_file(folders: dict[str, Path], encoders: dict[str, Encoder]) -> None:
    half = OnnxEncoder(V1, folder=folders[V1], variant="fp16")
    exact, close = encoders[V1].encode_text(TEXTS), half.encode_text(TEXTS)
    assert close.dtype == np.float32
    assert (exact * close).sum(axis=1).min() > 0.999
    assert not np.array_equal(exact, close)
    images = half.encode_images(drawings())
    assert (encoders[V1].encode_images(drawings()) * images).sum(axis=1).min() > 0.999
    assert half.info.fingerprint != encoders[V1].info.fingerprint
    with pytest.raises(EncoderError, match=r"no onnx/text_model_q4\.onnx.* onnx/text_model_fp16"):
        OnnxEncoder(V1, folder=folders[V1], variant="q4")


@pytest.mark.parametrize(
    "file",
    [
        "onnx/model.onnx",
        "onnx/model.onnx_data",
        "tokenizer.json",
        "tokenizer_config.json",
        "preprocessor_config.json",
    ],
)
def test_fingerprint_is_of_the_files_that_are_used(
    file: str, copy: Callable[[str], Path], encoders: dict[str, Encoder]
) -> None:
    folder = copy(V2)
    (folder / "onnx" / "model_fp16.onnx").write_bytes(b"not used")
    (folder / "onnx" / "model_fp16.onnx_data").write_bytes(b"not used")
    (folder / "README.md").write_text("another card")
    assert OnnxEncoder(V2, folder=folder).info.fingerprint == encoders[V2].info.fingerprint
    path = folder / file
    data = bytearray(path.read_bytes())
    if file.endswith("_data"):
        data[1] ^= 1  # one bit of one weight
    elif file.endswith(".onnx"):
        data += b"\x12\x03abc"  # another name of the producer
    else:
        data += b"\n"
    path.write_bytes(data)
    assert OnnxEncoder(V2, folder=folder).info.fingerprint != encoders[V2].info.fingerprint


def test_graphs_may_lie_beside_the_tokenizer(
    copy: Callable[[str], Path], encoders: dict[str, Encoder]
) -> None:
    folder = copy(V1)
    for file in (folder / "onnx").iterdir():
        file.rename(folder / file.name)
    (folder / "onnx").rmdir()
    encoder = OnnxEncoder(V1, folder=folder)
    np.testing.assert_array_equal(encoder.encode_text(TEXTS), encoders[V1].encode_text(TEXTS))
    assert encoder.info.fingerprint == encoders[V1].info.fingerprint


@pytest.mark.filterwarnings("ignore::mmgap.errors.NonCommercialWarning")
@pytest.mark.parametrize("name", [V1, V2, NOMIC])
def test_the_catalogues_models_load_out_of_the_hubs_cache(
    name: str,
    folders: dict[str, Path],
    encoders: dict[str, Encoder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under their pinned commits, as the hub's own client lays them out: links to blobs."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    facts = find_model(name)
    repositories = {name: (facts.revision, folders[name])}
    if name == NOMIC:
        repositories = {
            facts.files[f"{side}_repo"]: (
                facts.files[f"{side}_revision"],
                folders[name] / facts.files[f"{side}_repo"].split("/")[1],
            )
            for side in ("text", "image")
        }
    for repository, (revision, folder) in repositories.items():
        cached = tmp_path / f"models--{repository.replace('/', '--')}"
        (cached / "blobs").mkdir(parents=True)
        for number, file in enumerate(path for path in folder.rglob("*") if path.is_file()):
            blob = shutil.copy(file, cached / "blobs" / f"{number:040}")
            link = cached / "snapshots" / revision / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
    encoder = load_encoder(name)
    np.testing.assert_array_equal(encoder.encode_text(TEXTS), encoders[name].encode_text(TEXTS))
    assert encoder.info.revision == facts.revision
    assert encoder.info.fingerprint == encoders[name].info.fingerprint


@pytest.mark.filterwarnings("ignore::mmgap.errors.NonCommercialWarning")
@pytest.mark.parametrize(
    ("name", "repository"), [(V1, V1), (V2, V2), (NOMIC, "nomic-ai/nomic-embed-text-v1.5")]
)
def test_without_network_it_says_what_to_download(
    name: str, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EncoderError, match=f"hf download {repository} --revision"):
        load_encoder(name)


def test_only_what_is_needed_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmgap.encoders.onnx import find_tower

    asked = []

    def refuse(name: str, revision: str | None, *, files: list[str]) -> Path:
        asked.append((name, revision, files))
        raise EncoderError(name)

    monkeypatch.setattr("mmgap.encoders.onnx.local_folder", refuse)
    facts = find_model(V2)
    with pytest.raises(EncoderError):
        find_tower(facts, "text", None, "abc", "fp16")
    assert asked == [(V2, "abc", ["onnx/model_fp16.onnx*", "*.json", "README.md"])]


def test_no_torch_is_needed(folders: dict[str, Path]) -> None:
    code = (
        "import sys; sys.modules.update(torch=None, transformers=None, torchvision=None)\n"
        "from pathlib import Path; from PIL import Image\n"
        "from mmgap.encoders.onnx import OnnxEncoder\n"
        f"encoder = OnnxEncoder({V2!r}, folder=Path({str(folders[V2])!r}))\n"
        "print(encoder.encode_text(['a cat']).shape)\n"
        "print(encoder.encode_images([Image.new('RGB', (20, 30))]).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == ["(1, 16)", "(1, 16)"], done.stderr


# --- what can go wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (
            "onnx/text_model.onnx",
            r"text_model\.onnx; it holds onnx/text_model_fp16\.onnx, onnx/vis",
        ),
        ("tokenizer.json", r"holds no tokenizer\.json"),
        ("preprocessor_config.json", r"holds no preprocessor_config\.json"),
    ],
)
def test_a_missing_file_is_named(file: str, problem: str, copy: Callable[[str], Path]) -> None:
    folder = copy(V1)
    (folder / file).unlink()
    with pytest.raises(EncoderError, match=problem):
        OnnxEncoder(V1, folder=folder)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("onnx/model.onnx", "cannot be loaded"),
        ("onnx/model.onnx_data", "cannot be loaded"),
        ("tokenizer.json", "cannot be read"),
        ("preprocessor_config.json", "does not say how to prepare an image"),
    ],
)
def test_a_damaged_file_is_named(file: str, problem: str, copy: Callable[[str], Path]) -> None:
    folder = copy(V2)
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: len(data) // 2])
    with pytest.raises(EncoderError, match=problem):
        OnnxEncoder(V2, folder=folder)


def test_towers_of_two_models_do_not_fit(tmp_path: Path) -> None:
    folder = tiny_onnx.write_jina_v1(tmp_path / "clip", width=12)
    with pytest.raises(EncoderError, match=r"gives 16 numbers, the image tower .* 12"):
        OnnxEncoder(V1, folder=folder)


def test_swapped_towers_are_noticed(copy: Callable[[str], Path]) -> None:
    folder = copy(V1)
    shutil.copy(folder / "onnx" / "text_model.onnx", folder / "onnx" / "vision_model.onnx")
    with pytest.raises(EncoderError, match="Is it the text tower"):
        OnnxEncoder(V1, folder=folder)


def test_an_output_of_another_name_is_taken(tmp_path: Path, encoders: dict[str, Encoder]) -> None:
    folder = tiny_onnx.write_jina_v1(tmp_path / "clip", names=("sentence_embedding", "output"))
    encoder = OnnxEncoder(V1, folder=folder)
    np.testing.assert_array_equal(encoder.encode_text(TEXTS), encoders[V1].encode_text(TEXTS))


def test_an_input_nobody_knows_is_refused(copy: Callable[[str], Path]) -> None:
    folder = copy(V1)
    graph = Graph()
    graph.input("input_ids", ["batch", "tokens"])
    graph.input("task_id", ["batch"])
    words = graph.op("Gather", towers()[0].words, "input_ids", axis=0)
    flat = graph.op("ReduceSum", words, np.int64([1]), keepdims=0)
    graph.output(flat, "text_embeds", ["n", WIDTH])
    graph.save(folder / "onnx" / "text_model.onnx")
    with pytest.raises(EncoderError, match="has the input 'task_id'"):
        OnnxEncoder(V1, folder=folder)


@pytest.mark.parametrize(
    ("device", "problem"), [("mps", "run on cpu or cuda"), ("cuda", "this onnxruntime has no CUDA")]
)
def test_devices(device: str, problem: str, folders: dict[str, Path]) -> None:
    import onnxruntime

    if device == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(EncoderError, match=problem):
        OnnxEncoder(V1, folder=folders[V1], device=device)
