"""Shared fixtures: where the real data lie, a very small model, a shard set made on the spot.

Markers ``real``, ``services``, ``browser`` and ``peers`` need things that a user's machine may not have. A fixture
that misses one calls :func:`_missing`: the test is skipped with the reason, or fails where ``ICONOCLIP_REQUIRE``
names the marker.
"""

import csv
import io
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ranks import Crew
    from servers.iipimage import Programs
    from servers.slurm import Slurm

# Before torch, datasets and huggingface_hub are imported, and inherited by every process that a test starts.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["MPLBACKEND"] = "Agg"
os.environ["PYTHONSAFEPATH"] = "1"  # `eval` and `train` in a test's working folder must not shadow ours
_CACHE = Path(tempfile.mkdtemp(prefix="iconoclip-tests-"))
os.environ["XDG_CACHE_HOME"] = str(_CACHE)
os.environ["HF_HOME"] = str(_CACHE / "huggingface")
os.environ["MPLCONFIGDIR"] = str(_CACHE / "matplotlib")
os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(_CACHE / "inductor")
for _secret in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY"):
    os.environ.pop(_secret, None)

ROOT = Path(__file__).resolve().parents[1]

LANGUAGES = ("en", "fr", "nl")
COLLECTIONS = (("prints", "Museum One"), ("photos", "Library Two"))
_NOUNS = {
    "en": ("a lion", "a ship", "a tower", "an eagle", "a rose", "a bridge", "a horse"),
    "fr": ("un lion", "un navire", "une tour", "un aigle", "une rose", "un pont", "un cheval"),
    "nl": ("een leeuw", "een schip", "een toren", "een adelaar", "een roos", "een brug", "een paard"),
}
_VIEWS = {"en": "drawn, view", "fr": "dessin, vue", "nl": "tekening, gezicht"}


def _required() -> set[str]:
    return {name.strip() for name in os.environ.get("ICONOCLIP_REQUIRE", "").split(",") if name.strip()}


def _missing(marker: str, reason: str) -> None:
    if marker in _required():
        pytest.fail(f"ICONOCLIP_REQUIRE={marker}: {reason}")
    pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a misspelt marker name: it would silently require nothing."""
    unknown = _required() - {"real", "services", "browser", "peers"}
    if unknown:
        raise pytest.UsageError(f"ICONOCLIP_REQUIRE: unknown {', '.join(sorted(unknown))}")
    # Workers of loaders and ranks of runs are forked from one process that has imported what they need.
    multiprocessing.get_context("forkserver").set_forkserver_preload(["torch", "open_clip", "train.loop"])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the cache folder of this process."""
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture
def missing() -> Callable[[str, str], None]:
    """``missing("peers", reason)`` skips the test, or fails it where ``ICONOCLIP_REQUIRE`` says so."""
    return _missing


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Folder beside the checkout with real data and test tools; ``ICONOCLIP_SHARED`` names another."""
    folder = Path(os.environ.get("ICONOCLIP_SHARED") or ROOT.parent / "shared")
    if folder.name == "data":
        folder = folder.parent
    if not (folder / "data" / "COLLECTIONS.md").is_file():
        _missing("real", f"no real data in {folder}; set ICONOCLIP_SHARED to the folder that holds data/")
    return folder.resolve()


@pytest.fixture(scope="session")
def shared_data(shared_folder: Path) -> Path:
    """Real pictures and metadata: ``images/``, ``annotations/``, ``responses/``."""
    return shared_folder / "data"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    _missing("browser", "no Chromium; `apt-get install chromium` on Debian")
    raise AssertionError


@pytest.fixture(scope="session")
def peers() -> Path:
    """Overlay folder with the peers' versions; put it first on PYTHONPATH."""
    folder = Path(os.environ.get("ICONOCLIP_PEERS") or ROOT / ".peers")
    if not (folder / "webdataset").is_dir():
        _missing("peers", f"no peers overlay in {folder}; run `make peers`")
    return folder


@pytest.fixture(scope="session")
def slurm() -> Iterator["Slurm"]:
    """A Slurm of two nodes on this machine, started once; see ``servers/slurm.py``."""
    from servers.slurm import Slurm, find_programs

    programs = find_programs()
    if programs is None:
        _missing("services", "no Slurm or no munge; `make services` installs them on Debian")
    assert programs is not None
    with Slurm(programs) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def iipimage() -> "Programs":
    """Where lighttpd and Debian's iipimage are, for ``servers.iipimage.IipImage``."""
    from servers.iipimage import find_programs

    found = find_programs()
    if found is None:
        _missing("services", "no iipimage-server or no lighttpd; `make services` installs them on Debian")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def crew() -> Iterator["Crew"]:
    """Four processes that play the ranks of a distributed run; see ``ranks.py``."""
    from ranks import Crew

    members = Crew()
    yield members
    members.close()


@pytest.fixture(scope="session")
def tiny_model_dir(model_dirs: Callable[[str], Path]) -> Path:
    """Model folder: 2 layers, width 32, pictures of 32 px, CLIP's own tokenizer, random weights of seed 0."""
    return model_dirs("clip")


@pytest.fixture(scope="session")
def model_dirs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``model_dirs(kind)``: a very small model folder of an architecture, made offline, once per session.

    ``clip`` has CLIP's own towers and tokenizer; ``siglip2`` a timm image tower, a bias and a tokenizer from
    ``tokenizer.json``; ``xlm_roberta`` a text tower of transformers, recorded by its Hub id and ``text/config.json``.
    """
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            made[kind] = _model_dir(tmp_path_factory.mktemp(f"tiny_{kind}"), kind)
        return made[kind]

    return make


@pytest.fixture
def make_jpeg() -> Callable[..., bytes]:
    """``make_jpeg(number, size_px=(48, 40))``: a small picture, another for each number, the same on every machine."""
    return _jpeg


@pytest.fixture
def make_record() -> Callable[..., "object"]:
    """``make_record(number, split="train")``: a full record; two views in a row belong to one work."""
    return _record


@pytest.fixture
def make_shards(tmp_path: Path, write_shards: Callable[..., Path]) -> Callable[..., Path]:
    """Like ``write_shards``, by default into ``shards`` of the test's own folder."""
    return lambda root=None, **options: write_shards(root or tmp_path / "shards", **options)


@pytest.fixture(scope="session")
def write_shards() -> Callable[..., Path]:
    """``write_shards(root, num_records=24, eval_collections=("saints",), max_per_shard=1000)`` -> root of a shard set.

    Records alternate between two collections and three languages; two views make a work and stay in one split. Of
    every ten works six are in train, two in val and two in test. ``eval_collections`` adds ``eval/<name>`` splits whose
    captions are labels.
    """

    def write(
        root: Path,
        *,
        num_records: int = 24,
        splits: Sequence[str] = ("train", "val", "test"),
        eval_collections: Sequence[str] = (),
        max_per_shard: int = 1000,
        name: str = "toy",
    ) -> Path:
        _write_set(root, num_records, tuple(splits), tuple(eval_collections), max_per_shard, name)
        return root

    return write


@pytest.fixture
def write_config(tmp_path: Path, make_shards: Callable[..., Path], tiny_model_dir: Path) -> Callable[..., Path]:
    """``write_config(out, **changes)`` -> a configuration of a run of 12 steps on 40 records, 7 of 8 pairs an epoch."""
    root = make_shards(num_records=40)

    def write(out: str = "run", **changes: object) -> Path:
        data: dict[str, object] = {
            "verb": "train",
            "out": str(tmp_path / out),
            "model": f"{tiny_model_dir}:random",
            "data": str(root),
            "batch_size": 8,
            "samples": 96,
            "loss": "softmax",
            "optim": {"lr": 1e-3},
            "checkpoint": {"every": 4},
            "log": {"every": 1},
        }
        path = tmp_path / f"{out}.yaml"
        path.write_text(json.dumps({k: v for k, v in (data | changes).items() if v is not None}))
        return path

    return write


@pytest.fixture(scope="session")
def small_evaluation(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Path:
    """Folder like ``runs/demo`` of 170 small shields: ``shards``, two models ``model`` and ``other``, and ``eval``.

    Nothing is trained, so figures mean nothing. The benchmarks are ``shields``, by blazons in four languages, and
    ``colours``, shields by the colour of their field.
    """
    from data_prep.config import PrepConfig
    from data_prep.pipeline import run_prep
    from eval.benchmark_new import new_benchmark
    from eval.config import EvalConfig
    from eval.explore import open_set, write_class_folders
    from eval.run import run_evaluation
    from iconoclip import models

    home = tmp_path_factory.mktemp("small_evaluation")
    overrides = [f"out={home / 'shards'}", "image.max_px=48", "split.test=0.5", "workers=1"]
    overrides += ["collections.armorial.num_records=170", "collections.armorial.size_px=48"]
    run_prep(PrepConfig.load(ROOT / "iconoclip" / "demo" / "prep.yaml", overrides))
    shutil.copytree(tiny_model_dir, home / "model")
    models.save(models.load(f"{tiny_model_dir}:random", seed=1), home / "other")
    colours = ("Argent", "Azure", "Gules", "Or", "Purpure", "Sable", "Vert")
    first_words = {colour: colour for colour in colours}
    write_class_folders(
        open_set(home / "shards", split="test"),
        lambda record: first_words.get(record.captions[0].text.split(",")[0], ""),
        home / "colours",
    )
    new_benchmark(home / "colours")
    config = {
        "verb": "eval",
        "out": str(home / "eval"),
        "shards": str(home / "shards"),
        "models": [{"name": str(home / "model"), "label": "one"}, {"name": str(home / "other"), "label": "other"}],
        "benchmarks": [
            {"kind": "shard_retrieval", "name": "shields", "captions": "language"},
            {"kind": "file", "name": "colours", "path": str(home / "colours" / "benchmark.yaml"), "probes": False},
        ],
        "resamples": 1000,
    }
    run_evaluation(EvalConfig.validate_data(config, where="small_evaluation"))
    return home


def _model_dir(folder: Path, kind: str) -> Path:
    from iconoclip import models

    vit = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    timm = {"image_size": 32, "timm_model_name": "test_vit", "timm_model_pretrained": False, "timm_pool": "avg"}
    siglip = {
        **text,
        "vocab_size": 64,
        "hf_tokenizer_name": "timm/ViT-B-16-SigLIP2-256",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "no_causal_mask": True,
        "pool_type": "last",
    }
    roberta = {
        "context_length": 24,
        "hf_model_name": "FacebookAI/xlm-roberta-base",
        "hf_tokenizer_name": "FacebookAI/xlm-roberta-base",
        "hf_pooler_type": "mean_pooler",
        "hf_proj_type": "linear",
    }
    model_cfg = {
        "clip": {"embed_dim": 32, "vision_cfg": vit, "text_cfg": text},
        "siglip2": {
            "embed_dim": 32,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": timm,
            "text_cfg": siglip,
        },
        "xlm_roberta": {"embed_dim": 32, "vision_cfg": vit, "text_cfg": roberta},
    }[kind]
    preprocess_cfg = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "longest"}
    (folder / models.CONFIG_NAME).write_text(json.dumps({"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}))
    if kind != "clip":
        _write_tokenizer(folder)
    if kind == "xlm_roberta":
        _write_roberta_config(folder / "text")
    models.save(models.load(f"{folder}:random", seed=0), folder)
    return folder


def _write_tokenizer(folder: Path) -> None:
    """A tokenizer of 64 entries, trained on the captions of these tests."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    words = [noun for nouns in _NOUNS.values() for noun in nouns]
    tokenizer.train_from_iterator(words, trainers.BpeTrainer(vocab_size=64, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=24,
    ).save_pretrained(folder)


def _write_roberta_config(folder: Path) -> None:
    from transformers import XLMRobertaConfig

    folder.mkdir()
    XLMRobertaConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        pad_token_id=1,
    ).to_json_file(str(folder / "config.json"))


def _jpeg(number: int, size_px: tuple[int, int] = (48, 40)) -> bytes:
    from PIL import Image, ImageDraw

    colour = ((number * 67) % 256, (number * 131) % 256, (number * 29) % 256)
    image = Image.new("RGB", size_px, colour)
    draw = ImageDraw.Draw(image)
    left, top = (number * 7) % (size_px[0] // 2), (number * 5) % (size_px[1] // 2)
    draw.ellipse((left, top, left + 16, top + 12), fill=tuple(255 - part for part in colour))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _record(number: int, split: str = "train", *, label: str = "", collection: tuple[str, str] | None = None):
    from iconoclip.records import Caption, Record, Rights

    work = number // 2
    source, institution = collection or COLLECTIONS[work % len(COLLECTIONS)]
    language = LANGUAGES[work % len(LANGUAGES)]
    nouns = _NOUNS[language]
    text = label or f"{nouns[work % len(nouns)]}, {_VIEWS[language]} {number}"
    return Record(
        id=f"{source}-{number:04d}",
        source=source,
        institution=institution,
        page_url=f"https://example.org/{source}/{number}",
        title=text,
        captions=(Caption(text, language, "label" if label else "title", "page"),),
        creator="Anonymous",
        date_text="1888-05-01",
        year_min=1888,
        year_max=1888,
        iconclass=("71E11",),
        rights=(
            Rights("work", uri="http://creativecommons.org/publicdomain/mark/1.0/", asserted_by=institution),
            Rights("metadata", uri="http://creativecommons.org/publicdomain/zero/1.0/", asserted_by=institution),
        ),
        rights_class="public_domain",
        attribution=f"{institution}, no. {number}",
        width=48,
        height=40,
        work_group=f"{source}:work-{work}",
        split=split,
    )


def _split_of(number: int, splits: tuple[str, ...]) -> str:
    wanted = ("train",) * 6 + ("val",) * 2 + ("test",) * 2
    split = wanted[(number // 2) * 7 % 10]
    return split if split in splits else splits[0]


def _write_set(
    root: Path, num_records: int, splits: tuple[str, ...], evals: tuple[str, ...], max_per_shard: int, name: str
) -> None:
    from iconoclip import shards

    by_split = {split: [] for split in splits}
    for number in range(num_records):
        split = _split_of(number, splits)
        by_split[split].append((number, _record(number, split)))
    for place, collection in enumerate(evals):
        split, labels = f"eval/{collection}", ("lion", "ship", "tower")
        numbers = range(10_000 * (place + 1), 10_000 * (place + 1) + 12)
        by_split[split] = [
            (n, _record(n, split, label=labels[n // 2 % 3], collection=(collection, "Archive Three"))) for n in numbers
        ]
    infos = []
    for split, rows in by_split.items():
        placed = []
        stem = split.removeprefix("eval/") if split.startswith("eval/") else name
        for part, start in enumerate(range(0, len(rows), max_per_shard)):
            samples = [
                shards.Sample(_jpeg(number), record.captions[0].text, record)
                for number, record in rows[start : start + max_per_shard]
            ]
            info, where = shards.write_shard(root, f"{split}/{stem}-{part:05d}.tar", samples)
            infos.append(info)
            placed += where
        shards.write_ledger(root, split, placed, [record for _, record in rows])
    _write_attribution(root, [record for rows in by_split.values() for _, record in rows])
    shards.Manifest(
        shards=tuple(infos),
        config_sha256="0" * 64,
        software={"iconoclip": "test"},
        created="2026-01-01T00:00:00Z",
        counts={"harvested": sum(map(len, by_split.values())), "kept": sum(map(len, by_split.values()))},
        config={"verb": "prep", "name": name},
        holdout={"salt": "test", "folds": 5, "fold_sources": ["prints"]},
    ).write(root)


def _write_attribution(root: Path, records: list) -> None:
    with (root / "ATTRIBUTION.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("key", "id", "institution", "title", "creator", "rights", "attribution", "page_url"))
        for record in records:
            row = (record.key, record.id, record.institution, record.title, record.creator)
            table.writerow((*row, record.rights[0].uri, record.attribution, record.page_url))
