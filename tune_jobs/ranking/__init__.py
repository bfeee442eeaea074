"""Pretrained networks ranked by what a head on their features reaches, with the uncertainty."""
