"""Data sets as their authors publish them, made small and by plain Python: CIFAR in four versions, IDX, archives."""

import gzip
import io
import random
import struct
import tarfile

import numpy as np

TEN = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FINE = tuple(f"fine_{number}" for number in range(100))
COARSE = tuple(f"coarse_{number}" for number in range(20))


def cifar_images(count, seed=1, fine=10, coarse=None):
    """(fine label, coarse label or None, the 3072 bytes) of each image."""
    chance = random.Random(seed)
    return [
        (chance.randrange(fine), None if coarse is None else chance.randrange(coarse), chance.randbytes(3072))
        for _ in range(count)
    ]


def pixels_of(data):
    """The oracle: an image [row][column][channel] of planes of red, green and blue."""
    return [[[data[1024 * channel + 32 * y + x] for channel in range(3)] for x in range(32)] for y in range(32)]


def binary(images):
    """A file of the binary version."""
    return b"".join(bytes([label] if coarse is None else [coarse, label]) + data for label, coarse, data in images)


def text(value):
    """A text as Python 2 pickles it."""
    content = value if isinstance(value, bytes) else value.encode()
    short = len(content) < 256
    return (b"U" + bytes([len(content)]) if short else b"T" + struct.pack("<i", len(content))) + content


def number(value):
    return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)


def listed(parts):
    """A list, pushed in batches of 1000 as cPickle does."""
    batches = [parts[start : start + 1000] for start in range(0, len(parts), 1000)]
    return b"]q\x63" + b"".join(b"(" + b"".join(batch) + b"e" for batch in batches)


def array(rows, columns, data):
    """A NumPy array of bytes, as NumPy 1 under Python 2 pickles it."""
    return (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x08cnumpy\nndarray\nq\x09K\x00\x85U\x01b\x87Rq\x0a(K\x01"
        + number(rows)
        + number(columns)
        + b"\x86cnumpy\ndtype\nq\x0bU\x02u1K\x00K\x01\x87Rq\x0c"
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + text(data)
        + b"tb"
    )


def python2(entries):
    """A dict of (key, code that pushes the value), protocol 2."""
    return b"\x80\x02}q\x01(" + b"".join(text(key) + code for key, code in entries) + b"u."


def pickled(images):
    """A file of the Python version, as the authors wrote it with Python 2."""
    labels = [number(label) for label, _, _ in images]
    entries = [("batch_label", text("training batch 1 of 5"))]
    if images[0][1] is None:
        entries.append(("labels", listed(labels)))
    else:
        entries.append(("fine_labels", listed(labels)))
        entries.append(("coarse_labels", listed([number(coarse) for _, coarse, _ in images])))
    entries.append(("data", array(len(images), 3072, b"".join(data for _, _, data in images))))
    return python2([*entries, ("filenames", listed([text(f"a_{n}.png") for n in range(len(images))]))])


def meta(**names):
    """A file of class names of the Python version, protocol 0 as CIFAR-10 has it."""
    lists = ("".join(f"S'{name}'\np{n + 9}\na" for n, name in enumerate(found)) for found in names.values())
    parts = (f"S'{key}'\np2\n(lp3\n{found}s" for key, found in zip(names, lists, strict=True))
    return f"(dp1\nS'num_vis'\np2\nI3072\ns{''.join(parts)}.".encode()


def lines(names):
    return "\n".join(names).encode() + b"\n\n"


def cifar10(train, test):
    """Files of both versions: name -> bytes; ``train``: a list of batches."""
    files = {f"data_batch_{n}": batch for n, batch in enumerate(train, 1)} | {"test_batch": test}
    plain = {f"{name}.bin": binary(images) for name, images in files.items()}
    python = {name: pickled(images) for name, images in files.items()}
    return {**plain, "batches.meta.txt": lines(TEN)}, {**python, "batches.meta": meta(label_names=TEN)}


def cifar100(train, test):
    files = {"train": train, "test": test}
    plain = {f"{name}.bin": binary(images) for name, images in files.items()}
    python = {name: pickled(images) for name, images in files.items()}
    names = {"fine_label_names.txt": lines(FINE), "coarse_label_names.txt": lines(COARSE)}
    return {**plain, **names}, {**python, "meta": meta(fine_label_names=FINE, coarse_label_names=COARSE)}


def write_folder(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(path, files, inside="batches", mode="w:gz"):
    """A tar archive of a folder with the files, backwards, for an archive has no order that can be relied on."""
    with tarfile.open(path, mode) as archive:
        folder = tarfile.TarInfo(inside)
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in reversed(files.items()):
            member = tarfile.TarInfo(f"{inside}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def idx(axes, values, kind=8):
    return bytes([0, 0, kind, len(axes)]) + struct.pack(f">{len(axes)}I", *axes) + bytes(values)


def mnist(folder, splits, packed=True):
    """The four files of a folder: split -> (images of H rows of W, labels)."""
    folder.mkdir(exist_ok=True)
    for split, (images, labels) in splits.items():
        values = [value for image in images for row in image for value in row]
        contents = {
            f"{split}-images-idx3-ubyte": idx((len(images), len(images[0]), len(images[0][0])), values),
            f"{split}-labels-idx1-ubyte": idx((len(labels),), labels),
        }
        for name, content in contents.items():
            ending, content = (".gz", gzip.compress(content)) if packed else ("", content)
            (folder / (name + ending)).write_bytes(content)
    return folder


def gray_images(count, height=5, width=4, seed=3):
    """Images [row][column] and labels."""
    chance = random.Random(seed)
    images = [[[chance.randrange(256) for _ in range(width)] for _ in range(height)] for _ in range(count)]
    return images, [chance.randrange(10) for _ in range(count)]


def ppm(pixels):
    """An image file that needs no codec, of [row][column] of (r, g, b)."""
    values = [value for row in pixels for pixel in row for value in pixel]
    return f"P6 {len(pixels[0])} {len(pixels)} 255\n".encode() + bytes(values)


def colours(height, width, seed=5):
    chance = random.Random(seed)
    return [[[chance.randrange(256) for _ in range(3)] for _ in range(width)] for _ in range(height)]


def as_lists(images, chosen=None):
    """All or the chosen images of a set: names, pixels and labels, as lists."""
    blocks = list(images.blocks(np.arange(images.count) if chosen is None else np.array(chosen)))
    pixels = [image.tolist() for block in blocks for image in block.pixels]
    labels = None if blocks[0].labels is None else [int(label) for block in blocks for label in block.labels]
    return [name for block in blocks for name in block.files], pixels, labels
