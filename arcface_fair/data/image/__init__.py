# SPDX-License-Identifier: MIT
"""One image: its header, landmarks, alignment and crop."""
