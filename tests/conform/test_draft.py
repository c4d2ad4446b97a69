"""Model files as plain data: what the engine writes and hashes, without the engine."""

import networks
import pytest

from refengine.conform.draft import draft_of, hash_of, members, write_draft
from refengine.network.int_file import read_int_network

NETWORKS = [networks.small(), networks.every_op("stochastic"), networks.dynamic()]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.hash[:8])
def test_the_hash_is_the_networks(network):
    """Two computations of V4."""
    assert hash_of(draft_of(network)) == network.hash


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.hash[:8])
def test_the_file_is_read_as_the_network(network, tmp_path):
    write_draft(draft_of(network), tmp_path / "draft.h5")
    found = read_int_network(tmp_path / "draft.h5")
    assert (found.hash, found.name) == (network.hash, network.name)


def test_a_change_is_made_to_a_copy():
    draft = draft_of(networks.small())
    changed = draft.changed(lambda one: one.root.update(classes=9))
    assert (draft.root["classes"], changed.root["classes"]) == (2, 9)
    assert changed.layers["001_conv"].arrays["weight"] is not draft.layers["001_conv"].arrays["weight"]


def test_members_are_layers_and_their_requantizations():
    assert [*members(draft_of(networks.small()))] == [
        "000_input", "001_conv", "002_fc", "000_input/requantize", "001_conv/requantize",
    ]  # fmt: skip


def test_the_same_bytes(tmp_path):
    for name in ("one.h5", "two.h5"):
        write_draft(draft_of(networks.small()), tmp_path / name)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
