"""Which classifier tells malignant from benign tumours best? Five models on one data set, one report."""

import csv

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

SEED = 20


def load(test_size=0.3):
    data = load_breast_cancer()
    X_train, X_test, y_train, y_test = train_test_split(
        data.data, data.target, test_size=test_size, random_state=SEED, stratify=data.target
    )
    return X_train, X_test, y_train, y_test


def scale(X_train, X_test):
    """Mean 0 and variance 1, learnt from the training part only."""
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test)


def fit_logistic(X, y, C=1.0):
    return LogisticRegression(C=C, max_iter=2000).fit(X, y)


def fit_bayes(X, y):
    return GaussianNB().fit(X, y)


def fit_neighbours(X, y, k=7):
    return KNeighborsClassifier(n_neighbors=k).fit(X, y)


def fit_forest(X, y, trees=150):
    return RandomForestClassifier(n_estimators=trees, random_state=SEED).fit(X, y)


def fit_boosting(X, y, rounds=60):
    return GradientBoostingClassifier(n_estimators=rounds, random_state=SEED).fit(X, y)


def evaluate(name, model, X, y):
    """One line of the report."""
    predicted = model.predict(X)
    probability = model.predict_proba(X)[:, 1]
    return {
        "model": name,
        "accuracy": accuracy_score(y, predicted),
        "f1": f1_score(y, predicted),
        "auc": roc_auc_score(y, probability),
        "errors": int(np.sum(predicted != y)),
    }


def compare(*results):
    """The results, best first."""
    return sorted(results, key=lambda row: (-row["auc"], row["model"]))


def write_report(ranking, path):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(ranking[0]))
        writer.writeheader()
        for row in ranking:
            writer.writerow({key: f"{value:.6f}" if isinstance(value, float) else value for key, value in row.items()})


def show(ranking):
    print(f"{'model':<20}{'accuracy':>10}{'f1':>8}{'auc':>8}{'errors':>8}")
    for row in ranking:
        print(f"{row['model']:<20}{row['accuracy']:>10.3f}{row['f1']:>8.3f}{row['auc']:>8.3f}{row['errors']:>8}")


def main(test_size: float = 0.3, k: int = 7, trees: int = 150):
    """Compare five classifiers.

    Args:
        test_size: Share of the data that is kept for the test.
        k: Number of neighbours.
        trees: Number of trees of the forest.
    """
    X_train, X_test, y_train, y_test = load(test_size)
    S_train, S_test = scale(X_train, X_test)

    logistic = fit_logistic(S_train, y_train, C=0.5)
    bayes = fit_bayes(X_train, y_train)
    neighbours = fit_neighbours(S_train, y_train, k=k)
    forest = fit_forest(X_train, y_train, trees=trees)
    boosting = fit_boosting(X_train, y_train)

    ranking = compare(
        evaluate("logistic regression", logistic, S_test, y_test),
        evaluate("naive Bayes", bayes, X_test, y_test),
        evaluate("nearest neighbours", neighbours, S_test, y_test),
        evaluate("random forest", forest, X_test, y_test),
        evaluate("gradient boosting", boosting, X_test, y_test),
    )
    write_report(ranking, "report.csv")
    show(ranking)
    best = ranking[0]["model"]
    print("best:", best)
    return best


if __name__ == "__main__":
    main()
