"""Which sale a return takes back."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from tenure.contracts import rules
from tenure.contracts.landing import RAW_ORDERS
from tenure.spark.cleaning import NETTED, QUARANTINED
from tenure.spark.kept import Kept
from tenure.spark.parts import QUANTITY_DIGITS

_OPEN = "array<struct<line_key:bigint,day:date,known_on:date,remaining:double,is_new:boolean,paid_minor:bigint>>"
_FOUND = "array<struct<return_key:bigint,sale_key:bigint,sale_day:date,is_whole:boolean>>"


def corrected(rows: DataFrame, kept: Kept, earlier: DataFrame) -> DataFrame:
    """Returns with the sale that they correct, in ``corrects`` and ``day``; pairs that come to nothing are netted.

    A return takes back a sale before it of the same member and product, known by the time that the return was: the
    newest of which exactly the goods and the money come back, or else the newest of which enough is left. One that
    finds none is quarantined. A sale whose whole quantity and money come back in the batch that brought it, both known
    on one day, is netted with its return; each keeps the other's key.

    Args:
        rows: a batch's judged order lines.
        earlier: ``order_lines`` of the batches before.
    """
    pairs = kept.at_hand(_pairs(_told(rows, kept, earlier)))
    as_return = pairs.select(
        F.col("return_key").alias("line_key"), "sale_key", "sale_day", F.col("is_whole").alias("a")
    )
    as_sale = pairs.where("is_whole").select(
        F.col("sale_key").alias("line_key"), F.col("return_key").alias("other_key"), F.lit(True).alias("b")
    )
    joined = rows.join(as_return, "line_key", "left").join(as_sale, "line_key", "left")  # at most one pair a line
    return joined.withColumns(_outcome()).drop("sale_key", "sale_day", "a", "other_key", "b")


def netted(replaced: DataFrame) -> DataFrame:
    """``line_key`` of the sales and returns that came to nothing together: each is named by the other."""
    is_of_a_pair = (F.col("table") == RAW_ORDERS.name) & (F.col("rule") == rules.TAKEN_BACK_SAME_DAY)
    return replaced.where(is_of_a_pair).select(F.col("replaced_by").cast("long").alias("line_key"))


def _outcome() -> dict[str, Column]:
    is_kept = F.col("fate").isNull()
    is_netted = is_kept & (F.coalesce(F.col("a"), F.lit(False)) | F.coalesce(F.col("b"), F.lit(False)))
    is_lonely = is_kept & F.col("is_return") & F.col("member_key").isNotNull() & F.col("sale_key").isNull()
    other = F.coalesce("sale_key", "other_key").cast("string")
    return {
        "fate": F.when(is_netted, NETTED).when(is_lonely, QUARANTINED).otherwise(F.col("fate")),
        "rule": F.when(is_netted, rules.TAKEN_BACK_SAME_DAY)
        .when(is_lonely, rules.RETURN_WITHOUT_SALE)
        .otherwise(F.col("rule")),
        "replaced_by": F.when(is_netted, other).otherwise(F.col("replaced_by")),
        "corrects": F.when(is_kept, F.col("sale_key")),
        "day": F.coalesce("sale_day", "day"),
    }


_MEMBER_AND_PRODUCT = ["member_key", "product_id"]
_TOLD = ["line_key", "occurred_at", "day", "known_on", "quantity", "paid_minor", "is_return"]


def _told(rows: DataFrame, kept: Kept, earlier: DataFrame) -> DataFrame:
    """All sales and new returns of every member and product with a new return, with what is left of each sale."""
    standing = rows.where(F.col("fate").isNull() & F.col("member_key").isNotNull())
    new = standing.select(*_MEMBER_AND_PRODUCT, *_TOLD, "position", F.lit(True).alias("is_new"))
    returned = kept.at_hand(new.where("is_return").select(*_MEMBER_AND_PRODUCT).distinct())
    before = earlier.join(returned, _MEMBER_AND_PRODUCT, "left_semi")
    taken = before.where("is_return").groupBy(F.col("corrects").alias("line_key")).agg(F.sum("quantity").alias("taken"))
    left = (
        before.where("not is_return")
        .join(taken, "line_key", "left")
        .withColumn("quantity", _units(F.col("quantity") + F.coalesce("taken", F.lit(0.0))))
        .select(*_MEMBER_AND_PRODUCT, *_TOLD, F.lit(-1).cast("long").alias("position"), F.lit(False).alias("is_new"))
    )
    return new.join(returned, _MEMBER_AND_PRODUCT, "left_semi").unionByName(left)


def _pairs(told: DataFrame) -> DataFrame:
    """One row for each return that finds its sale: a fold over each member's and product's lines in time."""
    line = F.struct(
        "occurred_at", "is_return", "position", "line_key", "day", "known_on", "quantity", "paid_minor", "is_new"
    )
    nothing = F.struct(F.array().cast(_OPEN).alias("open"), F.array().cast(_FOUND).alias("found"))
    folded = told.groupBy(*_MEMBER_AND_PRODUCT).agg(F.sort_array(F.collect_list(line)).alias("lines"))
    found = F.aggregate("lines", nothing, _step, lambda state: state["found"])
    return folded.select(F.inline(found))


def _step(state: Column, line: Column) -> Column:
    """A sale is added to what is open; a return takes from the newest open sale that is just what comes back, or from
    the newest that has enough left."""
    wanted, refunded = -line["quantity"], -line["paid_minor"]
    enough = F.filter(state["open"], lambda s: (s["remaining"] >= wanted) & (s["known_on"] <= line["known_on"]))
    # Were one unit taken from a newer sale of two, the return of those two would find none.
    just = F.filter(enough, lambda s: (s["remaining"] == wanted) & (s["paid_minor"] == refunded))
    sale = F.coalesce(F.try_element_at(just, F.lit(-1)), F.try_element_at(enough, F.lit(-1)))
    is_match = line["is_return"] & sale.isNotNull()
    return F.struct(
        F.when(line["is_return"], F.when(sale.isNull(), state["open"]).otherwise(_taken(state["open"], sale, wanted)))
        .otherwise(F.concat(state["open"], F.array(_opened(line))))
        .cast(_OPEN)
        .alias("open"),
        F.when(is_match, F.concat(state["found"], F.array(_matched(line, sale))))
        .otherwise(state["found"])
        .cast(_FOUND)
        .alias("found"),
    )


def _opened(line: Column) -> Column:
    return F.struct(
        line["line_key"].alias("line_key"),
        line["day"].alias("day"),
        line["known_on"].alias("known_on"),
        line["quantity"].alias("remaining"),
        line["is_new"].alias("is_new"),
        line["paid_minor"].alias("paid_minor"),
    )


def _taken(open_sales: Column, sale: Column, quantity: Column) -> Column:
    def less(s: Column) -> Column:
        left = F.when(s["line_key"] == sale["line_key"], _units(s["remaining"] - quantity)).otherwise(s["remaining"])
        # What something was taken from can no longer come back as a whole.
        paid = F.when(s["line_key"] == sale["line_key"], F.lit(None)).otherwise(s["paid_minor"])
        return s.withField("remaining", left).withField("paid_minor", paid)

    return F.transform(open_sales, less)


def _units(quantity: Column) -> Column:
    """Of what is weighed: .3 less .1 is .2, and not a little less."""
    return F.round(quantity, QUANTITY_DIGITS)


def _matched(line: Column, sale: Column) -> Column:
    is_all = (sale["remaining"] == -line["quantity"]) & (sale["paid_minor"] == -line["paid_minor"])
    is_whole = sale["is_new"] & is_all & (sale["known_on"] == line["known_on"])
    return F.struct(
        line["line_key"].alias("return_key"),
        sale["line_key"].alias("sale_key"),
        sale["day"].alias("sale_day"),
        F.coalesce(is_whole, F.lit(False)).alias("is_whole"),
    )
