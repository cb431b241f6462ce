"""Read rights statements in words: names and codes of licences, and phrases in seven languages.

``read_words("Creative Commons Namensnennung - Nicht kommerziell 4.0")`` gives what is named; ``strictest_phrase`` finds
the sentences that reserve rights beside a licence. Only what is known is read: the name of a holder says nothing.
"""

import re
from collections.abc import Iterator

from .rights_uris import CC0, PDM, RS_KINDS, RightsKind, Statement, licence, rights_statement


def plain_words(text: str) -> str:
    """The text with one kind of dash, apostrophe and space, as the patterns below expect it."""
    text = re.sub(r"[\u2010-\u2015\u2212]", "-", text.replace("_", " ").replace("’", "'").replace("`", "'"))
    return " ".join(text.split())


def read_words(text: str) -> list[Statement]:
    """Licences and codes that are named; else the one thing a phrase says; else nothing."""
    named = [*_codes(text), *_licences(text)]
    if named:
        return named
    label = next((code for code, pattern in _LABELS if pattern.search(text)), "")
    if label:  # words that mean one of the twelve are not its URI: nobody has named that
        return [Statement("", (RS_KINDS[label],))]
    if text.strip(" .").lower() in _NOTHING:
        return [Statement("", ("unstated",))]
    text = _NOT_PROTECTED.sub(" out of copyright ", text)
    return [Statement("", (kind,)) for kind, pattern in _PHRASES if pattern.search(text)][:1]


def strictest_phrase(text: str) -> Statement | None:
    """A sentence that reserves rights or commerce, whatever licence stands beside it: "CC BY, all rights reserved"."""
    text = _NOT_PROTECTED.sub(" ", text)
    reserving = (Statement("", (kind,)) for kind, words in _PHRASES if kind in _RESERVING and words.search(text))
    return next(reserving, None)


def _codes(text: str) -> Iterator[Statement]:
    for match in _RS_CODE.finditer(text):
        found = rights_statement(match[1] or match[2])
        if found:
            yield found


def _licences(text: str) -> Iterator[Statement]:
    for match in _CC_CODE.finditer(text):
        if match["zero"]:
            yield Statement(CC0, ("public_domain",))
        elif match["mark"]:
            yield Statement(PDM if match["mark"].lower() != "pd" else "", ("public_domain",))
        elif found := licence(match["lic"], match["ver"] or "", match["port"] or ""):
            yield found
    if _MARK_NAME.search(text):
        yield Statement(PDM, ("public_domain",))
    for match in _CC_NAME.finditer(text):
        elements = ["by", *(code for code, words in _ELEMENTS.items() if re.search(words, match["lic"], re.IGNORECASE))]
        if len(elements) > 1 or match["ver"] or match["cc"]:
            found = licence("-".join(elements), match["ver"] or "")
            if found:
                yield found


# Codes: case counts, since `und` and `inc` are words; short ones need the version or to stand alone.
_RS_CODE = re.compile(
    r"\b(InC-(?:OW-EU|EDU|NC|RUU)|NoC-(?:CR|NC|OKLR|US))\b|(?:^|\()(InC|CNE|UND|NKC)(?:[ /]1\.0)?(?=\)|$)"
)
_PORTS = (
    "AM|AR|AT|AU|AZ|BE|BG|BR|CA|CH|CL|CN|CO|CR|CZ|DE|DK|EC|EE|EG|ES|FI|FR|GE|GR|GT|HK|HR|HU|IE|IL|IN|IT|JP|KR|LU|MK|MT|"
    "MX|MY|NG|NL|NO|NZ|PE|PH|PL|PR|PT|RO|RS|SE|SG|SI|TH|TW|UA|UG|UK|US|VE|VN|ZA|IGO"
)
_CC_CODE = re.compile(
    r"(?:(?<![a-z])CC[ :/-]{0,3}|\b(?=BY-(?:NC|SA|ND)\b))"
    r"(?:(?P<zero>0|zero)|(?P<mark>pdm|pd|public[ -]domain mark)"
    r"|(?P<lic>(?:BY|NC|SA|ND)(?:[ ,/+-]{1,3}(?:NC|SA|ND|BY)\b)*))"
    rf"(?:[ ,-]{{0,3}}v?(?P<ver>\d\.\d))?(?:[ -](?P<port>(?-i:{_PORTS})))?(?!\w)",
    re.IGNORECASE,
)
_MARK_NAME = re.compile(r"public[ -]domain mark|creative commons zero|\bpdm\b", re.IGNORECASE)
_ELEMENTS = {
    "nc": r"non?-? ?commercial\w*|nicht[- ]?kommerziell|niet[- ]?commercieel|pas d'utilisation commerciale"
    r"|n[oã]o?n?[- ]?comm?erci\w+|niekomercyjne",
    "nd": r"no-? ?deriv\w*|keine bearbeitung\w*|geen ?afgeleide ?werken|pas de modifications?|pas de travail d.riv."
    r"|s[ie][nm][- ]?(?:obras? )?deriva\w+|non opere derivate|bez utworów zależnych",
    "sa": r"share-? ?alike|weitergabe unter gleichen bedingungen|gelijk ?delen"
    r"|partage (?:dans les mêmes conditions|à l'identique)(?: à l'identique)?|compartir ?igual"
    r"|condividi allo stesso modo|compartilha ?igual|partilha (?:nos )?(?:mesmos )?termos|na tych samych warunkach",
}
_BY = (
    r"attribution|namensnennung|naamsvermelding|reconocimiento|atribución|attribuzione|atribuição|paternité"
    r"|uznanie autorstwa"
)
_CC_NAME = re.compile(
    r"(?P<cc>creative commons[ :,-]{0,3})?\b"
    rf"(?P<lic>(?:{_BY})(?:[ ,/+-]{{0,4}}(?:użycie |uso )?(?:{'|'.join(_ELEMENTS.values())}))*)"
    r"(?: v?(?P<ver>\d\.\d))?",
    re.IGNORECASE,
)

_NO_COPYRIGHT = (
    r"(?:no copyright|kein urheberrechtsschutz|absence de protection par le droit d'auteur|pas de droit d'auteur"
    r"|niet auteursrechtelijk beschermd|geen auteursrecht\w*|sin derechos? de autor|senza copyright"
    r"|sem direitos? (?:de autor|autora\w+))\W{1,3}"
)
_IN_COPYRIGHT = (
    r"(?:in copyright|urheberrechtsschutz|protégé par le droit d'auteur|auteursrechtelijk beschermd"
    r"|protegido por (?:el )?derechos? de autor|protetto da[l ]*(?:copyright|diritto d'autore)"
    r"|protegido por direitos? (?:de autor|autora\w+))\W{1,3}"
)
_NON_COMMERCIAL = (
    r"non-? ?commercial|not for commercial|nicht[- ]?kommerziell|niet[- ]?commercieel|no[- ]comercial"
    r"|non commerciale?s?|não[- ]comercial"
)
_LABEL_PATTERNS: tuple[tuple[str, str], ...] = (
    ("NKC", r"no known copyright|kein urheberrechtsschutz bekannt|absence de protection connue par le droit"
            r"|geen auteursrecht\w*(?: bescherming)? bekend|sin derechos? de autor conocid"
            r"|nessun copyright (?:noto|conosciuto)|sem direitos? (?:de autor|autora\w+) conhecid"),
    ("CNE", r"copyright (?:status )?not evaluated|copyright[^.]{0,40} not been evaluated"
            r"|urheberrechtsschutz nicht (?:bewertet|evaluiert|geprüft)"
            r"|droit d'auteur non évalué|auteursrecht\w*(?: bescherming)? niet (?:geëvalueerd|beoordeeld)"
            r"|derechos? de autor no evaluad|copyright no(?:n|t)? (?:evaluado|esaminato|valutato)"
            r"|direitos? (?:de autor|autora\w+) não avaliad"),
    ("UND", r"copyright (?:status )?undetermined|urheberrechtsschutz (?:ungewiss|ungeklärt)"
            r"|droit d'auteur (?:indéterminé|non déterminé)"
            r"|auteursrecht\w*(?: bescherming)? (?:niet bepaald|onbepaald)"
            r"|derechos? de autor (?:no determinad|indeterminad)|copyright (?:indeterminato|non determinato)"
            r"|direitos? (?:de autor|autora\w+) (?:não determinad|indeterminad)"),
    ("NoC-CR", rf"{_NO_COPYRIGHT}(?:contract|vertraglich|restrictions contract|contratua|contrattual"
               r"|restri\w+ contra)"),
    ("NoC-NC", rf"{_NO_COPYRIGHT}(?:nur |usage |utilisation |alleen |solo |uso |utilizzo |apenas |somente )*"
               rf"(?:{_NON_COMMERCIAL})"),
    ("NoC-OKLR", rf"{_NO_COPYRIGHT}(?:other known|andere (?:bekannte |bekende )?(?:rechtliche|wettelijke)"
                 r"|autres restrictions|otras restricciones|altre restrizioni|outras restrições)"),
    ("NoC-US", rf"{_NO_COPYRIGHT}(?:in the )?(?:united states|vereinigte|états-unis|verenigde staten"
               r"|estados unidos|stati uniti)"),
    ("InC-OW-EU", rf"{_IN_COPYRIGHT}(?:eu |obra |opera |œuvre |oeuvre )*(?:orphan|verwaist|orphelin|verweesd"
                  r"|huérfan|orfan|órfã)"),
    ("InC-EDU", rf"{_IN_COPYRIGHT}[^.;]{{0,30}}(?:educati|bildung|pédagogique|éducati|educaç)"),
    ("InC-NC", rf"{_IN_COPYRIGHT}[^.;]{{0,20}}(?:{_NON_COMMERCIAL})"),
    ("InC-RUU", rf"{_IN_COPYRIGHT}(?:rights-?holder|rechteinhaber|titulaire|rechthebbende|titular|titolar)"),
)  # fmt: skip
_LABELS = tuple((code, re.compile(pattern, re.IGNORECASE)) for code, pattern in _LABEL_PATTERNS)

_NOTHING = frozenset({
    "n/a", "na", "none", "null", "nil", "unknown", "unbekannt", "inconnu", "onbekend",
    "desconocido", "sconosciuto", "desconhecido", "k. a", "k.a", "keine angabe", "keine angaben", "not provided",
    "sans objet", "non renseigné", "undefined",
})  # fmt: skip

_NOT_PROTECTED = re.compile(
    r"\b(?:not|no longer|nicht|nicht mehr|pas|plus|non|niet|niet meer|no|não)(?: \w+)?(?: par| por)? "
    r"(?:in copyright|under copyright(?: protection)?|copyrighted|protected by copyright|urheberrechtlich geschützt"
    r"|protégée?s? par le droit d'auteur|auteursrechtelijk beschermd|protegid[oa]s? por (?:el )?(?:derechos?|direitos?)"
    r"(?: de autor| autora\w+)?|protett[oi] da[l ]*(?:copyright|diritto d'autore))",
    re.IGNORECASE,
)
_PUBLIC_DOMAIN = (
    r"domaine public|public[- ]?domain|publiek(?:e)? domein|dominio público|domínio público|pubblico dominio"
    r"|dominio pubblico|gemeinfrei|domena publiczna|falt i det fri"
)
_NEGATION = r"\b(?:not|pas|nicht|niet|non è|non e|no está|no es|no se encuentra|não)"
_US = (
    r"(?:the |los |den |der |die )*(?:united states|u\.?s\.?(?:a\.?)?\b|vereinigten staaten|états-unis|estados unidos)"
)
_COMMERCIAL_TOO = "".join(rf"(?<!{word})" for word in ("and ", "or ", "und ", "et ", "en ", "& ", "/", "oder ", "ou "))
_RESERVING: tuple[RightsKind, ...] = ("in_copyright", "restricted_use", "nc")

# In order of precedence: the first kind found wins, so "not in the public domain" is no public domain.
_PHRASE_PATTERNS: tuple[tuple[RightsKind, str], ...] = (
    ("unstated",
     r"\bno (?:\w+ ){0,3}(?:licen[cs]e|rights|copyright)(?: \w+){0,2} (?:stated|given|specified|information|provided)"
     r"|(?:licen[cs]e|rights|copyright)[^.;]{0,20} (?:not|un)[ -]?(?:stated|specified|provided|assigned|given)"
     r"|droits? non précisés?|^not provided|keine angaben?|\bk\. ?a\.$|rechten niet vermeld|^sin información"),
    ("undetermined",
     r"(?:licen[cs]e|rights|copyright)[^.;]{0,20} (?:not|un)[ -]?(?:been )?(?:known|determined|evaluated|clear\b)"
     r"|no known restrictions|free (?:from|of) (?:any )?known (?:copyright )?restrictions"
     r"|may be (?:subject to|protected by)(?: the)? copyright"
     r"|verify (?:the )?copyright|droits? inconnus?|rechte unbekannt|rechtestatus un\w+"
     r"|rechten onbekend|derechos desconocidos|diritti sconosciuti|direitos desconhecidos"
     rf"|(?:{_PUBLIC_DOMAIN})(?: only)? (?:in|within|under the laws? of|aux|en|in den) {_US}"
     rf"|out of copyright in {_US}|\bpd-us\b"),
    ("in_copyright",
     r"all rights reserved|tous droits réservés|(?<!keine )(?<!einige )rechte vorbehalten|alle rechten voorbehouden"
     r"|todos los derechos reservados|tutti i diritti (?:sono )?riservati|todos os direitos reservados"
     r"|wszelkie prawa zastrzeżone|\b(?<!out of )in copyright|\bcopyrighted\b|copyright not cleared"
     r"|^urheberrechtsschutz$|\borphan works?\b|verwaistes? werke?|œuvres? orphelines?|obras? huérfanas?|opere? orfan"
     r"|urheberrechtlich geschützt|auteursrechtelijk beschermd|protégée?s? par le droit d.auteur|protegid[oa]s? por"
     r"|protett[oi] da(?:l diritto d.autore)?"
     rf"|{_NEGATION}(?: \w+){{0,3}} (?:{_PUBLIC_DOMAIN})|\bwill [^.;]{{0,40}}public[- ]domain"),
    ("restricted_use",
     r"conditions spécifiques|(?<!un)(?<!not )restricted|permission (?:is )?required|sur autorisation"
     r"|soumise?s? à autorisation|mit genehmigung|nur mit \w+ (?:genehmigung|zustimmung)|genehmigungspflichtig"
     r"|toestemming vereist|staff access only|no re-?use\b|reproduction (?:is )?prohibited|reproduction interdite"
     r"|\b(?:may not|must not|not be|no part|prohibited|forbidden)\b[^.]{0,300}\bwithout\b[^.]{0,40}"
     r"(?:permission|consent|authori[sz]ation)|(?:personal|private) use only|usage (?:strictement )?privé"
     r"|nur (?:für|zum) (?:den )?(?:privaten|persönlichen) gebrauch|uso (?:personale|personal|pessoal)\b"
     r"|\bblokeret\b|visning kun|kun vises efter aftale"),
    ("nc", rf"{_COMMERCIAL_TOO}(?:{_NON_COMMERCIAL})"),
    ("open",
     r"licence ouverte|open licen[cs]e|etalab|open government licen[cs]e|\bogl\b|datenlizenz deutschland|\bnlod\b"),
    ("public_domain",
     rf"{_PUBLIC_DOMAIN}|rechtenvrij|no rights reserved|no copyright(?! (?:infringement|notice|claim))"
     r"|kein urheberrechtsschutz|out of copyright|\bpdm\b|^pd$|\bpd-(?:art|old|self|author|scan)\b"),
)  # fmt: skip
_PHRASES: tuple[tuple[RightsKind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _PHRASE_PATTERNS
)
