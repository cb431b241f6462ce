"""Where in a model a weight lies, read from the module tree of open_clip's own towers, timm's and transformers'.

``places(module)`` says for every weight: image tower, text tower, projection into the common space, or temperature and
bias; and how far up its tower. Learning rates by layer, frozen layers and adapters all go by it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

from torch import nn

from iconoclip.errors import ModelError

Tower = Literal["image", "text"]
Part = Literal["image", "text", "heads", "logits"]

TOWERS: tuple[Tower, ...] = ("image", "text")
_LOGITS = ("logit_scale", "logit_bias")
# open_clip's first class keeps the text tower's parts beside the image tower instead of below `text`.
_TEXT_PARTS = ("transformer", "token_embedding", "positional_embedding", "ln_final", "text_projection", "cls_emb")
_BLOCK_LISTS = (
    "transformer.resblocks",  # open_clip
    "transformer.encoder.layer",  # BERT, RoBERTa, XLM-R
    "transformer.encoder.layers",  # M2M-100 and NLLB as a whole
    "transformer.layers",  # their encoder alone
    "transformer.block",  # T5, mT5
)
_BELOW = {
    "conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "class_embedding", "positional_embedding", "ln_pre", "cls_emb",
    "token_embedding", "embeddings", "shared", "embed_tokens", "embed_positions", "layernorm_embedding",
}  # fmt: skip
_RESNET_STAGES = ("layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True)
class Place:
    """One weight: its part of the model, the tower it hangs on (None: temperature and bias), its layer.

    ``layer`` 0 is what lies below the first block, 1 to ``depth`` are the blocks, ``depth + 1`` is what comes after.
    """

    part: Part
    tower: Tower | None
    layer: int
    depth: int

    @property
    def is_in_block(self) -> bool:
        """Whether it lies in one of the tower's blocks."""
        return self.part == self.tower and 1 <= self.layer <= self.depth


def places(module: nn.Module) -> dict[str, Place]:
    """Place of every weight of open_clip's ``module``, by its name, in the module's order.

    Raises:
        ModelError: a weight belongs to neither tower, or a tower's layers are not known to us.
    """
    roots: dict[Tower, nn.Module] = {"image": module.get_submodule("visual"), "text": text_root(module)}
    number = {tower: _numbering(root, tower) for tower, root in roots.items()}
    has_text = roots["text"] is not module
    found: dict[str, Place] = {}
    for name, _ in module.named_parameters():
        if name in _LOGITS:
            found[name] = Place("logits", None, 0, 0)
            continue
        tower, local = _split(name, has_text=has_text)
        layer, depth = number[tower](local)
        is_head = _is_head(roots[tower], tower, local)
        found[name] = Place("heads" if is_head else tower, tower, depth + 1 if is_head else layer, depth)
    return found


def text_root(module: nn.Module) -> nn.Module:
    """Module that holds the parts of the text tower: ``text``, or the model itself in open_clip's first class."""
    return getattr(module, "text", module)


def depths(module: nn.Module) -> dict[Tower, int]:
    """Number of blocks of each tower."""
    return {place.tower: place.depth for place in places(module).values() if place.tower is not None}


def _split(name: str, *, has_text: bool) -> tuple[Tower, str]:
    """Tower of a weight and its name below the tower's root."""
    first, _, rest = name.partition(".")
    if first == "visual":
        return "image", rest
    if has_text and first == "text":
        return "text", rest
    if not has_text and first in _TEXT_PARTS:
        return "text", name
    raise ModelError(f"{name}: belongs to neither tower; only models of two towers (CLIP, SigLIP) can be trained")


def _numbering(root: nn.Module, tower: Tower) -> Callable[[str], tuple[int, int]]:
    """Return a function from a local name to (layer, depth)."""
    trunk = getattr(root, "trunk", None)
    if tower == "image" and trunk is not None:
        return _timm_numbering(trunk)
    if tower == "image" and all(hasattr(root, stage) for stage in _RESNET_STAGES):
        prefixes = [f"{stage}.{i}" for stage in _RESNET_STAGES for i in range(len(getattr(root, stage)))]
    else:
        prefixes = _block_prefixes(root, tower)
    layer_of = {prefix: number for number, prefix in enumerate(prefixes, start=1)}
    length = len(prefixes[0].split("."))

    def number(local: str) -> tuple[int, int]:
        parts = local.split(".")
        inside = layer_of.get(".".join(parts[:length]))
        if inside is not None:
            return inside, len(prefixes)
        return (0 if _BELOW.intersection(parts) else len(prefixes) + 1), len(prefixes)

    return number


def _block_prefixes(root: nn.Module, tower: Tower) -> list[str]:
    for path in _BLOCK_LISTS:
        found: object = root
        for name in path.split("."):
            found = getattr(found, name, None)
        if isinstance(found, nn.ModuleList | nn.Sequential) and len(found):
            return [f"{path}.{i}" for i in range(len(found))]
    raise ModelError(
        f"the {tower} tower is a {type(root).__name__} whose blocks are not known; "
        f"tried {', '.join(_BLOCK_LISTS)} and timm's groups"
    )


def _timm_numbering(trunk: Any) -> Callable[[str], tuple[int, int]]:
    """Take timm's own order of groups for the blocks, and the order of the trunk's parts for what is around them."""
    from timm.models import group_parameters

    groups = cast(dict[str, int], group_parameters(trunk, trunk.group_matcher(coarse=False), reverse=True))
    stem = min(groups.values())
    in_blocks = {name: n - stem for name, n in groups.items() if n > stem and any(p.isdigit() for p in name.split("."))}
    depth = max(in_blocks.values(), default=0)
    children = [name for name, _ in trunk.named_children()]
    first = min((children.index(name.split(".")[0]) for name in in_blocks), default=len(children))
    # Weights of the trunk itself are tokens and positions.
    below = {*children[:first], *(name for name, _ in trunk.named_parameters(recurse=False))}

    def number(local: str) -> tuple[int, int]:
        name = local.removeprefix("trunk.")
        outside = 0 if local != name and name.split(".")[0] in below else depth + 1
        return in_blocks.get(name, outside), depth

    return number


def _is_head(root: nn.Module, tower: Tower, local: str) -> bool:
    """Whether a weight projects a tower's output into the common space."""
    if tower == "text":
        return local.split(".")[0] in ("text_projection", "proj")
    trunk: Any = getattr(root, "trunk", None)
    if trunk is None:
        return local == "proj"
    classifier = getattr(trunk, "default_cfg", {}).get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return local.startswith("head.") or any(local.startswith(f"trunk.{name}.") for name in names)
