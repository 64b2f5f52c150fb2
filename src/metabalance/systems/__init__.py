"""Whole published systems for one field, built of the library's parts: features, a network, its confidence, a protocol.

A folder is a field. ``materials`` is MODNet and the MatBench protocol.
"""
