"""PyTorch: modules converted, networks exported, fine-tuning."""
