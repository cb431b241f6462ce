"""The losses by hand, and their gradient over two real processes against one."""

import math
import os
import socket
import subprocess
import sys

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


# One process of a job. A linear model stands for the towers; the batch has equal captions in different processes.
_WORKER = """
import os, sys, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch import nn
from iconoclip import plugins
from train.losses.base import Loss
from train.step import MicroBatch, backward

class Model(nn.Module):
    def __init__(self, uses_bias):
        super().__init__()
        torch.manual_seed(7)
        self.image, self.text = nn.Linear(6, 4), nn.Linear(5, 4)
        self.dropout = nn.Dropout(0.3)
        self.logit_scale = nn.Parameter(torch.tensor(2.0))
        self.logit_bias = nn.Parameter(torch.tensor(-3.0), requires_grad=uses_bias)
    def forward(self, images, texts):
        unit = lambda rows: nn.functional.normalize(rows, dim=-1)
        image, text = unit(self.image(self.dropout(images))), unit(self.text(self.dropout(texts)))
        return image, text, self.logit_scale.exp(), self.logit_bias + 0

MASKS = {"same_work": "ignore", "same_iconclass": "ignore"}
out, world, rank = sys.argv[1], int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
if world > 1:
    dist.init_process_group("gloo")
results = {}
for kind in ("softmax", "sigmoid"):
    for dtype, num_parts in (("float64", 4), ("float32", 2)):
        torch.set_default_dtype(getattr(torch, dtype))
        bare = Model(kind == "sigmoid")
        reduced = []
        if world > 1:
            from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
            model = DistributedDataParallel(bare)
            def count(state, bucket):
                reduced.append(bucket.index())
                return allreduce_hook(None, bucket)
            model.register_comm_hook(None, count)
        else:
            model = bare
        generator = torch.Generator().manual_seed(3)
        images, texts = torch.randn(16, 6, generator=generator), torch.randn(16, 5, generator=generator)
        groups = torch.arange(64).reshape(16, 4)
        groups[11, 3] = groups[1, 3]
        groups[13, 1] = groups[2, 1]
        groups[9, 2] = groups[4, 2]
        loss = plugins.load("train.losses", kind, Loss).model_validate({"kind": kind, **MASKS})
        local = slice(rank * 16 // world, (rank + 1) * 16 // world)
        cut = [rows[local].chunk(num_parts // world) for rows in (images, texts)]
        parts = [MicroBatch(*pair) for pair in zip(*cut)]
        total = backward(loss, model, parts, groups_LC=groups[local], rank=rank, seed=0, step=5).clone()
        if world > 1:
            dist.all_reduce(total)
        grads = {name: p.grad.clone() for name, p in bare.named_parameters() if p.grad is not None}
        results[kind, dtype] = (total.item() / world, grads, reduced)
torch.save(results, f"{out}.{rank}")
if world > 1:
    dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, list[dict]]:
    """Loss and gradients of one process with all micro-batches, and of two processes with half of them each."""
    folder = tmp_path_factory.mktemp("gloo")
    script = folder / "worker.py"
    script.write_text(_WORKER)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = str(server.getsockname()[1])
    bare = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    running = [subprocess.Popen([sys.executable, str(script), str(folder / "one")], env=bare)]
    for rank in ("0", "1"):
        env = bare | {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        running.append(subprocess.Popen([sys.executable, str(script), str(folder / "two")], env=env))
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    one, first, second = (torch.load(folder / name) for name in ("one.0", "two.0", "two.1"))
    return one, [first, second]


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize(("dtype", "limit"), [("float64", 1e-11), ("float32", 1e-5)])
def test_two_processes_have_the_gradient_of_one(
    kind: str, dtype: str, limit: float, results: tuple[dict, list[dict]]
) -> None:
    # float64: two micro-batches in each of two processes against four in one; float32: one each against two in one.
    # Dropout is on: a micro-batch drops the same units wherever it is computed.
    value, expected, _ = results[0][kind, dtype]
    assert ({"logit_scale", "logit_bias"} if kind == "sigmoid" else {"logit_scale"}) <= expected.keys()
    for rank in results[1]:
        got_value, got, reduced = rank[kind, dtype]
        assert got_value == pytest.approx(value, rel=limit)
        assert got.keys() == expected.keys()
        for name, grad in expected.items():
            assert float((got[name] - grad).norm()) <= limit * float(grad.norm()), name
        assert reduced == [0]  # one bucket, all-reduced once, whatever the number of micro-batches
        assert all(torch.equal(got[name], results[1][0][kind, dtype][1][name]) for name in expected)
