"""
What packages come from: an npm registry and a Python index with one package each, and a proxy that answers for every
other host. Serves on the loopback and prints the port.
"""

import http.server, io, json, tarfile, zipfile


def npm():
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in (
            ("package/package.json", '{"name": "leaf", "version": "1.0.0"}'),
            ("package/index.js", f'module.exports = "{"x" * 300_000}".length'),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


def wheel():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("leaf.py", 'word = "packaged"')
        archive.writestr("leaf-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: leaf\nVersion: 1.0\n")
        archive.writestr("leaf-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("leaf-1.0.dist-info/RECORD", "")
    return made.getvalue()


WHEEL = "leaf-1.0-py3-none-any.whl"


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        here = "http://" + self.headers["Host"]
        release = {"name": "leaf", "version": "1.0.0", "dist": {"tarball": here + "/leaf.tgz"}}
        found = {
            "/leaf": lambda: json.dumps(
                {"name": "leaf", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": release}}
            ).encode(),
            "/leaf.tgz": npm,
            "/simple/leaf/": lambda: f'<a href="/{WHEEL}">{WHEEL}</a>'.encode(),
            f"/{WHEEL}": wheel,
        }.get(self.path)
        if found is not None:
            return "text/html" if self.path.startswith("/simple") else "application/json", found()
        return "text/plain", f"proxied {self.path}\n".encode() if self.path.startswith("http:") else b"nothing\n"

    def do_GET(self):
        kind, body = self.answer()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, flush=True)
server.serve_forever()
