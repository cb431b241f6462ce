"""Names and codes of the languages that Europe's catalogues are written in.

``language_code("fre")``, ``language_code("français")`` and ``language_code("FR-be")`` are all ``"fr"``;
``language_name("fr")`` is ``"French"``. ``und`` (not known) and ``zxx`` (no language) are kept as they are.
"""

import re

# ISO 639-1 (639-3 where there is none): English name, own name, then ISO 639-2 codes (bibliographic ones included).
_LANGUAGES: dict[str, tuple[str, ...]] = {
    "af": ("Afrikaans", "Afrikaans", "afr"),
    "ar": ("Arabic", "العربية", "ara"),
    "be": ("Belarusian", "беларуская", "bel"),
    "bg": ("Bulgarian", "български", "bul"),
    "bs": ("Bosnian", "bosanski", "bos"),
    "br": ("Breton", "brezhoneg", "bre"),
    "ca": ("Catalan", "català", "cat"),
    "cs": ("Czech", "čeština", "cze", "ces"),
    "cy": ("Welsh", "Cymraeg", "wel", "cym"),
    "da": ("Danish", "dansk", "dan"),
    "de": ("German", "Deutsch", "ger", "deu"),
    "el": ("Greek", "ελληνικά", "gre", "ell"),
    "en": ("English", "English", "eng"),
    "es": ("Spanish", "español", "spa"),
    "et": ("Estonian", "eesti", "est"),
    "eu": ("Basque", "euskara", "baq", "eus"),
    "fa": ("Persian", "فارسی", "per", "fas"),
    "fi": ("Finnish", "suomi", "fin"),
    "fr": ("French", "français", "fre", "fra"),
    "fy": ("Frisian", "Frysk", "fry"),
    "ga": ("Irish", "Gaeilge", "gle"),
    "gd": ("Scottish Gaelic", "Gàidhlig", "gla"),
    "gl": ("Galician", "galego", "glg"),
    "grc": ("Ancient Greek", "grc"),
    "he": ("Hebrew", "עברית", "heb"),
    "hr": ("Croatian", "hrvatski", "hrv", "scr"),
    "hu": ("Hungarian", "magyar", "hun"),
    "hy": ("Armenian", "հայերեն", "arm", "hye"),
    "is": ("Icelandic", "íslenska", "ice", "isl"),
    "it": ("Italian", "italiano", "ita"),
    "ja": ("Japanese", "日本語", "jpn"),
    "ka": ("Georgian", "ქართული", "geo", "kat"),
    "ko": ("Korean", "한국어", "kor"),
    "la": ("Latin", "Latina", "lat"),
    "lb": ("Luxembourgish", "Lëtzebuergesch", "ltz"),
    "lt": ("Lithuanian", "lietuvių", "lit"),
    "lv": ("Latvian", "latviešu", "lav"),
    "mk": ("Macedonian", "македонски", "mac", "mkd"),
    "mt": ("Maltese", "Malti", "mlt"),
    "nb": ("Norwegian Bokmål", "bokmål", "nob"),
    "nl": ("Dutch", "Nederlands", "dut", "nld"),
    "nn": ("Norwegian Nynorsk", "nynorsk", "nno"),
    "no": ("Norwegian", "norsk", "nor"),
    "oc": ("Occitan", "occitan", "oci"),
    "pl": ("Polish", "polski", "pol"),
    "pt": ("Portuguese", "português", "por"),
    "ro": ("Romanian", "română", "rum", "ron"),
    "ru": ("Russian", "русский", "rus"),
    "se": ("Northern Sami", "davvisámegiella", "sme"),
    "sk": ("Slovak", "slovenčina", "slo", "slk"),
    "sl": ("Slovenian", "slovenščina", "slv"),
    "sq": ("Albanian", "shqip", "alb", "sqi"),
    "sr": ("Serbian", "српски", "srp", "scc"),
    "sv": ("Swedish", "svenska", "swe"),
    "tr": ("Turkish", "Türkçe", "tur"),
    "uk": ("Ukrainian", "українська", "ukr"),
    "yi": ("Yiddish", "ייִדיש", "yid"),
    "zh": ("Chinese", "中文", "chi", "zho"),
    "mul": ("several languages",),
    "und": ("undetermined language",),
    "zxx": ("no language",),
}

_CODES = {name.casefold(): code for code, names in _LANGUAGES.items() for name in (code, *names)}


def language_code(text: str) -> str | None:
    """BCP-47 code of a language written as a code or a name, in any case; None when it is neither.

    A region or script is cut off (``de-CH`` -> ``de``): captions are compared by language. A well-formed code that is
    not in the table stays as it is.
    """
    known = _CODES.get(text.strip().casefold())
    if known:
        return known
    match = re.fullmatch(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{1,8})*", text.strip())
    if not match:
        return None
    return _CODES.get(match[1].casefold(), match[1].lower())


def language_name(code: str) -> str:
    """English name of a language code; the code itself when it is not in the table."""
    names = _LANGUAGES.get(code)
    return names[0] if names else code
