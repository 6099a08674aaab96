"""Roles of feeds: the event types that each of them covers.

They follow the families, with one exception: `policy.changed` is reference data by what it is, but
it has power over what is done, so it comes from where halts and approvals come from.
"""

from state.events import EVENT_TYPES, FAMILY_OF, PolicyChanged

PREFIX = "crossdock."
CONTROL = "control"
#: Extension attribute of a control event, true where a person means a network that is new.
NEW_NETWORK = "newnetwork"

#: Wire type to its role.
ROLE_OF: dict[str, str] = {
    name: CONTROL if kind is PolicyChanged else FAMILY_OF[kind]
    for name, kind in EVENT_TYPES.items()
}
#: Role to the wire types that it covers.
ROLES: dict[str, frozenset[str]] = {
    role: frozenset(name for name, of in ROLE_OF.items() if of == role) for role in ROLE_OF.values()
}
#: Topics whose last name says what they bring; the others' feeds say it themselves.
ROLES_BY_NAME: dict[str, tuple[str, ...]] = {
    **{role: (role,) for role in ROLES},
    CONTROL: (CONTROL, "reference"),
}


def covered(brings: str) -> frozenset[str]:
    """Return the wire types of a role or of one type such as ``stock.counted``; else none."""
    if brings in ROLES:
        return ROLES[brings]
    return frozenset({f"{PREFIX}{brings}"} & EVENT_TYPES.keys())
