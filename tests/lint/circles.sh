#!/usr/bin/env bash
# No circle of includes in core and capi/src, and none of imports in the Python package, counting the imports inside
# functions and those for type checkers only.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require python3
cd "$TB_SOURCE"

# The edges, each as: from to. A header and the source of that name are one unit.
includes() {
    grep -rE '^ *# *include *"' core capi/src | sed -E 's/^([^:]*)\.[a-z]+:.*"(.*)\.[a-z]+".*/\1 \2/'
}

imports() {
    python3 - bindings/python/src/tokenbucket <<'END'
import ast, pathlib, sys

files = {path.stem: path for path in pathlib.Path(sys.argv[1]).glob("*.py")}
modules = {*files, "_native"}
for name, path in files.items():
    for node in ast.walk(ast.parse(path.read_text())):
        imported = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = "tokenbucket." if node.level else ""
            imported = [f"{package}{node.module or ''}.{alias.name}" for alias in node.names]
        for package, *parts in (whole.split(".") for whole in imported):
            if package == "tokenbucket":
                print(name, next((part for part in parts if part in modules), "__init__"))
END
}

for edges in includes imports; do
    "$edges" >"$TB_BUILD/$edges.txt"
    [[ -s $TB_BUILD/$edges.txt ]] || fail "no $edges found"
    tsort "$TB_BUILD/$edges.txt" >/dev/null || fail "a circle of $edges"
done
