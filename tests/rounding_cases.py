"""The nine rounding modes by cases: does the exact quotient ``q + r / unit`` go up to ``q + 1``?

``q`` is the floored quotient and ``twice`` is ``2 * r``, so that a tie is ``twice == unit``.  Only comparisons and
``&``, ``|``, ``%`` occur: the same cases are asked of arrays (tests/numbers) and of symbols (tests/proofs).
"""

GOES_UP = {
    "floor": lambda q, twice, unit: twice < 0,
    "ceil": lambda q, twice, unit: twice > 0,
    "toward_zero": lambda q, twice, unit: (twice > 0) & (q < 0),
    "away_from_zero": lambda q, twice, unit: (twice > 0) & (q >= 0),
    "half_up": lambda q, twice, unit: twice >= unit,
    "half_down": lambda q, twice, unit: twice > unit,
    "half_away": lambda q, twice, unit: (twice > unit) | ((twice == unit) & (q >= 0)),
    "half_toward_zero": lambda q, twice, unit: (twice > unit) | ((twice == unit) & (q < 0)),
    "half_even": lambda q, twice, unit: (twice > unit) | ((twice == unit) & (q % 2 == 1)),
}
