"""The fast plan: a network compiled into steps over packed weights and buffers; the same integers as the
definitions."""
