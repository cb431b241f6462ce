"""Take cataloguers' text apart: HTML and wiki markup, ISBD punctuation, names with dates and roles, Iconclass.

``split_title("Vue de Paris : [estampe] / Dupont")`` is the title proper ``Vue de Paris``, the general material
designation ``estampe`` and the responsibility ``Dupont``; ``split_name("Dürer, Albrecht (1471-1528). Graveur")`` is a
name, dates and a role. Nothing is corrected: what is not understood stays where it was.
"""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import unquote

from ..captions import clean_text
from .parsed import Creator

# Regular expressions below look back and forth; a text that is longer than this is no description but an attack
MAX_TEXT_CHARS = 10_000
_BREAK = re.compile(r"<\s*(?:br|/p|/li|/div|/h\d)\b[^>]*>", re.I)
_NO_TAG = re.compile(
    r"<(?!/?(?i:a|abbr|address|article|b|bdi|big|blockquote|br|center|cite|code|dd|div|dl|dt|em|font|h\d|hr|i|img|ins|del"
    r"|li|mark|ol|p|pre|q|s|section|small|span|strong|style|script|sub|sup|table|tbody|td|th|thead|tr|tt|u|ul|var)\b|!--)"
    r"\s?([A-ZÀ-Þ][^<>]{0,78}?)\s?>"
)
_SCRIPT = re.compile(r"<(script|style)\b.*?</\1\s*>", re.I | re.S)


def plain_text(text: str) -> str:
    """Text without HTML, entities (unescaped twice at most) and wiki markup, single-spaced, NFC."""
    text = text[:MAX_TEXT_CHARS]
    if "<" in text or "&" in text:
        text = _BREAK.sub(" ", _SCRIPT.sub(" ", text))
        if "&lt;" in text and "<" not in text:
            text = html.unescape(text)
            text = _BREAK.sub(" ", _SCRIPT.sub(" ", text))
        text = _NO_TAG.sub(r"(\1)", text)  # German catalogues: "Friedrich <V.>", "Clausen <Büsum>"
    return clean_text(_without_wiki(text) if "[[" in text or "{{" in text else text)


_WIKI_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_WIKI_TEMPLATE = re.compile(r"\{\{([^{}]*)\}\}")


def _without_wiki(text: str) -> str:
    # [[:w:en:X|label]] -> label; {{Technique|1=etching}} -> etching; {{Creator:Joan Blaeu}} -> Joan Blaeu
    text = _WIKI_LINK.sub(lambda match: match[1].split(":")[-1], text)

    def template(match: re.Match[str]) -> str:
        parts = [part.strip() for part in match[1].split("|")]
        named = dict(part.split("=", 1) for part in parts[1:] if "=" in part)
        value = named.get("value") or named.get("1") or (parts[1] if len(parts) > 1 and "=" not in parts[1] else "")
        return value or (parts[0].removeprefix("Creator:") if len(parts) == 1 else "")

    for _ in range(3):  # templates stand inside templates; what is nested deeper stays
        text, found = _WIKI_TEMPLATE.subn(template, text)
        if not found:
            break
    return text


@dataclass(frozen=True, slots=True)
class Title:
    """Parts of an ISBD title; ``material`` is the general material designation without its brackets."""

    proper: str
    responsibility: str = ""
    material: str = ""
    dimensions: str = ""


_MATERIAL = re.compile(
    r"\s*[:;]?\s*\[((?:texte? |document |image |material |recurso )?(?:estampes?|dessins?|photographies?|photographie|"
    r"affiches?|image fixe|images? animées?|cartographique|matériel cartographique|document cartographique|gravures?|"
    r"imprimé|texte imprimé|manuscrit|musique imprimée|enregistrement sonore|monnaie|médaille|cartes? postales?|"
    r"material gráfico|gráfico|grabado|dibujo|fotografía|manuscrito|texto impreso|material cartográfico|"
    r"graphic|picture|poster|print|drawing|photograph|map|cartographic material|electronic resource|"
    r"grafik|bild|karte|fotografie|druckgraphik|elektronische ressource|prent|afbeelding|kaart|materiale grafico|"
    r"visuel|audiovisuel|kuva|grafiikka|elektroninen aineisto)[^\[\]]{0,40})\]",
    re.I,
)
_DIMENSIONS = re.compile(
    r"\s*[;,:]?\s*((?:ca\.? |env\. |c\. )?\d+(?:[.,]\d+)?\s*(?:[x×*]\s*\d+(?:[.,]\d+)?\s*){0,2}(?:cm|mm|in)\b\.?)\s*$",
    re.I,
)


def split_title(text: str) -> Title:
    """Split at the ISBD marks `` / `` and ``[material]``; the title proper loses its closing marks."""
    text = text.strip()
    material = _MATERIAL.search(text)
    if material:
        text = f"{text[: material.start()]} {text[material.end() :]}".strip()
    dimensions = _DIMENSIONS.search(text, max(0, len(text) - 80))
    if dimensions and dimensions.start() > 0:
        text = text[: dimensions.start()]
    else:
        dimensions = None
    proper, mark, responsibility = text.partition(" / ")
    if not proper.strip(" /:;,"):
        proper, mark, responsibility = text, "", ""
    return Title(
        proper=trim_isbd(proper),
        responsibility=trim_isbd(responsibility) if mark else "",
        material=material[1].strip() if material else "",
        dimensions=dimensions[1].strip() if dimensions else "",
    )


_RESPONSIBILITY = re.compile(  # case matters: ISBD begins these words small, "De brug" is a title in another language
    r"^(?:\[|par |de |d'|[Dd]essiné|[Gg]ravé|[Pp]eint|[Pp]hoto|[Aa]gence |établie? |by |drawn |engraved |von "
    r"|nach |gez\.|gest\.|door |naar "
    r"|[Dd]el\.|[Ss]culps?it|[Ss]c\.|[Ii]nv\.|[Ff]ecit|[Ll]ith\.|[Ii]mp\.|por |di |av |af )"
)


def proper_title(text: str) -> str:
    """The title as a caption wants it: without material designation, and without a statement of responsibility.

    `` / `` also stands between two languages ("Le pont / De brug"); it cuts only after a material designation or
    before words that introduce a maker.
    """
    title = split_title(text)
    if title.material or _RESPONSIBILITY.match(title.responsibility):
        return title.proper or text
    return trim_isbd(text) or text


def trim_isbd(text: str) -> str:
    """Text without the ISBD and MARC marks that introduce what follows (``/ : ; = ,``); a full stop stays."""
    text = " ".join(text.split())
    while (bare := text.rstrip(" /:;=,").removesuffix(" .")) != text:
        text = bare
    return text


_ROLE = r"[^\W\d_][^.;()\d]{2,59}"
_NAME_ROLE = re.compile(rf"^(?P<name>[^()]+\([^()]*\d[^()]*\))\s*[.,]\s*(?P<role>{_ROLE}(?:\. {_ROLE})*)\.?$")
_NAME_ONLY_ROLE = re.compile(
    r"^(?P<name>.{3,}?)\.\s+(?P<role>(?:Auteur|Ancien|Copiste|Dessinateur|Graveur|Photographe|Peintre|Illustrateur|Éditeur|"
    r"Imprimeur|Lithographe|Cartographe|Traducteur|Enlumineur|Commanditaire|Dédicataire|Compositeur|Libraire|Agence|"
    r"Annotateur|Sculpteur|Architecte|Caricaturiste|Relieur|Collectionneur|Donateur|Affichiste|Éditeur)[^.;()\d]{0,60})\.?$"
)
_DATES = re.compile(
    r"\s*[,(]?\s*\(?\s*((?:ca\.? |fl\. |active |actif |geb\. |\*\s?)?(?:\d{3,4}|[\d.]{4}|\d{2}\.\.)\??"
    r"(?:-\d{1,2}){0,2}\s*[-–/]\s*(?:ca\.? |†\s?)?(?:\d{3,4}|\d{2}\.\.|\.{2,4}|\?{1,4})?\??(?:-\d{1,2}){0,2})\)?\s*$"
)


_DIED = re.compile(r",\s*(-\s?\d{3,4})\.?$")
_NATION = re.compile(
    r", (?:American|Austrian|Belgian|British|Danish|Dutch|English|Flemish|French|German|Irish|Italian|Norwegian|Russian"
    r"|Scottish|Spanish|Swedish|Swiss)$"
)
_BRACKET_ROLE = re.compile(r"^(?P<name>.{3,}?) \[(?P<role>[a-z][^\[\]\d]{2,39})\]$")
_FULL_STOP = re.compile(r"(?<=[^\W\d_]{3})\.$|(?<=\))\.$")  # "Bolle, Fritz."; that of an initial stays
_AUTHORITY = re.compile(r"\s*\((?:ISNI|VIAF|GND|ULAN)[ :][^()]*\)$")
MAX_NAME_CHARS = 300


def split_name(text: str) -> Creator:
    """Name, role and dates of life of ``Nom, Prénom (dates). Rôle`` (BnF), ``Name, 1471-1528 [engraver]`` or a name."""
    text = plain_text(text)
    if len(text) > MAX_NAME_CHARS:  # a sentence, not a name
        return Creator(name=text)
    text = _AUTHORITY.sub("", text)
    role = ""
    match = _NAME_ROLE.match(text) or _NAME_ONLY_ROLE.match(text) or _BRACKET_ROLE.match(text)
    if match:
        text, role = match["name"], match["role"].strip()
    dates = ""
    found = _DATES.search(text) or _DIED.search(text)
    if found and found.start() > 2:
        dates = found[1].replace(" ", "")
        text = _NATION.sub("", text[: found.start()])
    name = text.strip().rstrip(",;").strip()
    return Creator(name=_FULL_STOP.sub("", name), role=role, dates=dates)


def name_lines(text: str) -> list[str]:
    """Names on lines of their own; a line of nation and dates belongs to the name above it (Chicago)."""
    found: list[str] = []
    for line in re.split(r"\n|<br\s*/?>", text):
        plain = plain_text(line)
        if found and _NATION.match(f", {plain.partition(',')[0]}"):
            found[-1] = f"{found[-1]}, {plain}"
        elif plain:
            found.append(plain)
    return found


def names_of(texts: Iterable[str]) -> tuple[Creator, ...]:
    """Names with roles, each once; ``Role: Name`` (KB) is turned round."""
    found = []
    for text in texts:
        role, colon, name = text.partition(": ")
        if colon and name and len(role) < 20 and role.isalpha():
            found.append(replace(split_name(name), role=role))
        else:
            found.append(split_name(text))
    return tuple(creator for creator in dict.fromkeys(found) if creator.name)


_PROCEDURAL = re.compile(
    r"^(?:numérisation effectuée|appartient à l.ensemble documentaire|avec mode texte|etat de collection"
    r"|état de collection|nombre total de vues|contient une table des matières|sans mode texte"
    r"|notice du catalogue|exemplaar met signatuur|référence bibliographique|image de presse$|numérisé (?:par|d.après)"
    r"|variante\(s\) de titre|périodicité|la couverture porte en plus"
    r"|digitalisat|digitised|digitized by|image (?:from|courtesy)|gedigitaliseerd|digitalizado"
    r"|physical location|rights? (?:statement|notice)|copyright\b|©"
    r"|(?:\w+ )?(?:binding|script|layout|collation|foliation|watermarks?|provenance|ownership|library stamp) ?:"
    r"|in (?:(?:middle|old|modern) )?"
    r"(?:arabic|dutch|english|french|german|greek|hebrew|italian|latin|persian|spanish)\.?$"
    r"|this manifest\b|.{0,200}\biiif manifest\b|\d+ \w+\.?$)",
    re.I,
)
_CREDIT = re.compile(
    r"^(?:gift|bequest|purchase|purchased|loan|donation|donated|presented|acquired|transferred|schenking|legaat|bruikleen"
    r"|aankoop|aangekocht|geschenk|ankauf|schenkung|vermächtnis|leihgabe|don\b|legs\b|achat\b|dépôt\b|donación|donativo"
    r"|compra\b|dono\b|acquisto\b|gave fra|gåva)",
    re.I,
)
_MEDIA_TYPE = re.compile(r"^(?:image|text|application|video|audio|model)/[\w.+-]+$")
_COUNT = re.compile(r"^(?:nombre total de vues|\d+ (?:vues?|pages?|images?|p\.))", re.I)


def is_procedural(text: str) -> bool:
    """Say whether a note speaks of the digitisation, the shelf or the rights and not of what is shown."""
    return _PROCEDURAL.match(text.strip()) is not None


def is_credit_line(text: str) -> bool:
    """Say whether a text names who gave or sold the object (it often stands in ``dcterms:medium``)."""
    return _CREDIT.match(text.strip()) is not None


def is_media_type(text: str) -> bool:
    """Say whether a text is a MIME type or a number of views, which ``dc:format`` holds beside the technique."""
    return _MEDIA_TYPE.match(text.strip()) is not None or _COUNT.match(text.strip()) is not None


_PAGE_WORDS = frozenset({
    "1er", "1re", "2e", "3e", "4e", "a", "achterkant", "achterplat", "achterzijde", "and", "anterior", "anteriore",
    "back", "bakperm", "bakside", "band", "bar", "bianca", "bild", "binding", "binnenzijde", "bl", "blad", "blanc",
    "blanche", "blanco", "blank", "blatt", "board", "boards", "bottom", "buchdeckel", "buchrücken", "buitenzijde",
    "canvas", "chart", "charte", "checker", "cm", "color", "colour", "contents", "contraportada", "contreplat",
    "couleur", "couleurs", "couverture", "cover", "covers", "cropped", "cubierta", "de", "deckel",
    "deckelinnenseite", "der", "des", "detail", "details", "deuxième", "dorso", "dos", "double", "drawing", "du",
    "edge", "einband", "en", "endleaf", "endleaves", "endpaper", "endpapers", "et", "extérieur", "extérieure", "f",
    "farbkarte", "farbkeil", "farbtafel", "faux", "feuillet", "ff", "fin", "fluorescence", "flyleaf", "flyleaves",
    "fo", "foglio", "fol", "folded", "foldout", "folio", "folios", "fore", "forperm", "forside", "fragment",
    "fragments", "framed", "front", "frontispice", "frontispicio", "frontispiece", "frontispiz", "garde", "gardes",
    "gesamtansicht", "gouttière", "guarda", "guardia", "half", "head", "herausgelöstes", "hinterdeckel", "hinterer",
    "hinteres", "hoja", "i", "ii", "iii", "iiif", "image", "images", "img", "index", "inf", "infrared", "inférieur",
    "innendeckel", "inner", "inside", "intérieur", "intérieure", "iv", "ix", "kaft", "kleurenkaart", "la", "le",
    "leaf", "leaves", "leeg", "leer", "leere", "leerseite", "left", "lege", "light", "lomo", "lower", "maßstab",
    "mire", "n", "na", "nachblatt", "nachsatz", "nn", "no", "non", "np", "nr", "numbered", "of", "omslag",
    "opening", "outer", "outside", "p", "pag", "page", "pages", "pagina", "paginas", "paginé", "paginée",
    "painting", "pastedown", "pastedowns", "perm", "photo", "photograph", "piatto", "picture", "pl", "placeholder",
    "planche", "plat", "plate", "plats", "portada", "posterior", "posteriore", "pp", "première", "quatrième",
    "queue", "r", "raking", "recto", "reliure", "right", "rug", "ruler", "rückdeckel", "rücken", "s", "scale",
    "scan", "schnitt", "schutblad", "section", "sections", "seite", "seiten", "sheet", "sida", "side", "single",
    "sivu", "sommaire", "spiegel", "spine", "spread", "sup", "supérieur", "table", "tafel", "tail", "tapa",
    "target", "the", "titelblatt", "titelpagina", "titelseite", "title", "titre", "to", "top", "tranche",
    "troisième", "tête", "und", "unfolded", "unframed", "unknown", "unnumbered", "upper", "uv", "v", "verso", "vi",
    "vide", "view", "vii", "viii", "vol", "volume", "von", "voorkant", "voorplat", "voorzijde", "vorblatt",
    "vorderdeckel", "vorderer", "vorderes", "vorsatz", "vue", "vues", "whole", "with", "x", "xi", "xii", "y",
    "échelle",
})  # fmt: skip


def is_page_label(text: str) -> bool:
    """Say whether a label only counts or names a part of the book: ``12v``, ``contreplat sup.``, ``[Front cover]``."""
    if " " not in text.strip() and re.search(r"[/_:]|\.\w{3,4}$", text):
        return True  # a path or a file name
    words = re.findall(r"[^\W\d_]+", _NUMBERED.sub(" ", text.casefold()))
    return all(len(word) == 1 or word in _PAGE_WORDS or re.fullmatch(r"[ivxlcdm]+[rv]?", word) for word in words)


_NUMBERED = re.compile(r"\b\d+[a-z]{1,3}\b")  # "2ar", "12bis", "3rd"
_ICONCLASS_URI = re.compile(
    r"^https?://(?:www\.)?iconclass\.(?:org|nl)/(?:rkd/|notation/|#)?(?P<notation>[^/?#]+)/?", re.I
)
_NOTATION = re.compile(r"^\d(?:\d?[A-Z]{0,2}\d*)?(?:\([^()]*\)|\d)*$")


def iconclass_of(uri: str) -> str:
    """Notation of an Iconclass URI, percent-decoded (``https://iconclass.org/25F23%28LION%29``); ``""`` for others."""
    match = _ICONCLASS_URI.match(uri.strip())
    notation = unquote(match["notation"]) if match else ""
    return notation if _NOTATION.match(notation) else ""


def is_notation(text: str) -> bool:
    """Say whether a text has the form of an Iconclass notation: ``71E11``, ``25F23(LION)(+12)``, ``11H(JEROME)``."""
    return _NOTATION.match(text.strip()) is not None and len(text.strip()) > 1
