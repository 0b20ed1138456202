# SPDX-License-Identifier: MIT
"""A model and sets of images in, comparisons and tables out: `inputs`, then `protocols`."""
