"""address_box: type an address, and a heap says all that it knows of it."""

import html

import ipywidgets as ipw

from ..errors import GoThrow
from ..steps import answers, parse_address
from .explorer import alert, line

CELL = "padding:0 14px 0 0;text-align:left;font-weight:normal"


class AddressBox(ipw.VBox):
    """A box for an address and the answers of a heap, as it is at that moment; made by :func:`address_box`.

    Attributes
    ----------
    address : ipywidgets.Text
    table, error : ipywidgets.HTML
    """

    def __init__(self, heap, address):
        self.heap = heap
        self.address = ipw.Text(
            f"{address:#x}", description="address", layout=ipw.Layout(width="300px"),
            tooltip="an address, such as 0xc000000030; the answers follow as you type",
        )  # fmt: skip
        self.again = ipw.Button(
            description="Ask again", layout=ipw.Layout(width="auto"),
            tooltip="ask the heap as it is now, if a cell has changed it",
        )  # fmt: skip
        self.table, self.error = line(), line()
        self.address.observe(self.ask, "value")
        self.again.on_click(self.ask)
        super().__init__([ipw.HBox([self.address, self.again]), self.error, self.table])
        self.ask()

    def ask(self, _change=None):
        """Ask the heap; what is no address is said in one line, and the last answers stay."""
        try:
            found = answers(self.heap, parse_address(self.address.value))
        except (ValueError, GoThrow) as err:
            self.error.value = alert(str(err))
            return
        self.error.value = ""
        rows = "".join(
            f"<tr><th scope='row' style='{CELL}'><b>{html.escape(a.question)}</b></th><td style='{CELL}'>"
            f"{html.escape(a.answer)}</td><td style='{CELL};opacity:0.75'>{html.escape(a.means)}</td></tr>"
            for a in found
        )
        self.table.value = f"<table style='line-height:1.5;font-variant-numeric:tabular-nums'>{rows}</table>"


def address_box(heap, address=0xC000000000):
    """Return a widget that answers what mheap.go knows of an address.

    Parameters
    ----------
    heap : Heap
    address : int
        The first address to ask about.

    Returns
    -------
    AddressBox
        An ipywidgets box.
    """
    return AddressBox(heap, address)
