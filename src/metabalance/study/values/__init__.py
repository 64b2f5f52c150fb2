"""The workbench for a continuous target: what is said of classes next door, said of values.

baselines    the dummy, ridge, LightGBM and XGBoost, of one target or several
intervals    conformal intervals by region of the prediction or of the target, at several levels
ship         ``TrainedRegressor``: schema to value and interval in one object, saved without code
graph        the same as one torch module, for export
"""
