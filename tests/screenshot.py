"""Makes docs/html-report.png: a real report of a real run on the embedded Alter, in a real browser.

Run it with ``make screenshot``; it needs Chromium and takes about ten seconds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.browser import chromium, running_browser
from tests.support.showcase import declare_the_change, live_half_a_year, write_report

PICTURE = Path(__file__).parents[1] / "docs" / "html-report.png"
WIDTH, HEIGHT = 1400, 1340
# What a workflow of GitHub says of itself.
_WORKFLOW = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "payments/agents",
    "GITHUB_RUN_ID": "184467",
    "GITHUB_SHA": "9f2c41d07be3a55c0d1e8f4a7b6c2d3e4f5a6b7c",
}


def main() -> int:
    """Writes the picture, or says what is missing."""
    if chromium() is None:
        print("there is no Chromium on this machine: apt-get install chromium", file=sys.stderr)
        return 1
    with TemporaryDirectory() as folder, running_browser() as browser:
        os.chdir(folder)
        os.environ |= _WORKFLOW
        live_half_a_year()
        declare_the_change()
        write_report(Path("report.html"))
        page = browser.page()
        page.prefer("light")
        page.open(Path("report.html"), width=WIDTH, height=HEIGHT)
        page.run("document.getElementById('tab-keys').click()")
        page.settle()
        PICTURE.write_bytes(page.screenshot())
        os.chdir(PICTURE.parent)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
