"""Peers: twenty steps of our trainer and of open_clip's, from the same weights on the same batches."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from train import data, loop
from train.config import TrainConfig
from train.loop import run_training

STEPS, WARM_UP, LR = 20, 5, 1e-3
ROUNDING = 1e-5

# open_clip's own epoch, loss, schedule and clamp, with the optimizer as its main() makes it, on batches from a file.
THEIRS = """
import json, sys
from types import SimpleNamespace
import open_clip, open_clip.loss, torch
from open_clip_train.scheduler import const_lr
from open_clip_train.train import train_one_epoch
from safetensors.torch import load_file, save_file

folder, batches, loss_kind, out, steps, warm_up, lr = sys.argv[1:]
torch.set_num_threads(1)
model, _, _ = open_clip.create_model_and_transforms("local-dir:" + folder, output_dict=True)
tensors = load_file(batches)
pairs = [(tensors[f"images-{n:02d}"], tensors[f"tokens-{n:02d}"]) for n in range(int(steps))]
class Loader(list):
    num_batches, num_samples = len(pairs), sum(len(images) for images, _ in pairs)
class Data:
    dataloader = Loader(pairs)
    def set_epoch(self, epoch): pass
losses = []
plain = open_clip.loss.SigLipLoss() if loss_kind == "sigmoid" else open_clip.ClipLoss()
def loss(*arguments, **options):
    found = plain(*arguments, **options)
    losses.append(float(sum(found.values())))
    return found
optimizer = torch.optim.AdamW(
    [{"params": [p for p in model.parameters() if p.requires_grad], "weight_decay": 0.0}],
    lr=float(lr), betas=(0.9, 0.98), eps=1e-6,
)
args = SimpleNamespace(
    device="cpu", precision="fp32", distill=False, accum_freq=1, skip_scheduler=False, horovod=False,
    grad_clip_norm=1.0, rank=0, local_rank=0, world_size=1, batch_size=len(pairs[0][0]), log_every_n_steps=1,
    wandb=False, log_local=False, distributed=False,
)
scheduler = const_lr(optimizer, float(lr), int(warm_up), int(steps))
train_one_epoch(model, {"train": Data()}, loss, 0, optimizer, None, scheduler, None, args)
state = {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}
save_file(state, out)
print(json.dumps(losses))
"""


@pytest.mark.peers
@pytest.mark.parametrize(("kind", "loss"), [("clip", "softmax"), ("siglip2", "sigmoid")])
def test_twenty_steps_agree_with_open_clip_s(
    kind: str,
    loss: str,
    peers: Path,
    write_config: Callable[..., Path],
    model_dirs: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, batches = model_dirs(kind), tmp_path / "batches.safetensors"
    plain = dict.fromkeys(("same_picture", "same_caption", "same_work", "same_iconclass"), "negative")
    config = TrainConfig.load(
        write_config(
            model=f"local-dir:{folder}",
            loss={"kind": loss, **plain},
            batch_size=12,
            samples=12 * STEPS,
            augment={"scale": [1, 1], "ratio": [1, 1]},
            optim={"lr": LR, "weight_decay": 0, "warmup": WARM_UP / STEPS, "min_lr": 1, "clip_grad_norm": 1.0},
        )
    )
    seen: dict[str, torch.Tensor] = {}
    real = loop._step

    def step(run: Any, batch: data.Batch) -> Any:
        number = len(seen) // 2
        cfg = run.model.preprocess_cfg
        mean, std = (torch.tensor(cfg[name])[None, :, None, None] for name in ("mean", "std"))
        seen[f"images-{number:02d}"] = (batch.images.float() / 255 - mean) / std
        seen[f"tokens-{number:02d}"] = batch.tokens.clone()
        return real(run, batch)

    monkeypatch.setattr(loop, "_step", step)
    run = run_training(config)
    ours = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    save_file(seen, batches)

    out = tmp_path / "theirs.safetensors"
    command = [sys.executable, "-c", THEIRS, folder, batches, loss, out, STEPS, WARM_UP, LR]
    env = {**os.environ, "PYTHONPATH": str(peers), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert len(ours) == len(theirs) == STEPS
    assert ours[-1] < 0.9 * ours[0]  # it did learn
    assert ours == pytest.approx(theirs, rel=ROUNDING)

    # And so did the step: the weights after twenty of them, against how far they went.
    before, mine = (
        load_file(folder / "open_clip_model.safetensors"),
        load_file(run / "latest/state/weights.safetensors"),
    )
    for name, tensor in load_file(out).items():
        moved = (tensor - before[name]).norm()
        assert (tensor - mine[name]).norm() <= max(1e-3 * moved, 1e-6), name
