"""What each service may do on a broker, from the service map (sections 13, 19 and 20)."""

from __future__ import annotations

from dataclasses import dataclass

from ampybus_contract.contract import Contract
from ampybus_contract.errors import TargetError


@dataclass(frozen=True, slots=True)
class NatsPermissions:
    """One user of a NATS server: the subjects it may publish and subscribe to; all others are denied.

    ``inbox`` is the user's own prefix for answers: with a shared one, every user could read what is
    delivered to the others.
    """

    user: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    inbox: str


def nats_permissions(contract: Contract, env: str, service: str, stream: str) -> NatsPermissions:
    """The permissions of a service in one environment, for one JetStream stream.

    Messages are read through a durable consumer named ``{stream}_{service}``, with one filter each time,
    which the subject of the request to create it names and so the server can hold to the service's topics.
    Raises TargetError where the contract knows no such service or environment.
    """
    if service not in contract.services or env not in contract.topic.environments:
        raise TargetError(
            f"TARGET expected a service and an environment of the contract, got {service!r} in {env!r}. "
            "Fix: add it to spec/services.yaml, or see the environments in spec/contract.yaml"
        )
    rule = contract.services[service]
    topics = f"{contract.topic.prefix}.{env}"
    publish = [f"{topics}.{pattern}" for pattern in rule.publishes]
    if rule.reads:
        consumer = f"{stream}.{stream}_{service}"
        publish += [f"$JS.API.CONSUMER.CREATE.{consumer}.{topics}.{pattern}" for pattern in rule.reads]
        publish += [f"$JS.API.CONSUMER.{act}.{consumer}" for act in ("INFO", "MSG.NEXT", "UNPIN")]
        publish.append(f"$JS.ACK.{consumer}.>")
    user = contract.security.principal.format(env=env, service=service)
    inbox = f"_INBOX_{user.replace('.', '_')}"
    return NatsPermissions(user, tuple(publish), (f"{inbox}.>",), inbox)
