"""METS and ALTO of books that do not exist, in the shape in which SBB Berlin writes them (DFG profile)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

PDM = "https://creativecommons.org/publicdomain/mark/1.0/"
_XMLNS = (
    'xmlns:mets="http://www.loc.gov/METS/" xmlns:mods="http://www.loc.gov/mods/v3" '
    'xmlns:xlink="http://www.w3.org/1999/xlink"'
)


@dataclass
class Page:
    """A page: its files by group (``{"DEFAULT": "img/1.jpg"}``), its role and the label of its section."""

    files: dict[str, str]
    role: str = ""
    label: str = ""


@dataclass
class Block:
    """A box in the unit of the file; with ``text`` a block of text of one line, else a picture."""

    name: str
    left: float
    top: float
    width: float
    height: float
    text: str = ""
    kind: str = "Illustration"
    more: str = ""


def write_mets(
    identifier: str, pages: Sequence[Page], *, title: str = "Ein Buch", rights: str = PDM, volumes: Sequence[str] = ()
) -> bytes:
    """A METS; ``volumes`` are addresses of other METS (then without pages, as a multi-volume work)."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for number, page in enumerate(pages, 1):
        for group, href in page.files.items():
            groups.setdefault(group, []).append((f"F{number:04d}_{group}", href))
    physical = "".join(
        f'<mets:div ID="PHYS_{n:04d}" TYPE="page" ORDER="{n}" ORDERLABEL=" - ">'
        + "".join(f'<mets:fptr FILEID="F{n:04d}_{group}"/>' for group in page.files)
        + "</mets:div>"
        for n, page in enumerate(pages, 1)
    )
    sections = "".join(
        f'<mets:div ID="LOG_{n:04d}" TYPE={quoteattr(page.role)} LABEL={quoteattr(page.label)}/>'
        for n, page in enumerate(pages, 1)
        if page.role
    )
    sections += "".join(
        f'<mets:div TYPE="volume"><mets:mptr LOCTYPE="URL" xlink:href="{escape(url)}"/></mets:div>' for url in volumes
    )
    links = "".join(
        f'<mets:smLink xlink:from="LOG_{n:04d}" xlink:to="PHYS_{n:04d}"/>'
        for n, page in enumerate(pages, 1)
        if page.role
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><mets:mets {_XMLNS}><mets:dmdSec ID="D0"><mets:mdWrap MDTYPE="MODS">'
        f"<mets:xmlData><mods:mods><mods:titleInfo><mods:title>{escape(title)}</mods:title></mods:titleInfo>"
        '<mods:originInfo eventType="publication"><mods:dateIssued>1848</mods:dateIssued></mods:originInfo>'
        '<mods:language><mods:languageTerm authority="iso639-2b">ger</mods:languageTerm></mods:language>'
        "<mods:typeOfResource>text</mods:typeOfResource>"
        f'<mods:accessCondition type="use and reproduction" xlink:href="{rights}">x</mods:accessCondition>'
        f"<mods:recordInfo><mods:recordIdentifier>{identifier}</mods:recordIdentifier></mods:recordInfo></mods:mods>"
        f"</mets:xmlData></mets:mdWrap></mets:dmdSec><mets:fileSec>{_file_groups(groups)}</mets:fileSec>"
        f'<mets:structMap TYPE="PHYSICAL"><mets:div TYPE="physSequence">{physical}</mets:div></mets:structMap>'
        f'<mets:structMap TYPE="LOGICAL"><mets:div ID="LOG_0000" TYPE="monograph" DMDID="D0">{sections}</mets:div>'
        f"</mets:structMap><mets:structLink>{links}</mets:structLink></mets:mets>"
    ).encode()


def _file_groups(groups: dict[str, list[tuple[str, str]]]) -> str:
    return "".join(
        f'<mets:fileGrp USE="{group}">'
        + "".join(
            f'<mets:file ID="{name}" MIMETYPE="{"text/xml" if group == "FULLTEXT" else "image/jpeg"}">'
            f'<mets:FLocat LOCTYPE="URL" xlink:href="{escape(href)}"/></mets:file>'
            for name, href in files
        )
        + "</mets:fileGrp>"
        for group, files in groups.items()
    )


@dataclass
class Layout:
    """ALTO of a page of ``size`` in ``unit``: pixel, mm10 or inch1200."""

    size: tuple[float, float]
    blocks: Sequence[Block] = field(default_factory=list)
    unit: str = "pixel"

    def write(self) -> bytes:
        """The file."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><alto xmlns="http://www.loc.gov/standards/alto/ns-v2#"><Description>'
            f"<MeasurementUnit>{self.unit}</MeasurementUnit></Description><Layout>"
            f'<Page ID="Page1" PHYSICAL_IMG_NR="1" WIDTH="{self.size[0]}" HEIGHT="{self.size[1]}"><PrintSpace>'
            f"{''.join(map(_block, self.blocks))}</PrintSpace></Page></Layout></alto>"
        ).encode()


def _block(block: Block) -> str:
    box = f'HPOS="{block.left}" VPOS="{block.top}" WIDTH="{block.width}" HEIGHT="{block.height}"'
    if not block.text:
        return f'<{block.kind} ID="{block.name}" {box} {block.more}/>'
    words = "".join(f"<String CONTENT={quoteattr(word)}/><SP/>" for word in block.text.split())
    return f'<TextBlock ID="{block.name}" {box} language="de"><TextLine {box}>{words}</TextLine></TextBlock>'
