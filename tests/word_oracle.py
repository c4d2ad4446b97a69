"""The words of a vector pack in Python integers, written from docs/formats.md (Vector pack) and from nothing else."""

CODES = {
    "twos-complement": {0: 0b00, 1: 0b01, -1: 0b11},
    "plus-minus": {0: 0b00, 1: 0b01, -1: 0b10},
    "offset": {-1: 0b00, 0: 0b01, 1: 0b10},
}


def code_of(value, packing):
    """The element's bits as a non-negative integer."""
    return value % 2**packing.bits if packing.code_map is None else CODES[packing.code_map][value]


def lane_of(value, packing):
    """The lane's bits: the element, and above it its sign or zeros."""
    negative = value < 0 if packing.code_map is None else value < 0 and packing.code_map == "twos-complement"
    return value % 2**packing.lane_bits if negative else code_of(value, packing)


def oracle(values, packing):
    """The words as Python integers, by the rules of the docstring and with nothing else."""
    width = packing.word_bits
    if packing.straddles:
        bits = [code_of(value, packing) >> bit & 1 for value in values for bit in order_of_bits(packing)]
        bits += [0] * (-len(bits) % width)
        rows = [bits[i : i + width] for i in range(0, len(bits), width)]
        rows = [row if packing.first == "low" else row[::-1] for row in rows]
        words = [sum(bit << i for i, bit in enumerate(row)) for row in rows]
    else:
        size = packing.elements
        words = []
        for start in range(0, len(values), size):
            word = 0
            for i, value in enumerate(values[start : start + size]):
                lane = i if packing.first == "low" else size - 1 - i
                word |= lane_of(value, packing) << (lane * (width // size))
            words.append(word)
    if packing.endian == "big":
        count = (width + 7) // 8
        words = [int.from_bytes(word.to_bytes(count, "little"), "big") for word in words]
    return words


def order_of_bits(packing):
    return range(packing.bits) if packing.first == "low" else reversed(range(packing.bits))
