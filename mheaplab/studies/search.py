"""search: parameters that Optuna picks, a batch at a time, after what it has seen.

What is sought is small: the mean, over all traces and replications, of a metric as a multiple of the same run with the
parameters as they were.  So a trace of 4 GiB does not outvote one of 4 MiB.  Several metrics give a Pareto front.

Optuna is asked for ``batch`` sets, they are run, and it is told.  The batch does not depend on the number of workers,
and its seed is the study's: so a search asks for the same sets whenever and wherever it is repeated.  That is also how
it resumes: the runs that are there answer at once, until the first that is not.
"""

from ..metrics import metric
from .session import Session
from .space import FIELDS, Interval, checked_space, value_at
from .study import Plan, load

BATCH = 8
MOST_TRIALS = 100_000
NO_OPTUNA = "a search is done by Optuna, which is not installed: pip install 'mheaplab[search]'"


def _optuna():
    try:
        import optuna
    except ImportError as err:
        raise ImportError(NO_OPTUNA) from err
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def search(traces, space, objective, n, *, out, batch=BATCH, workers=None, client=None, threads=False, progress=None,
           **options):  # fmt: skip
    """Search ``space`` for the parameters with the least ``objective``.

    Parameters
    ----------
    traces
        See :func:`grid`.
    space : dict of str to sequence or Interval
    objective : str or sequence of str
        Metrics (``mheaplab.METRICS``) to make small; with "-" before the name, large.
    n : int
        Sets of parameters to try, 1 to 100,000.
    batch : int
        Sets that are tried at once: more keep more workers busy, fewer let Optuna learn sooner.
    out, workers, client, threads, progress, **options
        See :func:`grid`.

    Returns
    -------
    Study
        ``about["best"]`` has the best sets: ``{"changes": {...}, "values": [...]}``, the values being multiples of the
        runs with the parameters as they were.

    Raises
    ------
    ImportError
        If Optuna is not installed.
    ValueError, FormatError, OSError
        See :func:`grid`.
    """
    optuna = _optuna()
    names = (objective,) if isinstance(objective, str) else tuple(objective)
    for name in names or ("",):
        metric(name.removeprefix("-"))
    for name, value, most in (("n", n, MOST_TRIALS), ("batch", batch, 10_000)):
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise ValueError(f"{name} = {value!r} is outside its legal range: 1 to {most:,}")
    plain = checked_space(space, intervals=True)
    plan = Plan(traces, **options)
    about = plan.about("search", space, n=n, objective=list(names), batch=batch)
    sampler = optuna.samplers.TPESampler(seed=plan.seed % (1 << 32), constant_liar=True)
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * len(names))
    with Session(out, about, workers, client, threads, progress) as session:
        base = session.run(plan.runs([{}]))
        while len(study.trials) < n and not session.interrupted:
            _try_batch(study, min(batch, n - len(study.trials)), plain, _Judge(plan, session, names, base))
        about["best"] = [{"changes": t.user_attrs["changes"], "values": list(t.values)} for t in _best(study)]
        session.run([])
    return load(out)


def _best(study):
    return [t for t in study.best_trials if t.values is not None] if any(t.values for t in study.trials) else []


class _Judge:
    """What a set of parameters is worth."""

    def __init__(self, plan, session, names, base):
        self.plan, self.session, self.names = plan, session, names
        self.base = {_who(row): row for row in base.values()}

    def values(self, sets):
        """Return, for each set, its values, or None if a run failed or did not come to an end."""
        runs = [self.plan.runs([changes]) for changes in sets]
        rows = self.session.run([run for of_set in runs for run in of_set])
        return [self._value([rows.get(run.key) for run in of_set]) for of_set in runs]

    def _value(self, rows):
        if any(row is None or row["error"] or self._base(row)["error"] for row in rows):
            return None
        return [sum(self._multiple(row, name) for row in rows) / len(rows) for name in self.names]

    def _base(self, row):
        return self.base.get(_who(row)) or {"error": "was not run"}

    def _multiple(self, row, name):
        """Return a metric as a multiple of the base's, or where that is 0, one more than it; less is better."""
        sign, name = (-1, name[1:]) if name.startswith("-") else (1, name)
        value, base = row[name], self._base(row)[name]
        return sign * (value / base if base else 1 + value)


def _who(row):
    return row["fingerprint"], row["replication"]


def _try_batch(study, count, space, judge):
    """Ask for ``count`` sets, run them, tell what they are worth."""
    import optuna

    trials = [study.ask() for _ in range(count)]
    sets = [{name: _suggested(trial, name, values) for name, values in space.items()} for trial in trials]
    for trial, changes, values in zip(trials, sets, judge.values(sets), strict=True):
        trial.set_user_attr("changes", changes)
        if values is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, values)


def _suggested(trial, name, values):
    """Return the value that Optuna suggests for a parameter."""
    if isinstance(values, Interval):
        whole = isinstance(FIELDS[name].default, int)
        pick = trial.suggest_int if whole else trial.suggest_float
        ends = (round(values.low), round(values.high)) if whole else (values.low, values.high)
        return pick(name, *ends, log=values.log)
    ordered = len(values) > 1 and not any(isinstance(v, str | tuple | bool) for v in values)
    if ordered and sorted(values) == values:
        return values[trial.suggest_int(name, 0, len(values) - 1)]
    index = trial.suggest_categorical(name, range(len(values)))
    return value_at(name, values, (index + 0.5) / len(values))
