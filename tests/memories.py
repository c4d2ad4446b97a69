"""Words of memories for tests of the text formats: random ones, and what writers and readers make of them."""

import io

import numpy as np
import pytest

from refengine.errors import FileError
from refengine.vectors.memory import Memory

WIDTHS = (1, 4, 8, 13, 22, 32, 33, 63, 64, 65, 128, 4096)


def random_words(word_bits, count, seed=0):
    """Python integers, the largest and 0 among them."""
    rng = np.random.default_rng(seed)
    size = -(-word_bits // 8)
    words = [int.from_bytes(rng.bytes(size), "little") % 2**word_bits for _ in range(count)]
    words[-2:] = [0, 2**word_bits - 1][-len(words) :]
    return words


def as_array(words, word_bits):
    """Integers as the arrays that writers take."""
    size = -(-word_bits // 8)
    data = b"".join(word.to_bytes(size, "little") for word in words)
    return np.frombuffer(data, np.uint8).reshape(-1, size)


def as_integers(chunks):
    return [int.from_bytes(word.tobytes(), "little") for chunk in chunks for word in chunk]


def written(write, memory, words):
    """What a writer makes of integers that come in uneven chunks."""
    out, array = io.BytesIO(), as_array(words, memory.word_bits)
    write(out, memory, [array[:0], array[:1], array[1:4], array[4:]])
    return out.getvalue()


def round_trip(write, read, word_bits, count, path, numbers=False):
    """The text that was written, once it is read back to the same words."""
    memory, words = Memory("l0_name_code", word_bits, count, numbers), random_words(word_bits, count)
    content = written(write, memory, words)
    path.write_bytes(content)
    assert as_integers(read(path, memory)) == words
    return content.decode("latin-1")


def assert_refused(read, memory, path, content, *needles):
    """The reader refuses a text in one line that names the file."""
    path.write_bytes(content)
    with pytest.raises(FileError) as refusal:
        list(read(path, memory))
    message = str(refusal.value)
    assert message.startswith(str(path)), message
    assert "\n" not in message
    for needle in needles:
        assert needle in message, message


def assert_damage_is_noticed(write, read, memory, path, same=()):
    """Lines that are lost or doubled, a text that is cut, a foreign character: each refused, or read as other words.

    ``same``: characters that may change without changing a word.
    """
    words = random_words(memory.word_bits, memory.words)
    content = written(write, memory, words)
    lines = content.splitlines(keepends=True)
    spoilt = [b"".join(lines[:i] + lines[i + 1 :]) for i in range(len(lines))]
    spoilt += [b"".join(lines[: i + 1] + lines[i:]) for i in range(len(lines))]
    spoilt += [content[:i] for i in range(0, len(content) - 1, 7)]
    places = range(0, len(content) - 1, 1 + len(content) // 500)
    spoilt += [content[:i] + b"?" + content[i + 1 :] for i in places if content[i : i + 1] not in same]
    for text in spoilt:
        path.write_bytes(text)
        try:
            found = as_integers(read(path, memory))
        except FileError:
            continue
        assert found != words, text
