"""Faults of how far a consumer believes it got (D27)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Position
from ampybus_contract.contract import Contract
from ampybus_contract.harness.generated.fault import ANY, CONSUMED, NOTHING, Fault, Strike
from ampybus_contract.harness.generated.groups import each_checkpoint_group
from ampybus_contract.harness.generated.wire import background

CHAPTER = "Replay"
Method = Callable[..., Any]
OTHER = "another"


def faults(_: Contract) -> Iterator[Fault]:
    """Every fault of checkpoints."""
    hidden = ((ANY, "what comes again has its effect already, and so is not handed over: nobody sees it"),)
    for operator, subject, says, mark in (
        ("alter", "mark.ahead", "writes a checkpoint one record ahead", _ahead),
        ("alter", "mark.whole_part", "takes all keys for as far as the newest one", _everything),
        ("drop", "mark", "forgets to write a checkpoint", _nothing),
        ("ignore", "mark.key", "writes one checkpoint for all keys", _one_key),
        ("swap", "mark.part", "writes checkpoints of all parts as one", _one_part),
    ):
        unfit = () if operator == "alter" else hidden
        marked = partial(_marked, mark)
        yield Fault("checkpoint", operator, subject, says, CHAPTER, NOTHING, marked, unfit=unfit)
    for operator, subject, says, install in (
        ("reorder", "before_effect", "writes a checkpoint before the effect", _before_effect),
        ("swap", "mark.group", "moves the checkpoints of all its groups", _all_groups),
        ("drop", "record", "leaves a record out when it resumes", _left_out),
        ("repeat", "record", "hands a record over twice when it resumes", _handed_twice),
        ("swap", "records", "hands two records over in the other order when it resumes", _two_swapped),
    ):
        yield Fault("checkpoint", operator, subject, says, CHAPTER, CONSUMED, install)
    for operator, subject, says, begins in (
        ("ignore", "found", "begins at the start though there is a checkpoint", partial(_from_the_start)),
        ("cut", "backlog", "begins three records behind the checkpoint", partial(_begins_behind, 3)),
        ("alter", "found.ahead", "begins one record behind the checkpoint", partial(_begins_behind, 1)),
    ):
        unfit = hidden if subject == "found" else ()
        yield Fault("checkpoint", operator, subject, says, CHAPTER, NOTHING, begins, unfit=unfit)


Mark = Callable[[Method, str, str, Position, int], None]


def _marked(mark: Mark, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        def marked(method: Method, name: str, key: str, position: Position, everything: int) -> None:
            if strike():
                mark(method, name, key, position, everything)
            else:
                method(name, key, position, everything)

        if not getattr(group.store, "patched", False):
            group.store.patched = True
            strike.around(group.store, "mark", marked)

    each_checkpoint_group(binding, patch)


def _nothing(method: Method, name: str, key: str, position: Position, everything: int) -> None:
    """Write nothing."""


def _ahead(method: Method, name: str, key: str, position: Position, everything: int) -> None:
    method(name, key, Position(position.part, position.number + 1), everything + 1)


def _everything(method: Method, name: str, key: str, position: Position, everything: int) -> None:
    method(name, key, position, max(everything, position.number))


def _one_key(method: Method, name: str, key: str, position: Position, everything: int) -> None:
    method(name, OTHER, position, everything)


def _one_part(method: Method, name: str, key: str, position: Position, everything: int) -> None:
    method(name, key, Position(OTHER, position.number), everything)


def _before_effect(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        async def settle(method: Method, incoming: Any) -> None:
            if strike(incoming.envelope, group.name):
                await incoming.ack()
            await method(incoming)

        strike.around(group, "settle", settle)

    each_checkpoint_group(binding, patch)


def _all_groups(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        async def settled(method: Method, key: str, position: Position, progress: Any) -> None:
            await method(key, position, progress)
            if strike(None, group.name):
                for other in binding.groups:
                    group.store.mark(other.name, key, position, progress.everything)

        strike.around(group, "settled", settled)

    each_checkpoint_group(binding, patch)


def _on_messages(binding: ReferenceBinding, change: Callable[[Any, Any], Any]) -> None:
    """Change what a group that resumes is given."""

    def patch(group: Any) -> None:
        unsettled = group.unsettled
        group.unsettled = lambda messages: change(group, unsettled(messages))

    each_checkpoint_group(binding, patch)


def _left_out(strike: Strike, binding: ReferenceBinding) -> None:
    async def change(group: Any, messages: Any) -> Any:
        async for incoming in messages:
            if strike(incoming.envelope, group.name):
                await incoming.ack()
            else:
                yield incoming

    _on_messages(binding, change)


def _handed_twice(strike: Strike, binding: ReferenceBinding) -> None:
    async def change(group: Any, messages: Any) -> Any:
        async for incoming in messages:
            if strike(incoming.envelope, group.name):
                background(group.handler(incoming.envelope))
            yield incoming

    _on_messages(binding, change)


def _two_swapped(strike: Strike, binding: ReferenceBinding) -> None:
    async def change(group: Any, messages: Any) -> Any:
        held: list[Any] = []
        async for incoming in messages:
            if not held and strike(incoming.envelope, group.name):
                held.append(incoming)
                continue
            yield incoming
            while held:
                yield held.pop()

    _on_messages(binding, change)


def _from_the_start(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        if strike(None, group.name):
            group.parts, group.after = {}, {}

    each_checkpoint_group(binding, patch)


def _begins_behind(records: int, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        if group.after and strike(None, group.name):
            group.after = {part: number + records for part, number in group.after.items()}

    each_checkpoint_group(binding, patch)
