"""Data sets of others: CIFAR, IDX, folders of image files."""
