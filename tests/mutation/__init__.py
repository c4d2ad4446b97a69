"""Mistakes of hardware put into the layers of a network: the project testing that ``compare`` finds and names them."""
