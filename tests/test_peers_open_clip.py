"""Peers: open_clip's own trainer reads our shards unchanged and starts from a model folder of ours."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from iconoclip.shards import open_shards


@pytest.mark.peers
def test_open_clip_s_trainer_trains_on_our_shards(
    peers: Path, make_shards: Callable[..., Path], tiny_model_dir: Path, tmp_path: Path
) -> None:
    root = make_shards(num_records=60, max_per_shard=18)
    train, val = open_shards(root, "train"), open_shards(root, "val")
    assert (len(train), len(train.paths), len(val)) == (36, 2, 12)
    command = [
        sys.executable, "-m", "open_clip_train.main",
        "--train-data", f"{root}/train/toy-{{00000..00001}}.tar",
        "--train-num-samples", "36",
        "--val-data", f"{root}/val/toy-00000.tar",
        "--val-num-samples", "12",
        "--dataset-type", "webdataset",
        "--model", f"local-dir:{tiny_model_dir}",
        "--device", "cpu", "--precision", "fp32",
        "--batch-size", "12", "--workers", "1", "--epochs", "1", "--warmup", "1", "--lr", "1e-3",
        "--logs", str(tmp_path / "logs"), "--name", "toy",
        "--log-every-n-steps", "1",
    ]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(peers), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    # 36 pairs in batches of 12 are 3 steps; all 12 validation pairs are read.
    steps = re.findall(r"Train Epoch: 0 \[\s*(\d+)/36 .*?Loss: \S+ \(?([\d.]+)", output)
    assert [int(seen) for seen, _ in steps] == [12, 24, 36], output[-3000:]
    assert "num_samples: 12.0000" in output
    assert "Handling webdataset error" not in output
    assert (tmp_path / "logs" / "toy" / "checkpoints" / "epoch_1.pt").is_file()
