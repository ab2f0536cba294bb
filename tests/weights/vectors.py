#!/usr/bin/env python3
"""What the chain's own Python SDK makes of given inputs, for zkinfer-weights to be compared with byte for byte.

    pip install -r tests/weights/requirements.txt
    tests/weights/vectors.py --metadata finney.scale            # writes tests/weights/vectors.json
    tests/weights/vectors.py --metadata finney.scale --check    # is it what these packages make? and does the SDK
                                                                # verify and decrypt what zkinfer-weights made (ours-*.json)?

The metadata is `metadata/finney.scale` of the crate bittensor-rs 0.1.1 (cargo fetch); its digest is below. Signatures of
sr25519 and ciphertexts are random: --check compares all else, and verifies and decrypts these.
"""

import argparse
import hashlib
import importlib.metadata
import json
import pathlib
import random
import sys
import time

import bittensor_core as core
from bittensor.intents.weights import normalize

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))
import metadata  # noqa: E402

METADATA = "4fcee8d89551a48e96b6b04a4484b445621f8983c170885f670d5130a1182f9f"
# drand's quicknet, and a round of it whose signature the crate timelock 0.3.0 has in its tests.
GENESIS, PERIOD, ROUND = 1_692_803_367, 3, 1000
SIGNATURE = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
RANDOM = {"signatures", "timelock"}


def ss58():
    keys = [bytes([7] * 32), bytes(range(32)), bytes(32), bytes([255] * 32)]
    prefixes = [0, 1, 42, 63, 64, 65, 255, 256, 2006, 16383]
    return [{"key": k.hex(), "prefix": p, "address": core.encode_ss58(k, p)} for k in keys for p in prefixes]


def keys():
    pairs = [(bytes([n] * 32), core.Keypair.create_from_seed(bytes([n] * 32))) for n in (1, 9, 200)]
    return [{"seed": s.hex(), "public": bytes(p.public_key).hex(), "address": p.ss58_address} for s, p in pairs]


def signatures():
    pair = core.Keypair.create_from_seed(bytes([9] * 32))
    messages = [b"", b"zkinfer", bytes(range(256)) * 2]
    return [{"address": pair.ss58_address, "message": m.hex(), "signature": bytes(pair.sign(m)).hex()} for m in messages]


def vectors(draw):
    """Weights as scores are: whole numbers, of few or of 70 bits, some nothing; and ones that end in a half."""
    cases = [[0, 0], [1], [5, 5, 5], [1, 2], [1, 131070], [3, 131070], [32767, 65535], [1, 10**30], [2**53 + 1, 2**53]]
    for many in (1, 2, 7, 64, 256):
        for bits in (8, 20, 32, 70):
            cases.append([draw.getrandbits(bits) * draw.choice((0, 1, 1, 1)) for _ in range(many)])
    for half in range(40):
        top = 2 * draw.randrange(1, 1000)
        cases.append([top * (2 * half + 1), 131070 * top])
    out = []
    for weights in cases:
        uids = sorted(draw.sample(range(4096), len(weights)))
        got, values = normalize(uids, [float(w) for w in weights])
        out.append({"uids": uids, "weights": [str(w) for w in weights], "outUids": got, "values": values})
    return out


def blocks_until_reveal(state, periods):
    """From the head until what the SDK waits for: its round is of the time now, which a block of 10^9 s drowns."""
    block = 3_000_000_000
    _, reveal = core.get_encrypted_commit_v2(
        uids=[0], weights=[1], version_key=0, subnet_reveal_period_epochs=periods, block_time=float(block),
        hotkey=bytes(32), **state)
    return reveal // (block // PERIOD)


def schedules(draw):
    out = []
    for case in range(160):
        tempo = draw.choice((1, 2, 10, 99, 360, 360, 360, 7200, 50_400))
        head = draw.randrange(1, 8_000_000)
        since = draw.randrange(0, tempo)
        pending = draw.choice((0, 0, 0, head + draw.randrange(1, tempo + 2), max(1, head - 2)))
        state = {
            "last_epoch_block": max(0, head - since), "pending_epoch_at": pending,
            "subnet_epoch_index": draw.randrange(0, 30_000), "tempo": tempo,
            "blocks_since_last_step": draw.choice((since, since, 50_399, 50_400, 50_401)), "current_block": head,
        }
        periods = draw.choice((0, 1, 1, 1, 2, 3, 10))
        try:
            blocks = blocks_until_reveal(state, periods)
        except Exception as error:  # what the SDK refuses has its words
            out.append({"state": state, "periods": periods, "error": str(error)})
        else:
            out.append({"state": state, "periods": periods, "blocks": blocks})
    return out


def calls(runtime):
    uids, values = [0, 1, 255, 4095], [65535, 1, 300, 32768]
    many = list(range(256)), [65535 - n for n in range(256)]
    sets = [(uids, values, 0, 0), (uids, values, 2, 11003), (*many, 65535, 2**64 - 1), ([], [], 1, 1)]
    out = []
    for dests, weights, netuid, version in sets:
        arguments = {"netuid": netuid, "dests": dests, "weights": weights, "version_key": version}
        call = runtime.compose_call("SubtensorModule", "set_weights", arguments)
        out.append({"function": "set_weights", **arguments, "call": call.hex()})
        call = runtime.compose_call("SubtensorModule", "set_mechanism_weights", {"mecid": 3, **arguments})
        out.append({"function": "set_mechanism_weights", "mecid": 3, **arguments, "call": call.hex()})
    for length in (1, 63, 64, 700, 5000):
        arguments = {"netuid": 2, "commit": bytes([length % 251] * length), "reveal_round": 34_410_031, "commit_reveal_version": 4}
        for function, more in (("commit_timelocked_weights", {}), ("commit_timelocked_mechanism_weights", {"mecid": 1})):
            call = runtime.compose_call("SubtensorModule", function, {**more, **arguments})
            out.append({"function": function, **more, **arguments, "commit": arguments["commit"].hex(), "call": call.hex()})
    return out


def eras(runtime):
    blocks = [0, 1, 63, 64, 1000, 7_654_321, 2**32 - 1]
    return [
        {"period": p, "current": b, "era": runtime.encode_era({"period": p, "current": b}).hex(), "birth": core.era_birth(p, b)}
        for p in (4, 8, 64, 128, 4096, 8192, 65536) for b in blocks
    ]


def extrinsics(runtime, versions):
    genesis, block, public = bytes([17] * 32), bytes([34] * 32), bytes([68] * 32)
    short = runtime.compose_call("SubtensorModule", "set_weights", {"netuid": 2, "dests": [1], "weights": [65535], "version_key": 7})
    long = runtime.compose_call("SubtensorModule", "set_weights", {"netuid": 2, "dests": list(range(200)), "weights": [9] * 200, "version_key": 7})
    out = []
    for call in (short, long):
        for nonce, tip, digest in ((0, 0, None), (70, 1 << 14, None), (2**31, 2**70, bytes([51] * 32))):
            common = {"era": {"period": 64, "current": 7_654_321}, "nonce": nonce, "tip": tip, "tip_asset_id": None}
            more = {"genesis_hash": genesis, "era_block_hash": block, "metadata_hash": digest}
            payload = runtime.signature_payload(call, **common, **more)
            extra, implicit = runtime.signature_payload_parts(**common, **more)
            data, digest_of = runtime.encode_signed_extrinsic(
                call, public_key=public, signature=bytes([85] * 64), signature_version=1,
                metadata_hash_enabled=digest is not None, **common)
            digest_of = digest_of if isinstance(digest_of, str) else digest_of.hex()
            out.append({
                "call": call.hex(), "period": 64, "current": 7_654_321, "nonce": nonce, "tip": str(tip),
                "genesis": genesis.hex(), "eraBlock": block.hex(), "metadataHash": digest and digest.hex(),
                "specVersion": versions["spec_version"], "transactionVersion": versions["transaction_version"],
                "extra": extra.hex(), "implicit": implicit.hex(), "payload": payload.hex(), "public": public.hex(),
                "signature": bytes([85] * 64).hex(), "extrinsic": data.hex(), "hash": digest_of.removeprefix("0x"),
            })
    return out


def envelope(ciphertext, reveal=ROUND):
    return metadata.compact(len(ciphertext)) + ciphertext + reveal.to_bytes(8, "little")


def timelock():
    """A commit of the SDK's for a round that is over: one block is as long as it takes to get there, which is back."""
    state = {"last_epoch_block": 10, "pending_epoch_at": 0, "subnet_epoch_index": 0, "tempo": 50,
             "blocks_since_last_step": 0, "current_block": 10}
    arguments = {"uids": [0, 3, 255], "weights": [65535, 1, 300], "version_key": 11003, "hotkey": bytes(range(32))}
    blocks = blocks_until_reveal(state, 1)
    block_time = (GENESIS + PERIOD * (ROUND + 0.5) - time.time()) / blocks
    ciphertext, reveal = core.get_encrypted_commit_v2(
        **arguments, **state, subnet_reveal_period_epochs=1, block_time=block_time)
    assert reveal == ROUND, reveal
    payload = core.decrypt_with_signature(envelope(bytes(ciphertext)), SIGNATURE)
    return {**arguments, "hotkey": arguments["hotkey"].hex(), "round": ROUND, "signature": SIGNATURE,
            "ciphertext": bytes(ciphertext).hex(), "payload": bytes(payload).hex()}


def check_ours():
    read = lambda part: json.loads((HERE / f"ours-{part}.json").read_text())
    signatures, locked = read("signatures"), read("timelock")
    for one in signatures:
        assert core.verify(bytes.fromhex(one["message"]), bytes.fromhex(one["signature"]), one["address"]), one
    for one in locked:
        got = core.decrypt_with_signature(envelope(bytes.fromhex(one["ciphertext"]), one["round"]), SIGNATURE)
        assert bytes(got).hex() == one["payload"], one
    print(f"the SDK verifies {len(signatures)} signatures of ours, and decrypts {len(locked)} ciphertexts")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--metadata", required=True, type=pathlib.Path)
    arguments.add_argument("--check", action="store_true")
    arguments = arguments.parse_args()
    data = arguments.metadata.read_bytes()
    if hashlib.sha256(data).hexdigest() != METADATA:
        sys.exit(f"{arguments.metadata} is not the metadata of bittensor-rs 0.1.1: its SHA-256 is not {METADATA}")
    cut, versions = metadata.cut(data)
    runtime = core.Runtime(cut, versions["spec_version"], versions["transaction_version"])
    draw = random.Random(20261130)
    made = {
        "madeBy": {name: importlib.metadata.version(name) for name in ("bittensor", "bittensor-core")}
        | {"metadata": METADATA, "specVersion": versions["spec_version"], "extensions": runtime.signed_extension_identifiers()},
        "ss58": ss58(), "keys": keys(), "signatures": signatures(), "vectors": vectors(draw), "schedules": schedules(draw),
        "calls": calls(runtime), "eras": eras(runtime), "extrinsics": extrinsics(runtime, versions), "timelock": timelock(),
    }
    at = HERE / "vectors.json"
    if not arguments.check:
        lines = ",\n".join(
            f'"{name}": ' + ("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]" if isinstance(rows, list) else json.dumps(rows))
            for name, rows in made.items())
        at.write_text("{\n" + lines + "\n}\n")
        print(f"wrote {at}")
        return
    held = json.loads(at.read_text())
    for name in made.keys() | held.keys():
        if name not in RANDOM and json.loads(json.dumps(made.get(name))) != held.get(name):
            sys.exit(f"{name} of vectors.json is not what these packages make")
    assert held["timelock"]["payload"] == made["timelock"]["payload"]
    opened = core.decrypt_with_signature(envelope(bytes.fromhex(held["timelock"]["ciphertext"])), SIGNATURE)
    assert bytes(opened).hex() == held["timelock"]["payload"]
    print("vectors.json is what these packages make")
    check_ours()


if __name__ == "__main__":
    main()
