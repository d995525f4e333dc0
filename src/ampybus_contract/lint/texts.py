"""Requirements whose words say another level than they have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ampybus_contract.contract import Contract
from ampybus_contract.contract.yaml_source import Source
from ampybus_contract.errors import SpecProblem

WORDS = {
    "MUST": r"must|shall|required",
    "SHOULD": r"should|recommended",
    "MAY": r"may|optional",
}


def level_problems(sources: Mapping[str, list[Source]], _contract: Contract) -> Iterator[SpecProblem]:
    """A text with a key word of RFC 2119 that belongs to a level which the requirement does not have.

    A text may do without such words: then its level alone says how much it binds. Words of MAY are read in
    capitals only, as in lower case they are everyday language.
    """
    for source in sources["requirements"]:
        for name, item in source.data["requirements"].items():
            for level, words in WORDS.items():
                plain = level == "MAY" or (level == "MUST" and item["level"] == "INFO")
                flags = re.NOFLAG if plain else re.IGNORECASE
                match = re.search(rf"\b({words.upper() if plain else words})\b", item["text"], flags)
                if level != item["level"] and match:
                    path = f"/requirements/{name}/text"
                    got = f"{match[0]!r} in a {item['level']}"
                    yield source.problem(path, f"words of {item['level']}", got, "mend the text or the level")
