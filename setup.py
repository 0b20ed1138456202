# SPDX-License-Identifier: MIT
"""Packages the core, its plugins and the drawn faces, and two folders as parts of `arcface_fair`.

The shipped configs become `arcface_fair._configs`, the patches `arcface_fair._patches`.

The metadata lives in pyproject.toml. Nothing top-level called ``configs`` is ever installed, since
arcface_torch imports a package of that name from its own folder.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(
            include=[
                "arcface_fair*",
                "invreg_plugin*",
                "gabn_plugin*",
                "contrast_plugin*",
                "drawn_faces*",
            ]
        ),
        "arcface_fair._configs",
        "arcface_fair._patches",
    ],
    package_dir={"arcface_fair._configs": "configs", "arcface_fair._patches": "patches"},
)
