"""Order lines as signed parts that only ever add up: what a sale brought, and what its returns took away again."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from tenure.contracts.shop import Shop
from tenure.contracts.table import Has

MEMBER_DAY = ("member_key", "day")
QUANTITY_DIGITS = 6  # sums of what is weighed, without what binary fractions add to them


def by_member(rows: DataFrame) -> DataFrame:
    """The rows, each member's on one task: what is grouped, joined or put in order within a member then shuffles
    nothing more."""
    return rows.repartition("member_key")


def signed_parts(order_lines: DataFrame, shop: Shop) -> DataFrame:
    """One part a line of a member, on the day of the sale, from the ``known_on`` of the line on.

    ``times`` is 1 for a sale, -1 for the return that takes the last unit of it back, 0 for any other return: added up
    it says of how many lines anything was kept. A return carries the order, category and hour of its sale, so that a
    product that changed its category in between does not move what was sold.
    """
    lines = order_lines.where(F.col("member_key").isNotNull())
    sales = lines.where(~F.col("is_return"))
    parts = sales.withColumns({"times": F.lit(1), "returned_minor": F.lit(0)}).select(*_PARTS)
    if not shop.has(Has.RETURNS):
        return parts
    return parts.unionByName(returned(lines.where("is_return"), sales))


_PARTS = (
    *MEMBER_DAY,
    "known_on",
    "order_id",
    "product_id",
    "category",
    "hour",
    "times",
    "quantity",
    "paid_minor",
    "returned_minor",
    "discount_minor",
    "coupon_minor",
)


def returned(returns: DataFrame, sales: DataFrame) -> DataFrame:
    """Returns as parts of the sales that they take back.

    A line of money without units (a deposit, a fee) is kept until something of it is returned.
    """
    sold = sales.select(
        *MEMBER_DAY,
        F.col("line_key").alias("corrects"),
        "order_id",
        "category",
        "hour",
        F.col("quantity").alias("sold"),
    )
    of_sale = Window.partitionBy(*MEMBER_DAY, "corrects").orderBy("known_on", "line_key")
    left_after = F.round(F.col("sold") + F.sum("quantity").over(of_sale), QUANTITY_DIGITS)
    left_before = F.round(left_after - F.col("quantity"), QUANTITY_DIGITS)
    is_first = F.row_number().over(of_sale) == 1
    takes_the_last = (left_after <= 0) & ((left_before > 0) | is_first)
    return (
        returns.drop("order_id", "category", "hour")
        .join(sold, [*MEMBER_DAY, "corrects"])  # one sale each
        .withColumn("times", F.when(takes_the_last, -1).otherwise(0))
        .withColumn("returned_minor", -F.col("paid_minor"))
        .select(*_PARTS)
    )


def accumulated(deltas: DataFrame, names: tuple[str, ...]) -> DataFrame:
    """Versions of a member's day from what each day of knowledge added to it."""
    so_far = Window.partitionBy(*MEMBER_DAY).orderBy("known_on").rowsBetween(Window.unboundedPreceding, 0)
    return deltas.withColumns({name: F.sum(name).over(so_far) for name in names})
