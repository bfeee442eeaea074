"""Models, data loading and the training loop of one trial. Only trainable.py imports Ray."""
