"""State dicts with the names and shapes of published weights, made without downloading them."""

from trainables.models import pretrained
from trainables.models.timm_networks import create


def state_of(name, image_size=None):
    """Random weights of a network as its package publishes them; of timm at an image size."""
    if name.startswith("timm:"):
        model = create(name, image_size=image_size)
    else:
        extra = {"init_weights": True} if name in pretrained.AUXILIARY else {}
        model = pretrained.torchvision_network(name, None, **extra)
    return {key: value.numpy() for key, value in model.state_dict().items()}
