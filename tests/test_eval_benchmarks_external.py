"""Benchmarks of others, on small files of exactly the layout in which they are published."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.benchmarks.base import FilesBenchmark, Prepared
from eval.benchmarks.eufcc import read_labels
from eval.config import EvalConfig
from eval.data import EvalData
from eval.run import run_evaluation
from iconoclip import plugins
from iconoclip.errors import ConfigError, EvaluationError

NOTHING = EvalData(None)


def _prepare(kind: str, **options: Any) -> Prepared:
    benchmark = plugins.load("eval.benchmarks", kind, FilesBenchmark)
    return benchmark.model_validate({"kind": kind} | options).prepare(NOTHING)


def _tasks(ready: Prepared) -> dict[str, Any]:
    return {task.name: task for task in ready.tasks}


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _pictures(folder: Path, names: list[str], make_jpeg) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(make_jpeg(number))


LABELS = (["25F23(LION)"], ["25G41(ROSE)", "11H(PETER)"], ["11F(MARY)", "25F23(LION)(+12)"], ["71H71:25G41(ROSE)"])


@pytest.fixture
def iconclass_zip(tmp_path: Path, make_jpeg) -> Path:
    """The unpacked zip: flat JPEGs and ``data.json``, a map of file names to notations."""
    names = [f"IIHIM_{number}.jpg" for number in range(80)]
    _pictures(tmp_path / "brill", names, make_jpeg)
    labels = {name: LABELS[number % len(LABELS)] for number, name in enumerate(names)}
    (tmp_path / "brill" / "data.json").write_text(json.dumps(labels))
    return tmp_path / "brill"


@pytest.fixture
def iconclass_parquet(tmp_path: Path, make_jpeg) -> Path:
    """The Hub's layout: ``data/train-*.parquet`` with ``image`` (bytes and path) and ``label`` (list of strings)."""
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for part in range(2):
        rows = [
            {"image": {"bytes": make_jpeg(number), "path": f"{number}.jpg"}, "label": LABELS[number % len(LABELS)]}
            for number in range(40 * part, 40 * part + 40)
        ]
        path = tmp_path / "hub" / "data" / f"train-{part:05d}-of-00002.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=16)
    return tmp_path / "hub"


def test_iconclass_set_is_split_by_content_alike_from_zip_and_from_the_hub(iconclass_zip, iconclass_parquet):
    options = {"test_share": 0.4, "min_pictures": 3, "languages": ["en", "de"]}
    from_zip = _prepare("iconclass_ai", root=iconclass_zip, **options)
    from_hub = _prepare("iconclass_ai", root=iconclass_parquet, **options)
    assert {r.sha256 for r in from_zip.pictures.records} == {r.sha256 for r in from_hub.pictures.records}
    assert 15 <= len(from_zip.pictures) <= 50
    assert set(_tasks(from_zip)) == {"zero_shot_en", "zero_shot_de"}
    english, german = _tasks(from_zip)["zero_shot_en"], _tasks(from_zip)["zero_shot_de"]
    assert english.classes == german.classes == ("11H(PETER)", "25F23(LION)", "25G41(ROSE)", "71H71")
    assert english.class_prompts[1][0] == "beasts of prey, predatory animals: lion"
    assert german.class_prompts[1][0] == "Raubtiere: Löwe"
    # The same pictures with the same labels in both languages, and in both layouts.
    assert english.labels == german.labels
    assert from_hub.pictures.read(0)[:2] == b"\xff\xd8"


def test_iconclass_labels_keep_keys_in_the_hierarchy_and_name_what_is_no_notation(iconclass_zip):
    ready = _prepare("iconclass_ai", root=iconclass_zip, test_share=1, min_pictures=3, languages=["en"])
    (task,) = ready.tasks
    assert len(ready.pictures) == 80
    # 25F23(LION)(+12) counts for 25F23(LION), and its key for the truth; 71H71:25G41(ROSE) is two notations.
    number = next(i for i, record in enumerate(ready.pictures.records) if "25F23(LION)(+12)" in record.iconclass)
    assert [task.classes[c] for c in task.labels[number]] == ["25F23(LION)"]
    assert "25F23(LION)(+12)" in task.truths[number]
    combined = next(i for i, record in enumerate(ready.pictures.records) if "71H71:25G41(ROSE)" in record.iconclass)
    assert [task.classes[c] for c in task.labels[combined]] == ["25G41(ROSE)", "71H71"]
    assert ready.facts["notations_not_in_Iconclass"] == ["11F(MARY) (20)"]
    assert ready.facts["pictures_tested"] == 80


def test_pictures_that_are_missing_or_broken_are_counted_and_most_of_them_are_an_error(iconclass_zip):
    names = sorted(path.name for path in iconclass_zip.glob("*.jpg"))
    (iconclass_zip / names[0]).unlink()
    (iconclass_zip / names[1]).write_bytes(b"<html>404</html>")
    ready = _prepare("iconclass_ai", root=iconclass_zip, test_share=1, min_pictures=3, languages=["en"])
    assert ready.facts["pictures_left_out"] == {"broken": 1, "missing": 1}
    assert len(ready.pictures) == 78
    for name in names[2:50]:
        (iconclass_zip / name).unlink()
    with pytest.raises(EvaluationError, match=r"only 30 of 80 pictures can be read"):
        _prepare("iconclass_ai", root=iconclass_zip, test_share=1, min_pictures=3, languages=["en"])


def test_data_that_moved_is_an_error_that_names_both_revisions(iconclass_zip, make_jpeg):
    options = {"root": iconclass_zip, "test_share": 1, "min_pictures": 3, "languages": ["en"]}
    first = _prepare("iconclass_ai", **options)
    whole = _prepare("iconclass_ai", **options, limit=80)
    assert whole.pictures.revision == first.pictures.revision
    (iconclass_zip / "IIHIM_5.jpg").write_bytes(make_jpeg(5000))
    moved = _prepare("iconclass_ai", **options).pictures.revision
    assert moved != first.pictures.revision
    with pytest.raises(EvaluationError, match=r"expected 0{12}; figures of the two cannot be compared"):
        _prepare("iconclass_ai", **options, revision="0" * 12)


def test_a_limit_keeps_as_many_readable_pictures_as_asked(iconclass_zip):
    for number in range(0, 80, 4):
        (iconclass_zip / f"IIHIM_{number}.jpg").unlink()
    ready = _prepare("iconclass_ai", root=iconclass_zip, test_share=1, min_pictures=1, languages=["en"], limit=30)
    assert len(ready.pictures) == 30


@pytest.fixture
def artdl(tmp_path: Path, make_jpeg) -> Path:
    """The unpacked zip of Zenodo: JPEGImages, ImageSets/Main/ArtDL.csv with a column of 0 and 1 for each class."""
    columns = [
        "11H(ANTONY OF PADUA)", "11H(JOHN THE BAPTIST)", "11H(PAUL)", "11H(FRANCIS)", "11HH(MARY MAGDALENE)",
        "11H(JEROME)", "11H(DOMINIC)", "11F(MARY)", "11H(PETER)", "11H(SEBASTIAN)", "11H(STEPHEN)",
    ]  # fmt: skip
    rows = []
    for number in range(60):
        mine = {columns[number % 10]: 1}
        if number >= 55:  # two saints, and one that is not among the ten
            mine = {columns[0]: 1, columns[1]: 1} if number % 2 else {"11H(STEPHEN)": 1}
        row = {"item": f"item_{number}", "set": "train" if number in (50, 51) else "test"}
        rows.append(row | {column: mine.get(column, 0) for column in columns})
    _write_csv(tmp_path / "ArtDL" / "ImageSets" / "Main" / "ArtDL.csv", rows)
    _pictures(tmp_path / "ArtDL" / "JPEGImages", [f"item_{number}.jpg" for number in range(60)], make_jpeg)
    return tmp_path / "ArtDL"


def test_artdl_asks_ten_saints_by_name_by_description_and_in_every_language(artdl):
    ready = _prepare("artdl", root=artdl, languages=["en", "de", "it"])
    tasks = _tasks(ready)
    # 60 rows less two of the training set and five with several saints or none of the ten.
    assert len(ready.pictures) == 53
    assert ready.facts["pictures_of_several_or_no_saints_left_out"] == 5
    assert set(tasks) == {
        "zero_shot_label", "zero_shot_description", "zero_shot_iconclass_en", "zero_shot_iconclass_de",
        "zero_shot_iconclass_it", "zero_shot_iconclass_together", "swapped_en", "swapped_de", "nearest_neighbour",
        "nearest_neighbours_20", "linear_probe",
    }  # fmt: skip
    names = tasks["zero_shot_label"].classes
    assert len(names) == 10
    peter = names.index("Peter")
    assert "a painting of Peter" in tasks["zero_shot_label"].class_prompts[peter]
    assert "possible attributes: book, cock" in tasks["zero_shot_description"].class_prompts[peter][0]
    assert tasks["zero_shot_iconclass_de"].class_prompts[peter] == ("der Apostel Petrus, erster Bischof von Rom",)
    # The data set's 11F(MARY) is Iconclass's 11F.
    assert tasks["zero_shot_iconclass_de"].class_prompts[names.index("Virgin Mary")] == ("die Jungfrau Maria",)
    together = tasks["zero_shot_iconclass_together"]
    assert together.language == "de,en,it"
    assert together.zero_shot_prompts["de"][peter] == "der Apostel Petrus, erster Bischof von Rom"


def test_artdl_swaps_attributes_that_the_other_saint_does_not_have(artdl):
    task = _tasks(_prepare("artdl", root=artdl, probes=False, languages=["en", "fr"]))["swapped_en"]
    assert {pair.swapped for pair in task.pairs} == {"attribute", "name"}
    for pair in task.pairs:
        assert pair.right != pair.wrong
        right_name, _, right_attribute = pair.right.partition(" with ")
        wrong_name, _, wrong_attribute = pair.wrong.partition(" with ")
        assert (right_name == wrong_name) is (pair.swapped == "attribute")
        assert (right_attribute == wrong_attribute) is (pair.swapped == "name")
    # Mary has no attributes in Iconclass and is not asked.
    assert not any("Virgin Mary" in pair.right for pair in task.pairs)


def test_artdl_tests_on_the_authors_list_where_it_lies_there(artdl):
    (artdl / "sets").mkdir()
    (artdl / "sets" / "test.txt").write_text("item_50\nitem_3\nitem_51\n")
    ready = _prepare("artdl", root=artdl, probes=False)
    assert sorted(record.id for record in ready.pictures.records) == ["item_3", "item_50", "item_51"]


def test_artdl_of_another_layout_is_said(artdl, tmp_path: Path):
    with pytest.raises(EvaluationError, match="give `root`, the folder with the data of ArtDL"):
        _prepare("artdl")
    with pytest.raises(EvaluationError, match="no such folder"):
        _prepare("artdl", root=tmp_path / "nowhere")
    _write_csv(artdl / "ImageSets" / "Main" / "ArtDL.csv", [{"item": "x", "set": "test", "11H(PAUL)": 1}])
    with pytest.raises(EvaluationError, match=r"no column 11H\(ANTONY OF PADUA\)"):
        _prepare("artdl", root=artdl)


def _eufcc_rows(start: int, count: int) -> list[dict[str, str]]:
    types = ("estampa", "ceràmica $ part d'objecte | fragment", "estampa | xilografia", "joia | anell | anell", "")
    materials = ("paper", "argila | ceràmica $ argila", "paper", "metall | or", "paper $ *dance")
    keepers = ("Rijksmuseum", "Upplands Museum", "Museum of Ethnography", 'The "Gusti" Museum')
    return [
        {
            "idInSource": f"art_{n:06d}",
            "objectTypes.hierarchy": types[n % 5],
            "subjects.hierarchy": "",
            "materials.hierarchy": materials[n % 5],
            "#portraitMedia.original": f"https://example.org/{n}",
            "database": "EUROPEANA",
            "repository.keeper": keepers[n % 4],
            "classifications.hierarchy": "",
        }
        for n in range(start, start + count)
    ]


@pytest.fixture
def eufcc(tmp_path: Path, make_jpeg) -> Path:
    """The repository with its CSV files, and pictures where its downloader puts them."""
    root = tmp_path / "EUFCC-340K"
    _write_csv(root / "data" / "train.csv", _eufcc_rows(0, 150))
    _write_csv(root / "data" / "test_id.csv", _eufcc_rows(140, 40))  # ten of them are in train.csv too
    _pictures(root / "EUROPEANA" / "images", [f"art_{n:06d}.jpg" for n in range(180)], make_jpeg)
    return root


def test_eufcc_labels_are_whole_paths_and_marks_of_editors_go():
    assert read_labels("a | b $ c") == (("a", "a | b"), ("c",))
    assert read_labels("gorra | gorra de punt | gorra de punt")[0][-1] == "gorra | gorra de punt | gorra de punt"
    assert read_labels("ulleres | ELIMINAR $ *dance") == (("ulleres",), ("dance",))
    assert read_labels("") == ()


def test_eufcc_is_split_by_content_and_by_provider(eufcc):
    ready = _prepare("eufcc", root=eufcc, test_share=0.4, unseen_share=0.3, min_pictures=5)
    records = ready.pictures.records
    assert len(records) == 180  # each object once
    parts = ready.facts["pictures_by_part"]
    assert sum(parts.values()) == 180
    tasks = _tasks(ready)
    assert {name.partition("_in_")[0].partition("_of_")[0] for name in tasks} == {"object_types", "materials"}
    for name, task in tasks.items():
        keepers = {records[position].institution for position in task.positions}
        other = {records[p].institution for t in ready.tasks for p in t.positions if "unseen" not in t.name}
        if "unseen" in name:
            assert not keepers & other
    types = tasks["object_types_in_distribution"]
    assert set(types.classes) >= {"estampa", "ceràmica", "fragment", "xilografia", "anell"}
    # A woodcut is right by its own label; the print above it is in the truth.
    place = next(i for i, p in enumerate(types.positions) if records[p].id.endswith(("2", "7")))
    assert "estampa" in types.truths[place]
    assert types.language == "ca"
    assert types.primary == "r_precision"


def test_eufcc_splits_do_not_move_when_rows_do(eufcc):
    options = {"root": eufcc, "test_share": 0.4, "unseen_share": 0.3, "min_pictures": 5}
    before = _prepare("eufcc", **options)
    (eufcc / "data" / "train.csv").rename(eufcc / "data" / "val.csv")
    after = _prepare("eufcc", **options)

    def parts(ready: Prepared) -> set[tuple[str, str]]:
        return {(t.name, ready.pictures.records[p].id) for t in ready.tasks for p in t.positions}

    assert parts(before) == parts(after)


def test_eufcc_labels_that_were_changed_move_the_revision_and_further_facets_do_not(eufcc):
    before = _prepare("eufcc", root=eufcc, facets=["materials"]).pictures.revision
    assert _prepare("eufcc", root=eufcc).pictures.revision == before
    path = eufcc / "data" / "train.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("xilografia", "litografia", 1), encoding="utf-8")
    assert _prepare("eufcc", root=eufcc, facets=["materials"]).pictures.revision != before


CAPTIONS = {"en": "a red ball", "de": "ein roter Ball", "no": "en rød ball"}


@pytest.fixture
def xm3600_folder(tmp_path: Path, make_jpeg) -> Path:
    """The original: captions.jsonl with image/key and caption lists by language, and images/<key>.jpg."""
    keys = [f"{number:016x}" for number in range(36)]
    _pictures(tmp_path / "xm" / "images", [f"{key}.jpg" for key in keys], make_jpeg)
    lines = []
    for number, key in enumerate(keys):
        row: dict[str, Any] = {"image/key": key, "image/locale": "en"}
        for language, text in CAPTIONS.items():
            texts = [f"{text} {number}", f"{text} {number} again"]
            row[language] = {"caption": texts, "caption/tokenized": texts, "caption/tokenized/lowercase": texts}
        lines.append(json.dumps(row, ensure_ascii=False))
    (tmp_path / "xm" / "captions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "xm"


@pytest.fixture
def xm3600_hub(tmp_path: Path, make_jpeg) -> Path:
    """floschne/xm3600: Parquet by language with image_id, image_locale, captions and image (bytes, null path)."""
    (tmp_path / "xmhub" / "data").mkdir(parents=True)
    for language, text in CAPTIONS.items():
        rows = [
            {
                "image_id": f"{number:016x}",
                "image_locale": "en",
                "captions": [f"{text} {number}", f"{text} {number} again"],
                "captions_tokenized": [text],
                "captions_tokenized_lowercase": [text],
                "image": {"bytes": make_jpeg(number), "path": None},
            }
            for number in range(36)
        ]
        path = tmp_path / "xmhub" / "data" / f"{language}-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=10)
    return tmp_path / "xmhub"


def test_xm3600_is_the_same_from_its_authors_and_from_the_hub(xm3600_folder, xm3600_hub):
    options = {"languages": ["en", "de", "no"]}
    ours = _prepare("xm3600", root=xm3600_folder, **options)
    hub = _prepare("xm3600", root=xm3600_hub, **options)
    assert ours.pictures.revision == hub.pictures.revision
    (task,) = ours.tasks
    assert [gallery.languages[0] for gallery in task.galleries] == ["de", "en", "no"]
    # One caption a picture in each language; all languages face the same 36 pictures.
    assert {len(gallery.texts) for gallery in task.galleries} == {36}
    assert {len(gallery.positions) for gallery in task.galleries} == {36}
    every = _prepare("xm3600", root=xm3600_folder, captions="all", **options)
    assert {len(gallery.texts) for gallery in every.tasks[0].galleries} == {72}
    assert [hub.pictures.read(i) for i in (0, 35, 10)] == [ours.pictures.read(i) for i in (0, 35, 10)]


def test_xm3600_says_which_line_it_cannot_read(xm3600_folder):
    path = xm3600_folder / "captions.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:3], "{}"]), encoding="utf-8")
    with pytest.raises(EvaluationError, match="line 4: not a line of Crossmodal-3600"):
        _prepare("xm3600", root=xm3600_folder)


@pytest.fixture
def illuminations(tmp_path: Path) -> Path:
    rows = [
        {
            "illuminationID": 1857 + number,
            "signature": "The Hague, KB, 76 E 5",
            "description" if number < 20 else "descriptionEN": [
                "The head of Christ",
                "A lion",
                "Alexander and Aristotle",
            ][number % 3]
            + f", no. {number // 6}",
            "type": "historiated initial",
            "iconClass": [["11D31", "49L12(M)"], "25F23(LION)", ["98B(ALEXANDER THE GREAT)", "98B(ARISTOTLE)", "X1"]][
                number % 3
            ],
            "dateRegisterIndex": 1374 if number else "1430-1435",
        }
        for number in range(33)
    ]
    path = tmp_path / "kb" / "Beatrijs" / "KB76E5_illum.json"
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps({"records": {"record": [*rows, rows[0], {"illuminationID": 1, "description": "no label"}]}})
    )
    return tmp_path / "kb"


def test_descriptions_are_asked_for_their_notations_in_each_language(illuminations):
    ready = _prepare("kb_illuminations", root=illuminations, languages=["en", "de"])
    english, german = ready.tasks
    assert len(english.texts) == 33  # one is there twice, one has no notation
    assert english.classes == ("11D31", "25F23(LION)", "98B(ALEXANDER THE GREAT)", "98B(ARISTOTLE)")
    assert german.class_prompts[1] == ("Raubtiere: Löwe",)
    assert [english.classes[c] for c in english.labels[2]] == ["98B(ALEXANDER THE GREAT)", "98B(ARISTOTLE)"]
    assert ready.facts["notations_not_in_Iconclass"] == ["X1 (11)"]
    years = [(record.year_min, record.year_max) for record in ready.pictures.records]
    assert years == [(1430, 1435), *[(1374, 1374)] * 32]
    assert len(set(ready.pictures.works)) == 18  # equal descriptions are one work


def test_a_language_that_iconclass_lacks_is_said_with_the_benchmark(illuminations, tmp_path: Path, tiny_model_dir):
    data = {
        "verb": "eval", "out": str(tmp_path / "out"), "models": [str(tiny_model_dir)],
        "benchmarks": [{"kind": "kb_illuminations", "root": str(illuminations), "languages": ["nl"]}],
    }  # fmt: skip
    with pytest.raises(EvaluationError, match="kb_illuminations: Iconclass has no texts in 'nl' here; it has en, de"):
        run_evaluation(EvalConfig.validate_data(data, where="test"))


def test_an_evaluation_without_shards_runs_from_files_to_the_report(
    artdl, xm3600_folder, illuminations, tmp_path: Path, model_dirs: Callable[[str], Path]
):
    config = {
        "verb": "eval",
        "out": str(tmp_path / "out"),
        "models": [
            {"name": str(model_dirs("clip")), "weights": "random", "label": "a"},
            {"name": str(model_dirs("siglip2")), "weights": "random", "label": "b"},
        ],
        "benchmarks": [
            {"kind": "artdl", "root": str(artdl), "languages": ["en", "de"]},
            {"kind": "xm3600", "root": str(xm3600_folder), "languages": ["en", "de"]},
            {"kind": "kb_illuminations", "root": str(illuminations), "languages": ["en"]},
        ],
        "resamples": 200,
        "test": "mcnemar",
        "slices": ["language"],
        "device": "cpu",
    }
    text = run_evaluation(EvalConfig.validate_data(config, where="test"))
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    found = {(row["benchmark"], row["task"], row["metric"]): row for row in rows if row["slice"] == "all"}
    assert found["artdl", "zero_shot_label", "accuracy@1"]["n"] == 53
    assert found["xm3600", "retrieval", "text_to_image/mrr"]["value"] is not None
    assert found["kb_illuminations", "descriptions_en", "r_precision"]["chance"] is not None
    assert {row["slice"] for row in rows if row["benchmark"] == "xm3600"} >= {"all", "language=de", "language=en"}
    # Only the fields that were asked for, and the test that was asked for where it is defined.
    assert {row["slice"].partition("=")[0] for row in rows} == {"all", "language"}
    compared = [json.loads(line) for line in (tmp_path / "out" / "comparisons.jsonl").read_text().splitlines()]
    assert {row["test"].partition(",")[0] for row in compared} >= {"McNemar", "paired cluster bootstrap by work"}
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    sheets = {sheet["name"]: sheet for sheet in run["benchmarks"]}
    assert sheets["artdl"]["run_on_real_data"] is False
    assert sheets["xm3600"]["pinned_revision"].startswith("8d3e5665")
    # The tiny model reads 24 tokens: the long descriptions are cut, and that is told.
    description = next(task for task in sheets["artdl"]["tasks"] if task["name"] == "zero_shot_description")
    assert 0 < description["texts_cut"]["a"]["en"]["num_cut"] < 10
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Not yet run on the real data" in report
    assert "what others reached" in report
    assert "artdl" in text


def test_a_benchmark_on_shards_without_shards_is_an_error():
    data = {"verb": "eval", "out": "x", "models": ["a:b"], "benchmarks": [{"kind": "richelieu"}, {"kind": "xm3600"}]}
    with pytest.raises(ConfigError, match="richelieu: tested on pictures of a shard set; name it with `shards:`"):
        EvalConfig.validate_data(data, where="test")


def test_a_hub_that_does_not_answer_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    code = (
        "from eval.benchmarks.xm3600 import Xm3600\n"
        "from eval.data import EvalData\n"
        "try: Xm3600.model_validate({'kind': 'xm3600'}).prepare(EvalData(None))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    env = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert done.stdout.startswith("EvaluationError hf-hub:floschne/xm3600:"), done.stdout + done.stderr
    assert "`root` names a folder" in done.stdout


@pytest.mark.real
def test_the_hub_s_copy_is_fetched_at_its_pinned_revision(shared_folder: Path, xm3600_hub: Path, tmp_path: Path):
    """A local stand-in for the Hub: the client asks for the pinned commit, which the stand-in is told to be."""
    server_root = tmp_path / "server"
    command = [sys.executable, str(shared_folder / "tools" / "mini_hub.py"), str(server_root), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            endpoint = server.stdout.readline().split()[2]
            env = {
                "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_test", "HF_HOME": str(tmp_path),
                "PATH": "/usr/bin", "OMP_NUM_THREADS": "1",
            }  # fmt: skip
            code = f"""
from huggingface_hub import HfApi
from eval.benchmarks.xm3600 import Xm3600
from eval.data import EvalData
api = HfApi()
api.create_repo("floschne/xm3600", repo_type="dataset")
commit = api.upload_folder(repo_id="floschne/xm3600", folder_path={str(xm3600_hub)!r}, repo_type="dataset").oid
Xm3600.pinned_revision = commit
ready = Xm3600.model_validate({{"kind": "xm3600", "languages": ["en", "no"]}}).prepare(EvalData(None))
print(len(ready.pictures), [gallery.languages[0] for gallery in ready.tasks[0].galleries])
Xm3600.pinned_revision = "f" * 40
try: Xm3600.model_validate({{"kind": "xm3600", "languages": ["en"]}}).prepare(EvalData(None))
except Exception as error: print(type(error).__name__)
"""
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
        finally:
            server.terminate()
    assert done.stdout.splitlines() == ["36 ['en', 'no']", "EvaluationError"], done.stdout + done.stderr


@pytest.mark.real
def test_the_kb_s_own_descriptions(shared_data: Path):
    root = shared_data / "annotations" / "kb_illuminations"
    ready = _prepare("kb_illuminations", root=root)
    task = ready.tasks[0]
    assert {t.language for t in ready.tasks} == {"en", "de", "fr", "it", "pt"}
    assert len({t.labels for t in ready.tasks}) == 1
    # Notations without a text in one of the languages are asked in none: few descriptions lose all of theirs.
    assert sum(map(bool, task.labels)) > 0.95 * len(task.labels)
    assert len(task.classes) > 400
    assert len(task.texts) > 400
    assert any("ANABULA" in text for text in ready.facts["notations_not_in_Iconclass"])


@pytest.fixture
def plates(tmp_path: Path) -> Callable[[list[tuple[str, str]]], Path]:
    def write(rows: list[tuple[str, str]]) -> Path:
        _write_csv(tmp_path / "plates.csv", [{"id": record, "plate": plate} for record, plate in rows])
        return tmp_path / "plates.csv"

    return write


def test_plates_come_from_a_table(make_shards, tmp_path: Path, plates):
    from eval.benchmarks.base import Benchmark

    root = make_shards(tmp_path / "shards", num_records=60)
    data = EvalData(root)
    ids = [record.id for record in data.heldout(["prints"]).records]
    benchmark = plugins.load("eval.benchmarks", "same_plate", Benchmark)

    def prepare(rows: list[tuple[str, str]]) -> Prepared:
        options = {"kind": "same_plate", "source": "prints", "plates": plates(rows)}
        return benchmark.model_validate(options).prepare(data)

    task = prepare([(ids[0], "p1"), (ids[1], "p1"), (ids[2], "p2")]).tasks[0]
    assert task.plates[:4] == ("p1", "p1", "p2", "")
    with pytest.raises(EvaluationError, match="no plate has two of the"):
        prepare([(ids[0], "p1"), (ids[1], "p2")])
    with pytest.raises(EvaluationError, match="CSV file with id and plate"):
        benchmark.model_validate({"kind": "same_plate", "plates": "nowhere.csv"}).prepare(
            EvalData(make_shards(tmp_path / "more", num_records=60))
        )
