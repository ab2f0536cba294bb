#!/usr/bin/env python3
"""The account of bits of SumcheckWhir, from the papers' formulas alone.

    tests/soundness/account.py            print tests/soundness/account.json
    tests/soundness/account.py --markdown the tables of docs/soundness.md
    tests/soundness/account.py --toml     docs/soundness/soundcalc.toml, an input of the calculator soundcalc

Nothing here is taken from the library that the programs use: parameters are derived again from the two numbers that
zkinfer fixes (104 bits a term, 12 of them ground) and from the size of a key. A Rust test compares three figures: the
program's, p3-security's, and those of account.json.

Sources, by the names used below:
  [ACFY]  Arnon, Chiesa, Fenzi, Yogev: WHIR. eprint 2024/1586. Theorem 5.2, Lemma 4.25 and Construction 5.1.
  [STIR]  the same: STIR. eprint 2024/390. Lemma 4.5 (samples outside the domain).
  [DKT]   Dao, Kominers, Thaler: Reed-Solomon codes beyond Johnson. eprint 2026/2056. Theorem 5.12, Appendix B.
  [BCIKS] Ben-Sasson, Carmon, Ishai, Kopparty, Saraf: Proximity gaps. eprint 2020/654. Theorem 1.4 (lists).
  [J]     Johnson's bound: at distance 1 - sqrt(rho) - eta a list has at most 1 / (2 eta sqrt(rho)) words.
  [H]     Habock: Multivariate lookups based on logarithmic derivatives. eprint 2022/1530. Lemma 5 and section 3.
  [PH]    Papini, Habock: Improving logarithmic derivative lookups using GKR. eprint 2023/1284. Section 3.
  [SZ]    Schwartz, Zippel: a polynomial of degree d is 0 at a random point with probability d / |F|.
"""

import json
import math
import sys
from fractions import Fraction
from pathlib import Path

HERE = Path(__file__).resolve().parent

# What zkinfer fixes (zkml/src/sumcheck/commitment.rs, field.rs, key.rs).
PRIME = 2**64 - 2**32 + 1
EXTENSION = 3
TERM_BITS = 104
GRINDING_BITS = 12
LOG_INVERSE_RATE = 2
FOLDING = 4
SENT_IN_CLEAR = 6  # a polynomial of so many variables is sent
RELATION_DEGREES = 2**24  # what one relation's challenges can miss: see `own`
HASH_BITS = 256

FIELD = EXTENSION * math.log2(PRIME)
STATED_FIELD = 191
"""What the programs count with: whole bits, rounded down."""


def eta(r):
    """The distance kept from Johnson's bound, in [ACFY]'s notation: sqrt(rho) / 20."""
    return math.sqrt(2.0**-r) / 20


def list_size(r):
    """[J]."""
    return 1 / (2 * eta(r) * math.sqrt(2.0**-r))


def agreement(r):
    """1 - delta: the share of places in which a word agrees with a code word."""
    return math.sqrt(2.0**-r) + eta(r)


def exceptional(m, r):
    """[DKT]: challenges for which two words fold into one that is nearer to the code than they were."""
    n, k, multiplicity = 2 ** (m + r), 2**m, 10  # ceil(sqrt(rho) / (2 eta)) = 10 at every rate
    rho = Fraction(k - 1, n)
    return float(8 * n * Fraction(2 * multiplicity + 1, 2) ** 3 / (3 * rho))


def exceptional_older(m, r):
    """[BCIKS]: the same by the older theorem, for comparison."""
    n, rho, multiplicity = 2.0 ** (m + r), 2.0**-r, 10
    return (multiplicity + 0.5) ** 7 / (3 * rho**1.5) * n**2


def whole_bits(error):
    return -math.log2(error)


class Account:
    """All error terms of one key: [(name, source, log2 of the error before grinding, bits of grinding, times)]."""

    def __init__(self, stack, claims, layers, steps, field=FIELD, exceptional=exceptional):
        self.size = {"stack": stack, "claims": claims, "layers": layers, "steps": steps}
        self.field, self.exceptional = field, exceptional
        self.terms, self.schedule = [], {}
        self._whir(stack, claims)
        self._own(layers, steps)

    def _term(self, name, source, error, grinding=0, times=1):
        if error > 0:
            self.terms.append((name, source, math.log2(error) - self.field, grinding, times))

    def _query(self, name, r, queries, grinding):
        self.terms.append((name, "[ACFY] Theorem 5.2", queries * math.log2(agreement(r)), grinding, 1))

    def _grinding(self, bits):
        return max(0, math.ceil(TERM_BITS - bits - 1e-12))

    def _samples(self, m, r):
        """Samples outside the domain: as many as the target needs."""
        for s in range(1, 64):
            log = 2 * math.log2(list_size(r)) - 1 + s * (m - self.field)
            if -log >= TERM_BITS:
                return s, log
        raise ValueError("the field is too small")

    def _out_of_domain(self, where, m, r):
        samples, log = self._samples(m, r)
        self.terms.append((f"{where}: samples outside the domain", "[STIR] Lemma 4.5", log, 0, 1))
        return samples

    def _fold(self, where, m, r, folds):
        gap, check = self.exceptional(m, r), 2 * list_size(r)
        worst = -max(math.log2(gap), math.log2(check)) + self.field
        grinding = self._grinding(worst)
        self._term(f"{where}: folding, proximity gap", "[DKT] Theorem 5.12", gap, grinding, folds)
        self._term(f"{where}: folding, sum-check", "[ACFY] Theorem 5.2", check, grinding, folds)
        return grinding

    def _whir(self, stack, claims):
        folds, rest = [], stack
        while not folds or rest > SENT_IN_CLEAR:
            folds.append(min(FOLDING, rest))
            rest -= folds[-1]
        m, r = stack, LOG_INVERSE_RATE
        queries_target = TERM_BITS - GRINDING_BITS
        samples = self._out_of_domain("commitment", m, r)
        combined = (claims + samples - 1) * list_size(r)
        self._term("commitment: claims combined by powers of a challenge", "[SZ], [J]", combined)
        ood, queries, ground = [samples], [], []
        ground_folds = [self._fold("commitment", m, r, folds[0])]
        for i, fold in enumerate(folds[:-1], 1):
            where = f"round {i}"
            t = math.ceil(queries_target / -math.log2(agreement(r)))
            m, after = m - fold, r + fold - 1
            samples = self._out_of_domain(where, m, after)
            combined = 2 * (samples + t) * list_size(after)
            bits = min(-t * math.log2(agreement(r)), self.field - math.log2(combined))
            grinding = self._grinding(bits)
            self._query(f"{where}: {t} queries", r, t, grinding)
            self._term(f"{where}: queries combined", "[ACFY] Theorem 5.2", combined, grinding)
            ground_folds.append(self._fold(where, m, after, folds[i]))
            ood.append(samples)
            queries.append(t)
            ground.append(grinding)
            r = after
        t = math.ceil(queries_target / -math.log2(agreement(r)))
        grinding = self._grinding(-t * math.log2(agreement(r)))
        self._query(f"end: {t} queries", r, t, grinding)
        self._term("end: sum-check", "[SZ]", 2, 0, rest)
        self.schedule = {
            "foldings": folds, "sentInClear": rest, "queries": [*queries, t], "samples": ood,
            "grindingQueries": [*ground, grinding], "grindingFoldings": ground_folds,
        }

    def _own(self, layers, steps):
        """This argument's own challenges, once for each word in the list around the committed one."""
        words = list_size(LOG_INVERSE_RATE)
        self._term("lookups: fractions", "[H] Lemma 5", 2 ** (layers + 1) * words)
        self._term("lookups: layers of the sum", "[PH] section 3", layers * (layers + 2) * words)
        self._term("relations: sum-checks and points", "[SZ]", (steps + 1) * RELATION_DEGREES * words)

    def total(self, grinding=True, only=lambda name: True):
        """Bits of all terms together."""
        errors = [n * 2 ** (log - (g if grinding else 0)) for name, _, log, g, n in self.terms if only(name)]
        return whole_bits(math.fsum(errors)) if errors else math.inf

    def least(self, grinding):
        """The weakest single term."""
        return min((-log + (g if grinding else 0), name) for name, _, log, g, _ in self.terms)


def sizes():
    """Keys from the smallest to the largest that can exist (stack: log2 of committed cells)."""
    found = [("smallest", 8, 1, 3, 1)]
    found += [(f"2^{stack} cells", stack, 40, stack, 16) for stack in (10, 12, 14, 16, 18, 20)]
    return [*found, ("largest", 22, 2**20, 22, 8192)]


def report():
    rows = []
    for name, *size in sizes():
        account, stated = Account(*size), Account(*size, field=STATED_FIELD)
        older = Account(*size, exceptional=exceptional_older)
        is_own = lambda name: name.startswith(("lookups", "relations"))
        rows.append(
            {
                "key": name, **account.size, **account.schedule,
                "bits": round(account.total(), 6),
                "bitsInWholeFieldBits": round(stated.total(), 6),
                "bitsOpening": round(account.total(only=lambda n: not is_own(n)), 6),
                "bitsOwn": round(account.total(only=is_own), 6),
                "bitsWithoutGrinding": round(account.total(grinding=False), 6),
                "terms": [
                    {"name": name, "bits": round(g - log, 6), "ground": g, "times": n}
                    for name, _, log, g, n in stated.terms
                ],
                "weakestTerm": [round(account.least(True)[0], 6), account.least(True)[1]],
                "bitsWithOlderProximityGap": round(older.total(), 6),
                "olderProximityGap": round(
                    min(-log + g for n, _, log, g, _ in older.terms if "gap" in n), 6
                ),
            }
        )
    return {
        "field": round(FIELD, 9), "termBits": TERM_BITS, "grindingBits": GRINDING_BITS,
        "listSizeLog2": round(math.log2(list_size(LOG_INVERSE_RATE)), 9), "keys": rows,
    }


def markdown():
    chosen = [s for s in sizes() if s[0] in ("smallest", "largest")]
    accounts = [Account(*size) for _, *size in chosen]
    heads = " | ".join(f"{n}: bits, of these ground" for n, *_ in chosen)
    lines = [f"| term | source | {heads} |", "|---|---|---|---|"]
    keep = {}
    for at, account in enumerate(accounts):
        for name, source, log, grinding, times in account.terms:
            plain = " ".join(w for w in name.split() if not w.isdigit())
            keep.setdefault((plain, source), {}).setdefault(at, []).append((-log + grinding, grinding, times))
    for (name, source), by in keep.items():
        cells = []
        for at in range(len(accounts)):
            terms = by.get(at)
            if not terms:
                cells.append("")
                continue
            bits, grinding, times = min(terms)
            cells.append(f"{bits:.1f}" + (f", {grinding}" if grinding else "") + (f" ({times}×)" if times > 1 else ""))
        lines.append(f"| {name} | {source} | " + " | ".join(cells) + " |")
    whole = [f"{a.total():.1f}" for a in accounts]
    bare = [f"{a.total(grinding=False):.1f}" for a in accounts]
    cells = " | ".join(f"**{w}**" for w in whole)
    lines.append(f"| **all together: attack work** | sum of the probabilities | {cells} |")
    lines.append("| all together, without grinding: interactive soundness | | " + " | ".join(bare) + " |")
    return "\n".join(lines)


def toml():
    """soundcalc's form for a system whose polynomial commitment is WHIR."""
    text = (HERE / "soundcalc.head").read_text()
    for name, stack, claims, layers, steps in sizes():
        account = Account(stack, claims, layers, steps)
        s = account.schedule
        folding = [[g] * k for g, k in zip(s["grindingFoldings"], s["foldings"])]
        text += f"""
[[circuits]]
name = "{name}"
protocol_family = "WHIR"
log_inv_rate = {LOG_INVERSE_RATE}
num_iterations = {len(s["foldings"])}
folding_factors = {s["foldings"]}
log_degree = {stack}
batch_size = 1
power_batching = true
constraint_degree = 3
num_queries = {s["queries"]}
num_ood_samples = {s["samples"][1:]}
grinding_batching_phase = 0
grinding_bits_folding = {folding}
grinding_bits_queries = {s["grindingQueries"]}
grinding_bits_ood = {[0] * (len(s["samples"]) - 1)}

[[circuits.lookups]]
name = "every lookup of the slice"
logup_type = "multivariate"
rows_L = {2 ** layers}
rows_T = 0
num_columns_S = 1
num_lookups_M = 1
grinding_bits_lookup = 0
"""
    return text


def main():
    if "--markdown" in sys.argv:
        print(markdown())
    elif "--toml" in sys.argv:
        print(toml(), end="")
    else:
        print(json.dumps(report(), indent=1))


if __name__ == "__main__":
    main()
