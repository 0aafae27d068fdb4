"""Faults in the order lines that land, and the truth about each: the row, and the rule that should find it.

A row has at most one fault, whether it will come back or not. Where a sale was struck by one that takes it out or moves
it, its honest return looks like one without a sale: nothing is wrong with that row, and it is told as ``sale_struck``,
beside a fault of its own where it has one. Wrong units and clocks are log-normal, near duplicates exponential in time;
both straddle the limits of honest rules. What is late is told on the day on which it lands, so nothing is told of what
never does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.contracts.truth import LATE_FILE, NO_RULE, SALE_STRUCK, TRUE_FAULTS
from tenure.simulation.aligned import each_of
from tenure.simulation.block import Block, Diary
from tenure.simulation.calendar import DAY_US, MICROSECONDS
from tenure.simulation.catalogue import Catalogue
from tenure.simulation.chance import Chance, Flags, Floats, Ints
from tenure.simulation.landing import Columns, Files
from tenure.simulation.life import Day
from tenure.simulation.members import member_id
from tenure.simulation.numbering import LINES_AN_ORDER
from tenure.simulation.settings import Faults
from tenure.simulation.tills import Receipts

KINDS = (
    *("exact_duplicate", "key_duplicate", "near_duplicate", "gap", "out_of_range", "negative_price", "mistyped"),
    *("broken_encoding", LATE_FILE, "clock_skew", "unknown_member", "unknown_product", "return_without_sale"),
)
_OF_SALES = ("near_duplicate", "out_of_range", "negative_price", "return_without_sale")  # the others strike returns too
# After one of these a sale is no longer in the shop's books as it was, or not by the time that it comes back.
_MOVING = frozenset(
    {
        *("gap", "out_of_range", "negative_price", "mistyped", "broken_encoding", LATE_FILE, "clock_skew"),
        *("unknown_member", "unknown_product"),
    }
)
_SEPARABLE = frozenset(KINDS) - {"near_duplicate", "out_of_range", "clock_skew", LATE_FILE}
# Columns in which a fault may put another text; in a small catalogue "sku" would come as a dictionary otherwise.
_TEXTS = ("sku", "units", "amount", "discount", "coupon", "sold_at", "store")
_MISSING = {"sku": "product_id", "units": "quantity", "amount": "paid_minor", "sold_at": "occurred_at"}
_JUNK = {
    "units": ("two", "1O", "n/a"),
    "amount": ("12,5O", "free", "#REF!"),
    "sold_at": ("31.13.2025", "noon", "0000-00"),
}
# Numbers of rows and orders that were made up are beyond the honest ones of as many members as there may be.
TWIN, STRAY, COPY = 1 << 58, 1 << 57, 1 << 56
TWIN_ORDER, STRAY_ORDER = 1 << 41, (1 << 42) + 1
_NOTHING = -1
_NOBODY, _NUMBERS = 90_000_000, 100_000_000  # a shop has fewer members, and numbers have eight digits
_PRODUCTS_ASKED = 8


@dataclass(frozen=True)
class _Fault:
    """Rows of one kind of fault, and how large each is (nan where that cannot be said)."""

    kind: str
    export_id: Ints
    rule: str
    column: str | None
    magnitude: Floats

    def among(self, ids: Ints) -> _Fault:
        """Of rows with these export ids alone."""
        mine = np.isin(self.export_id, ids)
        return replace(self, export_id=self.export_id[mine], magnitude=self.magnitude[mine])


@dataclass(frozen=True)
class _Parcel:
    """Rows that land on one day, and what is wrong with them."""

    rows: pa.Table
    found: list[_Fault]


class _Bought:
    """Which products each member ever bought, one number a pair, ascending."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._pairs = np.array([np.iinfo(np.int64).max])  # beyond every pair, so that each has a place before it

    def add(self, member: Ints, product: Ints) -> None:
        pairs = np.unique(self._pair(member, product))
        new = pairs[~self._holds(pairs)]
        self._pairs = np.insert(self._pairs, np.searchsorted(self._pairs, new), new)

    def has(self, member: Ints, product: Ints) -> Flags:
        return self._holds(self._pair(member, product))

    def _holds(self, pairs: Ints) -> Flags:
        found: Flags = self._pairs[np.searchsorted(self._pairs, pairs)] == pairs
        return found

    def _pair(self, member: Ints, product: Ints) -> Ints:
        return member * len(self._catalogue) + product


class FaultyTills:
    """Stands between the tills and the landing folder."""

    def __init__(self, block: Block, settings: Faults, files: Files) -> None:
        self._block, self._settings, self._files = block, settings, files
        shares = np.array([getattr(settings, kind) for kind in KINDS])
        self._below = np.cumsum(shares) * settings.strength
        self._late: Diary[_Parcel] = Diary()
        self._bought = _Bought(block.world.catalogue)
        self._struck = np.zeros(0, dtype=np.int64)  # export ids of struck sales that have yet to come back

    @property
    def is_at_work(self) -> bool:
        return self._settings.strength > 0

    def spoil(self, columns: Columns, receipts: Receipts, day: Day) -> Columns:
        """The rows as they land on a day, with what is late from earlier ones. The ``receipts``' lines come first."""
        rows = pa.table(columns)
        self._bought.add(receipts.member[receipts.lines.order], receipts.lines.product)
        chance = Chance.of(self._block.story.seed, "fault", rows["export_id"].to_numpy())
        kind = self._kinds(rows, chance)
        today = _Day(self._block, self._settings, rows, receipts, day, self._bought, self._orphans(rows))
        for number, name in enumerate(KINDS):
            places = np.flatnonzero(kind == number)
            if len(places):
                today.strike(name, places, chance.take(places))
        self._struck = np.union1d(self._struck, today.moved(receipts.line_no[receipts.comes_back]))
        for days_late, parcel in today.parcels(self._days_late(day.day)):
            self._late.note(day.day + days_late, parcel)
        landing = self._late.open(day.day)
        self._tell([fault for parcel in landing for fault in parcel.found if len(fault.export_id)], day.day)
        whole = pa.concat_tables([today.rows.slice(0, 0), *(parcel.rows for parcel in landing)])
        return {name: whole[name].combine_chunks() for name in whole.column_names}

    def _days_late(self, day: int) -> Ints:
        """By how many days (stores,) each store's whole file of the day is late: a shared fact, 0 nearly always."""
        chance = Chance.of(self._block.story.seed, "store's file", np.arange(len(self._block.story.sessions.stores)))
        is_late = chance.happens(self._settings.late_day * self._settings.strength, "is late", day)
        delay = 1 + (chance.uniform("days late", day) * self._settings.late_day_most_days).astype(np.int64)
        return np.where(is_late, delay, 0)

    def _kinds(self, rows: pa.Table, chance: Chance) -> Ints:
        """Which fault (R,) strikes each row; the number after the last is none."""
        kind = np.searchsorted(self._below, chance.uniform("kind"), side="right")
        is_spared = _is_return(rows) & np.isin(kind, [KINDS.index(name) for name in _OF_SALES])
        return np.where(is_spared, len(KINDS), kind)

    def _orphans(self, rows: pa.Table) -> Ints:
        """Export ids of the day's returns of sales that were struck, each of which comes back once."""
        back = rows["export_id"].to_numpy()[_is_return(rows)]
        orphans: Ints = back[np.isin(back - LINES_AN_ORDER, self._struck)]
        self._struck = np.setdiff1d(self._struck, orphans - LINES_AN_ORDER)
        return orphans

    def _tell(self, found: list[_Fault], day: int) -> None:
        if not found:
            return
        counts = [len(fault.export_id) for fault in found]
        magnitude = np.concatenate([fault.magnitude for fault in found])
        columns = {
            "table": pa.repeat("raw_orders", sum(counts)),
            "export_id": pa.array(np.concatenate([fault.export_id for fault in found])),
            "fault": _each([fault.kind for fault in found], counts),
            "rule": _each([fault.rule for fault in found], counts),
            "column": _each([fault.column for fault in found], counts),
            "magnitude": pa.array(magnitude, mask=np.isnan(magnitude)),
            "is_separable": pa.array(np.repeat([fault.kind in _SEPARABLE for fault in found], counts)),
            "landed_on": self._block.exported_on(day, sum(counts)),
        }
        self._files.tell(TRUE_FAULTS, self._block.world.calendar.date(day), columns)


class _Day:
    """One day's rows while faults strike them. What a fault reads are always the honest values."""

    def __init__(
        self,
        block: Block,
        settings: Faults,
        rows: pa.Table,
        receipts: Receipts,
        day: Day,
        bought: _Bought,
        orphans: Ints,
    ) -> None:
        self._block, self._settings, self._day, self._shelf = block, settings, day.day, day.shelf
        self._receipts, self._bought = receipts, bought
        self._sold_at = rows["sold_at"].cast(pa.int64()).to_numpy()
        self._ids: Ints = rows["export_id"].to_numpy()
        self._honest = _readable(rows)
        self.rows = self._honest
        self.is_kept = np.ones(rows.num_rows, dtype=bool)
        self.added: list[pa.Table] = []
        self.late: list[tuple[int, _Parcel]] = []
        self.found: list[_Fault] = []
        self._orphans = _Fault(SALE_STRUCK, orphans, NO_RULE, None, np.full(len(orphans), np.nan))

    def strike(self, kind: str, places: Ints, chance: Chance) -> None:
        strikes: dict[str, Callable[[Ints, Chance], None]] = {name: getattr(self, f"_{name}") for name in KINDS}
        strikes[kind](places, chance)

    def moved(self, ids: Ints) -> Ints:
        """Which of the sales with these export ids were struck by a fault that takes a sale out or moves it."""
        found = [*self.found, *(fault for _, parcel in self.late for fault in parcel.found)]
        struck = [np.zeros(0, dtype=np.int64), *(fault.export_id for fault in found if fault.kind in _MOVING)]
        return np.intersect1d(ids, np.concatenate(struck))

    def parcels(self, days_late: Ints) -> Iterator[tuple[int, _Parcel]]:
        """What lands so many days later, 0 for today. ``days_late`` (stores,) is of the stores' whole files."""
        yield from self.late
        here = pa.concat_tables([self.rows.filter(pa.array(self.is_kept)), *self.added])
        if not days_late.any():
            yield 0, _Parcel(here, [*self.found, self._orphans.among(self._ids[self.is_kept])])
            return
        # By the store as it was before any text was garbled.
        honest = pa.concat_tables([self._honest.filter(pa.array(self.is_kept)), *self.added])
        delay = days_late[_store_places(honest, [*self._block.story.sessions.stores])]
        for late, own in each_of(delay):
            rows = here.take(pa.array(own))
            yield late, self._whole_file(rows, late) if late else _Parcel(rows, self._found_in(rows))

    def _found_in(self, rows: pa.Table) -> list[_Fault]:
        ids = rows["export_id"].to_numpy()
        return [fault.among(ids) for fault in (*self.found, self._orphans)]

    def _whole_file(self, rows: pa.Table, days_late: int) -> _Parcel:
        """A store's file of the day that comes later, with all that is wrong in it."""
        found = self._found_in(rows)
        wrong = [fault.export_id for fault in found if fault.kind != SALE_STRUCK]
        struck = np.concatenate([np.zeros(0, dtype=np.int64), *wrong])
        right = np.setdiff1d(rows["export_id"].to_numpy(), struck)
        late = _Fault(LATE_FILE, right, NO_RULE, None, np.full(len(right), float(days_late)))
        due = self._block.exported_on(self._day + days_late, rows.num_rows)
        return _Parcel(_with(rows, "exported_on", due), [*found, late])

    def _note(
        self,
        kind: str,
        export_id: Ints,
        *,
        rule: str | None = None,
        column: str | None = None,
        magnitude: Floats | None = None,
    ) -> None:
        size = np.full(len(export_id), np.nan) if magnitude is None else magnitude
        self.found.append(_Fault(kind, export_id, rule or kind, column, size))

    def _at(self, places: Ints) -> pa.Table:
        return self._honest.take(pa.array(places))

    def _numbers(self, column: str, places: Ints) -> Floats:
        values: Floats = pc.cast(self._honest[column].take(pa.array(places)), pa.float64()).to_numpy()
        return values

    def _put(self, column: str, places: Ints, values: pa.Array) -> None:
        """Other values of a column at ascending places."""
        mask = np.zeros(self.rows.num_rows, dtype=bool)
        mask[places] = True
        old = self.rows[column].combine_chunks()
        self.rows = _with(self.rows, column, pc.replace_with_mask(old, pa.array(mask), values.cast(old.type)))

    def _exact_duplicate(self, places: Ints, chance: Chance) -> None:
        self._note("exact_duplicate", self._ids[places])
        self.added.append(self._at(places))

    def _key_duplicate(self, places: Ints, chance: Chance) -> None:
        """The same order and product again, further from nothing: a sale dearer, a return with more money back."""
        amounts, (low, high) = self._numbers("amount", places), self._settings.dearer
        size = np.abs(amounts) * (1.0 + low + (high - low) * chance.uniform("dearer")) + 0.01
        copy = _with(self._at(places), "amount", _text(pa.array(np.round(np.where(amounts < 0, -size, size), 2))))
        ids = self._ids[places] + COPY
        self._note("key_duplicate", ids)
        self.added.append(_with(copy, "export_id", pa.array(ids)))

    def _near_duplicate(self, places: Ints, chance: Chance) -> None:
        """The same line under another order's number, a little later."""
        later = 1.0 + chance.exponential(self._settings.near_mean_seconds, "seconds later")
        seconds: Floats = np.minimum(later, self._settings.near_most_seconds)
        end = self._block.world.calendar.midnight_us(self._day) + DAY_US - MICROSECONDS
        sold_at = self._sold_at[places]
        moved = np.maximum(sold_at, np.minimum(sold_at + (seconds * MICROSECONDS).astype(np.int64), end))
        twin = self._at(places)
        ids = self._ids[places] + TWIN
        twin = _with(twin, "sold_at", _moment_text(moved))
        twin = _with(twin, "order_no", pc.add(twin["order_no"], TWIN_ORDER))
        self.added.append(_with(twin, "export_id", pa.array(ids)))
        self._note("near_duplicate", ids, magnitude=seconds)

    def _gap(self, places: Ints, chance: Chance) -> None:
        for column, mine, _ in _dealt([*_MISSING], places, chance):
            self._note("gap", self._ids[mine], rule=f"missing_{_MISSING[column]}", column=column)
            self._put(column, mine, pa.nulls(len(mine), pa.string()))

    def _mistyped(self, places: Ints, chance: Chance) -> None:
        for column, mine, dealt in _dealt([*_JUNK], places, chance):
            self._note("mistyped", self._ids[mine], rule=f"missing_{_MISSING[column]}", column=column)
            self._put(column, mine, _any_of(_JUNK[column], dealt))

    def _out_of_range(self, places: Ints, chance: Chance) -> None:
        """Too many units: a scanner that repeats, a weight taken for a count."""
        size = self._settings.magnitude_median * np.exp(self._settings.magnitude_sd * chance.normal("magnitude"))
        units = self._numbers("units", places)
        many: Floats = np.maximum(np.rint(units * size), 2.0).astype(np.float64)
        self._note("out_of_range", self._ids[places], rule="quantity_beyond_reason", column="units", magnitude=many)
        self._put("units", places, _text(pa.array(many.astype(np.int64))))

    def _negative_price(self, places: Ints, chance: Chance) -> None:
        amounts = self._numbers("amount", places)
        self._note("negative_price", self._ids[places], column="amount")
        self._put("amount", places, _text(pa.array(-np.maximum(amounts, 0.01))))

    def _broken_encoding(self, places: Ints, chance: Chance) -> None:
        """The store's name, read in a wrong encoding and written again; none where it is of plain letters alone."""
        names = [*self._block.story.sessions.stores]
        read = [_misread(name) for name in names]
        store = _store_places(self._at(places), names)
        wrong = store * len(read[0]) + (chance.uniform("word") * len(read[0])).astype(np.int64)
        is_broken = np.array([text != name for name, texts in zip(names, read, strict=True) for text in texts])[wrong]
        texts = pa.array([text for texts in read for text in texts]).take(pa.array(wrong[is_broken]))
        self._note("broken_encoding", self._ids[places[is_broken]], rule="garbled_text", column="store")
        self._put("store", places[is_broken], texts)

    def _late_file(self, places: Ints, chance: Chance) -> None:
        """Nothing is wrong with these rows but that they come days later."""
        delay = 1 + chance.exponential(self._settings.mean_days_late, "days late").astype(np.int64)
        for days_late, own in each_of(delay):
            mine = places[own]
            due = self._block.exported_on(self._day + days_late, len(mine))
            ids = self._ids[mine]
            late = _Fault(LATE_FILE, ids, NO_RULE, None, np.full(len(mine), float(days_late)))
            parcel = _Parcel(_with(self._at(mine), "exported_on", due), [late, self._orphans.among(ids)])
            self.late.append((days_late, parcel))
        self.is_kept[places] = False

    def _clock_skew(self, places: Ints, chance: Chance) -> None:
        """A wrong time of single lines, not of all that a till rang up: by minutes or by days, to either side."""
        size = self._settings.skew_median_minutes * np.exp(self._settings.skew_sd * chance.normal("skew"))
        minutes = np.where(chance.happens(0.5, "fast"), size, -size)
        moved = self._sold_at[places] + (minutes * 60 * MICROSECONDS).astype(np.int64)
        self._note("clock_skew", self._ids[places], rule="clock_wrong", column="sold_at", magnitude=minutes)
        self._put("sold_at", places, _moment_text(moved))

    def _unknown_member(self, places: Ints, chance: Chance) -> None:
        """A slip of one digit, whose last two then do not fit; or a number that fits and is nobody's."""
        ids = self._at(places)["member"].to_pylist()
        where = (1 + chance.uniform("which digit") * 8).astype(int)
        nobody = _NOBODY + (chance.uniform("nobody") * (_NUMBERS - _NOBODY)).astype(int)
        is_slip = chance.happens(0.5, "slip")
        slipped = [i[:w] + str((int(i[w]) + 1 + w % 8) % 10) + i[w + 1 :] for i, w in zip(ids, where, strict=True)]
        fitting = [member_id(int(number)) for number in nobody]
        self._note("unknown_member", self._ids[places], rule="member_unknown", column="member")
        self._put("member", places, pa.array(np.where(is_slip, slipped, fitting)))

    def _unknown_product(self, places: Ints, chance: Chance) -> None:
        codes = [f"P9{int(number):05d}" for number in chance.uniform("code") * 100_000]
        self._note("unknown_product", self._ids[places], rule="product_unknown", column="sku")
        self._put("sku", places, pa.array(codes))

    def _return_without_sale(self, places: Ints, chance: Chance) -> None:
        """A few units come back, at today's price, of a product that the member never bought."""
        product = self._never_bought(self._receipts.member[self._receipts.lines.order[places]], chance)
        is_strange = product != _NOTHING
        places, chance, product = places[is_strange], chance.take(is_strange), product[is_strange]
        ids = self._ids[places] + STRAY
        units = np.maximum(np.rint(np.exp(self._settings.magnitude_sd * chance.normal("units"))), 1.0)
        amount = np.round(units * self._shelf.prices[product], 2)
        stray = _with(self._at(places), "export_id", pa.array(ids))
        stray = _with(stray, "order_no", pc.add(stray["order_no"], STRAY_ORDER))
        stray = _with(stray, "sku", _text(self._block.product_ids.at(product)))
        stray = _with(stray, "units", _text(pa.array(-units.astype(np.int64))))
        stray = _with(stray, "amount", _text(pa.array(-amount)))
        for nothing_off in ("discount", "coupon"):
            stray = _with(stray, nothing_off, _text(pa.array(np.zeros(len(places)))))
        self.added.append(_with(stray, "is_return", pa.repeat(True, len(places))))
        self._note("return_without_sale", ids, magnitude=units)

    def _never_bought(self, member: Ints, chance: Chance) -> Ints:
        """A product (n,) of the day's shelf that each member never bought up to today, or _NOTHING."""
        product = np.full(len(member), _NOTHING)
        for attempt in range(_PRODUCTS_ASKED):
            left = np.flatnonzero(product == _NOTHING)
            category = chance.take(left).one_of(self._block.world.catalogue.shares, "strange category", attempt)
            asked = self._shelf.draw(category, chance.take(left).uniform("strange product", attempt))
            product[left] = np.where(self._bought.has(member[left], asked), _NOTHING, asked)
        return product


def _is_return(rows: pa.Table) -> Flags:
    flags: Flags = rows["is_return"].to_numpy(zero_copy_only=False)
    return flags


def _readable(rows: pa.Table) -> pa.Table:
    """The rows with all that a fault may make unreadable as text."""
    return pa.table({n: _text(rows[n]) if n in _TEXTS else rows[n] for n in rows.column_names})


def _dealt(columns: list[str], places: Ints, chance: Chance) -> list[tuple[str, Ints, Chance]]:
    """The places, dealt out over the columns by chance."""
    which = (chance.uniform("column") * len(columns)).astype(np.int64)
    dealt = ((column, np.flatnonzero(which == number)) for number, column in enumerate(columns))
    return [(column, places[mine], chance.take(mine)) for column, mine in dealt if len(mine)]


def _any_of(words: tuple[str, ...], chance: Chance) -> pa.Array:
    return pa.array(words).take(pa.array((chance.uniform("word") * len(words)).astype(np.int64)))


def _misread(text: str) -> tuple[str, str, str]:
    """What becomes of a text: UTF-8 read as Windows-1252, the same twice over, Latin-1 read as UTF-8."""
    once = text.encode().decode("cp1252", errors="replace")
    twice = once.encode().decode("cp1252", errors="replace")
    return once, twice, text.encode("latin-1", errors="replace").decode(errors="replace")


def _store_places(rows: pa.Table, names: list[str]) -> Ints:
    """The place (n,) of each row's store among the stores' names."""
    places: Ints = pc.index_in(pc.cast(rows["store"], pa.string()), pa.array(names, pa.string())).to_numpy()
    return places


def _with(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(column), column, values)


def _text(values: pa.Array) -> pa.Array:
    return pc.cast(values, pa.string())


def _moment_text(microseconds: Ints) -> pa.Array:
    return _text(pa.array(microseconds.astype("datetime64[us]"), pa.timestamp("us", tz="UTC")))


def _each(values: list[str] | list[str | None], counts: list[int]) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(np.repeat(np.arange(len(counts)), counts)))
