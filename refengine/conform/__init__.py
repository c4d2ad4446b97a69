"""Is an implementation of the contract right, and does this machine compute what others do? (docs/conformance.md)

A case is what one clause, function or operator of the contract gets and gives.  ``suite.py`` puts all cases together,
``folder.py`` writes and reads them as files for implementers in any language, ``verify.py`` judges the results that
an implementation wrote, ``clauses.py`` counts cases by clause.  ``passport.py`` is one digest over small networks.

Nothing here is random: ``stream.py`` draws by counting, so that every machine makes the same bytes.
"""
