"""Layout: how the tensors of a pack become words, said once for all of them; what is not said follows from each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from ..errors import RangeError
from .orders import blocked
from .tensors import AXES, PARTS, Tensor
from .words import TWOS_COMPLEMENT, Packing, fitted


@dataclass(frozen=True)
class Layout:
    """How elements become words; what is not given follows from each tensor.

    word_bits: of all tensors, or of those that a shell pattern means, later patterns first.  elements: of a word, None:
    as many as fit.  straddle, first, endian: as in ``vectors/words.py``.  orders: axes in the order in which elements
    lie, each for the tensors with these axes, the fastest last; ``nchw8c``: channels in blocks of 8, the last filled up
    with zeros.  code_map: of ternary codes.
    """

    word_bits: int | None = None
    word_bits_of: Sequence[tuple[str, int]] = ()
    elements: int | None = None
    straddle: bool = False
    orders: Sequence[str] = ()
    first: str = "low"
    endian: str = "little"
    code_map: str = TWOS_COMPLEMENT
    _orders: Mapping[str, str] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        known = {"".join(sorted(axes)): axes for axes in AXES}
        found: dict[str, str] = {}
        for order in map(str.lower, self.orders):
            axes = "nhwc" if blocked(order) else known.get("".join(sorted(order)))
            if axes is None:
                raise RangeError(f"order {order!r} is none of these axes rearranged: {', '.join(AXES)}")
            if "n" in axes and order[0] != "n":
                raise RangeError(f"order {order!r} does not begin with the images, n")
            if axes in found:
                raise RangeError(f"order {order!r} and order {found[axes]!r} are of the same axes")
            found[axes] = order
        object.__setattr__(self, "_orders", found)

    def order(self, tensor: Tensor) -> str:
        """The tensor's axes as its elements lie, the fastest last."""
        return self._orders.get(tensor.axes, tensor.axes)

    def packing(self, tensor: Tensor) -> Packing:
        """How a tensor is packed; RangeError, with its name, where it cannot be."""
        width = self.word_bits
        for pattern, bits in self.word_bits_of:
            width = bits if _means(pattern, tensor) else width
        code_map = self.code_map if tensor.ternary else None
        try:
            return fitted(
                tensor.bits, tensor.signed, width, self.elements, self.straddle, self.first, self.endian, code_map
            )
        except RangeError as error:
            raise RangeError(f"{tensor.name}: {error}") from None


def _means(pattern: str, tensor: Tensor) -> bool:
    """Whether a pattern means a tensor: its whole name, the name without the layer's number, or its last part."""
    return any(fnmatchcase(name, pattern) for name in (tensor.name, tensor.name.split("_", 1)[-1], tensor.part))


def without_others(layout: Layout, tensors: Sequence[Tensor]) -> Layout:
    """The layout of a pack of these tensors alone: patterns that mean none of them are of other packs, and left out."""
    return replace(
        layout, word_bits_of=[one for one in layout.word_bits_of if any(_means(one[0], tensor) for tensor in tensors)]
    )


def check_patterns(layout: Layout, tensors: Sequence[Tensor]) -> None:
    """RangeError where a pattern of the layout means no tensor."""
    for pattern, _ in layout.word_bits_of:
        if not any(_means(pattern, tensor) for tensor in tensors):
            raise RangeError(f"no tensor is called {pattern!r}; tensors are images, LAYER/{', LAYER/'.join(PARTS)}, "
                             "logits")  # fmt: skip
