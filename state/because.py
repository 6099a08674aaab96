"""Reasons of an action: its terms, its alternatives and its switch points."""

from typing import Annotated

from msgspec import Meta, Struct

from state.quantities import Share, doc


class Alternative(Struct, frozen=True, kw_only=True, gc=False):
    """An option that was feasible and lost."""

    option: Annotated[str, doc("what it was, in words")]
    score_cents: Annotated[int, doc("sum of its terms")]
    terms: Annotated[dict[str, int], doc("cents by term")]


class Eliminated(Struct, frozen=True, kw_only=True, gc=False):
    """Options that a hard constraint ruled out."""

    constraint: Annotated[str, doc("which constraint")]
    count: Annotated[int, Meta(ge=1), doc("options it ruled out")]
    examples: Annotated[tuple[str, ...], doc("up to three of them")]


class Contribution(Struct, frozen=True, kw_only=True, gc=False):
    """Contribution of one feature to a probability, in signed log-odds."""

    feature: str
    log_odds: float


class Confidence(Struct, frozen=True, kw_only=True, gc=False):
    """Probability on which an action rests, and the features that moved it most."""

    statement: Annotated[str, doc("what the probability is of")]
    probability: Share
    contributions: tuple[Contribution, ...] = ()


class Switch(Struct, frozen=True, kw_only=True, gc=False):
    """Switch point: the nearest change at which the decision would have been another."""

    when: Annotated[str, doc("the change, in words")]
    then: Annotated[str, doc("the option that would be taken")]
    quantity: Annotated[
        str,
        doc(
            "freight_cents of `node` and `service`, remedy_cents of `then`, waiting_cents, "
            "or a key of the policy"
        ),
    ]
    by: Annotated[float, doc("by how much, signed, in the quantity's unit")]
    node: Annotated[str, doc("the node that it is about, if it is about one")] = ""
    service: Annotated[str, doc("carrier/service that it is about, if it is about one")] = ""


class DrawOption(Struct, frozen=True, kw_only=True, gc=False):
    """An option that could have been drawn."""

    option: Annotated[str, doc("what it is, in words")]
    score_cents: Annotated[int, doc("sum of its terms")]
    propensity: Annotated[Share, doc("chance of being drawn; those of all options sum to 1")]


class Draw(Struct, frozen=True, kw_only=True, gc=False):
    """Chance by which an option was drawn, so that other policies can be judged on the log."""

    taken: Annotated[str, doc("the option taken, in words")]
    place: Annotated[int, Meta(ge=0), doc("its place in `options`, from 0")]
    propensity: Annotated[Share, doc("chance of the option taken")]
    options: Annotated[tuple[DrawOption, ...], doc("all that could be drawn, the cheapest first")]

    @property
    def is_explored(self) -> bool:
        """Return whether another option than the cheapest was taken."""
        return self.place > 0


class Because(Struct, frozen=True, kw_only=True, gc=False):
    """Reasons of an action: a summary, then all the numbers needed to check it.

    ``sum(terms.values()) == score_cents`` holds exactly for every action.
    """

    summary: Annotated[str, doc("one or two sentences with numbers and units")]
    score_cents: Annotated[int, doc("sum of the terms, minor units")]
    terms: Annotated[dict[str, int], doc("cents by term")]
    alternatives: tuple[Alternative, ...] = ()
    eliminated: tuple[Eliminated, ...] = ()
    confidence: Confidence | None = None
    flips_if: tuple[Switch, ...] = ()
    draw: Annotated[Draw | None, doc("given if options were drawn from, to explore")] = None
    causes: Annotated[tuple[int, ...], doc("journal positions it follows from, ascending")] = ()
    policy: Annotated[str, doc("hash of the policy in force")] = ""
    model: Annotated[str, doc("version of the code and models")] = ""


class Benefit(Struct, frozen=True, kw_only=True, gc=False):
    """Expected gain of an intervention over doing nothing; a forecast, like the terms."""

    expected_cents: Annotated[int, doc("cost of doing nothing - score of what is done")]
    nothing_cents: Annotated[int, doc("expected cost of doing nothing")]
    saves_s: Annotated[
        int | None, doc("s by which it is expected to arrive earlier; None = no parcel")
    ] = None
