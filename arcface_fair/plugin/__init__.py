# SPDX-License-Identifier: MIT
"""The contract between a plugin and its host: events, parts, the session, settings."""
