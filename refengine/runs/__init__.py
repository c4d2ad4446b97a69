"""A run over many images on any backend: its logits, its trace, its digest."""
