"""A museum's folder or table becomes a benchmark: one YAML, read from every layout, run by `iconoclip eval`."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook
from PIL import Image

from eval import benchmark_pictures
from eval.baselines import colour_and_shape
from eval.benchmark_files import BenchmarkFile, Columns, write_benchmark_file, write_table
from eval.benchmark_new import new_benchmark
from eval.benchmark_open import open_benchmark
from eval.benchmark_pictures import look_at, look_through, plain_picture
from eval.benchmark_read import read_items, read_rows
from eval.benchmark_validate import validate_benchmark
from eval.benchmarks._files import Rows
from eval.benchmarks.file import FromFile
from eval.config import EvalConfig
from eval.data import EvalData
from eval.run import run_evaluation
from iconoclip.errors import ConfigError, EvaluationError, IconoclipError

LABELLED = {
    "verb": "benchmark", "name": "prints", "title": "Prints", "task": "classification", "table": "items.csv",
    "columns": {"label": "label"}, "classes": {"ship": {"en": "a ship"}, "lion": {"en": "a lion"}},
    "templates": {"en": ["{}", "a print of {}"]},
}  # fmt: skip


@pytest.fixture
def museum(tmp_path: Path, make_jpeg) -> Path:
    """60 pictures in img/ and a table with Dutch and English titles, Iconclass notations, objects and splits."""
    root = tmp_path / "My Museum"
    (root / "img").mkdir(parents=True)
    rows = []
    for number in range(60):
        (root / "img" / f"{number}.jpg").write_bytes(make_jpeg(number))
        notation = ("25F23(LION)", "46C24", "48C7")[number % 3]
        title = (f"Schip, leeuw nr. {number}", f"Ship, lion no. {number}")
        split = "train" if number >= 45 else "test"
        rows.append((f"INV.{number}/a", f"img/{number}.jpg", *title, notation, f"object-{number // 2}", split))
    columns = ("inv_nr", "bestand", "titel_nl", "title_en", "iconclass", "object_id", "split")
    write_table(root / "metadata.csv", columns, rows)
    return root


def _file(**changes) -> BenchmarkFile:
    return BenchmarkFile.validate_data(LABELLED | changes, where="test")


def test_a_folder_of_classes_becomes_a_benchmark(tmp_path: Path, make_jpeg):
    for number in range(8):
        path = tmp_path / "set" / ("old_ship" if number % 2 else "lion") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(number))
    (tmp_path / "set" / "stray.jpg").write_bytes(make_jpeg(99))
    text = new_benchmark(tmp_path / "set", language="nl")
    assert "8 pictures in all" in text
    file, home = open_benchmark(tmp_path / "set" / "benchmark.yaml")
    assert (file.task, file.layout, home) == ("classification", "folders", tmp_path / "set")
    assert file.classes == {"lion": {"nl": "lion"}, "old_ship": {"nl": "old ship"}}
    items = read_items(file, home)
    assert [item.labels[0] for item in items.items] == ["lion"] * 4 + ["old_ship"] * 4
    assert items.problems == ("stray.jpg: lies 0 folders deep; put it into CLASS/ or SPLIT/CLASS/",)
    with pytest.raises(EvaluationError, match="is there already"):
        new_benchmark(tmp_path / "set")


def test_a_table_with_notations_is_asked_in_every_language_that_has_them(museum: Path):
    text = new_benchmark(museum, task="classification")
    for seen in (
        "45 pictures in test",
        "'bestand' is the image",
        "'iconclass' is the label",
        "'object_id' is the work",
    ):
        assert seen in text
    file, home = open_benchmark(museum)
    assert file.name == "my_museum"
    assert list(file.classes) == ["25F23(LION)", "46C24", "48C7"]
    assert file.languages[0] == "en"
    assert {"de", "fr", "it"} <= set(file.languages)
    assert file.classes["48C7"]["de"] != file.classes["48C7"]["en"]
    assert "the paths" not in text
    items = read_items(file, home).of_split(file.split)
    assert len(items) == 45
    assert items[7].id == "INV.7/a"
    assert items[7].work == "object-3"
    content = (museum / "benchmark.yaml").read_text(encoding="utf-8")
    assert content.startswith(f"# iconoclip benchmark validate {museum}/benchmark.yaml")
    assert "Fill in title" in content


def test_a_table_with_captions_is_retrieval(museum: Path):
    text = new_benchmark(museum / "metadata.csv", task="retrieval", out=museum.parent / "b.yaml", name="titles")
    assert "captions: en 60, nl 60" in text
    file, home = open_benchmark(museum.parent / "b.yaml")
    assert (file.name, file.root, home) == ("titles", museum, museum)
    assert file.columns.captions == {"titel_nl": "nl", "title_en": "en"}
    item = read_items(file, home).items[0]
    assert item.captions == (("Schip, leeuw nr. 0", "nl"), ("Ship, lion no. 0", "en"))


def test_several_labels_in_a_cell_or_in_rows_are_multilabel(tmp_path: Path, make_jpeg):
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(make_jpeg(number))
    rows = [(f"{number}.jpg", "ship; lion" if number % 2 else "ship") for number in range(6)]
    write_table(tmp_path / "labels.csv", ("file", "label"), [*rows, ("0.jpg", "tower")])
    new_benchmark(tmp_path)
    file, home = open_benchmark(tmp_path)
    assert (file.task, file.separator) == ("multilabel", ";")
    items = read_items(file, home).items
    assert len(items) == 6
    assert items[0].labels == ("ship", "tower")
    assert items[1].labels == ("ship", "lion")


def test_columns_that_do_not_hold_what_their_names_say_are_left_out_and_named(tmp_path: Path, make_jpeg):
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(make_jpeg(number))
    columns = ("file", "label", "subject", "title", "caption", "language")
    for label, said in (("", "'label' is empty"), ("print", "'label' says 'print' everywhere")):
        rows = [(f"{number}.jpg", label, "", f"Blatt {number}", "", "de (title); Latin") for number in range(6)]
        write_table(tmp_path / "items.csv", columns, rows)
        text = new_benchmark(tmp_path, language="de", out=tmp_path / f"{label}.yaml")
        file = BenchmarkFile.load(tmp_path / f"{label}.yaml")
        assert (file.task, file.columns.label, file.columns.language) == ("retrieval", "", "")
        assert file.columns.captions == {"title": "de"}
        assert said in text
        assert "'caption' is empty" in text
        assert "'language' is not used: 'de (title); Latin' is no code of a language" in text


def test_classes_are_asked_in_the_one_language_that_all_rows_state(tmp_path: Path, make_jpeg):
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(make_jpeg(number))
    for code, expected in (("fr", ["fr"]), ("", ["en"])):
        rows = [(f"{number}.jpg", ("carte", "plan")[number % 2], code) for number in range(6)]
        write_table(tmp_path / "items.csv", ("file", "label", "lang"), rows)
        new_benchmark(tmp_path, out=tmp_path / f"{code}.yaml")
        assert BenchmarkFile.load(tmp_path / f"{code}.yaml").languages == expected


def test_a_yaml_comes_back_as_it_was_written(tmp_path: Path):
    hostile = {"no": {"en": "a: #x"}, "71E11": {"en": 'say "x"\u2028y'}, "1888": {"en": "null"}}
    file = _file(classes=hostile, title="# no comment: 1", columns=Columns(label="label", captions={"on": "nl"}))
    write_benchmark_file(tmp_path / "b.yaml", file, comment="one\n\ntwo")
    assert BenchmarkFile.load(tmp_path / "b.yaml") == file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"templates": {"en": ["a print of {c}"]}}, "needs one {} for the class and no other braces"),
        ({"templates": {"en": ["{} and {}"]}}, "needs one {}"),
        ({"templates": {}}, "templates: none given"),
        ({"templates": {"en": []}}, "no template"),
        ({"templates": {"en": ["{}"], "fr": ["{}"]}}, "2 without a text in fr, such as 'ship'"),
        ({"classes": {"ship": {"en": "a ship"}}}, "a choice needs two"),
        ({"table": ""}, "`table` is missing"),
        ({"columns": {}}, "`columns.label` is missing"),
        ({"task": "retrieval"}, "`columns.captions` is missing"),
        ({"layout": "folders", "task": "multilabel"}, "a folder is a class"),
        ({"nmae": "x"}, "did you mean 'name'"),
    ],
)
def test_mistakes_in_a_file_are_named(changes, message):
    with pytest.raises(ConfigError, match="(?s)" + message.replace("{", r"\{").replace("}", r"\}")):
        _file(**changes)


def test_tables_are_read_as_text_whatever_their_kind(tmp_path: Path):
    rows = [("a.jpg", "00123"), ("b.jpg", "71E11")]
    write_table(tmp_path / "t.csv", ("image", "label"), rows)
    (tmp_path / "t2.csv").write_bytes(b"\xef\xbb\xbfimage;label\na.jpg;00123\nb.jpg;71E11\n;\n")
    (tmp_path / "t.tsv").write_text("image\tlabel\na.jpg\t00123\nb.jpg\t71E11\n")
    lines = [json.dumps(dict(zip(("image", "label"), row, strict=True))) for row in rows]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    book = Workbook()
    for row in (("image", "label"), *rows):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    for name in ("t.csv", "t2.csv", "t.tsv", "t.jsonl", "t.xlsx"):
        columns, found = read_rows(tmp_path / name)
        assert columns == ["image", "label"]
        assert [row["label"] for row in found] == ["00123", "71E11"], name


def test_tables_that_cannot_be_read_are_named(tmp_path: Path, make_jpeg):
    (tmp_path / "latin.csv").write_bytes("image,label\nchâteau.jpg,x\n".encode("latin-1"))
    with pytest.raises(EvaluationError, match="not UTF-8"):
        read_rows(tmp_path / "latin.csv")
    (tmp_path / "wide.csv").write_text("image,label\na.jpg,x,y\n")
    with pytest.raises(EvaluationError, match="row 2: 3 cells, the head has 2"):
        read_rows(tmp_path / "wide.csv")
    (tmp_path / "table.pdf").write_text("")
    with pytest.raises(EvaluationError, match="a table ends in"):
        read_rows(tmp_path / "table.pdf")
    (tmp_path / "bad.jsonl").write_text('{"image": "a"}\n[1]\n')
    with pytest.raises(EvaluationError, match="row 2: got list"):
        read_rows(tmp_path / "bad.jsonl")
    write_table(
        tmp_path / "items.csv", ("image", "label"), [("../../etc/passwd", "ship"), ("", "ship"), ("a.jpg", "x")]
    )
    items = read_items(_file(), tmp_path)
    assert len(items.items) == 1
    assert "leads out of" in items.problems[0]
    assert "row 3: no picture named" in items.problems[1]
    with pytest.raises(EvaluationError, match="no column kind; it has image, label"):
        read_items(_file(columns={"label": "kind"}), tmp_path)
    with pytest.raises(EvaluationError, match="no such folder"):
        read_items(_file(), tmp_path / "nowhere")


def test_what_is_no_benchmark_says_what_to_give(tmp_path: Path, make_jpeg):
    with pytest.raises(EvaluationError, match="give a folder of pictures or a table"):
        new_benchmark(tmp_path / "nowhere")
    with pytest.raises(EvaluationError, match="no pictures in folders of classes"):
        new_benchmark(tmp_path)
    (tmp_path / "a.jpg").write_bytes(make_jpeg(1))
    write_table(tmp_path / "one.csv", ("file", "colour"), [("a.jpg", "red")])
    with pytest.raises(EvaluationError, match="no column is known by its name as labels or captions"):
        new_benchmark(tmp_path)
    write_table(tmp_path / "two.csv", ("file", "label"), [("b.jpg", "x")])
    with pytest.raises(EvaluationError, match=r"several tables \(one.csv, two.csv\)"):
        new_benchmark(tmp_path)
    with pytest.raises(EvaluationError, match="no column names pictures under"):
        new_benchmark(tmp_path / "two.csv")
    with pytest.raises(EvaluationError, match="not there; give a YAML"):
        open_benchmark(tmp_path / "x.yaml")
    with pytest.raises(EvaluationError, match="write one: iconoclip benchmark new"):
        open_benchmark(tmp_path)


def test_pictures_are_made_plain_only_where_programs_would_differ(tmp_path: Path, make_jpeg):
    import io

    def encoded(image, kind, **options):
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    plain = make_jpeg(1)
    assert plain_picture(plain) == (plain, "jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, kind = plain_picture(encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif))
    assert kind == "png"
    assert Image.open(io.BytesIO(turned)).size == (20, 40)
    for image, name in (
        (Image.new("RGBA", (9, 9)), "PNG"),
        (Image.new("P", (9, 9)), "GIF"),
        (Image.new("RGB", (9, 9)), "TIFF"),
    ):
        data, kind = plain_picture(encoded(image, name))
        assert (kind, Image.open(io.BytesIO(data)).mode) == ("png", "RGB")
    assert look_at(plain).broken == ""
    assert "truncated" in look_at(make_jpeg(5, size_px=(300, 300))[:2000]).broken
    assert look_at(b"no picture").broken


def test_many_pictures_are_looked_through_by_other_processes_alike(
    tmp_path: Path, make_jpeg: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = io.BytesIO()
    Image.new("RGBA", (9, 7), (200, 10, 10, 90)).save(turned, "PNG")
    datas = [make_jpeg(n) for n in range(9)] + [b"no picture", turned.getvalue()]
    table = pa.table({"image": [{"bytes": data} for data in datas] + [None]})
    pq.write_table(table, tmp_path / "pictures.parquet", row_group_size=4)
    places = list(range(len(datas) + 1))
    alone = look_through(Rows([tmp_path / "pictures.parquet"]), places, describe=True)
    assert {place: look.broken for place, look in alone.items() if look.broken} == {
        9: "cannot identify image file", 11: "not there",
    }  # fmt: skip
    assert alone[0].sha256 == hashlib.sha256(datas[0]).hexdigest()
    assert alone[10].sha256 == hashlib.sha256(plain_picture(datas[10])[0]).hexdigest()
    monkeypatch.setattr(benchmark_pictures, "_CHUNK", 4)
    monkeypatch.setattr(benchmark_pictures, "num_cores", lambda: 2)
    done = []
    shared = look_through(
        Rows([tmp_path / "pictures.parquet"]), places, describe=True, meanwhile=lambda: done.append(1)
    )
    assert done == [1]
    assert benchmark_pictures.find_broken(Rows([tmp_path / "pictures.parquet"]), places) == {
        place: look.broken for place, look in alone.items() if look.broken
    }
    for place in places:
        assert shared[place].is_plain == alone[place].is_plain == (place != 10)
        assert (shared[place].broken, shared[place].sha256) == (alone[place].broken, alone[place].sha256)
        assert np.array_equal(shared[place].colours, alone[place].colours)


@pytest.fixture
def evaluate(tmp_path: Path, tiny_model_dir: Path):
    def run(*benchmarks, **more):
        data = {
            "verb": "eval", "out": str(tmp_path / "out"), "models": [str(tiny_model_dir)], "resamples": 200,
            "benchmarks": list(benchmarks), "device": "cpu",
        }  # fmt: skip
        text = run_evaluation(EvalConfig.validate_data(data | more, where="test"))
        rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
        return text, rows, json.loads((tmp_path / "out" / "run.json").read_text())

    return run


def test_an_evaluation_reads_a_benchmark_without_shards(museum: Path, evaluate, make_jpeg):
    (museum / "img" / "3.jpg").write_bytes(make_jpeg(3)[:300])
    (museum / "img" / "4.jpg").unlink()
    new_benchmark(museum, task="classification")
    new_benchmark(museum, task="retrieval", out=museum / "titles.yaml")
    labels = {"kind": "file", "path": str(museum / "benchmark.yaml"), "languages": ["en", "de"]}
    titles = {"kind": "file", "path": str(museum / "titles.yaml")}
    _, rows, run = evaluate(labels, titles)
    tasks = {(row["benchmark"], row["task"]) for row in rows}
    assert tasks == {
        ("my_museum", "zero_shot_en"), ("my_museum", "zero_shot_de"), ("my_museum", "nearest_neighbour"),
        ("my_museum", "linear_probe"), ("titles", "retrieval"),
    }  # fmt: skip
    accuracy = next(r for r in rows if (r["task"], r["metric"], r["slice"]) == ("zero_shot_en", "accuracy@1", "all"))
    assert (accuracy["n"], accuracy["n_clusters"]) == (43, 23)  # two of 45 cannot be read; two views an object
    sheet = run["benchmarks"][0]
    assert sheet["facts"]["left_out"] == {"broken or missing": 2}
    assert sheet["title"] == "My museum"
    languages = {row["slice"] for row in rows if row["benchmark"] == "titles"}
    assert {"language=nl", "language=en"} <= languages


def test_figures_are_sliced_by_what_a_table_says_of_its_pictures(tmp_path: Path, make_jpeg, evaluate):
    (tmp_path / "prints").mkdir()
    rows = []
    for number in range(160):
        (tmp_path / "prints" / f"{number}.jpg").write_bytes(make_jpeg(number))
        technique, kind = ("Ets; papier", "Gravure")[number // 40 % 2], ("prent", "kaart")[number // 20 % 2]
        about = (("KBR", "KB")[number % 2], ("[ca. 1650]", "XVIIIe siècle")[number // 80], technique, kind)
        rows.append((f"{number}.jpg", ("ship", "lion")[number % 2], *about))
    columns = ("image", "label", "museum", "Datering", "Techniek", "objectsoort")
    write_table(tmp_path / "prints" / "items.csv", columns, rows)
    said = new_benchmark(tmp_path / "prints")
    assert "column 'Datering' is the date" in said
    _, rows, _ = evaluate({"kind": "file", "path": str(tmp_path / "prints" / "benchmark.yaml"), "probes": False})
    counts = {row["slice"]: row["n"] for row in rows if row["metric"] == "accuracy@1"}
    assert counts == {
        "all": 160, "institution=KBR": 80, "institution=KB": 80, "century=17": 80, "century=18": 80,
        "technique=Ets": 80, "technique=Gravure": 80, "object_type=prent": 80, "object_type=kaart": 80,
    }  # fmt: skip


def test_a_benchmark_that_moved_is_an_error(museum: Path, evaluate, make_jpeg):
    new_benchmark(museum, task="retrieval")
    benchmark = {"kind": "file", "path": str(museum)}
    _, rows, _ = evaluate(benchmark)
    revision = rows[0]["benchmark_revision"]
    evaluate(benchmark | {"revision": revision})
    (museum / "img" / "7.jpg").write_bytes(make_jpeg(1234))
    with pytest.raises(EvaluationError, match=f"expected {revision}"):
        evaluate(benchmark | {"revision": revision})


def test_labels_that_were_changed_move_the_revision(museum: Path, evaluate):
    new_benchmark(museum)
    benchmark = {"kind": "file", "path": str(museum), "probes": False}
    _, rows, _ = evaluate(benchmark)
    table = museum / "metadata.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("46C24", "48C7", 1), encoding="utf-8")
    with pytest.raises(EvaluationError, match=f"expected {rows[0]['benchmark_revision']}"):
        evaluate(benchmark | {"revision": rows[0]["benchmark_revision"]})


def test_what_cannot_be_asked_is_said(museum: Path):
    data = EvalData(None)
    new_benchmark(museum, task="classification")
    path = museum / "benchmark.yaml"

    def prepare(**more):
        return FromFile.model_validate({"kind": "file", "path": str(path)} | more).prepare(data)

    with pytest.raises(EvaluationError, match="no templates in xx; it has en"):
        prepare(languages=["xx"])
    text = path.read_text()
    path.write_text(text.replace('  "48C7"', '  "49C7"'))
    with pytest.raises(EvaluationError, match="1 labels are no class, such as '48C7'"):
        prepare()
    path.write_text(text.replace('split: "test"', "") + 'split: "tset"\n')
    with pytest.raises(EvaluationError, match="no pictures to test in split 'tset'; splits there: test, train"):
        prepare()
    with pytest.raises(EvaluationError, match="`path` is missing"):
        FromFile.model_validate({"kind": "file"}).prepare(data)


def test_names_follow_from_paths():
    def name(path: str) -> str:
        return FromFile.model_validate({"kind": "file", "path": path}).shown_name

    assert name("x/My Prints/benchmark.yaml") == "my_prints"
    assert name("x/titles.yaml") == "titles"
    assert name("x/wds_set/") == "wds_set"
    assert name("https://huggingface.co/datasets/clip-benchmark/wds_cars/tree/main") == "wds_cars"
    assert name("hf-hub:org/name") == "name"


def test_the_hub_is_asked_for_the_named_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def fetch(repository, **options):
        asked.append((repository, options["repo_type"], options["revision"]))
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    for address in (
        "https://huggingface.co/datasets/org/name/tree/v2",
        "https://huggingface.co/datasets/org/name",
        "hf-hub:org/name@abc",
    ):
        with pytest.raises(EvaluationError, match=r"hf-hub:org/name@\w+: no network; is there a network"):
            open_benchmark(address)
    assert asked == [("org/name", "dataset", branch) for branch in ("v2", "main", "abc")]


def test_tables_for_a_spreadsheet_are_not_changed_by_it(tmp_path: Path):
    write_table(tmp_path / "t.csv", ("image", "caption"), [("a.jpg", "=1+1"), ("b.jpg", '- a "b",\nc')])
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1:] == [["a.jpg", "=1+1"], ["b.jpg", '- a "b",\nc']]


def test_colours_and_shapes_are_the_same_wherever_a_picture_was_decoded(tmp_path: Path, make_jpeg):
    for number in range(12):
        path = tmp_path / "set" / ("ship", "lion")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(number, (150 + 20 * number, 110 + 7 * number)))
        if number == 3:  # turned by its EXIF: looked at as it is made plain
            exif = Image.Exif()
            exif[0x0112] = 6
            Image.open(path).save(path, exif=exif)
        if number == 6:
            Image.open(path).convert("L").save(path)
    new_benchmark(tmp_path / "set")
    pictures = FromFile(kind="file", path=str(tmp_path / "set")).prepare(EvalData(None)).pictures
    before = dict(pictures.descriptors)
    assert len(before) == 12
    pictures.descriptors.clear()
    colour_and_shape(pictures, range(12))
    assert all((pictures.descriptors[position] == row).all() for position, row in before.items())


def _folders(home: Path, make_jpeg: Callable[..., bytes], classes: tuple[str, ...] = ("lion", "ship")) -> Path:
    for number in range(40):
        path = home / classes[number % len(classes)] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(number))
    new_benchmark(home)
    return home / "benchmark.yaml"


def test_what_validate_refuses_is_said_where_it_is_scored_all_the_same(
    tmp_path: Path, make_jpeg: Callable[..., bytes], caplog: pytest.LogCaptureFixture
) -> None:
    path = _folders(tmp_path / "set", make_jpeg)
    path.write_text(
        path.read_text().replace("classes:", "classes:\n  map: {en: Lion}", 1).replace("en: lion", "en: Lion")
    )
    facts = FromFile(kind="file", path=str(path)).prepare(EvalData(None)).facts
    assert facts["classes_without_a_picture"] == ["map"]
    assert facts["classes_with_the_same_text"] == ["map, lion ('lion', en)"]
    assert "set: classes without a picture: map" in caplog.text


def test_a_folder_of_which_most_cannot_be_read_is_the_wrong_one(
    tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    path = _folders(tmp_path / "set", make_jpeg)
    for picture in sorted((tmp_path / "set").glob("*/*.jpg"))[:21]:
        picture.write_bytes(b"no picture")
    with pytest.raises(EvaluationError, match=r"only 19 of 40 pictures can be read \(21 broken or missing\)"):
        FromFile(kind="file", path=str(path)).prepare(EvalData(None))


def test_an_evaluation_that_fails_leaves_the_last_one_as_it_was(
    tmp_path: Path, make_jpeg: Callable[..., bytes], evaluate: Callable[..., str]
) -> None:
    path = _folders(tmp_path / "set", make_jpeg)
    evaluate({"kind": "file", "path": str(path)})
    before = {each: each.read_bytes() for each in (tmp_path / "out").glob("*.*")}
    with pytest.raises(IconoclipError):
        evaluate({"kind": "file", "path": str(path)}, models=[str(tmp_path / "gone")])
    assert {each: each.read_bytes() for each in (tmp_path / "out").glob("*.*")} == before
    # A cache says what was asked: not another question under the same name.
    path.write_text(path.read_text().replace("a picture of {}", "an image of {}"))
    with pytest.raises(EvaluationError, match="its file was changed since it was evaluated"):
        evaluate({"kind": "file", "path": str(path)}, from_cache=True)


def test_the_same_file_with_two_labels_is_a_mistake(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    path = _folders(tmp_path / "set", make_jpeg)
    (tmp_path / "set" / "ship" / "0.jpg").write_bytes(make_jpeg(0))
    said = validate_benchmark(path).to_text()
    assert "mistake: 1 pairs of the same file have different labels: lion/0.jpg = ship/0.jpg (lion; ship)" in said
    assert "warning: no works are named, so every picture counts as one" in said


def test_where_a_mean_over_classes_has_no_score_another_figure_is_shown(
    tmp_path: Path, make_jpeg: Callable[..., bytes], evaluate: Callable[..., Any]
) -> None:
    path = _folders(tmp_path / "set", make_jpeg)
    for number in range(40, 60):
        (tmp_path / "set" / "lion" / f"{number}.jpg").write_bytes(make_jpeg(number))
    for picture in sorted((tmp_path / "set" / "ship").iterdir())[5:]:
        picture.unlink()
    text, _, _ = evaluate({"kind": "file", "path": str(path), "probes": False})
    lines = [line.split() for line in text.splitlines()]
    assert ["no", "score:", "fewer", "than", "10", "works", "in", "ship"] in lines
    assert next(line for line in lines if line[:1] == ["but"])[:3] == ["but", "accuracy@1", "45/45"]
