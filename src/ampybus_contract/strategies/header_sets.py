"""Whole sets of headers: required and optional ones, keys, pointers, dead letters, and unknown ones."""

from __future__ import annotations

from collections.abc import Mapping

from ampybus_contract.contract import Contract, DomainRule
from ampybus_contract.envelope.formula import fill
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.header_values import HeaderValues, agrees
from ampybus_contract.strategies.pattern_text import PatternText, UnsupportedPatternError
from ampybus_contract.strategies.values import Moment

_SOMETIMES = 64
_NAMES = "unknown_header"
_VALUES = "unknown_value"


class HeaderSets:
    """Makes header sets by one contract."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.values = HeaderValues(contract)
        roles = {"schema_fqdn", "partition_key", "dedupe_key", "content_encoding", *contract.pointer_headers}
        roles |= {*contract.dead_letter.headers.values(), *contract.meaning.headers_left_out}
        for domain in contract.domains.values():
            roles |= set(domain.required_headers)
        rest = [name for name in contract.headers if name not in roles]
        rest.sort(key=lambda name: name in self.values.linked)
        self._required = [name for name in rest if contract.headers[name].required]
        self._optional = [name for name in rest if not contract.headers[name].required]
        for name in {*contract.meaning.headers_left_out, *contract.dead_letter.headers.values()}:
            if name in contract.headers and contract.headers[name].required:
                self._required.append(name)
        pools = contract.meaning.pools
        self._unknown_names = [name for name in pools.get(_NAMES, ()) if self._free(name)]
        self._unknown_values = [
            text for text in pools.get(_VALUES, ()) if contract.header_value.fullmatch(text)
        ]
        try:
            self._name_text: PatternText | None = PatternText(contract.header_name)
        except UnsupportedPatternError:
            self._name_text = None

    def make(
        self,
        fqdn: str,
        rule: DomainRule,
        parts: Mapping[str, str],
        moment: Moment,
        given: Mapping[str, str],
        *,
        pointer: bool,
    ) -> dict[str, str]:
        """The headers of one envelope but ``content_encoding``, in the order of the contract."""
        known = self.contract.headers
        found: dict[str, str] = {"schema_fqdn": fqdn}
        formulas = {"partition_key": rule.key, "dedupe_key": rule.dedupe_key}
        for name, formula in formulas.items():
            if formula:
                found[name] = fill(formula, parts)
            elif known[name].required:
                found[name] = moment.header(name)
        wanted = [*self._required, *rule.required_headers]
        wanted += self.contract.pointer_headers if pointer else ()
        for name in wanted:
            found[name] = moment.header(name)
        for name in self._optional:
            if moment.entropy.chance(_SOMETIMES):
                text = given.get(name) or self.values.make(name, moment)
                if name not in self.values.linked or agrees(known[name], found, text):
                    found[name] = moment.headers[name] = text
        result = {name: found[name] for name in known if name in found}
        self._unknown(result, moment.entropy)
        return result

    def dead_letter(self, rule: DomainRule, origin: str, digest: str, moment: Moment) -> dict[str, str]:
        """What a carrying domain adds to the headers of the envelope it carries."""
        roles = self.contract.dead_letter.headers
        codes = tuple(self.contract.dead_letter.codes.values())
        reason = f"{moment.entropy.choice(codes)}: detail {moment.entropy.byte()}"
        texts = {roles["reason"]: reason, roles["origin"]: origin, roles["payload_hash"]: digest}
        if rule.payload_hash:
            texts[rule.payload_hash["header"]] = digest
        found: dict[str, str] = {}
        for name in {**texts, **rule.required_headers}:
            text = texts.get(name)
            header = self.contract.headers.get(name)
            fits = text is not None and (header is None or header.pattern.fullmatch(text))
            found[name] = text if text is not None and fits else moment.header(name)
        return found

    def _unknown(self, result: dict[str, str], entropy: Entropy) -> None:
        for _ in range(2):
            if not self._unknown_values or not entropy.chance(_SOMETIMES):
                return
            name = entropy.choice(self._unknown_names or [""])
            if self._name_text and (not name or entropy.chance(128)):
                name = self._name_text.make(entropy)
            if self._free(name):
                result[name] = entropy.choice(self._unknown_values)

    def _free(self, name: str) -> bool:
        return bool(self.contract.header_name.fullmatch(name)) and name not in self.contract.headers
