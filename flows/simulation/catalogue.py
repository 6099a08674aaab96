"""Catalogue: SKUs of a dozen categories with long-tailed demand."""

from dataclasses import dataclass

from flows.simulation.luck import stream

#: Category to median price in cents and median weight in g.
_CATEGORIES: dict[str, tuple[int, int]] = {
    "electronics": (8_900, 700),
    "fashion": (3_900, 450),
    "beauty": (1_900, 250),
    "household": (2_400, 1_400),
    "toys": (2_900, 800),
    "books": (1_600, 400),
    "sports": (4_200, 1_100),
    "garden": (3_100, 2_200),
    "pets": (2_200, 2_000),
    "health": (1_700, 300),
    "rain_gear": (3_400, 600),
    "winter_gear": (5_200, 1_200),
    "heating": (6_500, 2_600),
    "cooling": (5_800, 2_400),
}
CATEGORIES: tuple[str, ...] = tuple(_CATEGORIES)
#: Five lines of this weight, the most that an order has, still make one parcel of 31.5 kg.
_HEAVIEST_G = 6_000
#: Demand of the nth SKU ~ (n + shift)^-exponent (Zipf-Mandelbrot), blurred by a lognormal.
_ZIPF_SHIFT = 8.0
_ZIPF_EXPONENT = 0.9
_BLUR_SIGMA = 0.35
_SCARCE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Sku:
    """One SKU; `weight` is its share of demand, not normalised; `rank` 0 is the most wanted.

    A `scarce` SKU is bought late and sparingly, and is at times nowhere in stock.
    """

    id: str
    category: str
    weight_g: int
    value_cents: int
    name: str
    weight: float
    rank: int
    scarce: bool


def build_catalogue(seed: int, count: int) -> list[Sku]:
    """Return `count` SKUs in the order of their ids, which says nothing of their demand."""
    luck = stream(seed, "catalogue")
    ranks = list(range(count))
    luck.shuffle(ranks)
    skus = []
    for index, rank in enumerate(ranks):
        category = luck.choice(CATEGORIES)
        price, grams = _CATEGORIES[category]
        skus.append(
            Sku(
                id=f"S-{index + 1:05d}",
                category=category,
                weight_g=min(_HEAVIEST_G, max(40, round(grams * luck.lognormvariate(0, 0.6)))),
                # Prices end in 9.
                value_cents=max(199, round(price * luck.lognormvariate(0, 0.5) / 100) * 100 - 1),
                name=f"{category.replace('_', ' ')} article {index + 1}",
                weight=luck.lognormvariate(0, _BLUR_SIGMA)
                * (rank + 1 + _ZIPF_SHIFT) ** -_ZIPF_EXPONENT,
                rank=rank,
                scarce=luck.random() < _SCARCE_SHARE,
            )
        )
    return skus
