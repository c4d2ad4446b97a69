"""Sphinx extension: every clause of the contract is a link target, and whatever cites a clause links to it.

``**R4** ...`` at the start of a paragraph of contract.md becomes ``contract.html#R4``.  ``contract R1, R4``,
``contract R1-R5``, and ``[R4]`` on other pages are citations; so are those of docstrings.
"""

import re

from docutils import nodes

CONTRACT = "contract"
CLAUSE = re.compile(r"[A-Z][a-z_]*\d+")
_SEPARATOR = r"(?:, | and |-)"
_CITATION = re.compile(rf"contract ({CLAUSE.pattern}(?:{_SEPARATOR}{CLAUSE.pattern})*)|\[({CLAUSE.pattern})\]")
_LITERAL = (nodes.literal, nodes.literal_block, nodes.title)


def mark_clauses(app, doctree):
    """Give each clause of the contract its id."""
    if app.env.docname != CONTRACT:
        return
    found = {}
    for strong in doctree.findall(nodes.strong):
        name, before = strong.astext(), strong.parent.children[: strong.parent.index(strong)]
        if CLAUSE.fullmatch(name) and not any(node.astext() for node in before):
            strong["ids"].append(name)
            found[name] = None
    app.env.refengine_clauses = found


def link_citations(app, doctree, docname):
    """Turn citations of clauses that exist into links."""
    known = getattr(app.env, "refengine_clauses", {})
    for text in list(doctree.findall(nodes.Text)):
        around = list(_ancestors(text))
        if any(isinstance(node, _LITERAL) for node in around):
            continue
        link = next((node for node in around if isinstance(node, nodes.reference)), None)
        if link is not None:
            _point_to_clause(link, known)
            continue
        parts = list(_linked(text.astext(), known, lambda name: _address(app, docname, name)))
        if len(parts) > 1:
            text.parent.replace(text, parts)


def _ancestors(node):
    while node.parent is not None:
        node = node.parent
        yield node


def _point_to_clause(link, known):
    """A link to the contract whose words cite a clause leads to that clause."""
    citation = _CITATION.search(link.astext())
    name = None if citation is None else CLAUSE.search(citation[0])
    if name is not None and name[0] in known and link.get("refuri", "").endswith(f"{CONTRACT}.html"):
        link["refuri"] += f"#{name[0]}"


def _address(app, docname, name):
    page = "" if docname == CONTRACT else app.builder.get_relative_uri(docname, CONTRACT)
    return f"{page}#{name}"


def _linked(text, known, address):
    """The text in pieces, those that name a clause as links."""
    end = 0
    for citation in _CITATION.finditer(text):
        group = 1 if citation[1] is not None else 2
        for name in CLAUSE.finditer(text, citation.start(group), citation.end(group)):
            if name[0] in known:
                if name.start() > end:
                    yield nodes.Text(text[end : name.start()])
                yield nodes.reference("", name[0], refuri=address(name[0]), internal=True)
                end = name.end()
    if end < len(text):
        yield nodes.Text(text[end:])


def setup(app):
    """Called by Sphinx."""
    app.connect("doctree-read", mark_clauses)
    app.connect("doctree-resolved", link_citations)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
