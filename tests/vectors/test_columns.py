"""Tables: which column holds the words, by its name, its number, or what the others are."""

import pytest

from refengine.errors import FileError
from refengine.vectors.columns import ColumnGrammar, Table, column_of, table_of
from refengine.vectors.word_text import DECIMAL, chunks

TEXTS = {
    "code\n1\n2\n": (("code",), 0),
    "n,y,x,c,code\n0,0,0,0,7\n": (("n", "y", "x", "c", "code"), 4),
    "time; value\n10; 7\n": (("time", "value"), 1),
    "address result\n1 2\n": (("address", "result"), 1),
    "index\tmine\n1\t2\n": (("index", "mine"), 1),
    '"a","b","code"\n1,2,3\n': (("a", "b", "code"), 2),
    "# written by hand\n\n1,2\n": ((), None),
    "1 2 3\n": ((), None),
    "ff\n00\n": ((), None),
    "x\n1\n": ((), None),
    "@0 1\n": ((), None),
    "": ((), None),
}


@pytest.mark.parametrize("text", TEXTS)
def test_the_column_of_words(text, tmp_path):
    (tmp_path / "t").write_text(text)
    table = table_of(tmp_path / "t")
    names, column = TEXTS[text]
    assert table.names == names
    assert column_of(table, None, "code", "t") == column


@pytest.mark.parametrize("head", ["code,data", "value,got", "golden,mine"])
def test_two_columns_that_may_hold_the_words(head, tmp_path):
    (tmp_path / "t").write_text(head + "\n1,2\n")
    with pytest.raises(FileError, match="--column NAME says which holds the words"):
        column_of(table_of(tmp_path / "t"), None, "code", "t")


def test_stages_side_by_side(tmp_path):
    (tmp_path / "t").write_text("index,accumulator,total,code\n0,1,2,3\n")
    table = table_of(tmp_path / "t")
    assert [column_of(table, None, stage, "t") for stage in ("accumulator", "total", "code")] == [1, 2, 3]


def test_a_column_that_is_asked_for():
    table = Table(("a", "B"), 2)
    assert [column_of(table, name, "code", "t") for name in ("a", "b", "1")] == [0, 1, 1]
    assert column_of(Table((), 3), "2", "code", "t") == 2
    for asked, needle in (("c", "has no column 'c', it has a, B"), ("2", "has no column '2'"), (None, "--column NAME")):
        with pytest.raises(FileError, match=needle):
            column_of(table, asked, "code", "t")


def test_the_cells_of_a_column(tmp_path):
    (tmp_path / "t").write_text('head,er\n1, 10\n\n2, "-20"\n3;30\n')
    (chunk,) = chunks(tmp_path / "t", ColumnGrammar(column=1, head=1), DECIMAL, 1)
    assert chunk.words[:, 0].view("i1").tolist() == [10, -20, 30]
    assert [chunk.tokens.line_of(word) for word in range(3)] == [2, 4, 5]
    with pytest.raises(FileError, match="line 2 has 2 columns, needed column 2"):
        list(chunks(tmp_path / "t", ColumnGrammar(column=2, head=1), DECIMAL, 1))
