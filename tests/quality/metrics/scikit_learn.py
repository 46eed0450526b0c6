"""The figures of scikit-learn for labels.json, on standard output: the golden values of task_metrics_test.ts.

    python -m venv v && v/bin/pip install scikit-learn==1.9.1
    v/bin/python tests/quality/metrics/scikit_learn.py > tests/quality/metrics/scikit_learn.json

`read` is the label that a person reads in an answer; null for none or several.
"""

import json
from pathlib import Path

from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

sample = json.loads((Path(__file__).parent / "labels.json").read_text())
labels = sample["labels"]
expected = [row["expected"] for row in sample["answers"]]
given = [row["read"] or "(off format)" for row in sample["answers"]]
used = [label for label in labels if label in expected or label in given]
precision, recall, f1, support = precision_recall_fscore_support(
    expected, given, labels=labels, zero_division=0
)
print(json.dumps({
    "accuracy": accuracy_score(expected, given),
    "macro_f1": f1_score(expected, given, labels=used, average="macro", zero_division=0),
    "precision": precision.tolist(),
    "recall": recall.tolist(),
    "f1": f1.tolist(),
    "support": support.tolist(),
    "confusion": confusion_matrix(expected, given, labels=[*labels, "(off format)"]).tolist(),
}, indent=2))
