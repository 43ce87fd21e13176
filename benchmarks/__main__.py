"""Runs the benchmarks, prints a table and, when all of them ran, puts it into docs/performance.md.

``python -m benchmarks [name…]``
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

from benchmarks.apply import first_apply
from benchmarks.plan import against_floor, against_terraform, growth
from benchmarks.rows import Row, table, write_into_page
from benchmarks.start_up import start_up

BENCHMARKS: dict[str, Callable[[], Iterator[Row]]] = {
    "terraform": against_terraform,
    "floor": against_floor,
    "apply": first_apply,
    "start-up": start_up,
    "growth": growth,
}


def main(names: Sequence[str]) -> None:
    """Runs those that are named, or all."""
    if unknown := [name for name in names if name not in BENCHMARKS]:
        sys.exit(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}")
    rows: list[Row] = []
    for name in names or BENCHMARKS:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += BENCHMARKS[name]()
    text = table(rows)
    print(text, end="")
    if not names:
        write_into_page(text)


if __name__ == "__main__":
    main(sys.argv[1:])
