"""The frozen list of models, and where their files come from.

`list.tsv` has one model a line: family, name, source, file, sha256, shapes, domain. A source is

- `pypi:NAME==VERSION` or `npm:NAME@VERSION`: `file` lies in that package's archive, `sha256` is the file's;
- `committed:SCRIPT`: `file` lies beside the list, as SCRIPT wrote it, `sha256` is the file's;
  Weights that lie beside the model are further files: `FILE+FILE`, `SHA256+SHA256`;
- `script:SCRIPT`: too large to commit: SCRIPT writes `file` into the cache folder, `sha256` is the script's.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zkinfer" / "zoo"
COLUMNS = ("family", "name", "source", "file", "sha256", "shapes", "domain")


class Missing(Exception):
    """A model's file is not there, or is another one than the list names."""


@dataclass
class Entry:
    """One line of the list."""

    family: str
    name: str
    source: str
    file: str
    sha256: str
    shapes: dict
    domain: dict

    @property
    def id(self):
        return f"{self.family}/{self.name}"

    def parts(self):
        """(file, SHA-256) of the model and of what lies beside it."""
        return list(zip(self.file.split("+"), self.sha256.split("+")))

    def folder(self):
        """Where a package's files are kept, under the names that they have in it."""
        return CACHE / "models" / self.sha256[:64]

    def path(self):
        """The model's file, checked against the list."""
        kind, _, what = self.source.partition(":")
        if kind == "script":
            script = HERE / "exports" / what
            if digest(script) != self.sha256:
                raise Missing(f"{what} is not the script of the list")
            return there(CACHE / "exports" / self.file, f"run tests/zoo/run --export {what}")
        base = HERE if kind == "committed" else self.folder()
        paths = []
        for file, sha256 in self.parts():
            path = base / (file if kind == "committed" else Path(file).name)
            paths.append(there(path, "run tests/zoo/run --fetch"))
            if digest(path) != sha256:
                raise Missing(f"{path} has another SHA-256 than the list's")
        return paths[0]


def there(path, remedy):
    if not path.is_file():
        raise Missing(f"{path} is not there: {remedy}")
    return path


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def pairs(text, form):
    """`name=value` by blanks; a lone `*=value` speaks for every input."""
    return {n: form(v) for n, _, v in (p.rpartition("=") for p in text.split())}


def shape(text):
    return [int(d) for d in text.split("x")] if text else []


def read():
    """All entries, in the list's order."""
    if digest(HERE / "list.tsv") != (HERE / "list.sha256").read_text().split()[0]:
        raise SystemExit("list.tsv is another list than the frozen one")
    lines = (HERE / "list.tsv").read_text().splitlines()
    if tuple(lines[0].split("\t")) != COLUMNS:
        raise SystemExit("list.tsv has other columns than this program reads")
    entries = []
    for line in lines[1:]:
        family, name, source, file, sha256, shapes, domain = line.split("\t")
        entries.append(Entry(family, name, source, file, sha256, pairs(shapes, shape), pairs(domain, str)))
    return entries


def fetch(entries):
    """Brings the packages' files into the cache folder, each checked; says what could not be had."""
    wanted, failed = {}, []
    for entry in entries:
        if entry.source.startswith(("pypi:", "npm:")) and not entry.folder().is_dir():
            wanted.setdefault(entry.source, []).append(entry)
    (CACHE / "models").mkdir(parents=True, exist_ok=True)
    for source, of in wanted.items():
        print(f"fetching {source}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            try:
                archive = download(source, Path(folder))
                for entry in of:
                    unpack(archive, entry)
            except (subprocess.CalledProcessError, Missing, KeyError) as error:
                failed.append(f"{source}: {error}")
    return failed


def download(source, folder):
    kind, _, what = source.partition(":")
    if kind == "pypi":
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--disable-pip-version-check", "-d", folder, what], check=True, stdout=sys.stderr)
    else:
        subprocess.run(["npm", "pack", "--silent", what], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    return next(folder.iterdir())


def unpack(archive, entry):
    """A package's files of one entry, all or none."""
    part = entry.folder().with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for file, sha256 in entry.parts():
        if archive.suffix == ".tgz":
            with tarfile.open(archive) as tar:
                data = tar.extractfile(file).read()
        else:
            with zipfile.ZipFile(archive) as wheel:
                data = wheel.read(file)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Missing(f"{file} has another SHA-256 than the list's")
        (part / Path(file).name).write_bytes(data)
    part.rename(entry.folder())


def export(script):
    """Runs an export script in an environment of its own, which is made if it is missing."""
    python = environment(re.sub(r"^from_|\.py$", "", script))
    return subprocess.run([python, HERE / "exports" / script, CACHE / "exports"]).returncode


def environment(name):
    """The Python of what exports run with."""
    requirements = HERE / "exports" / f"requirements-{name}.txt"
    folder = CACHE / f"env-{name}"
    stamp = folder / ".stamp"
    if not stamp.is_file() or stamp.read_text() != digest(requirements):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--no-cache-dir", "--require-hashes"]
        subprocess.run([*pip, "--disable-pip-version-check", "-r", requirements], check=True)
        stamp.write_text(digest(requirements))
    return folder / "bin" / "python"
