"""The proxies' example files in the real proxies, on ports of a test's own."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

import pytest

from tests.e2e.product import ROOT, free_port, wait_for

FILES: Final = ROOT / "ops" / "proxy"
HOST: Final = "mail.example.com"


class Proxy:
    """One proxy in a folder of its own, which leads to a port of this machine."""

    name: ClassVar[str]

    def __init__(self, folder: Path, certificate: Path, upstream: int) -> None:
        self.folder, self.certificate, self.upstream = folder, certificate, upstream
        self.plain, self.tls = free_port(), free_port()
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder)}
        self._process: subprocess.Popen[bytes] | None = None

    def lead_to(self, upstream: int) -> None:
        """Have its file name another port; it has yet to be told to read it again."""
        self.upstream = upstream
        self.write()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = self.command()
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        self.write()
        log = self.folder / "log"
        with log.open("wb") as out:
            process = self._process = subprocess.Popen(
                command, stdout=out, stderr=out, env=self.environment
            )
        wait_for(lambda: listens(self.tls) or process.poll() is not None, "the proxy")
        assert process.poll() is None, log.read_text()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)

    def write(self) -> None:
        """Write its file."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Return what starts it."""
        raise NotImplementedError


class Nginx(Proxy):
    """nginx, with a whole configuration around the example."""

    name = "nginx"

    @property
    def instead(self) -> dict[str, str]:
        """What stands for the machine's own nginx, in lines that speak of it."""
        this = " ".join(self.command())
        return {"/run/nginx.pid": f"{self.folder}/pid", "nginx -": f"{this} -"}

    def write(self) -> None:
        """Put the example into its place."""
        text = (FILES / "nginx.conf").read_text()
        for there, here in {
            "listen 80;": f"listen 127.0.0.1:{self.plain};",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.tls} ssl http2;",
            "server 127.0.0.1:8000;": f"server 127.0.0.1:{self.upstream};",
            f"/etc/letsencrypt/live/{HOST}": str(self.certificate),
            "/var/www/acme": str(self.folder / "acme"),
        }.items():
            assert there in text, there
            text = text.replace(there, here)
        for other in ("listen [::]:80;", "listen [::]:443 ssl http2;"):
            assert other in text
            text = text.replace(other, "")
        challenge = self.folder / "acme" / ".well-known" / "acme-challenge"
        challenge.mkdir(parents=True, exist_ok=True)
        (challenge / "word").write_text("ours")
        at = self.folder
        (at / "nginx.conf").write_text(
            f"pid {at}/pid; error_log stderr; daemon off; user root;\n"
            f"events {{}}\nhttp {{ access_log off; client_body_temp_path {at}/b;"
            f" proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;"
            f" uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n{text}\n}}\n"
        )

    def command(self) -> list[str]:
        """Return what starts it."""
        return ["nginx", "-p", str(self.folder), "-c", f"{self.folder}/nginx.conf"]


class Caddy(Proxy):
    """Caddy, which is told of the test's certificate and ports."""

    name = "caddy"

    def __init__(self, folder: Path, certificate: Path, upstream: int) -> None:
        super().__init__(folder, certificate, upstream)
        self.admin = f"localhost:{free_port()}"

    @property
    def instead(self) -> dict[str, str]:
        """What stands for the machine's own Caddy, in lines that speak of it."""
        here = f"{self.folder}/Caddyfile --address {self.admin}"
        return {"/etc/caddy/Caddyfile": here}

    def write(self) -> None:
        """Put the example into its place."""
        text = (FILES / "Caddyfile").read_text()
        # Real certificates need the real name: here it brings its own.
        pair = f"{self.certificate}/fullchain.pem {self.certificate}/privkey.pem"
        name, upstream = f"{{$SITE:{HOST}}} {{\n", "{$UPSTREAM:127.0.0.1:8000}"
        for there, here in {
            name: f"{name}\ttls {pair}\n",
            upstream: upstream.replace("8000", str(self.upstream)),
        }.items():
            assert there in text, there
            text = text.replace(there, here)
        ports = f"\thttp_port {self.plain}\n\thttps_port {self.tls}\n"
        top = f"{{\n{ports}\tadmin {self.admin}\n}}\n"
        (self.folder / "Caddyfile").write_text(top + text)

    def command(self) -> list[str]:
        """Return what starts it."""
        file = str(self.folder / "Caddyfile")
        return ["caddy", "run", "--adapter", "caddyfile", "--config", file]


@contextmanager
def running(kind: type[Proxy], folder: Path, upstream: int) -> Iterator[Proxy]:
    """Have a proxy until the end of the block."""
    made = kind(folder, certificate_in(folder), upstream)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def certificate_in(folder: Path) -> Path:
    """Make a certificate of the example's name, by itself."""
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={HOST}"),
            *("-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"),
        ],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return folder


def listens(port: int) -> bool:
    """Return whether somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return False
    return True
