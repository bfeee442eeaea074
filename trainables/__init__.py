"""What one trial does: images, models and the training loop. Only trainable.py knows Ray."""
