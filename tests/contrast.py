"""How well the text of a page can be read: its contrast with what lies behind it, by the rule of WCAG 2.

Asked of the browser, for every text that is shown: the colour it has, its ancestors' opacity, and the first opaque
background below it.  In a plot that is the paper, the plot's own ground, or the box of a note.  Text upon marks is left
out; ``tests/test_theme.py`` looks at the colours of which marks are made.
"""

LEAST = 4.5
"""The contrast that text of any size must have (WCAG 2.2, 1.4.3)."""

TEXTS = """(root) => {
  const channel = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const brush = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (text) => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = '#000000';
    brush.fillStyle = text;
    brush.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((k) => top[k] * top[3] + below[k] * (1 - top[3]));
  const within = (a, b) =>
    a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
  const left = 'style, script, option, .jp-InputArea, .hoverlayer, .barlayer, .heatmaplayer, .axis-extent-text';
  const ground = (element, text) => {
    const layers = [];
    const box = element.closest('g.annotation, g.legend, g.hovertext')?.querySelector('rect.bg, path, rect');
    if (box && box !== element) {
      const style = getComputedStyle(box);
      const paint = rgba(style.fill);
      paint[3] *= style.fillOpacity * style.opacity;
      layers.push(paint);
    }
    const plot = element.closest('.js-plotly-plot');
    for (const part of plot?.querySelectorAll('.bglayer .bg, .plot-bg') ?? []) {
      if (within(text, part.getBoundingClientRect())) layers.push(rgba(getComputedStyle(part).fill));
    }
    for (let n = element; n; n = n.parentElement) {
      layers.push(rgba(getComputedStyle(n).backgroundColor));
      if (plot === n) layers.push(rgba(n._fullLayout.paper_bgcolor));
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement, words = node.textContent.trim();
    if (!words || element.closest(left)) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const place = range.getBoundingClientRect();
    if (!place.width || element.disabled) continue;
    const style = getComputedStyle(element), svg = element.closest('svg');
    const ink = rgba(svg ? style.fill : style.color);
    if (svg) ink[3] *= style.fillOpacity;
    for (let n = element; n; n = n.parentElement) ink[3] *= getComputedStyle(n).opacity;
    const below = ground(element, place), lights = [light(over(ink, below)), light(below)].sort((a, b) => b - a);
    const name = element.getAttribute('class') ?? element.tagName;
    found.push([(lights[0] + 0.05) / (lights[1] + 0.05), words.slice(0, 60), name]);
  }
  return found;
}"""
OUTPUTS = ".jp-OutputArea-output, .jp-RenderedMarkdown"


def contrasts(page):
    """Return (contrast, words, class of the element) of every text that a notebook's outputs show."""
    found = []
    for root in page.locator(OUTPUTS).element_handles():
        found += root.evaluate(TEXTS)
    return found


def hard_to_read(page):
    """Return those of less than ``LEAST``; there must be text at all."""
    found = contrasts(page)
    assert len(found) > 50, found
    return sorted({(round(ratio, 2), words, name) for ratio, words, name in found if ratio < LEAST})
