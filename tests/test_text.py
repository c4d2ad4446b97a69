"""Texts of files stay on one line, whatever they contain."""

from refengine.text import printable, shown


def test_texts_are_printed_on_one_line_and_cut():
    assert printable("a\nb\x1b\udc80ü") == r"a\nb\x1b\udc80ü"
    assert shown("x" * 1000) == "'" + "x" * 76 + "..."
    assert shown("a\nb") == r"'a\nb'"
