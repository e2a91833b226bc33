"""Forecast the Mackey-Glass series with a recurrent model, and compare it with persistence and a linear model.

python docs/examples/forecast_mackey_glass.py --picture forecast.png
python docs/examples/forecast_mackey_glass.py --horizon 84 --noise 0.05
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import seqlm_core as seqlm

ORDERS = (1, 2, 5, 10, 20, 50, 100)  # of the linear model: how many values it reads
CONTEXT = max(ORDERS)  # no method is measured on so many first time steps of the validation and the test part


def mackey_glass(steps: int, delay: int = 17, steps_a_unit: int = 10, transient: int = 1000) -> np.ndarray:
    """Return the solution of dx/dt = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x(t), one value per time unit.

    It is computed by the Runge-Kutta method. x is 1.2 up to time 0. The first ``transient`` values are dropped.
    """

    def slope(x: float, delayed: float) -> float:
        return 0.2 * delayed / (1 + delayed**10) - 0.1 * x

    h, lag = 1 / steps_a_unit, delay * steps_a_unit
    x = [1.2] * (lag + 2)
    for i in range(1, (transient + steps) * steps_a_unit):
        before, first, last, after = x[i - 1 : i + 3]  # the delayed values around this step
        middle = (9 * (first + last) - before - after) / 16
        k1 = slope(x[-1], first)
        k2 = slope(x[-1] + h / 2 * k1, middle)
        k3 = slope(x[-1] + h / 2 * k2, middle)
        k4 = slope(x[-1] + h * k3, last)
        x.append(x[-1] + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return np.array(x)[::-steps_a_unit][:steps][::-1]


def example(part: np.ndarray, horizon: int, context: int) -> tuple:
    """Return inputs, and for each the value ``horizon`` steps later as target. The first ``context`` do not count."""
    targets = part[horizon:].copy()
    targets[:context] = np.nan
    return part[:-horizon], targets


def linear_forecasts(training: np.ndarray, parts: list, horizon: int, order: int) -> list:
    """Fit x[t + horizon] to the last ``order`` values by least squares, and return forecasts of examples' inputs."""

    def rows(values: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(values, order)
        return np.column_stack([windows, np.ones(len(windows))])

    weights = np.linalg.lstsq(rows(training[:-horizon]), training[order - 1 + horizon :], rcond=None)[0]
    return [np.concatenate([np.full(order - 1, np.nan), rows(values) @ weights]) for values in parts]


def rmse(forecast: np.ndarray, targets: np.ndarray) -> float:
    counted = ~np.isnan(targets)
    return float(np.sqrt(np.mean((forecast - targets)[counted] ** 2)))


def draw(path: str, targets: np.ndarray, forecasts: dict, horizon: int, steps: int = 200) -> None:
    """Draw the forecasts of the last method and, below them, the errors of all methods."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    shown = np.arange(CONTEXT, min(len(targets), CONTEXT + steps))
    above.plot(shown, targets[shown], color="black", label="the series")
    recurrent = list(forecasts)[-1]
    above.plot(shown, forecasts[recurrent][shown], "--", color="tab:orange", label=recurrent)
    for (name, forecast), colour in zip(forecasts.items(), ("tab:grey", "tab:blue", "tab:orange")):
        below.semilogy(shown, np.abs(forecast - targets)[shown], color=colour, linewidth=1, label=name)
    above.set(ylabel="x", title=f"Mackey-Glass series, {horizon} time unit{'s' * (horizon > 1)} ahead")
    below.set(xlabel="time unit of the test part", ylabel="absolute error of x")
    above.margins(y=0.2)  # room for the legend
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right", ncols=3, fontsize="small")
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description="Forecast the Mackey-Glass series, and compare the errors.")
    parser.add_argument("--horizon", type=int, default=1, help="time units from the last known value to the forecast")
    parser.add_argument("--noise", type=float, default=0.0, help="noise on every value, in standard deviations of x")
    parser.add_argument("--steps", type=int, default=10000, help="length of the series, 3/5 of it to train on")
    parser.add_argument("--window", type=int, default=100, help="length of a training sequence; half is context")
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--hidden-size", type=int, default=32)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=0.02)
    parser.add_argument("--beta2", type=float, default=0.98, help="how slowly Adam forgets how large gradients were")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="of the weights and of the noise")
    parser.add_argument("--picture", help="a PNG file to draw forecasts and errors to")
    arguments = parser.parse_args()
    horizon, window = arguments.horizon, arguments.window
    if horizon < 1:
        raise seqlm.UsageError(f"the horizon must be at least 1, not {horizon}")

    series = mackey_glass(arguments.steps)
    noise = np.random.default_rng(arguments.seed).standard_normal(len(series))
    series += arguments.noise * series.std() * noise
    training, validation, test = np.split(series, [len(series) * 3 // 5, len(series) * 4 // 5])
    windows = [training[i : i + window + horizon] for i in range(0, len(training) - window - horizon + 1, 10)]
    if not windows or len(test) <= CONTEXT + horizon:
        raise seqlm.UsageError(f"{len(series)} steps are too few for windows of {window} and a horizon of {horizon}")
    known, wanted = example(validation, horizon, CONTEXT)
    inputs, targets = example(test, horizon, CONTEXT)

    linear = {order: linear_forecasts(training, [known, inputs], horizon, order) for order in ORDERS}
    order = min(ORDERS, key=lambda order: rmse(linear[order][0], wanted))

    start = time.perf_counter()
    model = seqlm.SequenceModel(
        "values",
        "values",
        cell=arguments.cell,
        hidden_size=arguments.hidden_size,
        layers=arguments.layers,
        dropout=0,  # dropout would only add noise to the numbers
        learning_rate=arguments.learning_rate,
        optimizer_options={"beta2": arguments.beta2},  # less than the usual 0.999, since gradients become very small
        batch_size=16,
        epochs=arguments.epochs,
        seed=arguments.seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        examples = [example(part, horizon, window // 2) for part in windows]
        run = model.train(examples, [(known, wanted)], out=Path(folder) / "run", quiet=True)
        (forecast,) = run.predict([inputs])
    print(f"{len(windows)} training sequences of {window} steps, {time.perf_counter() - start:.0f} s\n")

    forecasts = {"persistence": inputs, f"linear, order {order}": linear[order][1], arguments.cell: forecast}
    errors = {name: rmse(values, targets) for name, values in forecasts.items()}
    print(f"{horizon} ahead, {np.isfinite(targets).sum():,} forecasts     RMSE    NRMSE")
    for name, error in errors.items():
        print(f"{name:26} {error:8.6f}  {error / np.nanstd(targets):7.5f}")
    first, second, last = errors.values()
    print(f"\nThe RMSE of {arguments.cell} is {last / first:.4f} times that of persistence", end=" ")
    print(f"and {last / second:.4f} times that of the linear model")
    if arguments.picture:
        draw(arguments.picture, targets, forecasts, horizon)


if __name__ == "__main__":
    try:
        main()
    except seqlm.SeqlmError as error:
        raise SystemExit(f"error: {error}") from error
