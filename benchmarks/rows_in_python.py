"""``tenure.spark.features.told_by_a_row`` in Python: for one row, for pandas' series, for Arrow's arrays (P3).

Each as its users would write it: the first by hand, a row at a time; the others over whole columns, without a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from tenure.contracts.shop import Shop
from tenure.lifecycle.rules import Condition, Is
from tenure.lifecycle.stages import (
    ACQUISITION,
    ACTIVATION,
    CONVERSION,
    LAPSED,
    LOYALTY,
    RETENTION,
    VISITS_A_HORIZON_WHEN_LOYAL,
    stage,
)

RATIOS = ("overdue", "visits_trend", "spend_trend", "mean_basket_minor", "discount_share")
OUTPUTS = (*RATIOS, "categories_seen", "stage")
TOLD = T.StructType(
    [
        *(T.StructField(name, T.DoubleType()) for name in RATIOS),
        T.StructField("categories_seen", T.LongType()),
        T.StructField("stage", T.StringType()),
    ]
)
_OF_STAGE = ("days_since_first_visit", "days_since_last_visit", "mean_gap_days", "lifetime_visits")


def inputs(shop: Shop) -> tuple[str, ...]:
    """The columns that all of it is made of, in the order in which the functions below take them."""
    middle, long = _days(shop)
    return (
        *_OF_STAGE,
        *(f"{name}_{days}d" for name in ("visits", "spend_minor") for days in (middle, long)),
        *(f"{name}_{long}d" for name in ("baskets", "discount_minor", "coupon_minor", "category_bits")),
    )


def _days(shop: Shop) -> tuple[int, int]:
    return sorted(shop.windows_days)[-2], max(shop.windows_days)


def by(udf: Callable[..., Column], rows: DataFrame, shop: Shop) -> DataFrame:
    """The rows with what the UDF tells of each."""
    return rows.withColumn("told", udf(*inputs(shop))).select(*rows.columns, "told.*")


def pickled(shop: Shop) -> Callable[..., Column]:
    return F.udf(told_of_a_row(shop), TOLD, useArrow=False)


def told_of_a_row(shop: Shop) -> Callable[..., tuple[Any, ...]]:
    """``OUTPUTS`` from the values of ``inputs``."""
    activity, horizon, (middle, long) = shop.activity_days, shop.horizon_days, _days(shop)

    def stage_of(first: Any, last: Any, gap: Any, visits: Any) -> str:
        if last is None:
            return ACQUISITION
        if last > activity:
            return LAPSED
        if visits <= 1:
            return ACTIVATION
        if first <= activity:
            return CONVERSION
        often = gap is not None and gap <= horizon / VISITS_A_HORIZON_WHEN_LOYAL
        return LOYALTY if often and last <= horizon else RETENTION

    def told(*values: Any) -> tuple[Any, ...]:
        first, last, gap, visits, visits_m, visits_l, spend_m, spend_l, baskets, discount, coupon, bits = values
        taken_off = discount + coupon
        return (
            last / gap if last is not None and gap is not None and gap > 0 else None,
            (visits_m / middle) / (visits_l / long) if visits_l > 0 else None,
            (spend_m / middle) / (spend_l / long) if spend_l > 0 else None,
            spend_l / baskets if baskets > 0 else None,
            taken_off / (spend_l + taken_off) if spend_l + taken_off > 0 else None,
            (bits & (2**64 - 1)).bit_count(),
            stage_of(first, last, gap, visits),
        )

    return told


def pandas(shop: Shop) -> Callable[..., Column]:
    told = told_of_series(shop)
    return F.pandas_udf(told, TOLD, F.PandasUDFType.SCALAR)  # type: ignore[call-overload,no-any-return]


def told_of_series(shop: Shop) -> Callable[..., pd.DataFrame]:
    """The same of series."""
    rule, (middle, long) = stage(shop), _days(shop)

    def told(*values):  # type: ignore[no-untyped-def]  # Spark would read annotations; the kind is said below
        row = dict(zip(_OF_STAGE, values[:4], strict=True))
        last, gap = values[1:3]
        visits_m, visits_l, spend_m, spend_l, baskets, discount, coupon, bits = values[4:]
        taken_off = discount + coupon
        cases = [np.logical_and.reduce([_holds(row[c.column], c) for c in case.when]) for case in rule.cases]
        return pd.DataFrame(
            {
                "overdue": (last / gap).where(gap > 0),
                "visits_trend": ((visits_m / middle) / (visits_l / long)).where(visits_l > 0),
                "spend_trend": ((spend_m / middle) / (spend_l / long)).where(spend_l > 0),
                "mean_basket_minor": (spend_l / baskets).where(baskets > 0),
                "discount_share": (taken_off / (spend_l + taken_off)).where(spend_l + taken_off > 0),
                "categories_seen": np.bitwise_count(bits.to_numpy().view(np.uint64)).astype(np.int64),
                "stage": np.select(cases, [case.outcome for case in rule.cases], rule.otherwise),
            }
        )

    return told


def _holds(values: pd.Series, condition: Condition) -> np.ndarray:
    if condition.comparison is Is.MISSING:
        return values.isna().to_numpy()
    compare = {Is.AT_LEAST: values.ge, Is.MORE_THAN: values.gt, Is.AT_MOST: values.le, Is.LESS_THAN: values.lt}
    return compare[condition.comparison](condition.value).to_numpy()


def arrow(shop: Shop) -> Callable[..., Column]:
    columns = told_of_arrays(shop)

    def told(*values):  # type: ignore[no-untyped-def]
        return pa.StructArray.from_arrays(columns(*values), names=list(OUTPUTS))

    return F.arrow_udf(told, TOLD, F.ArrowUDFType.SCALAR)  # type: ignore[call-overload,no-any-return]


def told_of_arrays(shop: Shop) -> Callable[..., list[pa.Array]]:
    """The same of arrays."""
    rule, (middle, long) = stage(shop), _days(shop)

    def told(*values: pa.Array) -> list[pa.Array]:
        row = dict(zip(_OF_STAGE, values[:4], strict=True))
        last, gap = values[1:3]
        visits_m, visits_l, spend_m, spend_l, baskets, discount, coupon, bits = values[4:]
        taken_off = pc.add(discount, coupon)
        stages = pa.scalar(rule.otherwise)
        for case in reversed(rule.cases):
            holds = _arrow_holds(row[case.when[0].column], case.when[0])
            for condition in case.when[1:]:
                holds = pc.and_(holds, _arrow_holds(row[condition.column], condition))
            stages = pc.if_else(holds, pa.scalar(case.outcome), stages)
        # Arrow counts no bits: the array's memory is shown to NumPy.
        ones = np.bitwise_count(bits.to_numpy(zero_copy_only=False).view(np.uint64)).astype(np.int64)
        return [
            _over(last, gap),
            _over(_each(visits_m, middle), _each(visits_l, long)),
            _over(_each(spend_m, middle), _each(spend_l, long)),
            _over(spend_l, baskets),
            _over(taken_off, pc.add(spend_l, taken_off)),
            pa.array(ones),
            stages,
        ]

    return told


def _each(values: pa.Array, days: int) -> pa.Array:
    return pc.divide(pc.cast(values, pa.float64()), float(days))


def _over(part: pa.Array, whole: pa.Array) -> pa.Array:
    """Null where the whole is nothing, or less."""
    part, whole = (pc.cast(values, pa.float64()) for values in (part, whole))
    return pc.if_else(pc.greater(whole, 0.0), pc.divide(part, whole), pa.scalar(None, pa.float64()))


def _arrow_holds(values: pa.Array, condition: Condition) -> pa.Array:
    if condition.comparison is Is.MISSING:
        return pc.is_null(values)
    compare = {
        Is.AT_LEAST: pc.greater_equal,
        Is.MORE_THAN: pc.greater,
        Is.AT_MOST: pc.less_equal,
        Is.LESS_THAN: pc.less,
    }[condition.comparison]
    return pc.fill_null(compare(pc.cast(values, pa.float64()), float(condition.value)), False)
