"""How a fault gets into what a binding makes later: its groups and its replayers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding

Patch = Callable[[Any], None]


def each_group(binding: ReferenceBinding, patch: Patch) -> None:
    """Patch every consumer group, those that follow checkpoints and those of replays among them."""
    for name in ("group_class", "checkpoint_group_class"):
        _each_made(binding, name, patch)


def each_checkpoint_group(binding: ReferenceBinding, patch: Patch) -> None:
    """Patch every group that follows its checkpoint."""
    _each_made(binding, "checkpoint_group_class", patch)


def each_replayer(binding: ReferenceBinding, patch: Patch) -> None:
    """Patch everything that answers replay requests."""
    _each_made(binding, "replayer_class", patch)


def _each_made(binding: ReferenceBinding, name: str, patch: Patch) -> None:
    make = getattr(binding, name)

    def made(*given: Any) -> Any:
        thing = make(*given)
        patch(thing)
        return thing

    setattr(binding, name, made)


async def asked(handler: Callable[..., Any], envelope: Any) -> Any:
    """What a handler answers; None where it raises."""
    try:
        return await handler(envelope)
    except Exception:
        return None
