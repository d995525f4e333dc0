"""Load ``spec/`` into a Contract, reporting every problem at once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ampybus_contract.contract.build import build
from ampybus_contract.contract.files import data_directory, read_spec
from ampybus_contract.contract.meaning import meaning_problems
from ampybus_contract.contract.model import Contract
from ampybus_contract.contract.references import pattern_problems, reference_problems
from ampybus_contract.errors import SpecError


@cache
def default_contract() -> Contract:
    """The contract that ships with the package; loaded once per process."""
    return load_contract(data_directory("spec"))


def load_contract(directory: Path) -> Contract:
    """Read and check all files of a spec directory. Raises SpecError with every problem found."""
    sources, problems = read_spec(directory)
    if not problems:
        problems += [
            item for group in sources.values() for source in group for item in pattern_problems(source)
        ]
        problems += reference_problems(sources)
        problems += meaning_problems(sources["payloads"][0])
    if problems:
        raise SpecError(problems)
    return build(sources)
