"""What can be said of a network and its integers without a device under test."""
