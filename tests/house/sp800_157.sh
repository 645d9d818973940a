#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# docs/SP800-157.md: every requirement has a row, with a state that there is; what is enforced, checked or recorded names the
# file that does it and a test that proves it, and all of these exist: a function of a unit test, or the sentence of a check.
. tests/lib/shell.sh

judge() {
	python3 - <<'PY'
import os, re
LAST, STATES = 57, ("enforced", "checked", "recorded", "out of scope")
wrong, found = [], []
for line in open("docs/SP800-157.md", encoding="utf-8"):
    if not re.match(r"\| R\d+ \|", line):
        continue
    cell = [c.strip() for c in line.strip().strip("|").split(" | ")]
    name = cell[0].strip("| ")
    found.append(name)
    if len(cell) != 7:
        wrong.append(f"{name} has {len(cell)} columns, not 7")
        continue
    _, clause, what, state, files, tests, _ = cell
    if not clause or len(what) < 20:
        wrong.append(f"{name} says too little")
    if state not in STATES:
        wrong.append(f"{name}: '{state}' is none of {STATES}")
    paths = re.findall(r"`([^`]+)`", files)
    proofs = re.findall(r"`([^`]+)`(?:: \"([^\"]+)\")?", tests)
    if state != "out of scope" and not (paths and proofs):
        wrong.append(f"{name} is {state}, and names no file or no test")
    wrong += [f"{name}: there is no {p}" for p in paths if not os.path.exists(p)]
    for where, sentence in proofs:
        path, _, function = where.partition(":")
        if not os.path.exists(path):
            wrong.append(f"{name}: there is no {path}")
            continue
        text = open(path, encoding="utf-8").read()
        if path.endswith(".c"):
            defined = re.search(rf"^{re.escape(function)}\(void \*\*state\)$", text, re.M) if function else None
            used = function and len(re.findall(rf"\b{re.escape(function)}\b", text)) > 1
            if not defined or not used:
                wrong.append(f"{name}: {path} has no test '{function}'")
        elif not sentence or not re.search(rf"['\"](?:\$[a-z0-9]+: )?{re.escape(sentence)}['\"]", text):
            wrong.append(f"{name}: {path} has no check \"{sentence}\"")
want = [f"R{n}" for n in range(1, LAST + 1)]
wrong += [f"{n} has no row" for n in want if n not in found]
wrong += [f"{n} has {found.count(n)} rows" for n in sorted(set(found)) if found.count(n) > 1 or n not in want]
print("\n".join(wrong))
raise SystemExit(1 if wrong else 0)
PY
}
check 'SP800-157.md: a row for each requirement, with files and tests that exist' judge
