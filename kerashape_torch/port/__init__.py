"""Models as PyTorch source that needs this package no more."""

from kerashape_torch.port.write import FILES, port

__all__ = ["FILES", "port"]
