"""Near-duplicates: hashes over views, exact search within a distance, groups."""

import random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from data_prep.dedup import UnionFind, content_box, group_duplicates, hash_views


def scene(seed: int, size=(240, 180)) -> Image.Image:
    """Some blocks of colour; another scene for each seed."""
    rng = random.Random(seed)
    image = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        left, top = rng.randrange(size[0]), rng.randrange(size[1])
        box = (left, top, left + rng.randrange(20, 90), top + rng.randrange(20, 90))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=tuple(rng.randrange(256) for _ in range(3)))
    return image


def same(one: Image.Image, other: Image.Image) -> bool:
    return bool(group_duplicates(["", ""], [hash_views(one), hash_views(other)], max_distance=6))


def test_a_thumbnail_a_grey_copy_and_a_border_are_the_same_picture():
    found = {"small": 0, "grey": 0, "border": 0}
    for seed in range(10):
        image = scene(seed)
        found["small"] += same(image, image.resize((80, 60)))
        found["grey"] += same(image, ImageOps.grayscale(image).convert("RGB"))
        found["border"] += same(image, ImageOps.expand(image, border=14, fill=(250, 250, 250)))
    # field measurements: thumbnail and grey nearly always, an 8 % border about 7 in 10
    assert found["small"] == 10
    assert found["grey"] == 10
    assert found["border"] >= 7


def test_different_pictures_are_different():
    views = [hash_views(scene(seed)) for seed in range(60)]
    assert group_duplicates([""] * 60, views, max_distance=6) == []


def test_blank_pages_are_compared_by_file_only():
    blank = Image.new("RGB", (200, 200), (240, 235, 220))
    assert hash_views(blank) == []
    assert group_duplicates(["x", "x", "y"], [[], [], []], max_distance=6) == [(0, 1)]


def test_groups_are_connected_components():
    # 0b0 - 0b111111 (6 bits) - 0b111111111111 (6 more): the ends differ in 12 bits and are still one group
    views = [[0], [0b111111], [0b111111111111], [0xFFFF << 40]]
    assert group_duplicates([""] * 4, views, max_distance=6) == [(0, 1, 2)]
    assert group_duplicates([""] * 4, views, max_distance=5) == []


@pytest.mark.parametrize("max_distance", range(8))
def test_the_search_finds_exactly_the_pairs_within_the_distance(max_distance):
    rng = random.Random(max_distance)
    views = []
    for _ in range(40):
        value = rng.getrandbits(64)
        flips = sum(1 << bit for bit in rng.sample(range(64), rng.randrange(0, 10)))
        views += [[value], [value ^ flips]]
    want = {
        (i, j) for i in range(80) for j in range(i + 1, 80) if (views[i][0] ^ views[j][0]).bit_count() <= max_distance
    }
    groups = group_duplicates([""] * 80, views, max_distance=max_distance)
    assert {(group[0], group[1]) for group in groups if len(group) == 2} == want


def test_the_border_is_trimmed_and_a_picture_to_the_edge_is_not():
    page = Image.new("L", (100, 80), 240)
    page.paste(30, (20, 15, 90, 70))
    assert content_box(page) == (20, 15, 90, 70)
    gradient = Image.fromarray(np.tile(np.linspace(0, 255, 100, dtype=np.uint8), (80, 1)))
    assert content_box(gradient) == (0, 0, 100, 80)


def test_the_smallest_member_names_a_group():
    groups: UnionFind[str] = UnionFind()
    groups.union("c", "b")
    groups.union("b", "a")
    assert groups.find("c") == "a"
    assert groups.find("z") == "z"
