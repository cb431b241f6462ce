from pathlib import Path

import numpy as np
import pytest
import torch

from iconoclip import models
from iconoclip.embed import decode_image, embed_images, embed_texts
from iconoclip.errors import ModelError, ShardError

TEXTS = ["a lion", "a ship", "a tower", "an eagle", "a rose", "a bridge", "a horse"]


@pytest.fixture
def model(tiny_model_dir: Path) -> models.Model:
    return models.load(f"local-dir:{tiny_model_dir}")


def test_rows_have_unit_length_and_keep_their_order(model: models.Model, make_jpeg):
    texts = embed_texts(model, TEXTS, batch_size=3)
    images = embed_images(model, make_jpeg, 7, batch_size=3)
    assert texts.shape == images.shape == (7, 32)
    assert texts.dtype == np.float32
    assert np.linalg.norm(texts, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(images, axis=1) == pytest.approx(1, abs=1e-5)
    assert embed_texts(model, TEXTS[4:5]) == pytest.approx(texts[4:5], abs=1e-5)
    assert embed_images(model, lambda _: make_jpeg(5), 1) == pytest.approx(images[5:6], abs=1e-5)


def test_every_batch_has_the_same_size_so_that_a_row_does_not_depend_on_the_rest(model: models.Model):
    sizes = []
    encode = model.module.encode_text

    def spy(tokens, **more):
        sizes.append(len(tokens))
        return encode(tokens, **more)

    model.module.encode_text = spy
    whole = embed_texts(model, TEXTS, batch_size=4)
    part = embed_texts(model, TEXTS[4:], batch_size=4)
    assert sizes == [4, 4, 4]
    # Rows 4 to 6 are the same batch whether or not another stood before it.
    assert (whole[4:] == part).all()


def test_nothing_to_embed_gives_no_rows(model: models.Model, make_jpeg):
    assert len(embed_texts(model, [])) == 0
    assert len(embed_images(model, make_jpeg, 0)) == 0


def test_a_broken_picture_is_named(model: models.Model, make_jpeg):
    with pytest.raises(ShardError, match="picture 2: cannot be decoded"):
        embed_images(model, lambda i: make_jpeg(i) if i != 2 else b"no picture", 5)


def test_embeddings_that_are_no_numbers_are_an_error(model: models.Model):
    with torch.no_grad():
        model.module.text_projection.fill_(float("nan"))
    with pytest.raises(ModelError, match="2 of 2 embeddings are not numbers"):
        embed_texts(model, TEXTS[:2])


def test_the_model_is_left_in_the_mode_it_was_in(model: models.Model):
    model.module.train()
    embed_texts(model, TEXTS[:2])
    assert model.module.training


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_a_batch_holds_the_bits_of_open_clips_own_transform(model: models.Model, make_jpeg, resize_mode: str):
    model.module.visual.preprocess_cfg = model.preprocess_cfg | {"resize_mode": resize_mode, "mean": (0.48, 0.45, 0.4)}
    seen = []
    encode = model.module.encode_image

    def spy(images, **more):
        seen.append(images.clone())
        return encode(images, **more)

    model.module.encode_image = spy
    pictures = [make_jpeg(number, (40 + 9 * number, 33 + 5 * number)) for number in range(6)]
    embed_images(model, pictures.__getitem__, 6, batch_size=6)
    for row, data in zip(seen[0], pictures, strict=True):
        assert torch.equal(row, model.preprocess(decode_image(data, name="")))


def test_a_transform_of_another_form_is_applied_as_it_is(model: models.Model, make_jpeg, monkeypatch):
    whole = model.preprocess
    expected = embed_images(model, make_jpeg, 3)
    monkeypatch.setattr(models.Model, "preprocess", property(lambda _: lambda image: whole(image)))
    assert (embed_images(model, make_jpeg, 3) == expected).all()
