"""The audit of a continuous target: what :mod:`metabalance.study.audit` is for classes, with which it shares rows and words.

============  ====================================================================================
subject       rows with values, taken as they are where a study would refuse them
density       many, medium and few rows near a value (MB101, MB106, MB108, MB119)
shape         skewness, tails, values far from the rest (MB102, MB104)
ties          heaped and rounded values, codes for missing ones, a capped end (MB103, MB105, MB111)
columns       columns that follow the target, gaps that depend on it (MB109, MB110)
equal         equal and nearly equal rows: how far their values differ (MB112, MB113)
order         times and groups, declared or not, and the order of rows (MB114, MB115; MB025, MB026, MB028)
planning      folds tried out, rare rows counted, the metric questioned (MB116, MB117, MB118; MB016)
quick_model   cross-validated ridge and boosting: is there a signal, also where it is rare (MB029, MB031)?
words         the summary
run           all of it
============  ====================================================================================
"""
