"""The workbench: from a table or images to a verdict, with nothing fitted outside the training part of a split.

===========  =====================================================================================
sources      ``Table``, ``ImageTable``: what is studied, behind the same questions
load         ``load_data(path, target) -> Table | ImageTable``, ``make_table``, ``make_images``: read and checked
splits       ``make_splits(target (N,), folds=, seed=) -> [Split]``: row numbers of training and test
compare      ``run_comparison(table, plan, folder) -> Run``: every candidate on every split, resumable
summary      ``summarise(run) -> dict``: metrics with intervals, paired differences, advice
train        ``train_table(table, recipe) -> Training``: one candidate, calibrated, with its decision
ship         ``TrainedModel``: schema to decision in one object, saved without code
layers       ``describe_network``, ``rebuild_network``: a network in words and tensors
===========  =====================================================================================

Names are imported from their modules; this package itself imports nothing.
"""
