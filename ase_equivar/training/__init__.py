"""Training: labelled crystals → examples → fit → model folder → errors and card.

Needs the extra `train` (Lightning, torchmetrics, PyYAML).
"""
