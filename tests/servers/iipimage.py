"""Debian's ``iipimage-server`` behind lighttpd, as the current user on a free port: Image API 2, level 1, no mock.

    with IipImage(pictures) as server:  # pictures: a folder of tiled pyramid TIFFs
        ... f"{server.url}/landscape.tif/info.json"
    server.asked  # lighttpd's access log, complete once it has stopped

Configuration, document root and logs lie in a temporary folder; no system service is touched.
"""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import unquote

_IIPSRV = Path("/usr/lib/iipimage-server/iipsrv.fcgi")
_NOT_PICTURES = ("/robots.txt", "/.well-known/tdmrep.json")
_STOP_S = 10.0

_CONFIG = """
server.modules = ( "mod_fastcgi", "mod_accesslog" )
server.document-root = "{folder}/root"
server.upload-dirs = ( "{folder}" )
server.errorlog = "{folder}/error.log"
server.systemd-socket-activation = "enable"
accesslog.filename = "{folder}/access.log"
accesslog.format = "%r\\t%s\\t%b"
fastcgi.server = ( "/iiif/" => ((
  "bin-path" => "{iipsrv}",
  "socket" => "{folder}/iipsrv.sock",
  "check-local" => "disable",
  "min-procs" => 1,
  "max-procs" => 1,
  "bin-environment" => (
    "FILESYSTEM_PREFIX" => "{pictures}/",
    "URI_MAP" => "iiif=>IIIF",
    "MAX_CVT" => "{max_px}",
    "ALLOW_UPSCALING" => "{enlarges}",
    "MEMCACHED_SERVERS" => "127.0.0.1:1",
    "OMP_NUM_THREADS" => "1",
    "LOGFILE" => "{folder}/iipsrv.log",
    "VERBOSITY" => "1"
  )
)) )
"""


@dataclass(frozen=True)
class Programs:
    """Paths of the two programs."""

    lighttpd: str
    iipsrv: str


def find_programs() -> Programs | None:
    """Where Debian puts them; None where one is missing."""
    # Debian keeps daemons in /usr/sbin, which is not on everybody's PATH.
    lighttpd = shutil.which("lighttpd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return Programs(lighttpd, str(_IIPSRV)) if lighttpd and os.access(_IIPSRV, os.X_OK) else None


@dataclass(frozen=True)
class Asked:
    """A line of the access log; ``num_bytes`` of the body."""

    path: str
    status: int
    num_bytes: int


class IipImage:
    """Serves the TIFFs of a folder under ``url``; no side of an answer is longer than ``max_px``.

    ``enlarges`` is iipimage's default: a size above the picture's own blows it up.
    """

    def __init__(self, programs: Programs, pictures: Path, *, max_px: int = 5000, enlarges: bool = True) -> None:
        self._programs, self._pictures = programs, pictures
        self._settings = {"max_px": max_px, "enlarges": int(enlarges)}
        self.asked: list[Asked] = []

    def __enter__(self) -> Self:
        # Not pytest's folder: the name of a socket has at most 107 characters.
        self.folder = folder = Path(tempfile.mkdtemp(prefix="iipimage-"))
        (folder / "root").mkdir()
        config = folder / "lighttpd.conf"
        config.write_text(
            _CONFIG.format(folder=folder, iipsrv=self._programs.iipsrv, pictures=self._pictures, **self._settings)
        )
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
            self.port: int = listening.getsockname()[1]
            # lighttpd takes the socket over as systemd would give it (descriptor 3), so no port is lost to others, and
            # who connects before it is up waits in the queue.
            script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$1" -D -f "$2" 3<&0 0</dev/null'
            command = ["sh", "-c", script, "sh", self._programs.lighttpd, str(config)]
            output = (folder / "output.log").open("wb")
            with output:
                self._process = subprocess.Popen(
                    command, stdin=listening.fileno(), stdout=output, stderr=output, start_new_session=True
                )
        self._check()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stop()
            self.asked = _read_log(self.folder / "access.log")
        finally:
            shutil.rmtree(self.folder)

    @property
    def pid(self) -> int:
        """Process id of lighttpd, and the session of everything that it starts."""
        return self._process.pid

    @property
    def host(self) -> str:
        """``127.0.0.1:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Address under which each TIFF is an image service."""
        return f"http://{self.host}/iiif"

    def asked_for_pictures(self) -> list[Asked]:
        """What was asked for below ``url``, in order, paths from there on."""
        return [
            Asked(each.path.removeprefix("/iiif/"), each.status, each.num_bytes)
            for each in self.asked
            if each.path not in _NOT_PICTURES
        ]

    def _check(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_STOP_S)
        try:
            connection.request("GET", _NOT_PICTURES[0])
            connection.getresponse().read()
        except OSError as error:
            logs = sorted(self.folder.glob("*.log"))
            text = "\n".join(f"{path.name}: {path.read_text(errors='replace')}" for path in logs)
            self._stop()
            shutil.rmtree(self.folder)
            raise RuntimeError(f"lighttpd does not answer: {error}\n{text}") from None
        finally:
            connection.close()

    def _stop(self) -> None:
        """lighttpd ends its FastCGI process with itself; what is left of the session after that is killed."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_STOP_S)


def _read_log(path: Path) -> list[Asked]:
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    asked = [Asked(unquote(row[0].split(" ")[1]), int(row[1]), int(row[2].replace("-", "0"))) for row in rows]
    return asked[1:]  # the first is ours, see _check


def draw_pyramid(path: Path, size_px: tuple[int, int]) -> None:
    """Tiled pyramid TIFF: red grows from left to right, green from top to bottom, blue is chequered."""
    import pyvips

    width, height = size_px
    place = pyvips.Image.xyz(width, height)
    chequers = ((place[0] / 40).floor() + (place[1] / 40).floor()) % 2
    picture = (place[0] * (255 / width)).bandjoin([place[1] * (255 / height), chequers * 200])
    write_pyramid(picture.cast("uchar").copy(interpretation="srgb"), path)


def write_pyramid(picture, path: Path) -> None:
    """A vips picture as iipimage wants it."""
    picture.tiffsave(str(path), tile=True, pyramid=True, tile_width=256, tile_height=256, compression="jpeg", Q=90)
