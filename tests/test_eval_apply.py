"""`iconoclip apply` labels and searches a folder of pictures with no metadata, and says what a machine made."""

import csv
import io
import re

import numpy as np
import pytest
from PIL import Image

from eval.apply import apply_model
from eval.apply_encoded import embed_prompts, softmax, write_csv
from eval.apply_labels import read_labels
from eval.apply_pictures import open_pictures, upright_rgb
from iconoclip import embed, models
from iconoclip.errors import EvaluationError, ModelError


@pytest.fixture
def folder(tmp_path, make_jpeg):
    """Six files: three JPEGs (one in a subfolder), a PNG, one cut off, one that is no picture."""
    root = tmp_path / "pictures"
    (root / "sub").mkdir(parents=True)
    for number in range(2):
        (root / f"{number}.jpg").write_bytes(make_jpeg(number))
    (root / "sub" / "2.JPG").write_bytes(make_jpeg(2))
    Image.new("RGBA", (20, 30), (0, 0, 0, 0)).save(root / "clear.png")
    (root / "cut.jpg").write_bytes(make_jpeg(5, size_px=(200, 200))[:900])
    (root / "=cmd.jpg").write_bytes(b"no picture")
    (root / "notes.txt").write_text("not looked at")
    return root


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def labels_file(tmp_path, text):
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_csv_is_what_the_model_says(folder, tmp_path, tiny_model_dir):
    labels = labels_file(tmp_path, "ship\tan old ship\nship\ta sailing ship\n# comment\n\nlion\ntower\ta tower\n")
    out = tmp_path / "out"
    text = apply_model(f"local-dir:{tiny_model_dir}", folder, labels=labels, out=out)
    rows = rows_of(out / "labels.csv")
    assert [row["id"] for row in rows] == ["0.jpg", "1.jpg", "clear.png", "sub/2.JPG"]

    model = models.load(f"local-dir:{tiny_model_dir}")
    data = (folder / "0.jpg").read_bytes()
    image_D = embed.embed_images(model, lambda _: data, 1)[0]
    prompt_PD = embed.embed_texts(model, ["an old ship", "a sailing ship", "lion", "a tower"])
    ship_D = (prompt_PD[0] + prompt_PD[1]) / 2
    text_LD = np.stack([ship_D / np.linalg.norm(ship_D), prompt_PD[2], prompt_PD[3]])
    cosine_L = text_LD @ image_D
    exponentials = np.exp(float(model.module.logit_scale.detach().exp()) * cosine_L.astype(np.float64))
    share_L = exponentials / exponentials.sum()
    best, second = np.argsort(-share_L)[:2]
    names = ["ship", "lion", "tower"]
    row = rows[0]
    assert (row["label"], row["runner_up"]) == (names[best], names[second])
    assert float(row["score"]) == pytest.approx(share_L[best], abs=1e-5)
    assert float(row["runner_up_score"]) == pytest.approx(share_L[second], abs=1e-5)
    assert float(row["margin"]) == pytest.approx(share_L[best] - share_L[second], abs=1e-5)
    assert float(row["cosine"]) == pytest.approx(cosine_L[best], abs=1e-5)
    assert row["score_kind"] == "softmax probability over the labels"
    assert row["model_sha256"] == model.weights_sha256
    assert row["machine_made"] == "true"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["date"])
    assert "4 pictures read, 2 could not be" in text


def test_broken_pictures_are_counted_and_listed(folder, tmp_path, tiny_model_dir):
    out = tmp_path / "out"
    text = apply_model(str(tiny_model_dir), folder, query="a lion", out=out)
    rows = rows_of(out / "broken.csv")
    assert [row["id"] for row in rows] == ["'=cmd.jpg", "cut.jpg"]  # the apostrophe keeps a spreadsheet from running it
    assert rows[0]["reason"] == "not a picture"
    assert "truncated" in rows[1]["reason"]
    assert "cut.jpg: " in text


def test_a_query_gives_the_k_nearest_in_order(folder, tmp_path, tiny_model_dir):
    out = tmp_path / "out"
    text = apply_model(str(tiny_model_dir), folder, query="a <b>lion</b>", out=out, k=3)
    rows = rows_of(out / "query.csv")
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert rows[0]["score_kind"] == "cosine similarity"
    page = (out / "query.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 3
    assert "<b>lion" not in page
    assert rows[0]["id"] in text
    assert not (out / "labels.csv").exists()


def test_results_that_are_not_there_are_named(folder, tmp_path):
    with pytest.raises(EvaluationError, match=r"nowhere: not there"):
        apply_model("tiny:random", folder, labels=tmp_path / "nowhere", out=tmp_path / "out", min_precision=0.9)


def test_the_same_command_gives_the_same_labels(folder, tmp_path, tiny_model_dir):
    labels = labels_file(tmp_path, "ship\nlion\n")
    first, second = tmp_path / "a", tmp_path / "b"
    for out in (first, second):
        apply_model(str(tiny_model_dir), folder, labels=labels, query="ship", out=out)
    strip = [{**row, "date": ""} for row in rows_of(first / "labels.csv")]
    assert strip == [{**row, "date": ""} for row in rows_of(second / "labels.csv")]


def test_shards_are_read_with_their_ids(make_shards, tmp_path, tiny_model_dir):
    out = tmp_path / "out"
    root = make_shards(num_records=20)
    apply_model(str(tiny_model_dir), root, labels=labels_file(tmp_path, "a\nb\n"), out=out)
    rows = rows_of(out / "labels.csv")
    assert len(rows) == 20
    assert {row["id"].split("-")[0] for row in rows} == {"prints", "photos"}
    apply_model(str(tiny_model_dir), root / "test", query="a", out=out, k=2)
    assert len(rows_of(out / "query.csv")) == 2


def test_links_out_of_the_folder_are_not_followed(folder, tmp_path, make_jpeg):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "private.jpg").write_bytes(make_jpeg(9))
    (folder / "link.jpg").symlink_to(tmp_path / "outside" / "private.jpg")
    (folder / "linked_folder").symlink_to(tmp_path / "outside")
    (folder / "inside.jpg").symlink_to("0.jpg")
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    found = open_pictures(folder)
    assert "link.jpg" not in found.ids
    assert not any("private" in name for name in found.ids)
    assert "inside.jpg" in found.ids
    assert dict(found.skipped) == {
        "link.jpg": "a link that leads out of the folder",
        "dangling.jpg": "not a file, or a link to nothing",
    }


def test_pictures_are_upright_opaque_and_eight_bit():
    def encode(image, kind, **options):
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    assert upright_rgb(encode(Image.new("RGB", (40, 20)), "JPEG", exif=exif)).size == (20, 40)
    assert upright_rgb(encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG")).getpixel((0, 0)) == (255, 255, 255)
    deep = Image.fromarray(np.array([[0, 32768], [32768, 65535]], dtype=np.uint16))
    assert [upright_rgb(encode(deep, "TIFF")).getpixel(xy)[0] for xy in ((0, 0), (1, 0), (1, 1))] == [0, 127, 255]
    assert upright_rgb(encode(Image.new("CMYK", (4, 4)), "TIFF")).mode == "RGB"


def test_formulas_are_disarmed_and_numbers_are_not(tmp_path):
    write_csv(tmp_path / "x.csv", ("a", "b", "c", "d"), [("=1+1", "@x", -0.5, -3), ("a,b", 'say "x"', 0.25, 1)])
    assert (tmp_path / "x.csv").read_text() == 'a,b,c,d\n\'=1+1,\'@x,-0.500000,-3\n"a,b","say ""x""",0.250000,1\n'


def test_softmax_by_hand():
    # e^0 : e^ln3 = 1 : 3
    assert softmax(np.array([[0.0, np.log(3)]])).tolist() == [pytest.approx([0.25, 0.75])]
    assert softmax(np.array([[1000.0, 1000.0]])).tolist() == [[0.5, 0.5]]


def test_prompts_of_a_label_are_averaged_and_set_to_length_one():
    unit = {"x": [1.0, 0.0], "y": [0.0, 1.0]}
    rows = embed_prompts({"both": ("x", "y"), "one": ("y",)}, lambda texts: np.array([unit[text] for text in texts]))
    assert rows.tolist() == [pytest.approx([0.5**0.5, 0.5**0.5]), [0.0, 1.0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no labels in it"),
        ("# only a comment\n\n", "no labels in it"),
        ("ship\n", "only the label 'ship'"),
        ("ship\t\nlion\n", "line 1"),
        ("\tprompt\nlion\n", "line 1"),
    ],
)
def test_label_files_that_cannot_be_used(tmp_path, content, message):
    with pytest.raises(EvaluationError, match=message):
        read_labels(labels_file(tmp_path, content))


def test_a_label_file_in_another_encoding_is_an_error(tmp_path):
    (tmp_path / "labels.txt").write_bytes("château\nport\n".encode("latin-1"))
    with pytest.raises(EvaluationError, match="save it as UTF-8"):
        read_labels(tmp_path / "labels.txt")


def test_what_cannot_be_applied_says_what_to_do(folder, tmp_path, tiny_model_dir):
    model, empty = str(tiny_model_dir), tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(EvaluationError, match="give --labels FILE, --query TEXT"):
        apply_model(model, folder, query="  ", out=tmp_path)
    with pytest.raises(EvaluationError, match="no pictures in it"):
        apply_model(model, empty, query="x", out=tmp_path)
    with pytest.raises(EvaluationError, match="not there"):
        apply_model(model, tmp_path / "missing", query="x", out=tmp_path)
    with pytest.raises(EvaluationError, match="at least one"):
        apply_model(model, folder, query="x", out=tmp_path, k=0)
    with pytest.raises(ModelError, match="no-such-model"):
        apply_model("no-such-model", folder, query="x", out=tmp_path)
    (empty / "a.jpg").write_bytes(b"broken")
    with pytest.raises(EvaluationError, match="none of the 1 pictures can be read"):
        apply_model(model, empty, query="x", out=tmp_path)
