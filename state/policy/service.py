"""Sections on service to customers: late parcels, notices and compensation."""

from typing import Annotated

from msgspec import Meta

from state.policy.values import Positive
from state.quantities import DAY_S, HOUR_S, Seconds, Share, TotalCents, doc
from state.section import Section


class Delays(Section, frozen=True, kw_only=True):
    """Thresholds for a late shipment, and the remedies allowed."""

    act_above: Annotated[
        Share, doc("P(late) above which rerouting and reshipping are priced; 1 = never")
    ] = 0.60
    least_gain_cents: Annotated[
        TotalCents, doc("cents a remedy must save over waiting: intervening has a cost of its own")
    ] = 50
    reprice_s: Annotated[
        Seconds, doc("s by which the expected delivery must slip before remedies are priced again")
    ] = 6 * HOUR_S
    notify_above: Annotated[
        Share, doc("P(late) above which the customer is notified of a delay; 1 = never")
    ] = 0.85
    give_up_s: Annotated[
        Seconds, doc("s after the promise at which an undelivered shipment is presumed lost")
    ] = 60 * DAY_S
    publish_step: Annotated[
        Share, doc("change of P(late) that is worth passing on; smaller ones are noise")
    ] = 0.05
    eta_step_s: Annotated[
        Seconds, doc("s by which the expected delivery must move to be passed on on its own")
    ] = 12 * HOUR_S
    learning_rate: Annotated[Positive, doc("AdaGrad step of the delay model")] = 0.02


class Notices(Section, frozen=True, kw_only=True):
    """Kinds and frequency of notices to customers."""

    quiet_s: Annotated[
        Seconds, doc("s without a further change before a notice goes out, so that changes merge")
    ] = 900
    longest_wait_s: Annotated[Seconds, doc("s after which a notice goes out all the same")] = (
        2 * HOUR_S
    )
    last_call_s: Annotated[
        Seconds, doc("s before a promise at which what has not arrived is judged again; 0 = never")
    ] = HOUR_S
    last_call_above: Annotated[
        Share, doc("P(late), given that it has not arrived, above which the last call tells")
    ] = 0.30
    material_s: Annotated[
        Seconds, doc("s by which a notified date must slip before the next notice")
    ] = DAY_S


class Exceptions(Section, frozen=True, kw_only=True):
    """Cost limits of recovery, and compensation to customers."""

    lost_sale_cents: Annotated[
        TotalCents, doc("cents for not serving an order, besides: a contact and lost goodwill")
    ] = 1_000
    refund_share: Annotated[
        Share, doc("part of the price paid back for goods that never arrive")
    ] = 1.0
    goodwill_cents: Annotated[
        TotalCents, doc("cents given for an order that arrives very late; 0 = none")
    ] = 300
    goodwill_after_s: Annotated[
        Seconds, doc("s after the promise from which an arrival is very late")
    ] = 3 * DAY_S
    goodwill_share: Annotated[
        Share, doc("most of the order's price that goodwill may be: small orders get less")
    ] = 0.2
    again_refused: Annotated[
        Share, doc("probability that a refused parcel is refused again if it is sent again")
    ] = 0.8
    again_address: Annotated[
        Share, doc("probability that a parcel fails again at an address that failed once")
    ] = 0.5
    again_lost: Annotated[
        Share, doc("probability that what is sent again is lost, damaged or returned once more")
    ] = 0.02
    unfillable_after_s: Annotated[
        Seconds, doc("s past its promise at which it is weighed to end an order nothing can serve")
    ] = 5 * DAY_S
    outage_s: Annotated[
        Seconds, doc("s that a node or service which takes nothing is expected to stay so")
    ] = DAY_S
    least_gain_cents: Annotated[
        TotalCents, doc("cents that leaving a node or service in trouble must save over waiting")
    ] = 100
    most_attempts: Annotated[
        int, Meta(ge=1, le=100), doc("refusals of an order's work before a person is asked")
    ] = 3
    settle_s: Annotated[
        Seconds, doc("s that goods picked for a cancelled order may take to their shelf")
    ] = 7 * DAY_S
