"""Pages: no script and no address, and text of a file is never markup."""

from sweeps import HOSTILE

from refengine.accuracy.html_page import document, percent, table, text


def test_texts_are_escaped_and_in_one_line():
    page = document(HOSTILE, [table(["a", "b>"], [[text(HOSTILE), percent(0.5)]], ["front"])])
    assert "<script" not in page
    assert "\x1b" not in page
    assert 'class="n">50.00 %</td>' in page
    assert '<tr class="front">' in page


def test_a_cell_may_be_a_whole_one():
    assert "<td colspan=2>x</td>" in table(["a", "b"], [["<td colspan=2>x</td>"]])
