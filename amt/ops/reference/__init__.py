"""What the operations mean, in plain PyTorch."""
