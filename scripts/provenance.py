#!/usr/bin/env python3
"""How an image was made, as a SLSA provenance statement: in-toto Statement v1 with the predicate https://slsa.dev/provenance/v1.

  scripts/provenance.py DIR NAME [--registry REGISTRY]      NAME: operator or prover-worker

It is made of what scripts/images.sh has written into DIR: build.json (commit, compiler, settings, times), NAME.digest, NAME.tar and
NAME.cdx.json. The statement's subject is the image by its digest. A build of sources that are in no commit has no provenance.
"""

import argparse
import hashlib
import json
import os
import re
import sys

BUILD_TYPE = "https://zkinfer.dev/build/images/v1"
KEYS = ("commit", "repository", "dirty", "target", "profile", "builds", "reproducible", "rustc", "started", "finished", "builder")


def fail(why):
    sys.exit(f"provenance: {why}")


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        fail(f"{path}: {error.strerror}; scripts/images.sh writes it")


def sha256(path):
    return hashlib.sha256(read(path)).hexdigest()


def statement(folder, name, registry):
    try:
        build = json.loads(read(os.path.join(folder, "build.json")))
    except ValueError as error:
        fail(f"{folder}/build.json: {error}")
    missing = [key for key in KEYS if key not in build]
    if missing:
        fail(f"{folder}/build.json lacks {', '.join(missing)}")
    if build["dirty"]:
        fail("what was built is in no commit: commit it, and build again")
    if not re.fullmatch(r"[0-9a-f]{40}", build["commit"]):
        fail(f"`{build['commit']}` is no commit")
    digest = read(os.path.join(folder, f"{name}.digest")).decode().strip()
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        fail(f"{name}.digest: `{digest}` is no digest of an image")
    files = {f"{name}.{end}": sha256(os.path.join(folder, f"{name}.{end}")) for end in ("tar", "cdx.json")}
    source = f"git+{build['repository']}@{build['commit']}"
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": f"{registry}/{name}", "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "source": source,
                    "image": name,
                    "target": build["target"],
                    "profile": build["profile"],
                    "builds": build["builds"],
                },
                "internalParameters": {"reproducible": build["reproducible"], "rustc": build["rustc"]},
                # Crates are pinned in Cargo.lock of the source; which of them are linked the bill of materials says.
                "resolvedDependencies": [{"uri": source, "digest": {"gitCommit": build["commit"]}}],
            },
            "runDetails": {
                "builder": {"id": build["builder"]},
                "metadata": {"startedOn": build["started"], "finishedOn": build["finished"]},
                "byproducts": [{"name": file, "digest": {"sha256": hash}} for file, hash in sorted(files.items())],
            },
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("name", metavar="NAME", choices=["operator", "prover-worker"])
    parser.add_argument("--registry", default="zkinfer.dev", help="where the image will be")
    asked = parser.parse_args()
    json.dump(statement(asked.folder, asked.name, asked.registry), sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
