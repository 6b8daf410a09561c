"""Writes the table of calls into docs/mlflow.md: each path that Bottega says it serves, and the tests
here that make the call. With --check it only says whether the table is as it should be. A test counts
when tests/tests/mlflow.rs runs its file."""

import ast
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
PAGE = ROOT / "docs" / "mlflow.md"
BEGIN, END = "<!-- calls: made by tests/clients/mlflow/table.py -->\n", "<!-- end of calls -->\n"


def nameless(call):
    return re.sub(r"\{\w+\}", "{}", call)


def tests():
    """Call -> names of tests that declare it; conftest.py sees to it that they make it."""
    shown = {}
    ran = (ROOT / "tests" / "tests" / "mlflow.rs").read_text()
    for file in sorted(HERE.glob("test_*.py")):
        if f'"{file.name}"' not in ran:
            continue
        for node in ast.parse(file.read_text()).body:
            for mark in getattr(node, "decorator_list", []):
                if ast.unparse(mark).startswith("pytest.mark.calls("):
                    for call in mark.args:
                        shown.setdefault(nameless(call.value), []).append(f"`{file.stem}::{node.name}`")
    return shown


def table():
    served = (ROOT / "crates" / "mlflow" / "src" / "document.rs").read_text()
    shown = tests()
    lines = ["| Call | Tests with MLflow's client |\n", "|---|---|\n"]
    for methods, path in re.findall(r'\(\s*"([A-Z,]+)",\s*"/api/([^"]+)"', served):
        short = re.sub(r"^[23]\.0/(mlflow/)?", "", path)
        for method in methods.split(","):
            by = shown.pop(nameless(f"{method} {short}"), [])
            lines.append(f"| `{method} /api/{path}` | {', '.join(by) or 'none yet'} |\n")
    if shown:
        sys.exit(f"declared by tests, but not among the paths that document.rs lists: {sorted(shown)}")
    return "".join(lines)


text = PAGE.read_text()
before, rest = text.split(BEGIN)
after = rest.split(END)[1]
wanted = before + BEGIN + table() + END + after
if "--check" not in sys.argv:
    PAGE.write_text(wanted)
elif text != wanted:
    sys.exit("docs/mlflow.md is behind its tests: run tests/clients/mlflow/table.py")
