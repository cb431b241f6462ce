"""Is fine-tuning worth it here? One row for each way to use the base, and one verdict by stated rules.

Ways are told apart by what ``run.json`` says of the training, never by names. The rules, for each fine-tuned model:

1. no gain: the interval of its mean gain over the base on heritage holds zero or lies below, or the gain does not stand
   after Holm's correction over the fine-tuned models;
2. not above what is free: the interval of its mean lead over the best that costs nothing holds zero;
3. no better than a linear probe: where the base was probed, the interval of the lead over it holds zero;
4. dear: the interval of its change on general data lies wholly below a loss of one point;
5. unsettled: that interval reaches below a loss of one point; unmeasured: there is no general data;
6. worth it: none of these.

The verdict is that of the model that fares best; the mean gain decides among equals.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .report_data import Overall, Results
from .report_words import Words
from .statistics import holm

ALPHA = 0.05
# What a general figure may lose: the limit of the training's own guard (retention.max_drop).
ALLOWED_LOSS = 0.01
# What a machine without GPU draws at most while a probe is fitted on one of its cores.
_WATTS = 200

Fate = Literal["worth", "unsettled", "unmeasured", "dear", "probe", "free", "no_gain", "worse", "not_compared"]
_FATES: tuple[Fate, ...] = (
    "worth", "unsettled", "unmeasured", "dear", "probe", "free", "no_gain", "worse", "not_compared",
)  # fmt: skip
_TUNED = ("lora", "full", "partial")


@dataclass(frozen=True)
class Way:
    """One row of the opening table; ``kind`` is ``asked``, ``probe``, a training method, ``from_random`` or ``other``.

    ``gain`` is over the base with prompts on heritage, ``general`` the change on general data. ``other_base`` names the
    base of a model that was tuned from another one than the reference.
    """

    kind: str
    model: str
    alpha: float | None = None
    gain: Overall | None = None
    general: Overall | None = None
    over_probe: Overall | None = None
    over_free: Overall | None = None
    kwh: float | None = None
    hours: float | None = None
    energy_method: str = ""
    other_base: str = ""
    fate: Fate = "not_compared"

    @property
    def is_tuned(self) -> bool:
        """Whether it was fine-tuned."""
        return self.kind in _TUNED


def ways(results: Results) -> list[Way]:
    """The base with prompts and with a linear probe, LoRA, full fine-tuning, other models; those that are there."""
    if not results.reference:
        return []
    base = results.reference
    found = [Way("asked", base, kwh=0.0, hours=0.0)]
    probe = results.whole("heritage", base, base, way_b="probe")
    if probe is not None:
        general = results.whole("general", base, base, way_b="probe")
        cost = _probe_cost(results, base)
        found.append(Way("probe", base, gain=probe, general=general, **cost))
    order = ("lora", "full", "partial", "from_random", "other")
    tuned = [_way(results, model) for model in results.candidates]
    corrected = iter(holm([way.gain.p for way in tuned if way.is_tuned and way.gain is not None]))
    judged = [
        replace(way, fate=_fate(way, next(corrected))) if way.is_tuned and way.gain is not None else way
        for way in tuned
    ]
    return found + sorted(judged, key=lambda way: order.index(way.kind))


def _probe_cost(results: Results, base: str) -> dict[str, Any]:
    """What fitting the heritage probes took; the embeddings are needed with prompts too."""
    probes = [
        task.get("seconds", {}).get(base)
        for sheet in results.sheets.values()
        for task in sheet.get("tasks") or ()
        if task.get("kind") == "probe" and not sheet.get("is_control")
    ]
    if not probes or None in probes:
        return {}
    hours = sum(probes) / 3600
    return {"hours": hours, "kwh": hours * _WATTS / 1000, "energy_method": f"{_WATTS} W"}


def _way(results: Results, model: str) -> Way:
    base, facts = results.reference, results.facts.get(model, {}).get("training") or {}
    average = facts.get("wise_ft") or {}
    return Way(
        kind=str(facts.get("method") or "other"),
        model=model,
        alpha=average.get("alpha"),
        gain=results.whole("heritage", base, model),
        general=results.whole("general", base, model),
        over_probe=results.whole("heritage", base, model, way_a="probe"),
        over_free=results.whole("heritage", "free", model),
        kwh=facts.get("kwh"),
        hours=facts.get("hours"),
        energy_method=str(facts.get("energy_method") or ""),
        other_base="" if _is_base(results, facts) else str(facts.get("base") or ""),
    )


def _is_base(results: Results, facts: dict) -> bool:
    """Whether a run began from the weights of the reference; true where one of them is not known."""
    wanted = facts.get("base_weights_sha256")
    known = {s.weights_sha256 for s in results.scores if s.model == results.reference and s.weights_sha256}
    return not wanted or not known or wanted in known


def _fate(way: Way, p_holm: float) -> Fate:
    gain, general = way.gain, way.general
    if gain is None:
        return "not_compared"
    if gain.ci_high < 0:
        return "worse"
    if gain.ci_low <= 0 or p_holm >= ALPHA:
        return "no_gain"
    if way.over_free is not None and way.over_free.ci_low <= 0:
        return "free"
    if way.over_probe is not None and way.over_probe.ci_low <= 0:
        return "probe"
    if general is None:
        return "unmeasured"
    if general.ci_high < -ALLOWED_LOSS:
        return "dear"
    return "worth" if general.ci_low >= -ALLOWED_LOSS else "unsettled"


def best(found: Sequence[Way]) -> Way | None:
    """The fine-tuned model that fares best; None if none was compared."""
    tuned = [way for way in found if way.is_tuned and way.gain is not None]
    return min(tuned, key=lambda way: (_FATES.index(way.fate), -_delta(way.gain)), default=None)


def verdict(words: Words, results: Results) -> str:
    """One sentence."""
    found = ways(results)
    way = best(found)
    if way is None:
        return words("worth.nothing_compared" if any(way.is_tuned for way in found) else "worth.nothing_tuned")
    probe = next((other.gain for other in found if other.kind == "probe"), None)
    key = f"worth.{way.fate}"
    if way.fate in ("no_gain", "worse") and probe is not None and probe.ci_low > 0:
        key = f"worth.{way.fate}_probe"
    return words(
        key,
        model=way.model,
        kind=way_words(words, way),
        gain=_shown(words, way.gain),
        general=_shown(words, way.general),
        over_probe=_shown(words, way.over_probe),
        over_free=_shown(words, way.over_free),
        probe=_shown(words, probe),
        limit=words.delta("share", ALLOWED_LOSS).lstrip("+"),
    )


def missing_ways(found: Sequence[Way]) -> list[str]:
    """Keys of the four ways of the question that these results do not hold."""
    there = {"probe": any(way.kind == "probe" for way in found), "lora": any(way.kind == "lora" for way in found)}
    there["full_wise_ft"] = any(way.kind == "full" and way.alpha is not None for way in found)
    return [f"way.{name}" for name, is_there in there.items() if not is_there]


def way_words(words: Words, way: Way) -> str:
    """``full fine-tuning with WiSE-FT, α 0.4``."""
    name = words(f"way.{way.kind}")
    return name if way.alpha is None else words("way.with_wise_ft", name=name, alpha=alpha_words(words, way.alpha))


def alpha_words(words: Words, alpha: float) -> str:
    """``0``, ``0.4``, ``0.45``."""
    return words.number(alpha, next(digits for digits in range(3) if digits == 2 or round(alpha, digits) == alpha))


def _delta(row: Overall | None) -> float:
    return row.delta if row is not None else float("-inf")


def _shown(words: Words, row: Overall | None) -> str:
    """``+3.1 points (+1.0 to +5.2)``."""
    if row is None:
        return ""
    interval = words.interval("share", row.ci_low, row.ci_high, delta=True)
    return f"{words.delta('share', row.delta)} ({interval})"
