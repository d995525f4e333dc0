"""``python -m ampybus_contract.strategies.benchmark``: envelopes a second, with and without Hypothesis."""

from __future__ import annotations

import time
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from ampybus_contract.contract import default_contract
from ampybus_contract.strategies import envelopes

EXAMPLES = 2000


def rate(strategy: SearchStrategy[object], examples: int = EXAMPLES) -> float:
    """Examples a second that Hypothesis draws from a strategy, its own work included."""
    drawn = 0

    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def draw(_value: object) -> None:
        nonlocal drawn
        drawn += 1

    run: Callable[[], None] = draw
    run()
    begun = time.perf_counter()
    drawn = 0
    run()
    return drawn / (time.perf_counter() - begun)


def main() -> None:
    """Print one line for each domain and one for all of them."""
    for domain in (*default_contract().domains, None):
        print(f"{domain or 'all domains':<20} {rate(envelopes(domain=domain)):8.0f} envelopes/s")


if __name__ == "__main__":
    main()
