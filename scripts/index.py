#!/usr/bin/env python3
"""One image for several processors: an OCI archive with an image index of the images of other archives, each for its own.

  scripts/index.py OUT NAME:TAG ARCHIVE...      ARCHIVE: NAME.tar, as scripts/images.sh writes it for a target

Images keep their digests: the index names them, and whoever pulls NAME:TAG gets the one for the node's processor. The same archives
make the same bytes. The index's digest is printed. `skopeo copy --all oci-archive:OUT docker://…` pushes all of it.
"""

import argparse
import hashlib
import io
import json
import os
import sys
import tarfile

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def fail(why):
    sys.exit(f"index: {why}")


class Archive:
    """The blobs of an OCI archive, each compared with its digest."""

    def __init__(self, path):
        self.path = path
        try:
            with tarfile.open(path) as tar:
                files = [member for member in tar.getmembers() if member.isfile()]
                self.files = {os.path.normpath(member.name): tar.extractfile(member).read() for member in files}
        except (OSError, tarfile.TarError) as error:
            fail(f"{path}: {str(error).splitlines()[0].rstrip(':')}")
        self.blobs = {}

    def json(self, name, bytes_):
        try:
            value = json.loads(bytes_)
        except ValueError as error:
            fail(f"{self.path}: {name}: {error}")
        if not isinstance(value, dict):
            fail(f"{self.path}: {name} is no object")
        return value

    def blob(self, descriptor):
        algorithm, _, hex_ = descriptor.get("digest", "").partition(":")
        bytes_ = self.files.get(f"blobs/{algorithm}/{hex_}")
        if algorithm != "sha256" or bytes_ is None:
            fail(f"{self.path}: has no blob {descriptor.get('digest')}")
        if hashlib.sha256(bytes_).hexdigest() != hex_ or len(bytes_) != descriptor.get("size"):
            fail(f"{self.path}: blob {descriptor['digest']} is not what its name says")
        self.blobs[hex_] = bytes_
        return bytes_

    def image(self):
        """The descriptor of its one image, with the platform that the image's own configuration says; all of its blobs are taken."""
        if "index.json" not in self.files:
            fail(f"{self.path}: is no OCI archive: it has no index.json")
        listed = self.json("index.json", self.files["index.json"]).get("manifests", [])
        if len(listed) != 1 or listed[0].get("mediaType") != MANIFEST:
            fail(f"{self.path}: holds something else than one image")
        bytes_ = self.blob(listed[0])
        manifest = self.json("the manifest", bytes_)
        config = self.json("the configuration", self.blob(manifest.get("config", {})))
        for layer in manifest.get("layers", []):
            self.blob(layer)
        # Beside an archive of scripts/images.sh lies its image's digest, which is what gets signed.
        beside = self.path.removesuffix(".tar") + ".digest"
        if os.path.exists(beside):
            with open(beside, encoding="utf-8") as file:
                if file.read().strip() != listed[0]["digest"]:
                    fail(f"{self.path}: its image is {listed[0]['digest']}, which is not what {beside} says")
        platform = {key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}
        if not {"architecture", "os"} <= platform.keys():
            fail(f"{self.path}: its image does not say for which processor it is")
        return {"mediaType": MANIFEST, "digest": listed[0]["digest"], "size": len(bytes_), "platform": platform}


def text(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("name", metavar="NAME:TAG")
    parser.add_argument("archives", metavar="ARCHIVE", nargs="+")
    asked = parser.parse_args()
    archives = [Archive(path) for path in asked.archives]
    images = sorted((archive.image() for archive in archives), key=lambda image: text(image["platform"]))
    for one, other in zip(images, images[1:]):
        if one["platform"] == other["platform"]:
            fail(f"two images are for {one['platform']['os']}/{one['platform']['architecture']}")
    index = text({"schemaVersion": 2, "mediaType": INDEX, "manifests": images})
    hex_ = hashlib.sha256(index).hexdigest()
    top = {
        "mediaType": INDEX,
        "digest": f"sha256:{hex_}",
        "size": len(index),
        "annotations": {"org.opencontainers.image.ref.name": asked.name},
    }
    files = {"oci-layout": text({"imageLayoutVersion": "1.0.0"}), "index.json": text({"schemaVersion": 2, "manifests": [top]})}
    for archive in archives:
        files |= {f"blobs/sha256/{name}": bytes_ for name, bytes_ in archive.blobs.items()}
    files[f"blobs/sha256/{hex_}"] = index
    with tarfile.open(asked.out, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, bytes_ in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(bytes_), 0o644
            tar.addfile(member, io.BytesIO(bytes_))
    print(f"sha256:{hex_}")


if __name__ == "__main__":
    main()
