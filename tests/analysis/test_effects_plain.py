"""What fitting a composed estimator does hangs on its parts: what is known of them is known of it."""

from __future__ import annotations

import pytest
from effects_of import Facts

HEAD = """
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVR
X = np.zeros((4, 2))
y = np.arange(4)
"""

QUIET = {
    "a pipeline": "m = make_pipeline(StandardScaler(), LogisticRegression(C=2.0))\nm.fit(X, y)",
    "its steps by name": "m = Pipeline([('a', StandardScaler()), ('b', LogisticRegression())])\nm.fit(X, y)",
    "a seeded forest": "m = make_pipeline(RandomForestClassifier(random_state=0))\nm.fit(X, y)",
    "a search": "m = GridSearchCV(LogisticRegression(), {'C': [1, 2]}, cv=3)\nm.fit(X, y)",
    "a search in a pipeline": "m = GridSearchCV(make_pipeline(StandardScaler()), {'a': [1]})\nm.fit(X, y)",
    "a seeded split": "cross_val_score(LogisticRegression(), X, y, cv=KFold(3, shuffle=True, random_state=1))",
    "made by a function": """
def make():
    return make_pipeline(StandardScaler(), LogisticRegression())
m = make()
m.fit(X, y)""",
}

LOUD = {
    "one that draws whatever it is told": "m = make_pipeline(StandardScaler(), SVR())\nm.fit(X, y)",
    "a forest without a seed": "m = make_pipeline(RandomForestClassifier())\nm.fit(X, y)",
    "a part that is added later": """
steps = [('a', StandardScaler())]
m = Pipeline(steps)
steps.append(('b', SVR()))
m.fit(X, y)""",
    "a setting that is taken back": """
forest = RandomForestClassifier(random_state=0)
m = make_pipeline(forest)
forest.set_params(random_state=None)
m.fit(X, y)""",
    "an attribute that is set": """
forest = RandomForestClassifier(random_state=0)
m = make_pipeline(forest)
forest.random_state = None
m.fit(X, y)""",
    "an unseeded split": "cross_val_score(LogisticRegression(), X, y, cv=KFold(3, shuffle=True))",
}


@pytest.mark.parametrize("name", sorted(QUIET))
def test_plain_parts_make_a_plain_whole(name: str) -> None:
    text = HEAD + QUIET[name]
    last = text.count("\n") + 1
    writes = Facts(text).writes(last)
    assert "numpy.random" not in writes
    assert "object X" not in writes


@pytest.mark.parametrize("name", sorted(LOUD))
def test_one_part_that_draws_is_enough(name: str) -> None:
    text = HEAD + LOUD[name]
    last = text.count("\n") + 1
    assert "numpy.random" in Facts(text).writes(last)
