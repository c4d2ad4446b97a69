"""``python tests/skipped.py RESULTS.xml``: the tests that a run skipped, a line each, for ``pytest @FILE``.

Where extras are installed after a run, these are what is left to run.  RESULTS.xml is what ``pytest --junitxml`` wrote.
A file that was skipped as a whole is a line of its own; parameters are left out, because an extra may bring more.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree


def skipped(results: Path) -> list[str]:
    """``file::function`` or ``file`` of each skipped test, in order, each once."""
    cases = ElementTree.parse(results).iter("testcase")
    return list(dict.fromkeys(_place(case) for case in cases if case.find("skipped") is not None))


def _place(case: ElementTree.Element) -> str:
    """Where a test stands; of a file that could not be collected the name alone is given."""
    name = case.get("name", "").partition("[")[0]
    module = case.get("classname", "")
    path = f"{(module or name).replace('.', '/')}.py"
    return f"{path}::{name}" if module else path


if __name__ == "__main__":
    print("\n".join(skipped(Path(sys.argv[1]))))
