"""Placeholders: the same bytes for many works are a card, for few they are a picture."""

import random

import pytest

from data_prep.fetch.image_sizes import ImageService
from data_prep.fetch.images import PictureRequest
from data_prep.fetch.placeholders import FetchedPicture, find_placeholders

HOST = "https://images.library.example"


def picture(number: int, *, sha256: str = "card", work: str = "", url: str = "", collection: str = "prints"):
    return FetchedPicture(f"key-{number}", work or f"work-{number}", url or f"{HOST}/{number}.jpg", sha256, collection)


def test_the_same_bytes_for_five_works_are_a_placeholder() -> None:
    cards = [picture(number) for number in range(5)]
    assert find_placeholders([*cards, picture(9, sha256="a lion")]) == {
        "key-0": f"the same picture came for 4 other works: {HOST}/1.jpg",
        "key-1": f"the same picture came for 4 other works: {HOST}/0.jpg",
        "key-2": f"the same picture came for 4 other works: {HOST}/0.jpg",
        "key-3": f"the same picture came for 4 other works: {HOST}/0.jpg",
        "key-4": f"the same picture came for 4 other works: {HOST}/0.jpg",
    }


def test_the_same_bytes_for_four_works_are_none() -> None:
    assert find_placeholders([picture(number) for number in range(4)]) == {}
    assert len(find_placeholders([picture(number) for number in range(4)], min_times=4)) == 4


def test_a_real_duplicate_is_no_placeholder() -> None:
    # a print photographed once, catalogued as a sheet and again in the album that it was cut from: one work
    assert find_placeholders([picture(1, work="w"), picture(2, work="w")]) == {}


@pytest.mark.parametrize(
    "pictures",
    [
        [],
        # a plate with nine coins, each with a record of its own, all naming the same file
        [picture(number, url=f"{HOST}/plate.jpg") for number in range(9)],
        # blank leaves of one album
        [picture(number, work="album") for number in range(9)],
        # three addresses, nine works; and the other way round
        [picture(number, url=f"{HOST}/{number % 3}.jpg") for number in range(9)],
        [picture(number, work=f"work-{number % 3}") for number in range(9)],
        # the same stock photograph at libraries that know nothing of each other
        [picture(number, url=f"https://library-{number % 3}.example/{number}.jpg") for number in range(9)],
    ],
)
def test_pictures_that_records_share_for_another_reason_are_no_placeholders(pictures: list[FetchedPicture]) -> None:
    assert find_placeholders(pictures) == {}


def test_whoever_got_the_card_is_named_also_a_second_view_of_a_work() -> None:
    cards = [picture(number) for number in range(5)]
    found = find_placeholders([*cards, picture(5, work="work-0"), picture(6, url=f"{HOST}/1.jpg", work="work-1")])
    assert sorted(found) == [f"key-{number}" for number in range(7)]
    assert found["key-5"] == found["key-0"] == f"the same picture came for 4 other works: {HOST}/1.jpg"


def test_works_of_two_collections_are_two_works() -> None:
    cards = [picture(n, work=f"{n // 2}", collection=("prints", "maps")[n % 2]) for n in range(6)]
    assert len(find_placeholders(cards)) == 6


def test_http_and_capitals_make_no_other_host() -> None:
    cards = [picture(number, url=f"http{'s' * (number % 2)}://Library.EXAMPLE/{number}.jpg") for number in range(3)]
    cards += [picture(number, url=f"https://library.example/{number}.jpg") for number in range(3, 6)]
    assert len(find_placeholders(cards)) == 6


def test_the_order_of_pictures_makes_no_difference() -> None:
    pictures = [picture(number, sha256=("card", "other card", f"own {number}")[number % 3]) for number in range(60)]
    expected = list(find_placeholders(pictures).items())
    assert len(expected) == 40
    for seed in range(5):
        random.Random(seed).shuffle(pictures)
        assert list(find_placeholders(pictures).items()) == expected


def test_the_detail_names_an_address_without_size_or_key() -> None:
    names = [PictureRequest(service=ImageService(f"{HOST}/iiif/{number}"), size_px=512).name for number in range(1200)]
    names[0] = f"{HOST}/0.jpg?wskey=SECRET"
    found = find_placeholders(picture(number, url=name) for number, name in enumerate(names))
    assert len(found) == 1200
    assert found["key-7"] == f"the same picture came for 1,199 other works: {HOST}/0.jpg?wskey=***"
    assert found["key-0"] == f"the same picture came for 1,199 other works: {HOST}/iiif/1"
