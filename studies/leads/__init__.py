# SPDX-License-Identifier: MIT
"""Experiments outside the product: one plugin each, for ideas that were worth one look.

A run started in the checkout lists one by its module, say ``studies.leads.group_dro``; the suite
``leads`` of `arcface-fair benchmark` does so, and its table says what they came to.
"""
