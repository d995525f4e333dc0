"""Header values that keep their rules: by a value rule, else by pattern, else left to Hypothesis."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import blake2b

from ampybus_contract.contract import Contract, HeaderRule
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.pattern_text import PatternText, UnsupportedPatternError
from ampybus_contract.strategies.values import Moment, Value, epoch_ns, step, time_text, value

_TRIALS = 24
_ENOUGH = 18


def keeps(rule: HeaderRule, text: str, contract: Contract) -> bool:
    """Whether a value keeps its header's rule and the one for all values, recommendations included."""
    return bool(
        rule.pattern.fullmatch(text)
        and contract.header_value.fullmatch(text)
        and (rule.recommended is None or rule.recommended.fullmatch(text))
        and (not rule.date_time or exists(text))
    )


def trial(number: int) -> Entropy:
    """The same entropy for the same number; zero bytes for zero."""
    return Entropy(blake2b(number.to_bytes(4, "big")).digest() * 2 if number else b"")


class HeaderValues:
    """Makes values for each header of a contract.

    ``unmade`` holds the rules for which no value could be made here; their texts must be given.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.linked: dict[str, tuple[str, ...]] = {}
        self.unmade: dict[str, HeaderRule] = {}
        self._makers: dict[str, Value] = {}
        self._safe: dict[str, str] = {}
        self._texts: dict[str, PatternText] = {}
        for name, rule in contract.headers.items():
            parts = tuple(part for part in rule.pattern.groupindex if part in contract.headers)
            if parts:
                self.linked[name] = parts
            self._choose(name, rule)

    def make(self, name: str, moment: Moment) -> str:
        """A value for a header that is not in ``unmade``."""
        rule = self.contract.headers[name]
        text = self._of(name, moment)
        return text if keeps(rule, text, self.contract) else self._safe[name]

    def _of(self, name: str, moment: Moment) -> str:
        if name in self.linked:
            known = {part: moment.header(part) for part in self.linked[name] if part in moment.headers}
            return self._texts[name].make(moment.entropy, known)
        return str(self._makers[name](moment))

    def _choose(self, name: str, rule: HeaderRule) -> None:
        if name in self.linked:
            try:
                self._texts[name] = PatternText(rule.pattern)
            except UnsupportedPatternError:
                self.unmade[name] = rule
                return
            self._safe[name] = rule.example
            return
        for maker in self._candidates(name, rule):
            texts = [str(maker(self._moment(number))) for number in range(_TRIALS)]
            fitting = [text for text in texts if keeps(rule, text, self.contract)]
            if len(fitting) >= _ENOUGH:
                self._makers[name] = maker
                self._safe[name] = rule.example if keeps(rule, rule.example, self.contract) else fitting[0]
                return
        self.unmade[name] = rule

    def _candidates(self, name: str, rule: HeaderRule) -> Iterator[Value]:
        meaning = self.contract.meaning
        known = meaning.headers.get(name)
        if known is not None and "pool" in known:
            pool = [text for text in meaning.pools[known["pool"]] if keeps(rule, text, self.contract)]
            if pool:
                yield lambda moment: moment.entropy.choice(pool)
        elif known is not None and "time" in known:
            yield lambda moment: self._time(rule, moment)
        elif known is not None:
            yield value(known, meaning)
        for pattern in (rule.recommended, rule.pattern):
            if pattern is not None:
                yield from _by_pattern(pattern)

    def _time(self, rule: HeaderRule, moment: Moment) -> str:
        moment.latest += step(moment.entropy, strict=False)
        wished = moment.entropy.choice((None, 9, 6, 3, 0))
        texts = (time_text(moment.latest, digits) for digits in (wished, 9, 6, 3, 0))
        return next((text for text in texts if keeps(rule, text, self.contract)), rule.example)

    def _moment(self, number: int) -> Moment:
        meaning = self.contract.meaning
        return Moment(trial(number), epoch_ns(meaning) + number * meaning.clock_span_seconds)


def _by_pattern(pattern: re.Pattern[str]) -> Iterator[Value]:
    try:
        text = PatternText(pattern)
    except UnsupportedPatternError:
        return
    yield lambda moment: text.make(moment.entropy)


def agrees(rule: HeaderRule, headers: Mapping[str, str], text: str) -> bool:
    """Whether a linked header's text agrees with the headers that it repeats."""
    match = rule.pattern.fullmatch(text)
    return match is not None and all(
        headers.get(name, part) == part for name, part in match.groupdict().items()
    )


def exists(text: str) -> bool:
    """Whether the day that a time stamp begins with is one of the calendar."""
    try:
        datetime.fromisoformat(text[:10])
    except ValueError:
        return False
    return True
