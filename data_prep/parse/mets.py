"""Read METS with MODS (DFG Viewer profile, OCR-D, Copenhagen): the object, its pages, and what each page is.

The physical structMap gives the pages in order, the file groups their pictures and their ALTO, the logical structMap
through the structLinks what a page is: ``cover_front``, ``title_page``, ``illustration``, ``colour_checker`` (data_prep
notes 1.11). A picture is a web address or a path beside the document; ``file:`` addresses of somebody's disk are left
out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .dc import parse_dc
from .json import as_pixels
from .lido import parse_lido
from .mods import parse_mods, rights_of
from .parsed import Parsed, ParseError, ParseReason, Statement, Text, View, unique
from .statements import statement
from .text import plain_text
from .urls import image_service_of, image_url, is_picture, service_url, web_url
from .xml import Element, all_of, attribute, children, descendants, first_of, first_text, local_name, text_of

# Which group a page's picture is taken from: the reading size, then larger ones; binarised and cut ones never.
_GROUPS = ("DEFAULT", "MAX", "PRESENTATION", "ORIGINAL", "IMAGE", "MASTER", "OCR-D-IMG", "MIN", "")
_NO_GROUPS = re.compile(
    r"THUMB|BIN|DESKEW|DESPECK|DEWARP|CROP|CLIP|FULLTEXT|OCR-D-(?:SEG|OCR|GT|COR)|DOWNLOAD|LOCAL|AUDIO|VIDEO", re.I
)
_PAGE_TYPES = ("page", "view", "leaf", "track", "doublepage")
# Kinds of a logical section that say what is seen on its pages; a chapter does not.
_PAGE_ROLES = re.compile(
    r"cover|binding|spine|colou?r_?checker|paste_?down|endsheet|title_?page|illustration|map|plate|engraved|photograph|figure"
    r"|provenance|frontispiece|printers_?mark|blank|bookplate|drawing|poster|print|initial|miniature|ornament",
    re.I,
)

_WORK = re.compile(r"contained_?work", re.I)


@dataclass(frozen=True, slots=True)
class _File:
    group: str
    mime: str
    href: str


def parse_mets(mets: Element, *, identifier: str = "", groups: Sequence[str] = ()) -> Parsed:
    """Read one ``mets`` element; ``identifier`` is that of its envelope.

    Pictures come from the first of ``groups`` (``USE``) that a page has; the layout of a view is the page's ALTO.

    Raises:
        ParseError: it describes nothing: no readable section and no page.
    """
    base = _description(mets)
    files = _files(mets)
    order = _Order(tuple(group.upper() for group in groups) or _GROUPS, is_fixed=bool(groups))
    views = _pages(mets, files, order) or base.views or _loose_files(files, order)
    parsed = replace(
        base,
        id=identifier or base.id or attribute(mets, "OBJID"),
        format="mets",
        titles=base.titles or _labels(mets),
        rights=tuple(dict.fromkeys([*base.rights, *_administrative_rights(mets)])),
        institution=next((text_of(each) for each in descendants(mets, "owner")), "") or base.institution,
        landing_page=_presentation(mets) or base.landing_page,
        links=unique([web_url(attribute(each, "href")) for each in descendants(mets, "mptr")]),
        views=_with_sizes(mets, views),
    )
    if not parsed.id and parsed.is_empty():
        raise ParseError(ParseReason.NO_RECORD, "METS without a description and without a page")
    return parsed


def _description(mets: Element) -> Parsed:
    """The descriptive section of the outermost logical section that has one, else the first."""
    sections = {attribute(each, "ID"): each for each in children(mets, "dmdSec")}
    wanted: list[str] = []
    for kind in ("logical", "physical", ""):
        for struct in children(mets, "structMap"):
            if kind in ("", attribute(struct, "TYPE").lower()):
                wanted += [name for div in descendants(struct, "div") for name in attribute(div, "DMDID").split()]
    for name in [*wanted, *sections]:
        section = sections.get(name)
        for each in all_of(section, "mdWrap/xmlData/*") if section is not None else ():
            found = _read_description(each)
            if found is not None:
                return found
    return Parsed(id="", format="mets")


def _read_description(element: Element) -> Parsed | None:
    name = local_name(element)
    try:
        if name == "modsCollection":
            inner = first_of(element, "mods")
            return parse_mods(inner) if inner is not None else None
        if name == "mods":
            return parse_mods(element)
        if name in ("lido", "lidoWrap"):
            return next(iter(parse_lido(element)), None)
        return parse_dc(element)
    except ParseError:
        return None


def _files(mets: Element) -> dict[str, _File]:
    found: dict[str, _File] = {}
    for group in descendants(mets, "fileGrp"):
        use = attribute(group, "USE")
        for file in children(group, "file"):
            location = first_of(file, "FLocat")
            href = attribute(location, "href")
            if href:
                mime = attribute(file, "MIMETYPE").replace("image/jpg", "image/jpeg")
                found.setdefault(attribute(file, "ID") or href, _File(use or attribute(file, "USE"), mime, href))
    return found


@dataclass(frozen=True, slots=True)
class _Order:
    """Which group of files is taken before which; ``is_fixed``: no other."""

    groups: tuple[str, ...]
    is_fixed: bool

    def rank(self, file: _File) -> int:
        """Place in the order; -1 for what is never taken."""
        if file.group.upper() in self.groups:
            return self.groups.index(file.group.upper())
        return -1 if self.is_fixed or _NO_GROUPS.search(file.group) else len(self.groups)


def _picture(file: _File) -> View | None:
    """The picture of a file: an address, or a path that stays inside the folder of the document."""
    url = image_url(file.href)
    if url:
        if is_picture(url, file.mime) is False:
            return None
        return View(url=url, iiif_service=service_url(image_service_of(web_url(file.href))), mime=file.mime)
    path = _path_beside(file.href)
    return View(path=path, mime=file.mime) if path and is_picture(path, file.mime) else None


def _path_beside(href: str) -> str:
    """A path that stays inside the folder of the document; ``""`` for any other."""
    # Data Foundry and others write "file://./image/1.jpg" for a path beside the document
    path = re.sub(r"^(?:file://)?\./", "", href)
    is_inside = not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|[/\\]", path) and ".." not in re.split(r"[/\\]", path)
    return path if is_inside else ""


def _alto(files: Sequence[_File]) -> str:
    """The ALTO among the files of a page: by its type, else by the name of its group or its own."""
    found = []
    for file in files:
        is_xml = "xml" in file.mime.lower() or not file.mime
        if "prima" in file.mime.lower() or not is_xml:
            continue  # PAGE-XML is no ALTO
        marks = ("alto" in file.mime.lower(), "ALTO" in file.group.upper(), file.group.upper() == "FULLTEXT")
        if any(marks) or re.search(r"alto", file.href.rpartition("/")[2], re.I):
            found.append((not marks[0], not marks[1], len(found), web_url(file.href) or _path_beside(file.href)))
    return next((place for *_, place in sorted(found) if place), "")


def _pages(mets: Element, files: dict[str, _File], order: _Order) -> tuple[View, ...]:
    """Every page that has a picture."""
    physical = [each for each in children(mets, "structMap") if attribute(each, "TYPE").lower() == "physical"]
    roles, labels = _sections(mets)
    views = []
    for number, div in enumerate(_page_divs(physical), 1):
        pointed = [files[name] for each in children(div, "fptr") for name in _pointers(each) if name in files]
        usable = sorted((file for file in pointed if order.rank(file) >= 0), key=order.rank)
        candidates = [view for file in usable if (view := _picture(file))]
        others = unique([file.group for file in pointed if _picture(file)]) if order.is_fixed else ()
        if not candidates and others:
            wanted, there = " or ".join(order.groups), ", ".join(others)
            candidates = [View(problem=f"the page has no picture in the group {wanted}; it has some in {there}")]
        if not candidates:
            continue
        name = attribute(div, "ID")
        label = plain_text(attribute(div, "LABEL") or attribute(div, "ORDERLABEL")).strip("- ")
        position = attribute(div, "ORDER")
        is_number = position.isascii() and position.isdigit() and len(position) < 7
        canvas = attribute(div, "CONTENTIDS").split(" ")[0]
        best = candidates[0] if order.is_fixed else next((view for view in candidates if view.url), candidates[0])
        view = replace(
            best,
            layout=_alto(pointed),
            number=int(position) if is_number else number,
            label=label,
            canvas="" if canvas == "NULL" else canvas,  # Zefys
            role=roles.get(name, "") or _role_of(div),
            texts=tuple(labels.get(name, ())),
        )
        views.append(view)
    numbers = {view.number for view in views}
    return tuple(views) if len(numbers) == len(views) else tuple(replace(v, number=n) for n, v in enumerate(views, 1))


def _role_of(div: Element) -> str:
    """What the physical structMap itself calls the page: ``TYPE="cover"`` instead of ``page``."""
    kind = attribute(div, "TYPE")
    return kind if _PAGE_ROLES.search(kind) else ""


def _page_divs(structs: list[Element]) -> list[Element]:
    divs = [div for struct in structs for div in descendants(struct, "div")]
    pages = [div for div in divs if attribute(div, "TYPE").lower() in _PAGE_TYPES or (_role_of(div) and _has_file(div))]
    return pages or [div for div in divs if _has_file(div)]


def _has_file(div: Element) -> bool:
    return first_of(div, "fptr") is not None


def _pointers(fptr: Element) -> list[str]:
    return [attribute(fptr, "FILEID"), *(attribute(each, "FILEID") for each in descendants(fptr, "area"))]


def _sections(mets: Element) -> tuple[dict[str, str], dict[str, list[Text]]]:
    """What the logical sections say about the pages they are linked to: their roles, and what is on them.

    The label of a section of one or two pages is about these; that of a work contained in the book about the work.
    """
    pages_of: dict[str, list[str]] = {}
    for link in descendants(mets, "smLink"):
        pages_of.setdefault(attribute(link, "from"), []).append(attribute(link, "to"))
    roles: dict[str, str] = {}
    labels: dict[str, list[Text]] = {}
    for struct in children(mets, "structMap"):
        if attribute(struct, "TYPE").lower() != "logical":
            continue
        for depth, div in enumerate(descendants(struct, "div")):
            kind, pages = attribute(div, "TYPE"), pages_of.get(attribute(div, "ID"), [])
            label = plain_text(attribute(div, "LABEL").replace("||", " "))  # SBB marks the lines of a title page so
            for page in pages if _PAGE_ROLES.search(kind) and depth else ():
                roles[page] = "; ".join(unique([*roles.get(page, "").split("; "), kind]))
            is_short = len(pages) <= 2
            text = Text(label, "", "mets:div/LABEL", "page" if is_short else "object")
            for page in pages if label and depth and (is_short or _WORK.search(kind)) else ():
                labels.setdefault(page, []).append(text)
    return roles, labels


def _loose_files(files: dict[str, _File], order: _Order) -> tuple[View, ...]:
    best = min((rank for file in files.values() if (rank := order.rank(file)) >= 0), default=0)
    pictures = [view for file in files.values() if order.rank(file) == best and (view := _picture(file))]
    return tuple(replace(view, number=number) for number, view in enumerate(pictures, 1))


def _with_sizes(mets: Element, views: tuple[View, ...]) -> tuple[View, ...]:
    """Sizes from MIX, where it describes one picture only."""
    widths = [as_pixels(text_of(each)) for each in descendants(mets, "imageWidth")]
    heights = [as_pixels(text_of(each)) for each in descendants(mets, "imageHeight")]
    if len(views) == len(widths) == len(heights) == 1:
        return (replace(views[0], width=widths[0], height=heights[0]),)
    return views


def _labels(mets: Element) -> tuple[Text, ...]:
    for struct in children(mets, "structMap"):
        for div in descendants(struct, "div"):
            if attribute(struct, "TYPE").lower() == "logical" and (label := plain_text(attribute(div, "LABEL"))):
                return (Text(label, "", "mets:div/LABEL"),)
    return (Text(label, "", "mets:LABEL"),) if (label := plain_text(attribute(mets, "LABEL"))) else ()


def _administrative_rights(mets: Element) -> list[Statement]:
    found = []
    for section in descendants(mets, "rightsMD"):
        found += rights_of(section)
        for name in ("license", "use", "terms", "RightsDeclaration"):
            for each in descendants(section, name):
                if raw := text_of(each):
                    found.append(statement(raw, "image", "record", f"mets:rightsMD/{name}"))
    return found


def _presentation(mets: Element) -> str:
    links = [text_of(each) for section in descendants(mets, "links") for each in children(section, "presentation")]
    return next((url for each in [*links, first_text(mets, "metsHdr/altRecordID")] if (url := web_url(each))), "")
