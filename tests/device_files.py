"""The integers of a run as devices write them, and readers of these files that have nothing of refengine.

A reader here says what a file's values are, so that a changed file whose values are the same is told from a wrong one.
"""

import re

import numpy as np

from refengine.golden.dumps.reading import reading


def forms_of(folder, stages):
    """name -> a folder or file in each form that a simulator, a testbench or a tool writes; stages: layer -> arrays."""
    made = {}
    for name, ending, write in (
        ("$writememh", "memh", writememh),
        ("$writememh, addresses", "memh", at_addresses),
        ("$writememb", "memb", writememb),
        ("numbers", "txt", decimal),
        ("hexadecimal text", "txt", hexadecimal),
        ("table", "csv", table),
        ("raw, low first", "bin", raw("<")),
        ("raw, high first", "raw", raw(">")),
        ("COE", "coe", coe),
        ("MIF", "mif", mif),
    ):
        path = made[name] = folder / f"device {ending} {name.replace('$', '').replace(',', '')}"
        path.mkdir()
        for layer, held in stages.items():
            for stage, array in held.items():
                (path / f"{layer}.{stage}.{ending}").write_bytes(write(array))
    layer = next(layer for layer, held in stages.items() if "code" in held and held["code"].ndim == 4)
    made["one .npy"] = folder / f"{layer}.code.npy"
    np.save(made["one .npy"], stages[layer]["code"].reshape(-1))
    made["waves"] = waves_of(folder / f"{layer}.code.vcd", stages[layer]["code"])
    return made


def how_to_read(path):
    """What an option must say: the signals of waves, and which byte of a word is first where it is not the lowest."""
    if path.suffix != ".vcd":
        return reading(endian="big" if path.name.endswith("high first") else None)
    layer, stage = path.name.split(".")[:2]
    return reading(clock="top.clk", valid="top.valid", data=[f"{stage}=top.code"], layer=layer)


def waves_of(path, codes):
    """A VCD of codes, a word every second clock."""
    text = "$timescale 1 ns $end\n$scope module top $end\n$var wire 1 c clk $end\n$var wire 1 v valid $end\n"
    text += "$var wire 8 d code $end\n$upscope $end\n$enddefinitions $end\n#0 0c 0v bx d\n"
    for n, code in enumerate(codes.reshape(-1).astype(np.uint8).tolist()):
        text += f"#{20 * n + 5}\n1v\nb{code:b} d\n#{20 * n + 10}\n1c\n#{20 * n + 12}\n0v\n#{20 * n + 15}\n0c\n"
        text += f"#{20 * n + 18}\n1c\n#{20 * n + 19}\n0c\n"
    path.write_text(text)
    return path


def words_of(array):
    """Hexadecimal words of two's complement, by plain Python."""
    bits = array.dtype.itemsize * 8
    return [f"{int(value) & (2**bits - 1):0{bits // 4}x}" for value in array.reshape(-1)]


def lines(words):
    return "".join(f"{word}\n" for word in words).encode()


def writememh(array):
    words = words_of(array)
    return "".join(f"// 0x{n:08x}\n{' '.join(words[n : n + 16])}\n" for n in range(0, len(words), 16)).encode()


def at_addresses(array):
    words = words_of(array)
    blocks = [f"@{n:x}\n{' '.join(words[n : n + 5])}\n" for n in range(0, len(words), 5)]
    return "".join(blocks[::-1]).encode()


def writememb(array):
    bits = array.dtype.itemsize * 8
    return lines(f"{int(value) & (2**bits - 1):0{bits}b}" for value in array.reshape(-1))


def decimal(array):
    return lines(int(value) for value in array.reshape(-1))


def hexadecimal(array):
    return lines(word.upper() for word in words_of(array))


def table(array):
    return b"index,value\n" + lines(f"{n},{value}" for n, value in enumerate(array.reshape(-1).tolist()))


def raw(order):
    return lambda array: array.astype(array.dtype.newbyteorder(order)).tobytes()


def coe(array):
    head = b"memory_initialization_radix=16;\nmemory_initialization_vector=\n"
    return head + ",\n".join(words_of(array)).encode() + b";\n"


def mif(array):
    bits, words = array.dtype.itemsize * 8, words_of(array)
    head = f"WIDTH={bits};\nDEPTH={len(words)};\nADDRESS_RADIX=HEX;\nDATA_RADIX=HEX;\nCONTENT BEGIN\n"
    return (head + "".join(f"{n:x} : {word};\n" for n, word in enumerate(words)) + "END;\n").encode()


# ------------------------------------------------------------------------------------------------ readers of their own


def numbers(radix):
    """Words between blanks, commas or semicolons, by address; comments of every kind are left out."""

    def read(path):
        text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("latin-1")
        text = re.sub(r"//[^\n]*|/\*.*?\*/|#[^\n]*", " ", text, flags=re.S)
        found, address = {}, 0
        for token in re.split(r"[\s,;]+", re.sub(r"@[ \t]+", "@", text).strip()):
            if token.startswith("@"):
                address = int(token[1:], 16)
            else:
                found[address] = int(token.replace("_", ""), radix)
                address += 1
        return found

    return read


def of_any_radix(path):
    """As the first radix that reads all of it; decimal and hexadecimal texts are of different folders."""
    return numbers(16 if "hexadecimal" in path.parent.name else 10)(path)


def last_column(path):
    """The head's names of columns do not matter as long as there are as many."""
    rows = [re.split(r"[,; \t]+", line.strip()) for line in path.read_text("latin-1").split("\n") if line.strip()]
    return len(rows[0]), [int(row[-1].replace("_", "")) for row in rows[1:]]


def of_coe(path):
    head, vector = path.read_text().lower().split("memory_initialization_vector")
    radix = int(re.search(r"radix\s*=\s*(\d+)", head)[1])
    return [int(word.replace("_", ""), radix) for word in re.split(r"[\s,;=]+", vector) if word]


def of_mif(path):
    text = re.sub(r"--[^\n]*|%[^%]*%", " ", path.read_text()).upper()
    head, content = re.split(r"CONTENT\s+BEGIN", text)
    found = {}
    for place, words in re.findall(r"([0-9A-F_]+)\s*:\s*([0-9A-F_,\s]+?)\s*;", content.split("END")[0]):
        for number, word in enumerate(one for one in re.split(r"[\s,]+", words) if one):
            found[int(place.strip("_"), 16) + number] = int(word.replace("_", ""), 16)
    return {"HEX", *re.findall(r"RADIX\s*=\s*(\w+)", head)}, found


def of_vcd(path):
    """What code is while valid is 1, before each rise of the clock."""
    text = re.sub(r"[\x00-\x20\x80-\xff]", " ", path.read_text("latin-1"))  # which pyvcd takes for blanks
    if re.findall(r"\$var wire (\d+) (\S+) (\S+)", text) != [
        ("1", "c", "clk"), ("1", "v", "valid"), ("8", "d", "code"),
    ]:  # fmt: skip
        return text
    values, before, time, found = {}, {}, 0, []
    for token in text.split("$enddefinitions $end")[1].split("\n"):
        for part in re.findall(r"#\d+|b\S+ \S+|[01xzXZ]\S+", token):
            if part[0] == "#":
                if before.get("c") == "0" and values.get("c") == "1" and before.get("v") == "1":
                    found.append((before["d"].lstrip("0"), "v" in before))
                before, time = dict(values), int(part[1:])
            elif part[0] == "b":
                values[part.split()[1]] = part[1:].split()[0]
            else:
                values[part[1:]] = part[0]
    return found, time >= 0


READERS = {
    ".memh": numbers(16),
    ".memb": numbers(2),
    ".txt": of_any_radix,
    ".csv": last_column,
    ".bin": lambda path: path.read_bytes(),
    ".raw": lambda path: path.read_bytes(),
    ".coe": of_coe,
    ".mif": of_mif,
    ".vcd": of_vcd,
}
