"""Addresses in metadata: which may be followed, what must be cut out of them, and where Gallica's moved.

Nothing here opens an address. ``web_url`` admits http and https only, so a ``file:`` or ``pipe:`` address never gets as
far as a fetcher; every address that goes into a record passes ``without_secrets``.
"""

import re
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit, urlunsplit

_SECRET_PARAMETERS = frozenset({
    "wskey", "apikey", "api_key", "api-key", "key", "access_token", "token", "utm_source", "utm_medium", "utm_campaign",
})  # fmt: skip
_REDIRECT = re.compile(r"^/api/[^/]+/redirect$")
_SAFE_PATH = "/:@!$&'()*+,;=~%-._"


def web_url(text: str, *, base: str = "") -> str:
    """The address if it can be fetched (http or https, with a host, without user name), else ``""``.

    A relative address is joined to ``base``; blanks and letters outside ASCII are percent-encoded, secrets cut out.
    """
    text = "".join(text.split("\n")).strip()
    try:
        if base and text and not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", text):
            text = urljoin(base, text)
        parts = urlsplit(text)
        _ = parts.port  # raises for "http://host:core-01:/"
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            return ""
        if re.search(r"[\s<>\"{}|\\^`]", parts.netloc) or "{{" in text:
            return ""
        path = quote(parts.path, safe=_SAFE_PATH)
        query = quote(parts.query, safe=_SAFE_PATH + "?")
        return without_secrets(urlunsplit((parts.scheme.lower(), parts.netloc, path, query, parts.fragment)))
    except ValueError:
        return ""


def without_secrets(url: str) -> str:
    """The address without keys and tracking; Europeana's counting redirect (``/api/KEY/redirect``) is resolved.

    ``guid`` and ``link`` of Europeana's search answers carry the caller's key, and so do the redirects in
    ``edmIsShownAt`` (data_prep notes, 1.3).
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = (parts.hostname or "").lower()
    if host.endswith("europeana.eu") and _REDIRECT.match(parts.path):
        return web_url(dict(parse_qsl(parts.query)).get("shownAt", ""))
    if not parts.query:
        return url
    # Other hosts' parameters named "key" may address the picture itself; only Europeana's are known to be secrets.
    names = _SECRET_PARAMETERS if host.endswith("europeana.eu") else _SECRET_PARAMETERS - {"key", "token"}
    pairs = parts.query.split("&")
    kept = [pair for pair in pairs if pair.split("=")[0].lower() not in names]
    return url if len(kept) == len(pairs) else urlunsplit(parts._replace(query="&".join(kept)))


_ARK = r"(?P<ark>ark:/12148/[a-z0-9]+)"
_GALLICA_IMAGE = re.compile(
    rf"^/(?:proxy/)?iiif/{_ARK}/f(?P<page>\d+)/(?P<region>[^/]+)/(?P<size>[^/]+)/(?P<rotation>[^/]+)/"
    r"(?P<quality>native|default|color|gray|grey|bitonal)(?:\.(?P<format>jpg|jpeg|png|tif|webp))?$"
)
_GALLICA_SERVICE = re.compile(rf"^/(?:proxy/)?iiif/{_ARK}/f(?P<page>\d+)(?P<info>/info\.json)?/?$")
_GALLICA_MANIFEST = re.compile(rf"^/(?:proxy/)?iiif/{_ARK}/manifest(?:\.json)?/?$")
_GALLICA_FILE = re.compile(
    rf"^/{_ARK}(?:/f(?P<page>\d+))?[./](?:thumbnail|lowres|medres|highres|image|item\.highres)(?:\.jpg)?$"
)
_IMAGE_API = "https://openapi.bnf.fr/iiif/image/v3"
_PRESENTATION_API = "https://openapi.bnf.fr/iiif/presentation/v3"


def open_gallica(url: str) -> str:
    """The address at openapi.bnf.fr of a picture, image service or manifest of gallica.bnf.fr; others stay as they are.

    gallica.bnf.fr refuses programs; the open API has the same arks. ``full`` as a size is ``max`` there, ``native`` is
    ``default`` (data_prep notes, 1.2). Small forms (``.thumbnail``) become the page's image at ``max``.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return url
    if (parts.hostname or "").lower() not in ("gallica.bnf.fr", "www.gallica.bnf.fr"):
        return url
    path = unquote(parts.path)
    if match := _GALLICA_IMAGE.match(path):
        size = "max" if match["size"] == "full" else match["size"]
        quality = {"native": "default", "grey": "gray"}.get(match["quality"], match["quality"])
        form = match["format"] if match["format"] in ("tif", "webp") else "jpg"
        page = f"{_IMAGE_API}/{match['ark']}/f{match['page']}"
        return f"{page}/{match['region']}/{size}/{match['rotation']}/{quality}.{form}"
    if match := _GALLICA_SERVICE.match(path):
        return f"{_IMAGE_API}/{match['ark']}/f{match['page']}{match['info'] or ''}"
    if match := _GALLICA_MANIFEST.match(path):
        return f"{_PRESENTATION_API}/{match['ark']}/manifest.json"
    if match := _GALLICA_FILE.match(path):
        return f"{_IMAGE_API}/{match['ark']}/f{match['page'] or 1}/full/max/0/default.jpg"
    return url


def is_closed(url: str) -> bool:
    """True for gallica.bnf.fr, which refuses programs: what :func:`open_gallica` leaves there must not be asked for."""
    try:
        return (urlsplit(url).hostname or "").lower() in ("gallica.bnf.fr", "www.gallica.bnf.fr")
    except ValueError:
        return False


def gallica_ark(url: str) -> str:
    """``ark:/12148/...`` of a digitised object at Gallica; ``""`` elsewhere and for catalogue notices (``cb``)."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    if (parts.hostname or "").lower() not in ("gallica.bnf.fr", "www.gallica.bnf.fr", "openapi.bnf.fr"):
        return ""
    found = re.search(r"ark:/12148/[a-z0-9]+", unquote(parts.path))
    return found[0] if found and not found[0].startswith("ark:/12148/cb") else ""


def gallica_page(ark: str, page: int = 1) -> tuple[str, str, str]:
    """Image service, address of the image and manifest of one page of a Gallica object."""
    service = f"{_IMAGE_API}/{ark}/f{page}"
    return service, f"{service}/full/max/0/default.jpg", f"{_PRESENTATION_API}/{ark}/manifest.json"


_IIIF_IMAGE = re.compile(
    r"^(?P<service>https?://.+?)/(?:full|square|pct:[\d.,]+|\d+,\d+,\d+,\d+)"
    r"/(?:\^?(?:full|max|pct:[\d.]+|!?\d*,\d*))/!?[\d.]+/(?:default|native|color|gray|grey|bitonal)(?:\.\w{2,4})?$",
    re.I,
)


def image_service_of(url: str) -> str:
    """Base address of the IIIF image service that an image address belongs to; ``""`` if it is none."""
    match = _IIIF_IMAGE.match(url.split("?")[0])
    return match["service"] if match else ""


def service_url(text: str, *, base: str = "") -> str:
    """Base address of an image service, without ``info.json`` and closing slash, Gallica's rewritten."""
    url = web_url(text, base=base)
    url = url.removesuffix("/info.json").rstrip("/")
    return open_gallica(url) if url else ""


def image_url(text: str, *, base: str = "") -> str:
    """Address of a picture that can be fetched, Gallica's rewritten; ``""`` otherwise."""
    url = web_url(text, base=base)
    return open_gallica(url) if url else ""


_EXTENSION = re.compile(r"\.([a-z0-9]{2,5})$", re.I)
_PICTURES = frozenset({"jpg", "jpeg", "jpe", "jp2", "jpx", "j2k", "png", "tif", "tiff", "gif", "webp", "bmp", "avif"})
_NO_PICTURES = frozenset({
    "pdf", "mp3", "mp4", "m4a", "m4v", "wav", "ogg", "ogv", "oga", "flac", "avi", "mpg", "mpeg", "mov", "webm",
    "wmv", "flv", "htm", "html", "xhtml", "php5", "xml", "json", "txt", "doc", "docx", "zip", "epub", "djvu", "swf",
    "rtf", "csv", "obj", "glb", "gltf", "stl", "ply", "vtt", "srt", "css", "js", "m3u8", "svg",
})  # fmt: skip


def is_picture(url: str, mime: str = "") -> bool | None:
    """Say whether an address is a picture by its MIME type or its ending; None where neither tells."""
    if mime:
        kind = mime.split(";")[0].strip().lower()
        if kind.startswith("image/"):
            return kind != "image/svg+xml" and kind != "image/vnd.djvu"
        if "/" in kind and kind != "application/octet-stream":
            return False
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    if image_service_of(url):
        return True
    ending = _EXTENSION.search(unquote(path))
    extension = ending[1].lower() if ending else ""
    return True if extension in _PICTURES else False if extension in _NO_PICTURES else None
