"""The examples in CONTRIBUTING.md are plugins that work."""

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from servers.http import Request, Response
from servers.replay import ReplayWorld, draw_picture, file_answer

from data_prep.config import PrepConfig
from data_prep.pipeline import run_prep
from data_prep.sources.base import Surroundings
from iconoclip.shards import open_shards, splits

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Callable[[str], ModuleType]]:
    """``example("train/losses/margin.py")`` imports the example of that name as if it lay there."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", text, flags=re.S))
    loaded: list[str] = []

    def load(name: str) -> ModuleType:
        path = tmp_path / Path(name).name
        path.write_text(blocks[name], encoding="utf-8")
        module_name = name.removesuffix(".py").replace("/", ".")
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        loaded.append(module_name)
        spec.loader.exec_module(module)
        return module

    yield load
    for module_name in loaded:
        del sys.modules[module_name]


def test_source_yields_records_with_pictures_and_reasons(
    example: Callable[[str], ModuleType], tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    (tmp_path / "slides.txt").write_text("a.jpg\tEin Schiff\nb.jpg\n", encoding="utf-8")
    (tmp_path / "a.jpg").write_bytes(make_jpeg(1))
    source = example("data_prep/sources/slide_list.py").SlideList(
        list="slides.txt", institution="Our Archive", language="de"
    )
    first, second = source.harvest("slides", Surroundings(tmp_path)).items
    assert first.picture.read() == make_jpeg(1)
    assert (first.record.captions[0].text, first.drop) == ("Ein Schiff", None)
    assert second.drop.reason == "caption_empty"


def test_filter_drops_with_a_reason(example: Callable[[str], ModuleType], make_record: Callable[..., "object"]) -> None:
    module = example("data_prep/filters/dated.py")
    record = make_record(0)
    assert module.Dated(until=1900).check(record) is record
    assert module.Dated(until=1880).check(record).detail == "year_max 1888, wanted 1880 at most"


def test_loss_is_what_a_hand_works_out(example: Callable[[str], ModuleType]) -> None:
    import torch

    loss = example("train/losses/margin.py").Margin(margin=0.5)
    image, text = torch.eye(2), torch.tensor([[0.8, 0.6], [0.0, 1.0]])
    groups = torch.tensor([[1, 1, 1], [2, 2, 2]])
    # Right 0.8 and 1.0, hardest wrong 0.0 and 0.6: max(0, -0.3) and max(0, 0.1), mean 0.05.
    value = loss.compute(
        image, text, scale=torch.ones(()), bias=None, groups_LC=groups, offset=0, gather=lambda rows: rows
    )
    assert value.item() == pytest.approx(0.05)


def test_benchmark_prepares_its_task(example: Callable[[str], ModuleType], make_shards: Callable[..., Path]) -> None:
    from eval.data import EvalData

    benchmark = example("eval/benchmarks/vases.py").Vases(kind="vases", source="photos")
    prepared = benchmark.prepare(EvalData(make_shards(num_records=60)))
    assert len(prepared.pictures) > 0
    assert prepared.tasks[0].name == "image_to_image"


@pytest.mark.real
def test_an_institution_needs_no_python(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    profile = tmp_path / "wellcome.yaml"
    [example] = re.findall(r"```yaml\n(# configs/prep/wellcome.*?)```", text, re.S)
    profile.write_text(example, encoding="utf-8")
    answers = shared_data / "responses" / "iiif" / "presentation3"
    collection = next((answers / "collections").glob("iiif.wellcomecollection.org__*"))
    manifest = next((answers / "manifests").glob("iiif.wellcomecollection.org__*"))

    def answer(request: Request) -> Response:
        if "/collections/" in request.path:
            return file_answer(collection, "application/json")
        if request.path == "/presentation/b29011577":
            return file_answer(manifest, "application/json")
        return draw_picture(request, full=(2569, 3543)) if "/image/" in request.path else Response(404)

    overrides = [f"out={tmp_path / 'out'}", "fetch.contact=a@b.example", "image.max_px=64", "workers=1", "split.test=0",
                 "split.val=0", "fetch.hosts={}", "fetch.default.requests_per_s=null",
                 "split.allow_one_sided=[genre, en]"]  # fmt: skip
    with ReplayWorld({"iiif.wellcomecollection.org": answer}, tmp_path) as world:
        world.enter(monkeypatch)
        summary = run_prep(PrepConfig.load(profile, overrides))
    assert (summary.kept_for_training, summary.rejected) == (20, {"fetch_failed": 3})
    [record, *_] = [
        each for split in splits(tmp_path / "out") for each in open_shards(tmp_path / "out", split).records()
    ]
    assert record.captions[0].text == "Wunder der Vererbung"
    assert record.rights_class == "open_conditions"
    assert world.strays == []
