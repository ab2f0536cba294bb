"""Reads the CBOR that receipts are written in: what RFC 8949 calls deterministic encoding, definite lengths only."""

import struct


def decode(data):
    value, at = _item(data, 0)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes after the end")
    return value


def _item(data, at):
    first = data[at]
    kind, short, at = first >> 5, first & 31, at + 1
    if kind == 7:
        if short in (20, 21, 22):
            return {20: False, 21: True, 22: None}[short], at
        size = {25: 2, 26: 4, 27: 8}[short]
        return struct.unpack(">" + {2: "e", 4: "f", 8: "d"}[size], data[at : at + size])[0], at + size
    if short < 24:
        n = short
    else:
        size = {24: 1, 25: 2, 26: 4, 27: 8}[short]
        n, at = int.from_bytes(data[at : at + size], "big"), at + size
    if kind == 0:
        return n, at
    if kind == 1:
        return -1 - n, at
    if kind in (2, 3):
        raw = bytes(data[at : at + n])
        return (raw if kind == 2 else raw.decode()), at + n
    if kind == 4:
        items = []
        for _ in range(n):
            item, at = _item(data, at)
            items.append(item)
        return items, at
    if kind == 5:
        pairs = {}
        for _ in range(n):
            key, at = _item(data, at)
            pairs[key], at = _item(data, at)
        return pairs, at
    raise ValueError(f"CBOR of kind {kind}")
