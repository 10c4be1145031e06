"""Logistic regression on the first two features of the iris data, with a plot of its decision regions."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def load_data():
    """Sepal length and width of 150 flowers, and their species."""
    iris = load_iris()
    X = iris.data[:, :2]
    Y = iris.target
    return X, Y


def model_fit(X, Y, C=1e5):
    """Fit a classifier; a smaller C regularises more."""
    logreg = LogisticRegression(C=C)
    logreg.fit(X, Y)
    return logreg


def generate_plots(X, Y, logreg):
    """Draw the decision regions with the flowers on top."""
    x_min, x_max = X[:, 0].min() - 0.5, X[:, 0].max() + 0.5
    y_min, y_max = X[:, 1].min() - 0.5, X[:, 1].max() + 0.5
    xx, yy = np.meshgrid(np.arange(x_min, x_max, 0.02), np.arange(y_min, y_max, 0.02))
    regions = logreg.predict(np.c_[xx.ravel(), yy.ravel()]).reshape(xx.shape)

    plt.figure(figsize=(4, 3))
    plt.pcolormesh(xx, yy, regions, cmap=plt.cm.Paired)
    plt.scatter(X[:, 0], X[:, 1], c=Y, edgecolors="k", cmap=plt.cm.Paired)
    plt.xlabel("Sepal length")
    plt.ylabel("Sepal width")
    plt.xlim(xx.min(), xx.max())
    plt.ylim(yy.min(), yy.max())
    plt.xticks(())
    plt.yticks(())
    plt.savefig("iris_logistic.png")


def main():
    X, Y = load_data()
    logreg = model_fit(X, Y, C=1.0)
    generate_plots(X, Y, logreg)
    print("coefficients of the first species:", logreg.coef_[0].round(2))
    print("accuracy:", round(logreg.score(X, Y), 3))


if __name__ == "__main__":
    main()
