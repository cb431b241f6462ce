"""Titles, names, labels and addresses taken apart."""

import pytest

from data_prep.parse.parsed import Creator
from data_prep.parse.text import (
    iconclass_of,
    is_notation,
    is_page_label,
    is_procedural,
    names_of,
    plain_text,
    proper_title,
    split_name,
    split_title,
)
from data_prep.parse.urls import gallica_ark, image_service_of, is_picture, open_gallica, web_url, without_secrets

IMAGE = "https://openapi.bnf.fr/iiif/image/v3/ark:/12148"


@pytest.mark.parametrize(
    ("text", "name", "dates", "role"),
    [
        ("Dürer, Albrecht (1471-1528). Graveur", "Dürer, Albrecht", "1471-1528", "Graveur"),
        ("Dante Alighieri (1265-1321). Auteur du texte", "Dante Alighieri", "1265-1321", "Auteur du texte"),
        ("Nadar (18..-19..?). Photographe", "Nadar", "18..-19..?", "Photographe"),
        ("Agence Rol. Agence photographique", "Agence Rol", "", "Agence photographique"),
        ("Cassini de Thury (1714-1784). Cartographe. Éditeur", "Cassini de Thury", "1714-1784", "Cartographe. Éditeur"),
        ("Curran, C.P. (Constantine Peter), 1880-1972", "Curran, C.P. (Constantine Peter)", "1880-1972", ""),
        ("Henrick Bruno (1617-1664) (ISNI 0000 0000 0719 024X)", "Henrick Bruno", "1617-1664", ""),
        ("Smith, J. R.", "Smith, J. R.", "", ""),
        ("Rembrandt van Rijn", "Rembrandt van Rijn", "", ""),
    ],
)
def test_name_dates_and_role_are_told_apart(text, name, dates, role):
    assert split_name(text) == Creator(name=name, role=role, dates=dates)


def test_role_before_a_name_is_turned_round():
    assert names_of(["Publisher: Nicolaes Visscher II", "Artist: Vincent van Gogh"]) == (
        Creator("Nicolaes Visscher II", "Publisher"),
        Creator("Vincent van Gogh", "Artist"),
    )


def test_isbd_title_is_split_at_its_marks():
    title = split_title("Vue de Paris : [estampe] / Dupont del. ; 23 x 30 cm")
    assert (title.proper, title.material, title.dimensions) == ("Vue de Paris", "estampe", "23 x 30 cm")
    assert title.responsibility == "Dupont del."


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        (
            "Bruxelles : voyage de M. Doumergue : [photographie de presse] / Agence Meurisse",
            "Bruxelles : voyage de M. Doumergue",
        ),
        ("In wildest Africa /", "In wildest Africa"),
        ("Le pont / De brug", "Le pont / De brug"),  # two languages (KBR), no responsibility
        ("[Recueil. Portraits d'Aristide Briand]", "[Recueil. Portraits d'Aristide Briand]"),
        ("Carte de la France / [établie sous la direction de Cassini]", "Carte de la France"),
        ("Mapa de España [Material gráfico] /", "Mapa de España"),
    ],
)
def test_caption_is_the_title_proper(text, caption):
    assert proper_title(text) == caption


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>Un <em>lion</em><br/>couché</p>", "Un lion couché"),
        ("&amp;amp;lt;b&amp;amp;gt;", "&lt;b&gt;"),  # unescaped twice, not three times
        ("Friedrich <V.> < Pfalz, Kurfürst>", "Friedrich (V.) (Pfalz, Kurfürst)"),
        ("[[:w:en:Ubbo_Emmius|Ubbo Emmius]] {{Technique |1=copper engraving}}", "Ubbo Emmius copper engraving"),
        ("{{Information field|name=Depicted|value=Groningen}}", "Groningen"),
        ("a < b and c > d", "a < b and c > d"),
    ],
)
def test_markup_is_taken_off(text, plain):
    assert plain_text(text) == plain


def test_notes_about_the_digitisation_are_no_captions():
    assert is_procedural("Numérisation effectuée à partir d'un document de substitution")
    assert is_procedural("Appartient à l’ensemble documentaire : Pho20Rol")
    assert not is_procedural("Un lion devant une tour")


@pytest.mark.parametrize(
    "label", ["12v", "f. 033v - 034", "NP", "contreplat sup.", "[Front cover]", "Page 2", "-", "xiv"]
)
def test_page_labels_are_no_captions(label):
    assert is_page_label(label)


@pytest.mark.parametrize("label", ["Leeuw", "Plate 3: The lion", "La fuite en Egypte", "Harlem from the south"])
def test_labels_that_name_something_are_captions(label):
    assert not is_page_label(label)


def test_iconclass_addresses_are_decoded():
    assert iconclass_of("https://iconclass.org/25F23%28LION%29%28%2B12%29") == "25F23(LION)(+12)"
    assert iconclass_of("http://iconclass.org/rkd/11H(JEROME)/") == "11H(JEROME)"
    assert iconclass_of("http://vocab.getty.edu/aat/300026816") == ""
    assert is_notation("71E11")
    assert not is_notation("lion")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "https://gallica.bnf.fr/iiif/ark:/12148/btv1b1/f1/full/full/0/native.jpg",
            f"{IMAGE}/btv1b1/f1/full/max/0/default.jpg",
        ),
        (
            "http://gallica.bnf.fr/iiif/ark:/12148/btv1b1/f2/0,0,9,9/512,/90/gray.png",
            f"{IMAGE}/btv1b1/f2/0,0,9,9/512,/90/gray.jpg",
        ),
        (
            "https://gallica.bnf.fr/iiif/ark:%2F12148%2Fbtv1b1/f3/full/max/0/native",
            f"{IMAGE}/btv1b1/f3/full/max/0/default.jpg",
        ),
        ("http://gallica.bnf.fr/iiif/ark:/12148/btv1b1/f1", f"{IMAGE}/btv1b1/f1"),
        ("http://gallica.bnf.fr/iiif/ark:/12148/btv1b1/f1/info.json", f"{IMAGE}/btv1b1/f1/info.json"),
        ("https://gallica.bnf.fr/ark:/12148/btv1b1.thumbnail", f"{IMAGE}/btv1b1/f1/full/max/0/default.jpg"),
        ("https://gallica.bnf.fr/ark:/12148/btv1b1/f7.highres", f"{IMAGE}/btv1b1/f7/full/max/0/default.jpg"),
        (
            "https://gallica.bnf.fr/iiif/ark:/12148/btv1b1/manifest.json",
            "https://openapi.bnf.fr/iiif/presentation/v3/ark:/12148/btv1b1/manifest.json",
        ),
        ("https://gallica.bnf.fr/ark:/12148/btv1b1", "https://gallica.bnf.fr/ark:/12148/btv1b1"),  # a page for people
        ("https://example.org/iiif/x/full/full/0/default.jpg", "https://example.org/iiif/x/full/full/0/default.jpg"),
    ],
)
def test_gallica_addresses_are_rewritten_to_the_open_api(old, new):
    assert open_gallica(old) == new


def test_arks_of_catalogue_notices_are_no_pictures():
    assert gallica_ark("https://gallica.bnf.fr/ark:/12148/btv1b530624650") == "ark:/12148/btv1b530624650"
    assert gallica_ark("https://gallica.bnf.fr/ark:/12148/cb32699739p/date") == ""
    assert gallica_ark("https://example.org/ark:/12148/btv1b1") == ""


@pytest.mark.parametrize(
    "text",
    ["file:///etc/passwd", "pipe: cat", "ftp://x/y", "//host/x", "http://", "http://u:p@host/", "http://[::1", "x.jpg"],
)
def test_only_web_addresses_without_passwords_are_admitted(text):
    assert web_url(text) == ""


def test_web_address_is_encoded_and_relative_ones_are_joined():
    assert web_url("http://host/Châteauroux 1.jpg") == "http://host/Ch%C3%A2teauroux%201.jpg"
    assert web_url("../img/1.jpg", base="https://host/mets/2.xml") == "https://host/img/1.jpg"


def test_europeana_keys_are_cut_out():
    redirect = "https://api.europeana.eu/api/SECRET/redirect?shownAt=http%3A%2F%2Fwww.mimo-db.eu%2FGNM%2F1&provider=x"
    assert without_secrets(redirect) == "http://www.mimo-db.eu/GNM/1"
    assert without_secrets("https://api.europeana.eu/r.json?wskey=SECRET&a=1") == "https://api.europeana.eu/r.json?a=1"
    assert without_secrets("https://host/r?apikey=SECRET") == "https://host/r"
    assert without_secrets("https://host/image?key=42") == "https://host/image?key=42"


def test_pictures_are_known_by_type_or_ending():
    assert is_picture("http://x/a.JPG") is True
    assert is_picture("http://x/a.pdf") is False
    assert is_picture("http://x/a") is None
    assert is_picture("http://x/a", "image/jpeg") is True
    assert is_picture("http://x/a.jpg", "text/html") is False
    assert image_service_of("http://x/iiif/a%2Fb/full/!800,600/0/default.jpg") == "http://x/iiif/a%2Fb"
