"""A chain's metadata, version 16, cut down to a version 15 that says of calls and extensions the same.

The SDK's codec reads versions 14 and 15; the one copy of the mainnet's metadata that a package carries is of version 16. The
table of types is the same in both, byte for byte; pallets keep their name, index and calls, and transaction extensions
become signed extensions. Nothing else is needed to compose a call and what is signed of it.
"""


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, many):
        taken = self.data[self.at : self.at + many]
        if len(taken) != many:
            raise ValueError(f"the metadata ends at {self.at}")
        self.at += many
        return taken

    def u8(self):
        return self.take(1)[0]

    def compact(self):
        first = self.u8()
        mode = first & 3
        if mode == 3:
            return int.from_bytes(self.take((first >> 2) + 4), "little")
        rest = self.take((1 << mode) - 1)
        return int.from_bytes(bytes([first]) + rest, "little") >> 2

    def text(self):
        return self.take(self.compact()).decode()

    def many(self, one):
        return [one() for _ in range(self.compact())]

    def option(self, one):
        return one() if self.u8() else None

    def texts(self):
        return self.many(self.text)


def field(r):
    return r.option(r.text), r.compact(), r.option(r.text), r.texts()


def type_definition(r):
    kind = r.u8()
    fields = lambda: r.many(lambda: field(r))
    if kind == 0:
        fields()
    elif kind == 1:
        r.many(lambda: (r.text(), fields(), r.u8(), r.texts()))
    elif kind in (2, 6):
        r.compact()
    elif kind == 3:
        r.take(4), r.compact()
    elif kind == 4:
        r.many(r.compact)
    elif kind == 5:
        r.u8()
    elif kind == 7:
        r.compact(), r.compact()
    else:
        raise ValueError(f"a type of kind {kind}")


def portable_type(r):
    number, path = r.compact(), r.texts()
    r.many(lambda: (r.text(), r.option(r.compact)))
    type_definition(r)
    r.texts()
    return number, path


def note(r):
    return r.text(), r.option(r.text)


def deprecated(r):
    if r.u8() == 2:
        note(r)


def variants(r):
    r.many(lambda: (r.u8(), note(r) if r.u8() == 2 else None))


def storage(r):
    def entry():
        r.text(), r.u8()
        if r.u8():
            r.many(r.u8), r.compact()
        r.compact(), r.take(r.compact()), r.texts(), deprecated(r)

    r.text(), r.many(entry)


def enum(r):
    number = r.compact()
    variants(r)
    return number


def pallet(r):
    name = r.text()
    r.option(lambda: storage(r))
    calls = r.option(lambda: enum(r))
    r.option(lambda: enum(r))
    constants = {}

    def constant():
        key = r.text()
        r.compact()
        constants[key] = r.take(r.compact())
        r.texts(), deprecated(r)

    r.many(constant)
    r.option(lambda: enum(r))
    r.many(lambda: (r.text(), r.compact(), r.texts()))
    parameter = lambda: (r.text(), r.compact())
    r.many(lambda: (r.take(32), r.text(), r.many(parameter), r.compact(), r.texts(), deprecated(r)))
    index = r.u8()
    r.texts(), deprecated(r)
    return {"name": name, "calls": calls, "index": index, "constants": constants}


def compact(number):
    if number < 1 << 6:
        return bytes([number << 2])
    if number < 1 << 14:
        return (number << 2 | 1).to_bytes(2, "little")
    return (number << 2 | 2).to_bytes(4, "little")


def text(value):
    return compact(len(value.encode())) + value.encode()


def version_of(constant):
    """Spec name, spec version and transaction version of `System.Version`, a `RuntimeVersion`."""
    r = Reader(constant)
    name = r.text()
    r.text(), r.take(4)
    spec = int.from_bytes(r.take(4), "little")
    r.take(4), r.many(lambda: r.take(12))
    return name, spec, int.from_bytes(r.take(4), "little")


def cut(data):
    """The same as version 15, and what a signer needs beside it."""
    r = Reader(data)
    if r.take(5) != b"meta\x10":
        raise ValueError("this is not metadata of version 16")
    begin = r.at
    r.many(lambda: portable_type(r))
    types = data[begin : r.at]
    pallets = r.many(lambda: pallet(r))
    versions = list(r.take(r.compact()))
    address, call, signature = r.compact(), r.compact(), r.compact()
    r.many(lambda: (r.u8(), r.many(r.compact)))
    extensions = r.many(lambda: (r.text(), r.compact(), r.compact()))

    out = b"meta\x0f" + types + compact(len(pallets))
    for p in pallets:
        calls = b"\0" if p["calls"] is None else b"\1" + compact(p["calls"])
        # Without storage, events, constants, errors and docs.
        out += text(p["name"]) + b"\0" + calls + b"\0" + b"\0" + b"\0" + bytes([p["index"]]) + b"\0"
    # Where a type is asked for that nobody decodes here, the calls' stands: the extensions' own, events and errors.
    out += b"\4" + compact(address) + compact(call) + compact(signature) + compact(call)
    out += compact(len(extensions))
    for identifier, ty, implicit in extensions:
        out += text(identifier) + compact(ty) + compact(implicit)
    out += compact(call) + b"\0" + 3 * compact(call) + b"\0"
    constants = next(p["constants"] for p in pallets if p["name"] == "System")
    name, spec, transaction = version_of(constants["Version"])
    return out, {"spec_name": name, "spec_version": spec, "transaction_version": transaction, "versions": versions}
