#!/usr/bin/env python3
"""Writes features/Cargo.toml: what a crate's tests have to ask of other crates so that `cargo test -p CRATE` finds what
`--workspace` has built, instead of compiling it anew with fewer features.

    scripts/features.py           after a dependency has changed
    scripts/features.py --check   exit 1 where something is missing in it; writes nothing

Invariant: a crate is asked for nothing that it does not depend on already; of that, for the features that the workspace has."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
FILE = HERE / "features" / "Cargo.toml"
ROUNDS = 5
LOCKED = "--locked" if "--check" in sys.argv[1:] else "--offline"
HEAD = """# Made by scripts/features.py. Cargo gives a library the features that the crates ask for which are built together; one
# crate alone asks for fewer, and most libraries below it would be compiled again. So each crate's tests ask for what all
# together ask for: by its name among the features here, a development dependency that nobody else sees.
[package]
name = "zkinfer-features"
description = "What zkinfer's crates ask of others together, so that one alone reuses what all have built"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
repository.workspace = true
publish = false

[lib]
test = false
doctest = false
"""


def tree(edges, *packages):
    """{(name, version): {features of one build of it}}, and which of them are this workspace's, by their paths."""
    asked = ["cargo", "tree", LOCKED, "--prefix", "none", "-e", edges, "-f", "{p}|{f}"]
    found, paths = {}, {}
    answer = subprocess.run(asked + list(packages), cwd=HERE, capture_output=True, text=True, check=True)
    for line in filter(None, answer.stdout.splitlines()):
        package, features = line.removesuffix(" (*)").split("|")
        name, version, *rest = package.split(" ")
        key = name, version.removeprefix("v")
        for word in rest:
            if word.startswith("(/"):
                paths[key] = Path(word.strip("()"))
        found.setdefault(key, set()).add(features.removesuffix(" (*)"))
    return found, paths


class Builds:
    """What runs (`target`), and what makes it: macros and build scripts (`host`)."""

    def __init__(self, *packages):
        self.target, self.paths = tree("normal,no-proc-macro,dev", *packages)
        everything, paths = tree("normal,build,dev", *packages)
        self.paths |= paths
        self.host = {}
        for key, sets in everything.items():
            other = sets - self.target.get(key, set())
            if other or key not in self.target:
                self.host[key] = other or sets


def missing(member, whole):
    """What `member` builds otherwise than the workspace: {kind: {key}}."""
    alone = Builds("-p", member)
    of = {"target": whole.target, "host": whole.target | whole.host}
    return {
        kind: {key for key, sets in getattr(alone, kind).items() if key[0] != "zkinfer-features" and not sets <= of[kind].get(key, set())}
        for kind in ("target", "host")
    }


def members():
    names = {}
    for manifest in sorted(m for at in ("*", "zkml/*", "weights/*") for m in HERE.glob(f"{at}/Cargo.toml")):
        for line in manifest.read_text().splitlines():
            if line.startswith("name = "):
                names[line.split('"')[1]] = manifest.parent
                break
    names.pop("zkinfer-features", None)
    return names


def written(wanted, whole):
    """The file, of {member: {kind: {key}}}."""
    lines, keys = {"target": {}, "host": {}}, {}
    names = sorted({(name, version) for of in wanted.values() for found in of.values() for name, version in found})
    for kind, table in (("target", whole.target), ("host", whole.host)):
        for name, version in names:
            if not any((name, version) in of[kind] for of in wanted.values()):
                continue
            same = [other for other in names if other[0] == name]
            alias = name if len(same) == 1 else f"{name}-{version.split('.')[0]}.{version.split('.')[1]}".replace(".", "-")
            alias += "-host" if kind == "host" else ""
            sets = table.get((name, version)) or whole.target[name, version]
            features = sorted({f for one in sets for f in one.split(",") if f})
            path = whole.paths.get((name, version))
            source = f'path = "../{path.relative_to(HERE)}"' if path else f'version = "{version}"'
            package = "" if alias == name else f'package = "{name}", '
            listed = ", ".join(f'"{f}"' for f in features)
            lines[kind][alias] = f"{alias} = {{ {package}{source}, optional = true, default-features = false, features = [{listed}] }}"
            keys[kind, name, version] = alias
    text = HEAD + "\n[features]\n"
    for member in sorted(wanted):
        of = sorted(f'"dep:{keys[kind, *key]}"' for kind, found in wanted[member].items() for key in found)
        text += f"{member} = [{', '.join(of)}]\n"
    text += "\n[dependencies]\n" + "".join(f"{line}\n" for _, line in sorted(lines["target"].items()))
    text += "\n[build-dependencies]\n" + "".join(f"{line}\n" for _, line in sorted(lines["host"].items()))
    return text


def main():
    whole = Builds("--workspace")
    if "--check" in sys.argv[1:]:
        lacking = {member: missing(member, whole) for member in members()}
        told = sorted(f"{member}: {name} {version}" for member, of in lacking.items() for found in of.values() for name, version in found)
        if told:
            sys.exit("features/Cargo.toml lacks these; scripts/features.py writes it again\n  " + "\n  ".join(told))
        return
    wanted = {member: {"target": set(), "host": set()} for member in members()}
    # What is asked for may bring more, which differs in its turn.
    for _ in range(ROUNDS):
        FILE.write_text(written(wanted, whole))
        more = {member: missing(member, whole) for member in wanted}
        if not any(found for of in more.values() for found in of.values()):
            return
        for member, of in more.items():
            for kind, found in of.items():
                wanted[member][kind] |= found
    sys.exit(f"after {ROUNDS} rounds some builds still differ: {more}")


if __name__ == "__main__":
    main()
