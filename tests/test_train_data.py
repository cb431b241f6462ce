"""From shards to batches: what is chosen, drawn, cropped and replaced."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from iconoclip import models
from iconoclip.errors import ConfigError, ShardError
from iconoclip.records import Caption, fold_of
from iconoclip.shards import open_shards
from train import captions, data
from train.config import AugmentConfig, CaptionConfig, TrainConfig
from train.losses.base import MAX_NOTATIONS
from train.pictures import PictureReader
from train.pool import Pool, num_folds, open_pool

ENGLISH_FRENCH = (Caption("en one", "en", "t"), Caption("en two", "en", "t"), Caption("fr one", "fr", "t"))


def _config(root: Path | str, **changes: Any) -> TrainConfig:
    base: dict[str, Any] = {
        "verb": "train",
        "out": "unused",
        "model": "tiny:random",
        "data": str(root),
        "batch_size": 4,
        "epochs": 2,
        "loss": "softmax",
        "optim": {"lr": 1e-3},
        "validation": None,
    }
    return TrainConfig.validate_data({k: v for k, v in (base | changes).items() if v is not None}, where="test")


def _reader(pool: Pool, config: TrainConfig, tokenizer: Any, *, cache_bytes: int = 0) -> data.SampleReader:
    return data.SampleReader(
        pool=pool,
        pictures=PictureReader(16, "bicubic", "shortest", 0, config.augment),
        tokenizer=tokenizer,
        captions=config.captions,
        seed=config.seed,
        cache_bytes=cache_bytes,
    )


def _tokenize(texts: list[str]) -> torch.Tensor:
    return torch.tensor([[len(text), sum(text.encode())] for text in texts])


def test_rotation_goes_round_languages_and_then_captions() -> None:
    config = CaptionConfig(draw="rotate")
    drawn = [captions.draw(ENGLISH_FRENCH, config, seed=0, epoch=epoch, key="a").text for epoch in range(4)]
    assert sorted(drawn) == ["en one", "en two", "fr one", "fr one"]
    assert drawn[0][:2] != drawn[1][:2]


def test_languages_are_drawn_evenly_however_many_captions_each_has() -> None:
    drawn = [captions.draw(ENGLISH_FRENCH, CaptionConfig(), seed=0, epoch=0, key=str(n)).lang for n in range(2000)]
    assert 900 < drawn.count("fr") < 1100  # a binomial of 2,000 halves: 3 standard deviations are 67


def test_a_draw_depends_on_seed_epoch_and_key_alone() -> None:
    def draw(seed: int, epoch: int) -> list[str]:
        config = CaptionConfig()
        return [captions.draw(ENGLISH_FRENCH, config, seed=seed, epoch=epoch, key=str(n)).text for n in range(20)]

    assert draw(0, 0) == draw(0, 0)
    assert draw(0, 0) != draw(0, 1)
    assert draw(0, 0) != draw(1, 0)


def test_captions_are_chosen_by_language_level_and_author() -> None:
    texts = (
        Caption("a", "en", "t", "page"),
        Caption("b", "fr", "t", "series"),
        Caption("c", "fr", "t", "page", machine=True),
        Caption("  ", "fr", "t", "page"),
    )

    def kept(**options: Any) -> list[str]:
        return [caption.text for caption in captions.usable(texts, CaptionConfig(**options))]

    assert kept() == ["a", "b", "c"]
    assert kept(languages=["fr"]) == ["b", "c"]
    assert kept(levels=["page"], machine=False) == ["a"]


def cut(reader: PictureReader, image: Image.Image, seed: int = 0) -> np.ndarray:
    """A random crop of a picture that is decoded already."""
    return reader.crop(np.array(image), image.size, reader.draw(image.size, np.random.default_rng(seed)))


@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_a_crop_is_deterministic_and_keeps_left_and_right(mode: str) -> None:
    image = Image.new("RGB", (64, 48), "white")
    image.paste("black", (0, 0, 20, 48))  # dark on the left
    reader = PictureReader(16, "bicubic", mode, 0, AugmentConfig(scale=(0.5, 1.0)))
    crops = [cut(reader, image, seed) for seed in (0, 0, *range(20))]
    assert np.array_equal(crops[0], crops[1])
    assert all(crop.shape == (3, 16, 16) and crop.dtype == np.uint8 for crop in crops)
    assert len({crop.tobytes() for crop in crops}) > 10
    assert all(crop[:, :, :4].mean() <= crop[:, :, -4:].mean() for crop in crops)


def test_longest_keeps_the_whole_crop_and_pads() -> None:
    image = Image.new("RGB", (64, 32), (10, 20, 30))
    pixels = cut(PictureReader(16, "bicubic", "longest", 255, AugmentConfig()), image)
    assert (pixels[:, :3] == 255).all()
    assert (pixels[:, -3:] == 255).all()
    assert pixels[:, 8, 8].tolist() == [10, 20, 30]


def test_without_augmentation_the_crop_is_the_evaluation_transform(tiny_model_dir: Path) -> None:
    model = models.load(str(tiny_model_dir))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 32, 3), dtype=np.uint8))
    reader = PictureReader.for_model(32, model.preprocess_cfg, AugmentConfig(scale=(1.0, 1.0)))
    ours = cut(reader, image).astype(np.float32) / 255
    mean, std = (np.array(model.preprocess_cfg[name])[:, None, None] for name in ("mean", "std"))
    theirs = model.preprocess(image).numpy() * std + mean
    assert np.abs(ours - theirs).max() < 0.02


def test_a_very_long_picture_is_cropped_in_the_middle() -> None:
    image = Image.new("RGB", (400, 4), "red")
    pixels = cut(PictureReader(16, "bicubic", "squash", 0, AugmentConfig()), image)
    assert pixels.shape == (3, 16, 16)


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("size", [(301, 223), (419, 611), (1203, 1601)])
def test_a_scaled_jpeg_gives_the_crop_of_the_whole_one(mode: str, size: tuple[int, int]) -> None:
    width, height = size
    across, down = np.arange(width)[None, :] / width, np.arange(height)[:, None] / height
    grey = 128 + 90 * np.sin(70 * across) * np.cos(50 * down) + np.random.default_rng(1).normal(0, 3, (height, width))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB").save(buffer, "JPEG", quality=92)
    reader = PictureReader(64, "bicubic", mode, 0, AugmentConfig(scale=(0.6, 1.0)))
    data, factors = buffer.getvalue(), set()
    assert reader.measure(data, name="x") == size
    for seed in range(8):
        crop = reader.draw(size, np.random.default_rng(seed))
        factors.add(crop.factor)
        part, whole = (reader.decode(data, factor=each, name="x") for each in (crop.factor, 1))
        assert part.shape == (-(-height // crop.factor), -(-width // crop.factor), 3)
        error = reader.crop(part, size, crop).astype(float) - reader.crop(whole, size, crop)
        assert 10 * np.log10(255**2 / np.mean(error**2)) > 36
    assert max(factors) > 1


def test_what_is_no_picture_is_named(make_jpeg: Callable[..., bytes]) -> None:
    reader = PictureReader(64, "bicubic", "shortest", 0, AugmentConfig())
    for broken in (b"not a picture", make_jpeg(1)[:400]):
        with pytest.raises(ShardError, match="x: cannot be decoded"):
            reader.decode(broken, factor=1, name="x")
    with pytest.raises(ShardError, match="x: cannot be decoded"):
        reader.measure(b"not a picture", name="x")


def test_decoded_pictures_that_are_kept_change_nothing(make_shards: Callable[..., Path]) -> None:
    config = _config(make_shards(num_records=40))
    pool, batches = open_pool(config), []
    for cache_bytes in (0, 20_000, 10**9):
        reader = _reader(pool, config, _tokenize, cache_bytes=cache_bytes)
        batches.append([reader[range(start, start + 12)] for start in (0, 12, 24, 0, 36)])
    for several in zip(*batches, strict=True):
        assert all(np.array_equal(several[0].images, each.images) for each in several)
        assert all(several[0].keys == each.keys for each in several)


def test_a_fold_leaves_out_its_works_and_no_other_collection(make_shards: Callable[..., Path]) -> None:
    root = make_shards(num_records=80)
    records = open_shards(root, "train").records()
    seen: list[str] = []
    for fold in range(5):
        pool = open_pool(_config(root, fold=fold))
        kept = {pool.sets[0].keys[position] for position in pool.position_of}
        left_out = [record for record in records if record.key not in kept]
        assert all(record.source == "prints" for record in left_out)
        assert all(fold_of(record.work_group, folds=5, salt="test") == fold for record in left_out)
        seen += [record.key for record in left_out]
    assert sorted(seen) == sorted(record.key for record in records if record.source == "prints")
    assert num_folds(_config(root, fold="all")) == 5


def test_a_source_is_narrowed_by_collection_and_language(make_shards: Callable[..., Path]) -> None:
    root = make_shards(num_records=80)
    config = _config(root, data={"path": str(root), "collections": ["photos"]}, captions={"languages": ["fr"]})
    pool = open_pool(config)
    chosen = [pool.sets[0].record(int(position)) for position in pool.position_of]
    assert {(record.source, record.captions[0].lang) for record in chosen} == {("photos", "fr")}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"captions": {"languages": ["pt"]}}, "no sample is left"),
        ({"fold": 7}, "fold: got 7, .* has folds 0 to 4"),
    ],
)
def test_a_choice_that_leaves_nothing_is_an_error(
    changes: dict[str, Any], words: str, make_shards: Callable[..., Path]
) -> None:
    with pytest.raises(ConfigError, match=words):
        open_pool(_config(make_shards(), **changes))


def test_an_unknown_collection_is_named(make_shards: Callable[..., Path]) -> None:
    root = make_shards()
    with pytest.raises(ConfigError, match="has no collection postcards"):
        open_pool(_config(root, data={"path": str(root), "collections": ["postcards", "prints"]}))


def test_folds_of_shards_without_folds_are_an_error(make_shards: Callable[..., Path]) -> None:
    root = make_shards()
    with pytest.raises(ConfigError, match="prepare them with `holdout: folds`"):
        num_folds(_config(root / "train", fold="all"))


def _keys(pool: Pool, config: TrainConfig, *, world: int, workers: int, steps: range) -> list[list[str]]:
    """Keys of each global batch, in order."""
    reader = _reader(pool, config, _tokenize)
    per_rank = []
    for rank in range(world):
        chunks = data.Chunks(steps.start, steps.stop, batch_size=config.batch_size, rank=rank, world=world)
        per_rank.append(list(data.read_batches(reader, chunks, workers=workers, pin_memory=False)))
    return [[key for rank in range(world) for key in per_rank[rank][step].keys] for step in range(len(steps))]


@pytest.mark.parametrize("max_per_shard", [5, 1000])
def test_the_stream_is_the_same_for_every_number_of_processes_and_workers(
    max_per_shard: int, make_shards: Callable[..., Path]
) -> None:
    config = _config(make_shards(num_records=60, max_per_shard=max_per_shard))
    pool = open_pool(config)
    expected = _keys(pool, config, world=1, workers=0, steps=range(20))
    first_epoch = [key for batch in expected for key in batch][: pool.num_samples]
    assert sorted(first_epoch) == sorted(pool.sets[0].keys)
    assert _keys(pool, config, world=2, workers=0, steps=range(20)) == expected
    assert _keys(pool, config, world=4, workers=0, steps=range(20)) == expected
    assert _keys(pool, config, world=2, workers=0, steps=range(13, 20)) == expected[13:]


def test_workers_read_the_same_pixels_and_tokens(make_shards: Callable[..., Path]) -> None:
    config = _config(make_shards(num_records=40))
    # numpy's own function stands for a tokenizer: a worker can import it, and nothing else with it.
    reader = _reader(open_pool(config), config, np.char.str_len, cache_bytes=10**6)
    chunks = data.Chunks(0, 3, batch_size=4, rank=0, world=1)
    here, there = (list(data.read_batches(reader, chunks, workers=n, pin_memory=False)) for n in (0, 2))
    for a, b in zip(here, there, strict=True):
        assert a.keys == b.keys
        assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("images", "tokens", "groups"))


def test_equal_captions_and_works_have_equal_numbers(make_shards: Callable[..., Path]) -> None:
    config = _config(make_shards(num_records=40))
    pool = open_pool(config)
    batch = _reader(pool, config, _tokenize)[range(pool.num_samples)]
    record_of = {record.key: record for record in pool.sets[0].records()}
    works = [record_of[key].work_group for key in batch.keys]
    for i in range(len(works)):
        for j in range(i):
            assert (batch.groups[i, 2] == batch.groups[j, 2]).item() == (works[i] == works[j])
            assert batch.groups[i, 0] != batch.groups[j, 0]
    assert batch.groups.shape == (pool.num_samples, 3 + MAX_NOTATIONS)
    assert (batch.groups[:, 3] == batch.groups[0, 3]).all()  # 71E11 all of them
    assert not batch.groups[:, 4:].any()


def _damage(root: Path, key: str) -> None:
    shard_set = open_shards(root, "train")
    position = shard_set.keys.index(key)
    path, offset = shard_set.paths[shard_set.shard_of[position]], int(shard_set.offsets["jpg"][position])
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\0" * 64)


def test_a_broken_picture_is_replaced_and_named_and_moves_no_other(make_shards: Callable[..., Path]) -> None:
    root = make_shards(num_records=40)
    config = _config(root)
    pool = open_pool(config)
    whole = _reader(pool, config, _tokenize)[range(pool.num_samples)]
    bad = whole.keys[5]
    _damage(root, bad)
    batch = _reader(pool, config, _tokenize)[range(pool.num_samples)]
    assert len(batch.problems) == 1
    assert bad in batch.problems[0]
    assert batch.keys[5] == whole.keys[6]
    assert batch.keys[:5] + batch.keys[6:] == whole.keys[:5] + whole.keys[6:]


def test_a_set_of_broken_pictures_fails_with_the_last_of_them(make_shards: Callable[..., Path]) -> None:
    root = make_shards(num_records=24)
    for key in open_shards(root, "train").keys:
        _damage(root, key)
    config = _config(root)
    chunks = data.Chunks(0, 1, batch_size=4, rank=0, world=1)
    with pytest.raises(ShardError, match=r"one after the other cannot be read; the last: .*cannot be decoded"):
        list(data.read_batches(_reader(open_pool(config), config, _tokenize), chunks, workers=0, pin_memory=False))


def test_tars_from_elsewhere_are_read_with_their_text(make_shards: Callable[..., Path]) -> None:
    root = make_shards(num_records=24)
    config = _config(str(root / "train" / "*.tar"), captions={"draw": "default"})
    batch = _reader(open_pool(config), config, list)[range(4)]
    texts = {record.key: record.captions[0].text for record in open_shards(root, "train").records()}
    assert batch.tokens == [texts[key] for key in batch.keys]
