"""Transit time known by three quantiles: its probability and expected excess over a bound."""

from math import erfc, exp, pi, sqrt

from operators.prediction.transit import Z90

_SQRT_2 = sqrt(2.0)
_SQRT_2PI = sqrt(2.0 * pi)
#: The least spread of a transit time that is believed, s.
_LEAST_SD_S = 60.0


def lateness(slack_s: float, p10_s: float, p50_s: float, p90_s: float) -> tuple[float, float]:
    """Return P(late) and expected seconds late, P(T > s) and E[(T − s)⁺], of a transit time T.

    T is a two-piece normal through the three quantiles (Wallis 2014): half its mass on either side
    of the median, each side with its own σ. With z = (s − P50) ÷ σ of the side of s and the normal
    loss function L(z) = φ(z) − z·(1 − Φ(z)), above the median E = σ·L(z); below it, the part down
    to the median is added: E = σ₉₀·φ(0) + σ₁₀·(L(z) − φ(0)).
    """
    off_s = slack_s - p50_s
    upper_s = max((p90_s - p50_s) / Z90, _LEAST_SD_S)
    side_s = upper_s if off_s >= 0 else max((p50_s - p10_s) / Z90, _LEAST_SD_S)
    z = off_s / side_s
    p_late = 0.5 * erfc(z / _SQRT_2)
    if z > 8.0:
        return p_late, 0.0
    loss = exp(-0.5 * z * z) / _SQRT_2PI - z * p_late
    if off_s >= 0:
        return p_late, max(0.0, side_s * loss)
    return p_late, upper_s / _SQRT_2PI + side_s * (loss - 1.0 / _SQRT_2PI)
