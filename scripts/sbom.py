#!/usr/bin/env python3
"""The bill of materials of an image, as CycloneDX 1.6 JSON: every crate that its programs are compiled from, by the features of a
build of the whole workspace, which is how images are built; those that only build them, as `excluded`; and the C library and Rust's
standard library, which are linked in too. An image holds nothing else: it is made FROM scratch.

  scripts/sbom.py PACKAGE [--image NAME] [--archive FILE] [--target TRIPLE] [--offline]      PACKAGE: zkinfer-operator or prover-worker

It is made of Cargo.lock, `cargo metadata`, and what this machine says of its compiler and its C library, and of nothing else: the
same sources on the same machine are the same bytes. With --archive the image's SHA-256 stands in it.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What images are built with beside the defaults, as in scripts/images.sh.
FEATURES = "zkinfer-operator/bittensor"
TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]


def output(*command):
    """What a program prints; where it fails, so does this."""
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"sbom: {' '.join(command)}: {ran.stderr.strip()}")
    return ran.stdout


def checksums():
    """The SHA-256 of each crate of a registry, by name and version."""
    with open(os.path.join(ROOT, "Cargo.lock"), "rb") as file:
        packages = tomllib.load(file)["package"]
    return {(p["name"], p["version"]): p["checksum"] for p in packages if "checksum" in p}


def is_macro(package):
    """What runs in the compiler is in no program, and neither is what it is made of."""
    return any("proc-macro" in target["kind"] for target in package["targets"])


def reached(nodes, root, kinds, beyond=lambda package: True):
    """The packages that `root` leads to by dependencies of these kinds, by way of those that this is true of."""
    seen, left = set(), [root]
    while left:
        package = left.pop()
        if package in seen or not beyond(package):
            continue
        seen.add(package)
        for dep in nodes[package]["deps"]:
            if any(kind["kind"] in kinds for kind in dep["dep_kinds"]):
                left.append(dep["pkg"])
    return seen


def spdx(expression):
    """Cargo once took a slash for `OR`."""
    return re.sub(r"\s*/\s*", " OR ", expression)


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def crate(package, sums, linked):
    component = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
        # What only builds is in no image.
        "scope": "required" if linked else "excluded",
    }
    if package["license"]:
        component["licenses"] = [{"expression": spdx(package["license"])}]
    checksum = sums.get((package["name"], package["version"]))
    if checksum:
        component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    elif package["source"]:
        sys.exit(f"sbom: {package['name']} {package['version']} has a source and no checksum in Cargo.lock")
    if package["repository"]:
        component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return component


def c_library(target):
    """The C library that is linked in: Debian's, where dpkg knows it, else by its own word; for another processor Debian's alone."""
    arch = target.split("-")[0]
    own = arch == os.uname().machine
    package = "libc6-dev" if own else f"libc6-dev-{'arm64' if arch == 'aarch64' else 'amd64'}-cross"
    # What is for another processor is made of a package of sources that has a version of its own.
    show = "${source:Version}" if own else "${Version}"
    ran = subprocess.run(["dpkg-query", "--show", f"--showformat={show}", package], capture_output=True, text=True)
    if ran.returncode == 0 and ran.stdout:
        version, kind = ran.stdout, "deb/debian"
    elif own:
        version, kind = output("getconf", "GNU_LIBC_VERSION").split()[-1], "generic"
    else:
        sys.exit(f"sbom: nobody knows which C library is linked for {target}: there is no package {package}")
    ref = f"pkg:{kind}/glibc@{version.replace('+', '%2B')}"
    return {
        "type": "library",
        "bom-ref": ref,
        "name": "glibc",
        "version": version,
        "purl": ref,
        "scope": "required",
        "licenses": [{"expression": "LGPL-2.1-or-later"}],
    }


def standard_library():
    version = re.search(r"^release: (.*)$", output("rustc", "-vV"), re.MULTILINE).group(1)
    ref = f"pkg:generic/rust-std@{version}"
    return {
        "type": "library",
        "bom-ref": ref,
        "name": "rust-std",
        "version": version,
        "purl": ref,
        "scope": "required",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
    }


def bill(name, image, archive, target, offline):
    more = ["--features", FEATURES] + (["--offline"] if offline else [])
    text = output("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target, *more)
    metadata = json.loads(text)
    packages = {p["id"]: p for p in metadata["packages"]}
    nodes = {n["id"]: n for n in metadata["resolve"]["nodes"]}
    members = [packages[id] for id in metadata["workspace_members"]]
    found = [p for p in members if p["name"] == name]
    if not found:
        sys.exit(f"sbom: `{name}` is none of the workspace's packages: {', '.join(sorted(p['name'] for p in members))}")
    root = found[0]["id"]
    linked = reached(nodes, root, {None}, lambda id: not is_macro(packages[id]))
    all_of_it = reached(nodes, root, {None, "build"})
    sums = checksums()
    crates = [crate(packages[id], sums, id in linked) for id in all_of_it]
    beside = [c_library(target), standard_library()]
    components = sorted(crates + beside, key=lambda c: c["bom-ref"])
    if len({c["bom-ref"] for c in components}) != len(components):
        sys.exit("sbom: two components have the same name and version")

    top = {"type": "container", "bom-ref": f"image:{image}", "name": image, "version": found[0]["version"]}
    if archive:
        with open(archive, "rb") as file:
            top["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(file.read()).hexdigest()}]
    depends = [
        {
            "ref": purl(packages[id]),
            "dependsOn": sorted(
                {
                    purl(packages[dep["pkg"]])
                    for dep in nodes[id]["deps"]
                    if any(kind["kind"] in (None, "build") for kind in dep["dep_kinds"])
                }
            ),
        }
        for id in all_of_it
    ]
    depends.append({"ref": top["bom-ref"], "dependsOn": sorted([purl(found[0]), *(c["bom-ref"] for c in beside)])})
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": top},
        "components": components,
        "dependencies": sorted(depends, key=lambda d: d["ref"]),
    }
    # A number of its own that is the same for the same contents.
    contents = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, contents)}"
    return document


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("--image", help="what the image is called; without: as the package")
    parser.add_argument("--archive", help="the image's archive")
    parser.add_argument("--target", default=TARGETS[0], choices=TARGETS, help="the processor that it is for")
    parser.add_argument("--offline", action="store_true", help="ask no registry")
    asked = parser.parse_args()
    document = bill(asked.package, asked.image or asked.package, asked.archive, asked.target, asked.offline)
    json.dump(document, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
