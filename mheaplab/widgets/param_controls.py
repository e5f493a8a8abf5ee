"""Controls made from what HeapParams says of its parameters: unit, legal values, help, and where in Go's source.

One row per parameter: its control, whose ``value`` is the parameter's, and a button that sets it back.  Numbers get a
slider over stops, names and short lists a list, and what is or is not a box to tick.
"""

import dataclasses

import ipywidgets as ipw

from ..params import HeapParams
from .scales import label_of, stops_of, words_of

LABEL_PIXELS = 130
FIELDS = {field.name: field for field in dataclasses.fields(HeapParams)}


class ParamRow(ipw.HBox):
    """The control of one parameter with its reset button.

    Parameters
    ----------
    name : str
        Of the parameter.
    params : HeapParams
        Its value there is the first, to which the button returns.

    Attributes
    ----------
    control : ipywidgets.Widget
        ``control.value`` is the value of the parameter.
    reset : ipywidgets.Button

    Raises
    ------
    ValueError
        If there is no such parameter, or none that a control could offer values of.
    """

    def __init__(self, name, params):
        if name not in FIELDS:
            raise ValueError(f"controls = {name!r} is outside its legal range: one of {', '.join(FIELDS)}")
        self.name, self.first = name, getattr(params, name)
        self.control = make_control(FIELDS[name], self.first)
        back = words_of(FIELDS[name], self.first)
        self.reset = ipw.Button(
            icon="undo", tooltip=f"set {label_of(name)} back to {back}", disabled=True,
            layout=ipw.Layout(width="34px", margin="2px 6px 2px 0"),
        )  # fmt: skip
        self.reset.on_click(self._back)
        self.control.observe(self._changed, "value")
        wide = ipw.Layout(flex="1 1 380px", min_width="330px", max_width="760px")
        super().__init__([self.control, self.reset], layout=wide)

    def _back(self, _button):
        self.control.value = self.first

    def _changed(self, change):
        self.reset.disabled = change["new"] == self.first


def make_control(field, value):
    """Return the control of a parameter.

    Parameters
    ----------
    field : dataclasses.Field
        Of ``HeapParams``.
    value : object
        What it stands at.
    """
    words = field.metadata
    where = f" ({words['source']})" if words["source"].startswith("runtime/") else ""
    common = {
        "value": value,
        "description": label_of(field.name),
        "tooltip": words["help"] + where,
        "style": {"description_width": f"{LABEL_PIXELS}px"},
        "layout": ipw.Layout(flex="1 1 auto", width="auto", min_width="0"),
    }
    if isinstance(field.default, bool):
        return ipw.Checkbox(**common, indent=False)
    options = [(words_of(field, stop), stop) for stop in stops_of(field, value)]
    if isinstance(words["legal"], tuple) or isinstance(field.default, str):
        return ipw.Dropdown(options=options, **common)
    return ipw.SelectionSlider(options=options, continuous_update=True, **common)
