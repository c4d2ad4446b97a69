"""Open a dump of any kind: an HDF5 trace, a vector pack, or arrays with names (a folder, one .npz, any HDF5 file).

Nothing is believed unchecked.  A dump that is none is a FileError of one line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from ...errors import FileError
from ...text import PathLike, printable
from ...vectors.manifest import MANIFEST
from .chosen import EXCHANGED, Chosen, begins_with
from .dump import FOLDER, Dump, checked
from .layer_names import some
from .number_files import is_number_file
from .open_hdf5 import open_hdf5
from .open_named import by_name, open_archive, open_file, open_folder
from .open_pack import open_pack
from .waves import is_waves

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


@contextmanager
def open_dump(
    path: PathLike, ignore: Sequence[str] = (), as_written: bool = True, name: str | None = None
) -> Iterator[Dump]:
    """Open a dump of any kind for the length of a ``with`` block; FileError if it is none.

    ignore: names or shell patterns of files, members and layers that are taken as if they were not there.  as_written:
    whether a vector pack of which a file was changed is refused, as a golden must be; a DUT's is read as it is, and
    it may hold files of numbers and floats.  name: what the one array of a file is, LAYER.STAGE.
    """
    place = Path(path)
    chosen = Chosen(printable(os.fspath(path)), tuple(ignore), not as_written)
    with ExitStack() as stack:
        if place.is_dir():
            pack = (place / MANIFEST).exists()
            if not pack and not chosen.of_dut:
                _refuse_packs(place, chosen.name)
            yield open_pack(place, chosen, stack, as_written) if pack else open_folder(place, chosen, stack)
        elif begins_with(place, *_ZIP):
            yield open_archive(place, chosen, stack)
        elif name is not None:
            yield by_name(
                place, chosen, FOLDER, {name: checked(partial(open_file, place, chosen.name, chosen, stack))}, {}
            )
        elif not chosen.of_dut and _is_written_by_a_dut(place):
            raise FileError(f"{chosen.name}: is a file that a DUT writes, and no golden{EXCHANGED}")
        else:
            yield open_hdf5(place, chosen, stack)


def _refuse_packs(folder: Path, name: str) -> None:
    """FileError for a golden that is a folder of vector packs, as ``vectors --directed`` writes."""
    found = sorted(path.parent for path in (*folder.glob(f"*/{MANIFEST}"), *folder.glob(f"*/*/{MANIFEST}")))
    if found:
        packs = some([os.fspath(path) for path in found], 3)
        raise FileError(f"{name}: is a folder of vector packs, each is compared by itself: {packs}")


def _is_written_by_a_dut(path: Path) -> bool:
    """Whether a golden's path is that of numbers without a shape, or of waves."""
    name = is_number_file(path.name) or is_waves(path)
    return path.is_file() and name and not begins_with(path, b"\x89HDF")
