"""``metabalance reproduce``: a paper's central claim, run at a size that a machine with two cores does in minutes.

:mod:`base` says what a claim is, :mod:`claims` holds one file for each, :mod:`images` makes the data, :mod:`measure`
trains and measures; :mod:`values`, :mod:`value_sets` and :mod:`value_measure` are the same for continuous targets, and
:mod:`places` knows where data lie. :mod:`run` keeps finished fits, :mod:`verdict` judges, :mod:`page` and
:mod:`command` tell.
"""
