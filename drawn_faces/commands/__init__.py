# SPDX-License-Identifier: MIT
"""The sub-commands of ``arcface-fair`` that draw faces; pyproject.toml announces them."""
