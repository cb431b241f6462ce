"""The work of a step in FLOPs, and the share of the device's peak that a run makes of it.

Two shares are usual (Chowdhery et al. 2022, PaLM, appendix B). MFU counts what the model needs: one forward and one
backward pass. HFU counts all that is done: also the extra forward pass of cached accumulation and activations that are
computed again. The loss itself, some millions against the towers' billions for each pair, is left out.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from iconoclip.models import Model

from . import layers, speedups
from .config import TrainConfig
from .keep import unchanged
from .towers import Towers

_NUM_PAIRS = 2
_TERA = 1e12

# Dense peaks in TFLOPS by the device's name in torch: (bf16 and fp16, TF32, fp32). The makers' data sheets, where the
# figures with sparsity are twice these: NVIDIA H200, GH200, H100, A100 (its 64 GB edition is another chip), A40, A30,
# A10, L40S, L40, L4, V100 (fp16 only), RTX A6000, Blackwell; AMD Instinct MI300, MI200 (a device is half a card).
_PEAKS: tuple[tuple[str, float | None, float | None, float | None], ...] = (
    (r"\bB200\b", 2250, None, None),
    (r"\bH[12]00 NVL\b", 835.5, 417.5, 60.0),
    (r"\bH100 PCIe\b", 756, 378, 51.2),
    (r"\b(H100|H200|GH200)\b", 989.4, 494.7, 66.9),
    (r"\bA100\b(?!.*64GB)", 312, 156, 19.5),
    (r"\bA40\b", 149.7, 74.8, 37.4),
    (r"\bA30\b", 165, 82, 10.3),
    (r"\bA10\b", 125, 62.5, 31.2),
    (r"\bL40S\b", 362, 183, 91.6),
    (r"\bL40\b", 181, 90.5, 90.5),
    (r"\bL4\b", 121, 60, 30.3),
    (r"\bV100-SXM", None, None, 15.7),
    (r"\bV100-PCIE", None, None, 14.0),
    (r"\bRTX A6000\b", 154.8, 77.4, 38.7),
    (r"\bMI300X\b", 1307.4, 653.7, 163.4),
    (r"\bMI300A\b", 980.6, 490.3, 122.6),
    (r"\bMI250X\b", 191.5, None, 47.9),
    (r"\bMI210\b", 181, None, 45.3),
)


@dataclass(frozen=True)
class Work:
    """FLOPs for each pair: ``model`` what is needed, ``done`` with all that is computed twice."""

    model: int
    done: int


@dataclass(frozen=True)
class Utilisation:
    """Turns a speed into shares of the peak of all devices; ``peak_tflops`` is None where it is not known."""

    work: Work
    peak_tflops: float | None
    num_devices: int

    def read(self, pairs_per_s: float) -> dict[str, float | None]:
        """Return ``mfu`` and ``hfu``, None where the peak is not known."""
        if self.peak_tflops is None:
            return {"mfu": None, "hfu": None}
        peak = self.peak_tflops * _TERA * self.num_devices
        return {
            "mfu": round(pairs_per_s * self.work.model / peak, 4),
            "hfu": round(pairs_per_s * self.work.done / peak, 4),
        }


def count_work(model: Model, towers: Towers, config: TrainConfig, *, num_micro_batches: int) -> Work:
    """Count the FLOPs of a pair on two of them, before the towers are wrapped; nothing of the model is changed."""
    size, device = model.image_size, towers.mean.device
    images = torch.zeros(_NUM_PAIRS, 3, size, size, dtype=torch.uint8, device=device)
    tokens = model.tokenizer(["a picture"] * _NUM_PAIRS).to(device)
    with unchanged(towers), speedups.uncompiled(), sdpa_kernel(SDPBackend.MATH):
        towers.train()
        done = _count(towers, images, tokens)
        needed = done
        if config.gradient_checkpointing:
            with _activations_kept(model):
                needed = _count(towers, images, tokens)
        if num_micro_batches > 1:
            with torch.no_grad():
                done += _count(towers, images, tokens)
    return Work(needed // _NUM_PAIRS, done // _NUM_PAIRS)


def peak_tflops(config: TrainConfig, device: torch.device) -> float | None:
    """Dense peak of one device in the run's precision: `peak_tflops`, else by the device's name; None if not known."""
    if config.peak_tflops is not None:
        return config.peak_tflops
    if device.type != "cuda":
        return None
    return peak_by_name(torch.cuda.get_device_name(device), config.precision)


def peak_by_name(name: str, precision: str) -> float | None:
    """Look a device up. Example: ``NVIDIA H100 PCIe`` in bf16 -> 756; an unknown name -> None."""
    for pattern, half, tf32, full in _PEAKS:
        if re.search(pattern, name):
            if precision == "bf16":
                return half
            return full if torch.get_float32_matmul_precision() == "highest" else tf32
    return None


def _count(towers: Towers, images: Tensor, tokens: Tensor) -> int:
    """FLOPs of a forward pass, and of the backward pass where gradients are on."""
    with FlopCounterMode(display=False) as counter:
        image_LD, text_LD, scale, bias = towers(images, tokens)
        if torch.is_grad_enabled():
            (image_LD.sum() + text_LD.sum() + scale + bias).backward()
    return counter.get_total_flops()


@contextmanager
def _activations_kept(model: Model) -> Iterator[None]:
    """In here nothing is computed again in the backward pass."""
    model.module.visual.set_grad_checkpointing(False)
    inner: Any = layers.text_root(model.module).transformer
    names = ("activation_checkpointing_disable", "gradient_checkpointing_disable")  # transformers 5, and before
    disable = next((getattr(inner, name) for name in names if hasattr(inner, name)), None)
    if disable is None:
        inner.grad_checkpointing = False
    else:
        disable()
    try:
        yield
    finally:
        speedups.recompute_activations(model)
