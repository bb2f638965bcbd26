"""Figures that answer to the mouse: hover, pick a subject, toggle groups; bokeh, bundled into the page."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MixedModelsError
from ..fit import Fit
from ..formats import value_text
from ..frame.column import Column
from ..inference.predictors import predictors
from ..plots.backend import INK, MUTED, PALETTE, RULE
from ..plots.drawn_residuals import residuals_to_draw
from ..plots.normal_quantiles import normal_scores
from ..plots.trajectories import _choose_x, _grouping
from ..postfit.used_data import column_values, read_data
from ..tool import load
from ..typing import Array

MOST_SUBJECTS = 300
MOST_ROWS = 10_000
"""Rows of the subjects drawn."""
MOST_POINTS = 4_000
MOST_GROUPS = 6
MOST_EFFECTS = 300
SEED = 1
HEIGHT = 380


@dataclass(frozen=True, slots=True)
class Interactive:
    """One figure: its heading, what it shows, and the bokeh layout."""

    title: str
    text: str
    layout: Any


@dataclass(frozen=True, slots=True)
class Groups:
    """What colours the points: a name for every row (n,), the names, and what they are; one name where nothing does."""

    of_row: NDArray[Any]
    names: list[str]
    what: str


def has_bokeh() -> bool:
    """Return whether bokeh is there."""
    try:
        import bokeh  # noqa: F401
    except ImportError:
        return False
    return True


def library() -> tuple[list[str], str]:
    """Return the scripts that the figures need, for a page without network, and the version of bokeh."""
    import bokeh
    from bokeh.resources import Resources

    resources = Resources(mode="inline", components=["bokeh", "bokeh-widgets"], minified=True)
    return list(resources.js_raw), bokeh.__version__


def interactive_figures(fit: Fit) -> tuple[list[Interactive], list[str]]:
    """Return the figures that a fit has, and why others are missing."""
    made, reasons = [], []
    for draw in (_curves, _residuals, _quantiles, _effects):
        try:
            figure = draw(fit)
        except MixedModelsError as error:
            reasons.append(str(error))
            continue
        if figure is not None:
            made.append(figure)
    return made, reasons


# -- parts ---------------------------------------------------------------------------------------------------


def _figure(x: str, y: str, **options: Any) -> Any:
    from bokeh.plotting import figure

    plot = figure(
        height=HEIGHT, sizing_mode="stretch_width", tools="pan,wheel_zoom,box_zoom,reset,save",
        toolbar_location="right", x_axis_label=x, y_axis_label=y, output_backend="canvas", **options,
    )  # fmt: skip
    plot.toolbar.logo = None
    plot.toolbar.active_drag = plot.toolbar.active_scroll = None
    plot.outline_line_color = None
    plot.grid.grid_line_color = RULE
    for axis in plot.axis:
        axis.axis_line_color = axis.major_tick_line_color = MUTED
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_color = axis.major_label_text_color = INK
    return plot


def _hover(plot: Any, renderers: list[Any], tips: list[tuple[str, str]]) -> None:
    from bokeh.models import HoverTool

    lines = "".join(f"<div>{html.escape(name)}: <b>{value}</b></div>" for name, value in tips)
    shown = f'<div style="color: {INK}; font-size: 12px">{lines}</div>'
    plot.add_tools(HoverTool(renderers=renderers, tooltips=shown, point_policy="snap_to_data"))


def _legend(plot: Any, title: str) -> None:
    plot.legend.title = title
    plot.legend.title_text_font_style = "normal"
    plot.legend.label_text_color = plot.legend.title_text_color = INK
    plot.add_layout(plot.legend[0], "right")


def _toggles(groups: Groups, drawn: list[list[Any]]) -> Any:
    """Return boxes, which a keyboard reaches as well, that show and hide what is drawn of each group."""
    from bokeh.models import CheckboxGroup, CustomJS

    labels = [f"{groups.what} {name}" for name in groups.names]
    boxes = CheckboxGroup(labels=labels, active=list(range(len(labels))), inline=True, name="groups")
    code = "drawn.forEach((own, k) => own.forEach((one) => { one.visible = boxes.active.includes(k); }));"
    boxes.js_on_change("active", CustomJS(args={"boxes": boxes, "drawn": drawn}, code=code))
    return boxes


def _sampled(n: int, most: int) -> NDArray[np.intp]:
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(SEED).choice(n, most, replace=False))


def _of_sample(n: int, most: int, what: str) -> str:
    return f" A random sample of {most:,} of {n:,} {what}." if n > most else ""


def _subjects(fit: Fit) -> tuple[Column, NDArray[Any]] | None:
    """Return the grouping factor of the subjects and the name of the subject of every row."""
    try:
        factor = _grouping(fit, read_data(fit), None)
    except MixedModelsError:
        return None
    assert factor.levels is not None
    return factor, np.array([value_text(level) for level in factor.levels], dtype=object)[factor.values]


def _colouring(fit: Fit) -> Groups:
    """Return the first factor among the predictors with up to six levels, to colour by."""
    for name, column in predictors(fit).items():
        if column.is_factor and column.levels is not None and 2 <= len(column.levels) <= MOST_GROUPS:
            of_row = np.array([value_text(v) for v in column_values(column)], dtype=object)
            return Groups(of_row, list(dict.fromkeys(map(value_text, column.levels))), name)
    return Groups(np.full(fit.nobs, "", dtype=object), [""], "")


# -- figures -------------------------------------------------------------------------------------------------


def _curves(fit: Fit) -> Interactive | None:
    """Draw the responses of subjects along x with their fitted curves, and a choice that brings one to the front."""
    found = _subjects(fit)
    if found is None:
        return None
    factor, names = found
    x_name = _choose_x(fit, read_data(fit), factor, None)
    column = read_data(fit)[x_name]
    x = column.number() if column.is_number else column.factor().values.astype(float)
    assert factor.levels is not None
    levels = [value_text(level) for level in factor.levels]
    most = int(np.clip(MOST_ROWS * len(levels) // fit.nobs, 20, MOST_SUBJECTS))
    chosen = _sampled(len(levels), most)
    groups = _colouring(fit)
    response = fit.spec.response.strip("`")
    # in the order of subjects, and of x within them
    order = np.lexsort((x, factor.values))
    order = order[np.isin(factor.values[order], chosen)]
    rows = Subjects(names[order], x[order], fit.response[order], fit._fitted[order], groups.of_row[order])
    plot = _figure(x_name, response)
    drawn = [
        _draw_group(plot, rows, group, PALETTE[k % len(PALETTE)]) for k, group in enumerate(groups.names)
    ]
    controls = [_choice(plot, rows, factor.name)]
    if len(groups.names) > 1:
        _legend(plot, groups.what)
        controls.append(_toggles(groups, drawn))
    layout = _column(*controls, plot)
    text = (
        f"Points: {response}; lines: the fitted curve of each level of {factor.name}. Choose one above the figure to "
        f"bring it to the front.{_of_sample(len(levels), most, 'levels')}"
        f"{_of_sample(len(order), MOST_POINTS, 'points')}"
    )
    return Interactive(f"{response} along {x_name}", text, layout)


@dataclass(frozen=True, slots=True)
class Subjects:
    """The rows of the subjects drawn, (m,) each, subject by subject along x."""

    who: NDArray[Any]
    x: Array
    y: Array
    fitted: Array
    group: NDArray[Any]


def _draw_group(plot: Any, rows: Subjects, group: str, colour: str) -> list[Any]:
    """Draw the curves of a group, one line that is broken between subjects, and its points; return both."""
    from bokeh.models import ColumnDataSource

    own = np.flatnonzero(rows.group == group)
    if not len(own):
        return []
    label = {"legend_label": group} if group else {}
    breaks = np.flatnonzero(rows.who[own][1:] != rows.who[own][:-1]) + 1
    curve = {"x": rows.x, "y": rows.fitted}
    line = {name: np.insert(_single(values[own]), breaks, np.nan) for name, values in curve.items()}
    curves = plot.line(
        "x", "y", source=ColumnDataSource(line), line_color=colour, line_alpha=0.35, line_width=1.2, **label
    )
    share = max(1, MOST_POINTS * len(own) // max(len(rows.x), MOST_POINTS))
    kept = own[_sampled(len(own), share)]
    points = ColumnDataSource(
        {
            "x": _single(rows.x[kept]),
            "y": _single(rows.y[kept]),
            "fit": _single(rows.fitted[kept]),
            "who": rows.who[kept].tolist(),
        }
    )
    dots = plot.scatter("x", "y", source=points, size=4, color=colour, alpha=0.45, **label)
    _hover(plot, [dots], [("level", "@who"), ("x", "@x"), ("observed", "@y"), ("fitted", "@fit")])
    return [curves, dots]


def _column(*parts: Any) -> Any:
    from bokeh.layouts import column

    return column(*parts, sizing_mode="stretch_width")


def _choice(plot: Any, rows: Subjects, what: str) -> Any:
    """Return a choice of one subject, which is drawn in front."""
    from bokeh.models import ColumnDataSource, CustomJS, Select

    names, starts = np.unique(rows.who.astype(str), return_index=True)
    by_start = np.argsort(starts)
    names, starts = names[by_start], starts[by_start]
    every = ColumnDataSource({"x": _single(rows.x), "y": _single(rows.y), "fit": _single(rows.fitted)})
    chosen = ColumnDataSource({"x": [], "y": [], "fit": []}, name="chosen")
    plot.line("x", "fit", source=chosen, line_color=INK, line_width=3)
    plot.scatter("x", "y", source=chosen, size=9, color=INK, line_color="white")
    options = ["none", *names.tolist()]
    choice = Select(
        title=f"Show one level of {what}", value="none", options=options, width=240, name="subject"
    )
    choice.js_on_change(
        "value",
        CustomJS(
            args={
                "chosen": chosen,
                "every": every,
                "starts": [*starts.tolist(), len(rows.x)],
                "choice": choice,
            },
            code="""
            const place = choice.options.indexOf(choice.value) - 1;
            const part = (name) => place < 0 ? [] : [...every.data[name].slice(starts[place], starts[place + 1])];
            chosen.data = {x: part("x"), y: part("y"), fit: part("fit")};
            """,
        ),
    )
    return choice


def _single(values: Array) -> NDArray[np.float32]:
    """Return values in single precision, which a figure cannot tell from double: a half of the bytes."""
    return np.asarray(values, dtype=np.float32)


def _residuals(fit: Fit) -> Interactive | None:
    from bokeh.models import ColumnDataSource, Span

    drawn = residuals_to_draw(fit, None, "conditional", "residuals")
    if drawn.predicted is None:
        return None
    plot = _figure(drawn.predicted_name, drawn.name)
    plot.add_layout(Span(location=0, dimension="width", line_color=INK, line_width=1))
    groups, found = _colouring(fit), _subjects(fit)
    kept = _sampled(len(drawn.rows), MOST_POINTS)
    rows = drawn.rows[kept]
    who = rows.astype(str) if found is None else found[1][rows]
    renderers = []
    for k, group in enumerate(groups.names):
        own = np.flatnonzero(groups.of_row[rows] == group)
        source = ColumnDataSource(
            {
                "x": _single(drawn.predicted[kept][own]),
                "y": _single(drawn.values[kept][own]),
                "row": (rows[own] + 1).tolist(),
                "who": [str(name) for name in who[own]],
                "observed": _single(fit.response[rows[own]]),
            }
        )
        label = {"legend_label": group} if group else {}
        renderers.append(
            plot.scatter(
                "x", "y", source=source, size=5, color=PALETTE[k % len(PALETTE)], alpha=0.55, **label
            )
        )
    tips = [("row", "@row"), ("level", "@who"), ("observed", "@observed")]
    _hover(plot, renderers, [*tips, (drawn.predicted_name, "@x"), ("residual", "@y")])
    layout = plot
    if len(groups.names) > 1:
        _legend(plot, groups.what)
        layout = _column(_toggles(groups, [[one] for one in renderers]), plot)
    text = f"{drawn.text}{_of_sample(len(drawn.rows), MOST_POINTS, 'rows')} Hover over a point to see which row it is."
    return Interactive("Residuals", text, layout)


def _quantiles(fit: Fit) -> Interactive | None:
    from bokeh.models import ColumnDataSource, Slope

    drawn = residuals_to_draw(fit, None, "conditional", "qq")
    order = np.argsort(drawn.values, kind="stable")
    n = len(order)
    kept = load("plots.backend:thinned")(n, 1_500)
    plot = _figure("normal quantile", drawn.name)
    source = ColumnDataSource(
        {
            "x": _single(normal_scores(n)[kept]),
            "y": _single(drawn.values[order][kept]),
            "row": (drawn.rows[order][kept] + 1).tolist(),
        }
    )
    plot.add_layout(Slope(gradient=1, y_intercept=0, line_color=PALETTE[1], line_width=1.5))
    dots = plot.scatter("x", "y", source=source, size=5, color=PALETTE[0], alpha=0.6)
    _hover(plot, [dots], [("row", "@row"), ("residual", "@y")])
    text = f"{drawn.text} Where the model is true points lie by the line."
    return Interactive("Normal quantiles of the residuals", text, plot)


def _effects(fit: Fit) -> Interactive | None:
    from bokeh.models import ColumnDataSource, Span

    k = next((k for k, term in enumerate(fit.design.random) if not term.smooth and not term.penalised), None)
    if k is None:
        return None
    term = fit.design.random[k]
    table = fit.random_effects(se=True)
    first = np.flatnonzero((table["group"] == term.group) & (table["term"] == term.columns[0]))[
        : term.n_levels
    ]
    order = first[np.argsort(table["estimate"][first], kind="stable")]
    ends = (
        order
        if len(order) <= MOST_EFFECTS
        else np.concatenate([order[: MOST_EFFECTS // 2], order[-MOST_EFFECTS // 2 :]])
    )
    estimate, error = np.asarray(table["estimate"][ends]), np.asarray(table["std_error"][ends])
    source = ColumnDataSource(
        {
            "x": list(range(len(ends))),
            "y": _single(estimate),
            "low": _single(estimate - 1.959964 * error),
            "high": _single(estimate + 1.959964 * error),
            "who": [value_text(level) for level in table["level"][ends]],
        }
    )
    plot = _figure(f"levels of {term.group}, in order", f"predicted effect: {term.columns[0]}")
    plot.add_layout(Span(location=0, dimension="width", line_color=INK, line_width=1))
    plot.segment("x", "low", "x", "high", source=source, line_color=MUTED)
    dots = plot.scatter("x", "y", source=source, size=6, color=PALETTE[0])
    _hover(plot, [dots], [("level", "@who"), ("effect", "@y"), ("95%", "@low to @high")])
    far = f" The {MOST_EFFECTS} farthest of {len(order):,} levels." if len(order) > len(ends) else ""
    text = f"Predicted random effects of {term.group} with 95% intervals.{far}"
    return Interactive(f"Random effects of {term.group}", text, plot)
