"""Before training: what stands in the way, what to be careful with, and what the data can tell at all.

``audit(path, target) -> Audit`` for files, ``audit_table(frame, target)`` for frames and arrays. Each check has a
code, an explanation and a cure (:func:`metabalance.data.findings.register`), and can be muted.

============  ====================================================================================
rows          features, groups and times, taken as they are where a study would refuse them
subject       the plan, and rows with classes
kind          classes or values? values are audited in :mod:`metabalance.study.values.audit`
intake        frames, arrays and images become a subject
classes       imbalance in figures; classes too rare (MB015, MB017, MB030)
planning      folds tried out, positives counted, the metric questioned (MB016, MB018, MB019, MB032)
twins         nearly equal rows by hashing (MB020, MB021)
quick_model   cross-validated probabilities; is there a signal (MB029, MB031)?
labels        suspected label errors by confident learning (MB022)
overlap       whose nearest neighbours are strangers (MB023)
missing       gaps that depend on the class (MB024)
times         times, declared or not, and the order of rows (MB025, MB027, MB034)
groups        customers, patients and the like, declared or not (MB026, MB028)
result        ``Audit``: findings, facts, summary, JSON
============  ====================================================================================
"""

from metabalance.study.audit.result import Audit
from metabalance.study.audit.run import audit, audit_images, audit_table

__all__ = ["Audit", "audit", "audit_images", "audit_table"]
