# SPDX-License-Identifier: MIT
"""Where an embedding looks: gradient maps, their second order, Grad-CAM, means per group."""
