"""The losses by hand, and against open_clip's; their gradients over several processes are in test_train_step.py."""

import math

import pytest
import torch
from torch import Tensor

from iconoclip import plugins
from train.losses.base import Loss

GROUPS = torch.tensor([[1, 10, 100], [2, 20, 100], [3, 30, 300]])


def _loss(kind: str, **options: str) -> Loss:
    return plugins.load("train.losses", kind, Loss).model_validate({"kind": kind, **options})


def _compute(
    loss: Loss, image: Tensor, text: Tensor, groups: Tensor, *, scale: float = 1.0, bias: float = 0.0
) -> float:
    value = loss.compute(
        image,
        text,
        scale=torch.tensor(scale, dtype=image.dtype),
        bias=torch.tensor(bias, dtype=image.dtype),
        groups_LC=groups,
        offset=0,
        gather=lambda rows: rows,
    )
    return float(value)


def test_softmax_by_hand() -> None:
    # Two pairs at right angles, factor 1: logits are the identity. Each row, both ways: -ln(e / (e + 1)).
    eye = torch.eye(2, dtype=torch.float64)
    expected = -math.log(math.e / (math.e + 1))
    assert _compute(_loss("softmax"), eye, eye, GROUPS[[0, 2]]) == pytest.approx(expected)


def test_sigmoid_by_hand() -> None:
    # Factor 2, bias -1: own pairs have logit 1, the two others -1. (2 ln(1 + e^-1) + 2 ln(1 + e^-1)) / 2 pictures.
    eye = torch.eye(2, dtype=torch.float64)
    expected = 2 * math.log(1 + math.exp(-1))
    assert _compute(_loss("sigmoid"), eye, eye, GROUPS[[0, 2]], scale=2.0, bias=-1.0) == pytest.approx(expected)


def test_equal_captions_are_right_for_both_pictures() -> None:
    eye = torch.eye(2, dtype=torch.float64)
    same = torch.tensor([[1, 10, 100], [2, 10, 200]])
    # Softmax: the target is half and half, so each row costs ln(e + 1) - (1 + 0) / 2.
    assert _compute(_loss("softmax"), eye, eye, same) == pytest.approx(math.log(math.e + 1) - 0.5)
    # As negatives it is plain CLIP again.
    plain = _compute(_loss("softmax", same_caption="negative"), eye, eye, same)
    assert plain == pytest.approx(-math.log(math.e / (math.e + 1)))
    # Ignored: nothing is left to tell apart.
    assert _compute(_loss("softmax", same_caption="ignore"), eye, eye, same) == pytest.approx(0.0)
    # Sigmoid, factor 1, bias 0: all four are yes: 2 ln(1 + e^-1) for logit 1 and 2 ln 2 for logit 0, by 2 pictures.
    expected = math.log(1 + math.exp(-1)) + math.log(2)
    assert _compute(_loss("sigmoid"), eye, eye, same) == pytest.approx(expected)
    # Sigmoid, ignored: only the own pairs count.
    ignored = _compute(_loss("sigmoid", same_caption="ignore"), eye, eye, same)
    assert ignored == pytest.approx(math.log(1 + math.exp(-1)))


def test_relations_of_a_process_further_on() -> None:
    # Local rows are samples 1 and 2 of three; 0 and 1 are views of one work.
    positive, ignored = _loss("softmax", same_work="ignore").relations(GROUPS[1:], GROUPS, 1)
    assert positive.tolist() == [[False, True, False], [False, False, True]]
    assert ignored.tolist() == [[True, False, False], [False, False, False]]


def test_a_positive_is_never_ignored() -> None:
    groups = torch.tensor([[1, 10, 100], [1, 20, 100]])  # the same picture twice, with two captions
    positive, ignored = _loss("softmax", same_work="ignore").relations(groups, groups, 0)
    assert positive.all()
    assert not ignored.any()


def test_each_kind_of_likeness_can_be_positive_or_ignored() -> None:
    # Sample 0 shares with 1 the picture, with 2 the caption, with 3 the work, with 4 one of two notations.
    groups = torch.tensor(
        [
            [1, 10, 100, 7, 8],
            [1, 20, 200, 0, 0],
            [3, 10, 300, 0, 0],
            [4, 40, 100, 0, 0],
            [5, 50, 500, 8, 9],
        ]
    )
    for column, name in enumerate(("same_picture", "same_caption", "same_work", "same_iconclass"), start=1):
        kinds = dict.fromkeys(("same_picture", "same_caption", "same_work", "same_iconclass"), "negative")
        for relation in ("positive", "ignore", "negative"):
            loss = _loss("sigmoid", **(kinds | {name: relation}))
            positive, ignored = loss.relations(groups[:1], groups, 0)
            expected = [number in (0, column) for number in range(5)]
            alone = [True, False, False, False, False]
            assert positive[0].tolist() == (expected if relation == "positive" else alone)
            assert ignored[0].tolist() == ([n == column for n in range(5)] if relation == "ignore" else [False] * 5)
    # Samples without a notation have none in common, though both columns are 0.
    positive, _ = _loss("softmax", same_iconclass="positive", same_caption="negative").relations(groups, groups, 0)
    assert not positive[1, 2]


def test_positive_goes_before_ignore() -> None:
    groups = torch.tensor([[1, 10, 100, 7], [2, 10, 100, 7]])
    loss = _loss("softmax", same_work="ignore", same_iconclass="ignore")
    positive, ignored = loss.relations(groups, groups, 0)
    assert positive.all()
    assert not ignored.any()


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_masked_pairs_have_no_gradient(kind: str) -> None:
    # Two works of one notation, ignored: for sigmoid nothing but the own pairs is left, so at the factor and bias of
    # their optimum the gradient only pulls each pair together, whatever the other's embedding is.
    image = torch.eye(3, dtype=torch.float64)[:2].requires_grad_()
    text = torch.eye(3, dtype=torch.float64)[:2].requires_grad_()
    groups = torch.tensor([[1, 10, 100, 7], [2, 20, 200, 7]])
    loss = _loss(kind, same_iconclass="ignore")
    one = torch.tensor(1.0, dtype=torch.float64)
    loss.compute(image, text, scale=one, bias=0 * one, groups_LC=groups, offset=0, gather=lambda rows: rows).backward()
    assert image.grad is not None
    if kind == "softmax":  # one answer is left for each row, and it is right
        assert not image.grad.any()
    else:
        assert image.grad[0, 1] == image.grad[1, 0] == 0
        assert image.grad[0, 0] < 0


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_chunks_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    groups = torch.arange(7 * 4).reshape(7, 4)
    groups[3, 1], groups[6, 3] = groups[0, 1], groups[2, 3]
    results = []
    for pairs in (2**24, 7 * 3, 1):
        monkeypatch.setattr("train.losses.base._CHUNK_PAIRS", pairs)
        generator.manual_seed(0)
        image, text = (torch.randn(7, 5, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
        scale, bias = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (3.0, -2.0))
        value = _loss(kind, same_iconclass="ignore").compute(
            image, text, scale=scale, bias=bias, groups_LC=groups, offset=0, gather=lambda rows: rows
        )
        value.backward()
        results.append([value.detach(), image.grad, text.grad, scale.grad])
    for other in results[1:]:
        assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(results[0], other, strict=True))


def test_softmax_agrees_with_open_clip() -> None:
    from open_clip.loss import ClipLoss

    generator = torch.Generator().manual_seed(0)
    image, text = (
        torch.nn.functional.normalize(torch.randn(6, 5, generator=generator, dtype=torch.float64), dim=1)
        for _ in range(2)
    )
    groups = torch.arange(6)[:, None].expand(6, 3)
    ours = _compute(_loss("softmax"), image, text, groups, scale=20.0)
    assert ours == pytest.approx(float(ClipLoss()(image, text, torch.tensor(20.0, dtype=torch.float64))))


def test_sigmoid_agrees_with_open_clip() -> None:
    from open_clip.loss import SigLipLoss

    generator = torch.Generator().manual_seed(0)
    image, text = (
        torch.nn.functional.normalize(torch.randn(6, 5, generator=generator, dtype=torch.float64), dim=1)
        for _ in range(2)
    )
    groups = torch.arange(6)[:, None].expand(6, 3)
    ours = _compute(_loss("sigmoid"), image, text, groups, scale=10.0, bias=-4.0)
    scale, bias = torch.tensor(10.0, dtype=torch.float64), torch.tensor(-4.0, dtype=torch.float64)
    assert ours == pytest.approx(float(SigLipLoss()(image, text, scale, bias)))
