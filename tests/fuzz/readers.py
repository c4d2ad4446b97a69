"""The readers that are fuzzed: what each reads, of which files, and how these are mutated.

A reader has a folder of small sound files, of which one is mutated in each case.  ``read`` gets the folder and the name
of the mutated file, and reads to the end.
"""

import dataclasses
import io
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import data_sets
import memories
import numpy as np
import sweeps
from float_networks import every_op as every_float_op
from networks import dynamic, every_op, random_images, small

from refengine import optional
from refengine.accuracy import energy, grid, results
from refengine.accuracy.jobs import Files, Job
from refengine.analysis import worst_case_files
from refengine.golden.dumps.open_dump import open_dump
from refengine.interop.images.datasets import Reading, open_image_set
from refengine.interop.images.plain_pickle import read_plain_pickle
from refengine.interop.onnx.convert import convert_file
from refengine.network.float_file import read_float_network, write_float_network
from refengine.network.images import open_images, write_images
from refengine.network.int_file import read_int_network, write_int_network
from refengine.quantization.scheme import Scheme
from refengine.runs.trace import write_trace
from refengine.vectors import npy
from refengine.vectors.manifest import read_manifest
from refengine.vectors.memory import Memory
from refengine.vectors.text_formats import FORMATS, TEXT_FORMATS
from refengine.vectors.writer import write_vectors

BYTES, JSON, SEALED, HDF5 = "bytes", "json", "sealed", "hdf5"


@dataclass(frozen=True)
class Reader:
    """How to make a folder of sound files, and how to read it; ``ways`` of mutation that apply, besides bytes."""

    build: Callable[[Path], list[str]]
    read: Callable[[Path, str], object]
    way: str = BYTES


def _float(folder: Path) -> list[str]:
    write_float_network(every_float_op(), folder / "net.h5")
    return ["net.h5"]


def _int(folder: Path) -> list[str]:
    for name, network in {"every.h5": every_op(), "small.h5": small(), "dynamic.h5": dynamic()}.items():
        write_int_network(network, folder / name)
    return ["every.h5", "small.h5", "dynamic.h5"]


def _images(folder: Path) -> list[str]:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 3, 4, 3), np.uint8)
    write_images(folder / "labelled.h5", pixels, [0, 1, 2, 1, 0], ["zero", "one", "two"])
    write_images(folder / "plain.h5", pixels[..., :1], None)
    return ["labelled.h5", "plain.h5"]


def _read_images(folder: Path, name: str) -> None:
    with open_images(folder / name, labels_required=False) as images:
        for _ in images.batches(2, 64):
            pass


def _trace(folder: Path) -> list[str]:
    for name, network in {"every.h5": every_op(), "dynamic.h5": dynamic()}.items():
        write_trace(network, random_images(network, 2), folder / name, backend="reference")
    return ["every.h5", "dynamic.h5"]


def _read_dump(folder: Path, name: str) -> None:
    _all_of(folder / name)


def _all_of(path: Path) -> None:
    """Whatever a dump holds, all of its forms; a single array that cannot be read is no refusal of the dump."""
    with open_dump(path, as_written=False) as dump:
        held = [dump.images, dump.logits, *(values for stages in dump.arrays.values() for values in stages.values())]
        for values in held:
            for form in [values, *(form for _, form in getattr(values, "others", ()))]:
                if form is not None:
                    try:
                        form.read(0, min(4, form.shape[0]))
                    except results.FileError as error:
                        _one_line(str(error))


def _one_line(text: str) -> None:
    if not text.isprintable():
        raise AssertionError(f"a message of more than one line: {text!r}")


def _plain_hdf5(folder: Path) -> list[str]:
    import h5py

    rng = np.random.default_rng(2)
    with h5py.File(folder / "dump.h5", "w") as file:
        file["layers/001_conv/code"] = rng.integers(0, 256, (2, 3, 3, 2), np.uint8)
        file["002_fc.accumulator"] = rng.integers(-99, 99, (2, 4), np.int32)
        file.create_dataset("images", data=rng.integers(0, 256, (2, 3, 3, 1), np.uint8), compression="gzip")
    return ["dump.h5"]


def _arrays() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {
        "001_conv.code": rng.integers(0, 256, (2, 3, 3, 2), np.uint8),
        "002_fc": rng.integers(-99, 99, (2, 4), np.int64),
        "003_x.total": rng.integers(-99, 99, (2, 4)).astype(">i8"),
    }


def _npy_folder(folder: Path) -> list[str]:
    (folder / "dump").mkdir()
    for name, array in _arrays().items():
        np.save(folder / "dump" / f"{name}.npy", array)
    return [f"dump/{name}.npy" for name in _arrays()]


def _npz(folder: Path) -> list[str]:
    np.savez(folder / "plain.npz", **_arrays())
    np.savez_compressed(folder / "packed.npz", **_arrays())
    return ["plain.npz", "packed.npz"]


def _pack(folder: Path) -> list[str]:
    network = small()
    write_vectors(network, random_images(network, 2), folder / "pack", formats=FORMATS, backend="reference")
    return sorted(path.relative_to(folder).as_posix() for path in (folder / "pack").rglob("*") if path.is_file())


def _manifest(folder: Path) -> list[str]:
    _pack(folder)
    return ["pack/manifest.json"]


def _read_pack(folder: Path, name: str) -> None:
    _all_of(folder / "pack")


def _text(fmt: str) -> Reader:
    memory = Memory("l0_name_code", 13, 40)

    def build(folder: Path) -> list[str]:
        words = memories.random_words(memory.word_bits, memory.words)
        (folder / "words").write_bytes(memories.written(TEXT_FORMATS[fmt].write, memory, words))
        return ["words"]

    return Reader(build, lambda folder, name: [*TEXT_FORMATS[fmt].read(folder / name, memory)])


def _pack_npy(folder: Path) -> list[str]:
    np.save(folder / "a.npy", np.arange(24, dtype=np.int32).reshape(2, 3, 4))
    return ["a.npy"]


def _onnx(folder: Path) -> list[str]:
    from onnx_models import as_bytes, classifier

    (folder / "a.onnx").write_bytes(as_bytes(classifier()))
    return ["a.onnx"]


def _idx(folder: Path) -> list[str]:
    images, labels = data_sets.gray_images(4)
    for packed in (False, True):
        data_sets.mnist(folder / f"packed{packed}", {"train": (images, labels)}, packed)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*ubyte*"))


def _cifar(folder: Path) -> list[str]:
    train, test = data_sets.cifar_images(2), data_sets.cifar_images(1, 2)
    binary, pickled = data_sets.cifar10([train], test)
    fine, fine_pickled = (
        dict(files)
        for files in data_sets.cifar100(data_sets.cifar_images(2, 1, 100, 20), data_sets.cifar_images(1, 2, 100, 20))
    )
    for name, files in (("binary", binary), ("pickled", pickled), ("fine", fine), ("fine_pickled", fine_pickled)):
        data_sets.write_folder(folder / name, files)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _archives(folder: Path) -> list[str]:
    _, pickled = data_sets.cifar10([data_sets.cifar_images(2)], data_sets.cifar_images(1, 2))
    data_sets.write_archive(folder / "a.tar.gz", pickled)
    data_sets.write_archive(folder / "a.tar", pickled, mode="w")
    return ["a.tar.gz", "a.tar"]


def _read_set_around(folder: Path, name: str) -> None:
    _read_set(folder / name.partition("/")[0])


def _read_set(path: Path, **reading: Any) -> None:
    with open_image_set(path, Reading(**reading)) as images:
        _ = list(images.blocks(np.arange(min(images.count, 4))))


def _read_archive(folder: Path, name: str) -> None:
    _read_set(folder / name, split="train")


def _read_split(folder: Path, name: str) -> None:
    _read_set(folder / name.partition("/")[0], split="test" if "test" in name else "train")


def _pickle(folder: Path) -> list[str]:
    images = data_sets.cifar_images(1)
    (folder / "python2").write_bytes(data_sets.pickled(images))
    (folder / "meta").write_bytes(data_sets.meta(label_names=data_sets.TEN))
    import pickle

    content = {"data": np.zeros((1, 3072), np.uint8), "labels": [3], b"bytes": b"x" * 40, "t": (1, 2, None, True)}
    for protocol in range(1, 6):
        (folder / f"protocol{protocol}").write_bytes(pickle.dumps(content, protocol))
    return ["python2", "meta", *(f"protocol{protocol}" for protocol in range(1, 6))]


def _read_pickle(folder: Path, name: str) -> None:
    read_plain_pickle(io.BytesIO((folder / name).read_bytes()), name)


def _image_folder(folder: Path) -> list[str]:
    library = optional.package("PIL.Image")
    image = library.fromarray(np.random.default_rng(4).integers(0, 256, (6, 7, 3), np.uint8))
    (folder / "set").mkdir()
    names = []
    for ending in ("png", "jpg", "bmp", "gif", "webp", "tif", "ppm"):
        image.save(folder / "set" / f"a.{ending}")
        names.append(f"set/a.{ending}")
    return names


def _read_image_folder(folder: Path, name: str) -> None:
    listing = folder / "one.csv"
    listing.write_text(f"file,label\n{name.partition('/')[2]},0\n")
    _read_set(folder / "set", labels=str(listing))


def _table(folder: Path) -> list[str]:
    _image_folder(folder)
    (folder / "labels.csv").write_text("file,label\na.png,ant\na.bmp,bee\n")
    (folder / "names.txt").write_text("ant\nbee\n")
    return ["labels.csv", "names.txt"]


def _read_table(folder: Path, name: str) -> None:
    _read_set(folder / "set", labels=str(folder / "labels.csv"), class_names=str(folder / "names.txt"))


def _sweep(folder: Path) -> list[str]:
    jobs = [Job(scheme, "a" * 64, "b" * 64, "c" * 64, 16, 5) for scheme in (None, Scheme(), Scheme(weights="int8"))]
    layered = Job(Scheme(layers=(("conv", "int4"),), reestimate=True), "a" * 64, "b" * 64, "c" * 64, 16, 5)
    results.write_plan(folder / "sweep", Files("net.h5", "calibration.h5", "images.h5"), [*jobs, layered])
    for job in [*jobs, layered]:
        results.write_record(folder / "sweep", job, sweeps.record())
    return sorted(path.relative_to(folder).as_posix() for path in (folder / "sweep").rglob("*.json"))


def _read_sweep(folder: Path, name: str) -> None:
    found = results.read_sweep(folder / "sweep")
    results.csv_of(found.rows)
    results.read_others(folder / "sweep", [row.job for row in found.rows][:1] or [])
    for row in found.rows:
        if row.failure is not None:
            _one_line(row.failure)


def _energy(folder: Path) -> list[str]:
    (folder / "table.csv").write_text(energy.DEFAULT)
    return ["table.csv"]


def _grid(folder: Path) -> list[str]:
    words = (
        "weights=ternary,int4 cluster=1,2,4,...,64",
        "layers=none,first=int4+conv=int8",
        "seed=0,1,...,9 reestimate=yes",
    )
    for number, text in enumerate(words):
        (folder / f"grid{number}").write_text(text)
    return [f"grid{number}" for number in range(len(words))]


def _read_grid(folder: Path, name: str) -> None:
    text = (folder / name).read_text("utf-8", "replace")[:2000]
    for scheme in grid.schemes(text.split())[:50]:
        for field in dataclasses.fields(scheme):
            grid.written(field.name, getattr(scheme, field.name))


def _stimulus(folder: Path) -> list[str]:
    network = small()
    layer = network.layers[1]
    (folder / "worst").mkdir()
    files = worst_case_files.stimulus_files(network, layer, worst_case_files.stimuli(network, layer))
    for name, content in files.items():
        (folder / "worst" / name).write_bytes(content)
    return [f"worst/{name}" for name in files]


def _read_stimulus(folder: Path, name: str) -> None:
    worst_case_files.check_folder(folder / "worst", small())


def _planted(folder: Path) -> list[str]:
    (folder / "x").write_bytes(b"sound" * 20)
    return ["x"]


def _fail(folder: Path, name: str) -> None:
    """What the fuzzer must count, planted to test it."""
    match os.environ.get("FUZZ_PLANTED", ""):
        case "traceback":
            raise KeyError("planted")
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(600)
        case "memory":
            bytearray(5 << 29)[:: 1 << 12] = b"x" * ((5 << 29) >> 12)


READERS: dict[str, Reader] = {
    "float network": Reader(_float, lambda folder, name: read_float_network(folder / name), HDF5),
    "integer network": Reader(_int, lambda folder, name: read_int_network(folder / name), HDF5),
    "images": Reader(_images, _read_images, HDF5),
    "trace": Reader(_trace, _read_dump, HDF5),
    "HDF5 dump": Reader(_plain_hdf5, _read_dump, HDF5),
    "npy dump": Reader(_npy_folder, lambda folder, name: _all_of(folder / "dump")),
    "npz dump": Reader(_npz, _read_dump),
    "pack": Reader(_pack, _read_pack),
    "pack manifest": Reader(_manifest, lambda folder, name: read_manifest(folder / "pack"), JSON),
    "pack npy": Reader(_pack_npy, lambda folder, name: npy.read(folder / name, "int32", (2, 3, 4), 0, 2)),
    **{f"pack {fmt}": _text(fmt) for fmt in TEXT_FORMATS},
    "onnx": Reader(_onnx, lambda folder, name: convert_file(folder / name)),
    "idx": Reader(_idx, _read_set_around),
    "cifar": Reader(_cifar, _read_split),
    "tar": Reader(_archives, _read_archive),
    "pickle": Reader(_pickle, _read_pickle),
    "image file": Reader(_image_folder, _read_image_folder),
    "image table": Reader(_table, _read_table),
    "sweep": Reader(_sweep, _read_sweep, SEALED),
    "energy table": Reader(_energy, lambda folder, name: energy.read_table(str(folder / name))),
    "grid": Reader(_grid, _read_grid),
    "witness": Reader(_stimulus, _read_stimulus),  # a former word: the name seeds the counts of docs/security.md
}
PLANTED = {"planted": Reader(_planted, _fail)}
