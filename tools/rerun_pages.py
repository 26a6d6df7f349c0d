"""Run the code of pages again and write what it prints below it, after a change of a model.

    python tools/rerun_pages.py [docs/howto/raman.md …]    # without names: all pages, 15 minutes

Blocks run as in tests/test_readme.py, each page in a folder of its own. Sentences and tables that
quote results are not changed: `git diff` shows which of them to read again.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers.pages import pages_of, printed_by  # noqa: E402


def rerun(page: Path) -> int:
    """Write what the blocks of a page print below them; return how many changed."""
    text, changed = page.read_text(encoding="utf-8"), 0
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block, printed in printed_by(page):
            old = f"```text\n{block.code}```"
            if block.language == "text" and printed not in (None, block.code):
                if text.count(old) != 1:
                    raise ValueError(f"{page} has this block {text.count(old)} times:\n{old}")
                text = text.replace(old, f"```text\n{printed}```")
                changed += 1
    page.write_text(text, encoding="utf-8")
    return changed


def main() -> None:
    """Run the pages that are named, or all."""
    named = [Path(name).resolve() for name in sys.argv[1:]]
    for page in named or pages_of(ROOT):
        print(f"{page.relative_to(ROOT)}: {rerun(page)} blocks changed", flush=True)


if __name__ == "__main__":
    main()
