# SPDX-License-Identifier: BSD-2-Clause
# json_doc.py PAGE TITLE SAMPLE...: the samples, outputs of one verb, against the section TITLE of dpiv-json(5). Every member
# that was emitted is documented with the type that it has, every one that is documented was emitted, and what is not called
# optional is in every object. Says what differs.
import json
import re
import sys

page, title, samples = sys.argv[1], sys.argv[2], sys.argv[3:]
documented, here, wrong, seen = {}, False, [], {}
for line in open(page, encoding="utf-8"):
    if line.startswith(".S"):
        here = line.strip() == ".Ss " + title
    item = re.match(r"\.It Li (\S+) No = Ar (.+)$", line)
    if here and item:
        documented[item[1]] = item[2].strip()

TIME, HEX = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), re.compile(r"([0-9A-F]{2})*")


def fits(value, kind):
    kind = kind.replace(", optional", "")
    if value is None:
        return kind.endswith(" or null")
    kind = kind.replace(" or null", "")
    if kind in ("string", "time", "hex"):
        form = {"string": None, "time": TIME, "hex": HEX}[kind]
        return isinstance(value, str) and (form is None or form.fullmatch(value) is not None)
    return {"number": isinstance(value, int) and not isinstance(value, bool), "boolean": isinstance(value, bool),
            "list": isinstance(value, list), "object": isinstance(value, dict)}.get(kind, False)


def walk(value, path):
    if path:
        seen.setdefault(path, set()).add(value is None)
        if path not in documented:
            if not path.endswith("[]") or not isinstance(value, dict):
                wrong.append(f"{path} is not documented")
        elif not fits(value, documented[path]):
            wrong.append(f"{path} is {json.dumps(value)[:60]}, not {documented[path]}")
    if isinstance(value, list):
        for v in value:
            walk(v, path + "[]")
    if isinstance(value, dict):
        prefix = path + "." if path else ""
        for k, v in value.items():
            if path != "set_at":  # its members are named by keys of the configuration
                walk(v, prefix + k)
        for d, kind in documented.items():
            name = d[len(prefix):]
            if d.startswith(prefix) and re.fullmatch(r"[a-z_]+", name) and name not in value and "optional" not in kind:
                wrong.append(f"{path or 'the object'} has no {name}")


for name in samples:
    walk(json.load(open(name, encoding="utf-8")), "")
for path, kind in documented.items():
    if path not in seen:
        wrong.append(f"{path} was in no sample")
    elif "or null" in kind and seen[path] != {True, False}:
        wrong.append(f"{path} ({kind}) was {'always' if True in seen[path] else 'never'} null")
if not documented:
    wrong.append("nothing is documented")
print("\n".join(sorted(set(wrong))) or f"{len(seen)} members in {len(samples)} samples")
sys.exit(1 if wrong else 0)
