"""An epidemic in a closed population, with and without measures: seeded stochastic simulations with numpy."""

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Disease:
    """Rates per day."""

    infection: float
    recovery: float


@dataclass(frozen=True)
class Outcome:
    """What one simulated epidemic did."""

    infected: np.ndarray  # number of infected people, one entry a day
    total: int  # people who ever were infected

    @property
    def peak(self):
        return int(self.infected.max())

    @property
    def peak_day(self):
        return int(self.infected.argmax())


def spread(disease, population, days, seed, start=10, contacts=None):
    """One epidemic; *contacts* scales the infection rate day by day."""
    rng = np.random.default_rng(seed)
    susceptible, infected = population - start, start
    history = np.empty(days, dtype=np.int64)
    for day in range(days):
        history[day] = infected
        rate = disease.infection * (1.0 if contacts is None else contacts[day])
        p_infection = 1 - np.exp(-rate * infected / population)
        p_recovery = 1 - np.exp(-disease.recovery)
        new = rng.binomial(susceptible, p_infection)
        gone = rng.binomial(infected, p_recovery)
        susceptible -= new
        infected += new - gone
    return Outcome(infected=history, total=int(population - susceptible))


def ensemble(disease, population, days, runs, seed, contacts=None):
    """Many epidemics that differ in their random numbers only."""
    seeds = np.random.SeedSequence(seed).spawn(runs)
    return [spread(disease, population, days, s, contacts=contacts) for s in seeds]


def masks(days, effect):
    """Contacts count less from the 20th day on."""
    contacts = np.ones(days)
    contacts[20:] = 1 - effect
    return contacts


def lockdown(days, first, length):
    """Hardly any contacts for *length* days."""
    contacts = np.ones(days)
    contacts[first : first + length] = 0.2
    return contacts


def summarise(outcomes):
    peaks = np.array([outcome.peak for outcome in outcomes])
    totals = np.array([outcome.total for outcome in outcomes])
    days = np.array([outcome.peak_day for outcome in outcomes])
    return {
        "peak": float(np.median(peaks)),
        "peak_90": float(np.quantile(peaks, 0.9)),
        "day": float(np.median(days)),
        "total": float(np.median(totals)),
    }


def save_curves(path, **scenarios):
    """The mean curve of each scenario, as columns of a CSV file."""
    curves = [np.mean([outcome.infected for outcome in outcomes], axis=0) for outcomes in scenarios.values()]
    table = np.column_stack([np.arange(len(curves[0])), *curves])
    np.savetxt(path, table, delimiter=",", fmt="%.3f", header="day," + ",".join(scenarios), comments="")


def print_summary(title, summary, population):
    share = 100 * summary["total"] / population
    print(
        f"{title:<12} peak {summary['peak']:8.0f} (90 %: {summary['peak_90']:.0f}) on day {summary['day']:3.0f}, {share:5.1f} % infected in all"
    )


def main(
    population: int = 100_000,
    days: int = 160,
    runs: int = 200,
    infection: float = 0.30,
    recovery: float = 0.10,
    effect: float = 0.4,
    strategy: Literal["masks", "lockdown", "both"] = "both",
    seed: int = 2024,
):
    """Compare measures against an epidemic.

    Args:
        population: Number of people.
        days: Length of the simulation.
        runs: Epidemics per scenario.
        infection: New infections per infected person and day, at the start.
        recovery: Share of the infected who recover on a day.
        effect: Share of infections that masks prevent.
        strategy: The measures taken in the last scenario.
        seed: Of all random numbers.
    """
    disease = Disease(infection, recovery)
    print(f"{runs} epidemics of {days} days each, R0 = {infection / recovery:.1f}, seed {seed}")

    with_masks = masks(days, effect)
    with_lockdown = lockdown(days, first=30, length=40)
    measures = {"masks": with_masks, "lockdown": with_lockdown, "both": np.minimum(with_masks, with_lockdown)}

    free = ensemble(disease, population, days, runs, seed)
    careful = ensemble(disease, population, days, runs, seed + 1, contacts=with_masks)
    planned = ensemble(disease, population, days, runs, seed + 2, contacts=measures[strategy])

    free_summary = summarise(free)
    careful_summary = summarise(careful)
    planned_summary = summarise(planned)

    save_curves("curves.csv", free=free, masks=careful, planned=planned)
    print_summary("no measures", free_summary, population)
    print_summary("masks", careful_summary, population)
    print_summary(strategy, planned_summary, population)
    return planned_summary


if __name__ == "__main__":
    main()
