"""Files of a DUT with one digit or byte changed, and what ``compare`` says of each; a wrong value is never EQUAL.

    python tests/changed_files.py COUNT [FORM ...]      COUNT changed files, and what came of them, by format

A data file is one that holds integers of a run: layers, images, logits, constants, in every format that ``compare``
reads, and the network in a pack; ``manifest.json`` describes them.  A change counts if it changes a value: one that
does not (a letter's case, an underscore or a comma for a leading zero, white space, a layer's number, which may be
left out, a byte of HDF5 that belongs to no array) may be EQUAL.  Whether it does is told by readers that have nothing
of refengine.
"""

import re
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import device_files
import h5py
import numpy as np
from dumps import as_archive, as_folder, integers_of
from networks import random_images, small

from refengine.errors import RefengineError
from refengine.golden.compare.compare import compare
from refengine.golden.dumps.dump import Held, in_memory
from refengine.golden.dumps.dut import open_dut
from refengine.runs.trace import open_trace, write_trace
from refengine.vectors.text_formats import FORMATS
from refengine.vectors.writer import Layout, write_vectors

EQUAL, DIFFERENT, REFUSED, SAME, TRACEBACK = "EQUAL", "DIFFERENT", "refused", "no value changed", "traceback"
OUTCOMES = (DIFFERENT, REFUSED, EQUAL, TRACEBACK)
DIGITS = b"0123456789abcdef"
JUDGED = ("accumulator", "total", "code", "images", "logits")  # of a pack, whose constants are judged by their hash


def dumps_of_one_run(folder):
    """A golden in memory, and name -> the same run in every form that a DUT can have."""
    network = small()
    images = random_images(network, 2)
    write_trace(network, images, folder / "trace.h5")
    stages, pixels = integers_of(folder / "trace.h5")
    with open_trace(folder / "trace.h5") as trace:
        known = {"images": Held(pixels), "logits": Held(trace.logits.whole())}
        known |= {name: getattr(trace, name) for name in ("first_image", "model_hash", "images_sha256")}
    found = {
        "trace": folder / "trace.h5",
        "npy": as_folder(folder / "npy", stages, pixels),
        "npz": as_archive(folder / "stored.npz", stages, pixels),
        "npz, packed": as_archive(folder / "packed.npz", stages, pixels, compressed=True),
        "HDF5": folder / "plain.h5",
        "HDF5, packed": folder / "packed.h5",
    }
    for name, packed in (("HDF5", {}), ("HDF5, packed", {"compression": "gzip", "shuffle": True, "fletcher32": True})):
        with h5py.File(found[name], "w") as file:
            file.create_dataset("images", data=pixels, **packed)
            for layer, held in stages.items():
                for stage, array in held.items():
                    file.create_dataset(f"{layer}/{stage}", data=array, **packed)
    for number, fmt in enumerate(FORMATS):
        layout = Layout(word_bits=40, straddle=True, first="high") if number % 2 else Layout()
        found[f"pack, {fmt}"] = folder / f"pack_{fmt}"
        write_vectors(network, images, found[f"pack, {fmt}"], formats=[fmt], layout=layout, backend="reference")
    found["pack, all"] = folder / "pack_all"
    layout = Layout(word_bits=64)
    write_vectors(network, images, found["pack, all"], formats=FORMATS, layout=layout, backend="reference")
    found |= device_files.forms_of(folder, stages)
    return in_memory(stages, **known), found


def data_files(path):
    """The files of a dump that hold integers."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name != "manifest.json")


def changed(content, rng):
    """The bytes with one changed: a digit to another one, or any byte to any other."""
    digits = [place for place, byte in enumerate(content) if byte in DIGITS] if rng.integers(2) else []
    place = int(rng.choice(digits)) if digits else int(rng.integers(len(content)))
    choices = DIGITS if digits else bytes(range(256))
    byte = rng.choice([one for one in choices if one != content[place]])
    return content[:place] + bytes([byte]) + content[place + 1 :]


def verdict(golden, dut):
    """What ``compare`` says of a DUT."""
    try:
        with open_dut(dut, golden, device_files.how_to_read(dut)) as other:
            return EQUAL if compare(golden, other).equal else DIFFERENT
    except RefengineError as error:
        return REFUSED if "\n" not in str(error) else TRACEBACK
    except Exception:  # whatever it is, a user would see it
        return TRACEBACK


# ------------------------------------------------------------------------------------------------ readers of their own


def values(path):
    """Every integer of a file, or None where NumPy, h5py or a few lines of Python cannot read it."""
    with suppress(Exception):  # a damaged file may raise anything
        of_device = path.parent.name.startswith("device ") or path.suffix == ".vcd"
        return (device_files.READERS if of_device else READERS)[path.suffix](path)
    return None


def _npz(path):
    with np.load(path) as archive:
        return {_without_number(name): _array(archive[name]) for name in archive.files}


def _hdf5(path):
    def below(group, prefix):
        for name in group:
            node = group[name]
            yield from below(node, f"{prefix}{name}/") if isinstance(node, h5py.Group) else [(prefix + name, node[()])]

    with h5py.File(path) as file:
        return {_without_number(name): _array(array) for name, array in below(file, "")}


def _without_number(name):
    """A layer's number may be left out."""
    return re.sub(r"^[0-9]+_", "", name)


def _array(array):
    return array.shape, array.astype(object).tolist()


def _readmem(path, radix):
    text = re.sub(rb"//[^\n]*|#[^\n]*|/\*.*?\*/", b" ", path.read_bytes(), flags=re.S)
    return [int(token.replace(b"_", b""), radix) for token in re.split(rb"[\s,;]+", text) if token]


def _numbers(pattern, radix):
    def read(path):
        return [int(found.replace("_", ""), radix) for found in re.findall(pattern, path.read_text("latin-1"))]

    return read


READERS = {
    ".npy": lambda path: _array(np.load(path)),
    ".npz": _npz,
    ".h5": _hdf5,
    ".memh": lambda path: _readmem(path, 16),
    ".memb": lambda path: _readmem(path, 2),
    ".hex": lambda path: _readmem(path, 16),
    ".dat": lambda path: _readmem(path, 10),
    ".bin": lambda path: path.read_bytes(),
    ".coe": device_files.of_coe,
    ".mif": device_files.of_mif,
    ".h": lambda path: path.read_bytes(),
    ".sv": _numbers(r"'h([0-9a-fA-F_]+)", 16),
}

# ------------------------------------------------------------------------------------------------------- at any scale


def outcomes(golden, dut, count, rng, judge=verdict):
    """``count`` changed files of a dump, each put back afterwards: (file, content, outcome), changed values alone."""
    files, made = data_files(dut), 0
    held = {file: file.read_bytes() for file in files}
    known = {file: values(file) for file in files}
    judged = [file for file in files if file.name.split(".")[-2] in JUDGED] or files
    while made < count:
        some = judged if rng.integers(8) else files
        file = some[int(rng.integers(len(some)))]
        content = changed(held[file], rng)
        file.write_bytes(content)
        found = judge(golden, dut)
        if found == EQUAL and values(file) == known[file]:
            found = SAME
        file.write_bytes(held[file])
        made += found != SAME
        yield file, content, found


def rows(count, names=(), seed=1):
    """(form, outcome -> how many) of ``count`` changed files in all forms together, or of some of the forms' shares."""
    with tempfile.TemporaryDirectory() as folder:
        golden, forms = dumps_of_one_run(Path(folder))
        for number, (name, dut) in enumerate(forms.items()):
            if names and name not in names:
                continue
            assert verdict(golden, dut) == EQUAL, name
            rng, share = np.random.default_rng([seed, number]), -(-count // len(forms))
            yield name, Counter(found for *_, found in outcomes(golden, dut, share, rng))
            assert verdict(golden, dut) == EQUAL, name


def main(count, *names):
    """Print the table, and give 1 where a wrong file was called equal or something broke."""
    together = Counter()
    print(f"{'format':16}{'changed':>9}" + "".join(f"{name:>12}" for name in OUTCOMES) + f"{SAME:>19}")
    for name, found in rows(count, names):
        together += found
        _print_row(name, found)
    _print_row("together", together)
    return 1 if together[EQUAL] or together[TRACEBACK] else 0


def _print_row(name, found):
    changes = sum(found[one] for one in OUTCOMES)
    cells = "".join(f"{found[one]:12,}" for one in OUTCOMES)
    print(f"{name:16}{changes:9,}{cells}{found[SAME]:19,}", flush=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
