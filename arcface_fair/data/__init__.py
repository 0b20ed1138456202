# SPDX-License-Identifier: MIT
"""Faces in: records, image folders, verification sets, group tables, and what feeds them on.

``recordio`` and ``recordio_writer`` are the RecordIO files themselves, ``dataset`` and
``image_folder`` give images by position, ``sampler`` and ``loader`` give batches, ``bins`` the
verification sets, ``groups`` the table from identity to group. Nothing here needs MXNet.
"""
