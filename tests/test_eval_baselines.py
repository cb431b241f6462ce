import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.baselines import (
    describe_picture,
    descriptor_similarity,
    largest_class,
    nearest_allowed,
    nearest_of_others,
)


def _picture(colour: tuple[int, int, int], size: tuple[int, int] = (80, 60)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_descriptor_is_a_histogram_and_a_thumbnail():
    described = describe_picture(_picture((255, 0, 0)))
    assert described.shape == (8**3 + 6 * 6 * 3,)
    # One colour: one bin holds all pixels; red channel 1/6 and the others 0 in all 36 places.
    assert np.sort(described[: 8**3])[-2:].tolist() == [0, 1]
    assert described[8**3 :].sum() == pytest.approx(36 / 6)


def test_similarity_falls_with_distance_and_is_greatest_to_itself():
    rows = np.stack([describe_picture(_picture(colour)) for colour in ((200, 0, 0), (220, 0, 0), (0, 0, 250))])
    similarity = descriptor_similarity(rows, rows)
    assert similarity.diagonal() == pytest.approx(0)
    assert similarity[0, 1] > similarity[0, 2]


def test_nearest_allowed_skips_what_is_not_allowed():
    similarity = np.array([[0.9, 0.5, 0.1]])
    assert nearest_allowed(similarity, np.array([[False, True, True]])).tolist() == [1]
    assert nearest_allowed(similarity, np.zeros((1, 3), dtype=bool)).tolist() == [-1]


def test_the_nearest_of_other_groups_is_the_one_among_all(make_jpeg):
    rows = np.stack([describe_picture(make_jpeg(number % 230)) for number in range(300)])  # seventy look the same
    groups = np.arange(300) // 3
    expected = nearest_allowed(descriptor_similarity(rows, rows), groups[:, None] != groups[None])
    assert nearest_of_others(rows, groups).tolist() == expected.tolist()
    assert nearest_of_others(rows[:3], groups[:3]).tolist() == [-1, -1, -1]


def test_largest_class():
    assert largest_class(np.array([2, 1, 1, 0])) == 1


@pytest.mark.real
def test_richelieu_is_mostly_recognised_by_its_documents(shared_data: Path):
    """The numbers of COLLECTIONS.md: 77.5 % leaving the picture out, 46.8 % leaving its document out, 27.4 %."""
    folder = shared_data / "images" / "bnf_richelieu_zeroshot"
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    described = np.stack([describe_picture((folder / row["file"]).read_bytes()) for row in rows])
    labels = np.unique([row["label"] for row in rows], return_inverse=True)[1]
    documents = np.array([row["source_record"] for row in rows])
    similarity = descriptor_similarity(described, described)
    other_picture = ~np.eye(len(rows), dtype=bool)
    other_document = documents[:, None] != documents[None]
    by_picture = (labels[nearest_allowed(similarity, other_picture)] == labels).mean()
    by_document = (labels[nearest_allowed(similarity, other_document)] == labels).mean()
    assert by_picture == pytest.approx(0.775, abs=0.015)
    assert by_document == pytest.approx(0.468, abs=0.015)
    assert (labels == largest_class(labels)).mean() == pytest.approx(0.274, abs=0.001)
