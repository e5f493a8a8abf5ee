// ClassHandles: one small triangle for each size class, on the upper edge of a plot, at the class's boundary.
//
// The triangles lie in a layer of their own over plotly's picture and follow its axis, zoom included.  What is dragged
// goes to sizes that are legal and free, past other classes too; the kernel hears the new sizes, one message a frame.
// Each triangle is a slider to the keyboard: arrows move the boundary, Page Up and Down go from class to class.

const SVG = "http://www.w3.org/2000/svg";
const NEAR = 100;

const plotOf = (id) => [...document.querySelectorAll(".js-plotly-plot")].find((p) => p.layout?.meta?.export_id === id);
const words = (size) => (size >= 1024 && size % 1024 === 0 ? `${size / 1024} KiB` : `${size.toLocaleString("en")} B`);

// Returns the one of `sizes` that is nearest to `wanted` on the axis, if there is any.
const nearest = (sizes, wanted) => {
  const off = (size) => Math.abs(Math.log2(size) - Math.log2(wanted));
  return sizes.length ? sizes.reduce((a, b) => (off(b) < off(a) ? b : a)) : undefined;
};

class Handles {
  constructor(model, plot, say) {
    Object.assign(this, { model, plot, say, pending: false, nodes: new Map() });
    this.layer = document.createElement("div");
    this.layer.className = "mheaplab-handles";
    this.layer.style.cssText = "position:absolute;height:14px;";
    this.layer.ondblclick = (event) => this.add(this.sizeAt(event.clientX));
    this.place = this.place.bind(this);
    plot.on("plotly_afterplot", this.place);
    this.place();
  }

  get sizes() {
    return this.model.get("value");
  }

  get axis() {
    return this.plot._fullLayout.xaxis;
  }

  sizeAt(clientX) {
    return 2 ** this.axis.p2c(clientX - this.layer.getBoundingClientRect().left);
  }

  // Puts the layer over the plot, and every triangle at its size.
  place() {
    const parent = this.plot.querySelector(".svg-container");
    if (this.layer.parentElement !== parent) parent.appendChild(this.layer);
    const { axis } = this;
    this.layer.style.left = `${axis._offset}px`;
    this.layer.style.width = `${axis._length}px`;
    this.layer.style.top = `${this.plot._fullLayout.yaxis._offset - 14}px`;
    const { sizes } = this;
    for (const [size, node] of this.nodes) {
      if (sizes.includes(size)) continue;
      node.remove();
      this.nodes.delete(size);
    }
    sizes.forEach((size, k) => this.update(this.nodes.get(size) ?? this.handle(size), k, size));
  }

  update(node, k, size) {
    const at = this.axis.c2p(Math.log2(size));
    const chosen = size === this.model.get("selected");
    const fixed = this.model.get("fixed").includes(size);
    node.style.left = `${at - 8}px`;
    node.style.display = at < -1 || at > this.axis._length + 1 ? "none" : "";
    node.style.cursor = fixed ? "not-allowed" : "ew-resize";
    node.style.zIndex = chosen ? 2 : 1;
    node.tabIndex = chosen ? 0 : -1;
    node.size = size;
    const attributes = {
      "aria-label": `boundary of class ${k + 1}`,
      "aria-valuemin": this.sizes[k - 1] ?? 0,
      "aria-valuemax": this.sizes[k + 1] ?? size,
      "aria-valuenow": size,
      "aria-valuetext": `${words(size)}${fixed ? ", Go needs it" : ""}`,
      "aria-disabled": fixed,
    };
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.title = `class ${k + 1}: ${attributes["aria-valuetext"]}`;
    const mark = node.querySelector("path");
    mark.setAttribute("d", chosen ? "M1,1 L15,1 L8,13 Z" : "M4,4 L12,4 L8,12 Z");
    mark.setAttribute("fill", chosen ? "#d55e00" : fixed ? "none" : "currentColor");
    mark.setAttribute("stroke", chosen ? "#d55e00" : "currentColor");
  }

  handle(size) {
    const node = document.createElement("div");
    node.setAttribute("role", "slider");
    node.setAttribute("aria-orientation", "horizontal");
    node.style.cssText = "position:absolute;width:16px;height:14px;touch-action:none;";
    node.style.color = this.plot._fullLayout.font.color;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("width", 16);
    svg.setAttribute("height", 14);
    svg.appendChild(document.createElementNS(SVG, "path"));
    node.appendChild(svg);
    node.onpointerdown = (event) => this.grab(node, event);
    node.ondblclick = (event) => event.stopPropagation();
    node.onkeydown = (event) => this.key(node, event);
    node.onfocus = () => this.select(node.size);
    this.nodes.set(size, node);
    this.layer.appendChild(node);
    return node;
  }

  // Follows the pointer from a triangle on, until it lets go.
  grab(node, event) {
    event.preventDefault();
    this.select(node.size);
    node.focus({ preventScroll: true });
    node.setPointerCapture(event.pointerId);
    node.onpointermove = (move) => this.move(this.sizeAt(move.clientX));
    node.onpointerup = node.onpointercancel = () => (node.onpointermove = null);
  }

  key(node, event) {
    const { sizes, free } = this;
    const k = sizes.indexOf(node.size);
    const down = ["ArrowLeft", "ArrowDown"].includes(event.key);
    const up = ["ArrowRight", "ArrowUp"].includes(event.key);
    const other = { PageUp: k + 1, PageDown: k - 1, Home: 0, End: sizes.length - 1 }[event.key];
    if (down) this.move(free.findLast((size) => size < node.size));
    else if (up) this.move(free.find((size) => size > node.size));
    else if (other !== undefined) this.go(sizes[other]);
    else if (event.key === "Delete" || event.key === "Backspace") this.remove();
    else if (event.key === "Insert" || event.key === "+") this.add(Math.sqrt(node.size * (sizes[k - 1] ?? 4)));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  go(size) {
    if (size === undefined) return;
    this.select(size);
    this.nodes.get(size).focus({ preventScroll: true });
  }

  select(size) {
    if (size === this.model.get("selected")) return;
    this.model.set("selected", size);
    this.tell();
  }

  // Sizes that may be classes and are none.
  get free() {
    return this.model.get("legal").filter((size) => !this.sizes.includes(size));
  }

  // Moves the chosen boundary as near to `wanted` as there is a free size.
  move(wanted) {
    const size = this.model.get("selected");
    if (wanted === undefined || !this.sizes.includes(size) || this.model.get("fixed").includes(size)) return;
    const to = nearest([size, ...this.free], wanted);
    if (to === size) return;
    // The triangle that is held goes along.
    const node = this.nodes.get(size);
    this.nodes.delete(size);
    this.nodes.set(to, node);
    this.set([...this.sizes.filter((other) => other !== size), to], to);
  }

  add(wanted) {
    const size = nearest(this.free, wanted);
    if (size === undefined) return;
    this.set([...this.sizes, size], size);
    this.go(size);
  }

  remove() {
    const size = this.model.get("selected");
    if (this.model.get("fixed").includes(size) || !this.sizes.includes(size)) return;
    const k = this.sizes.indexOf(size);
    this.set(this.sizes.filter((other) => other !== size), this.sizes[k - 1]);
    this.go(this.model.get("selected"));
  }

  set(sizes, selected) {
    this.model.set("value", [...sizes].sort((a, b) => a - b));
    this.model.set("selected", selected);
    this.tell();
  }

  // Shows the present state now, and lets the kernel know with the next frame.
  tell() {
    this.place();
    this.say(`class of ${words(this.model.get("selected"))}`);
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.model.save_changes();
    });
  }

  end() {
    this.plot.removeListener?.("plotly_afterplot", this.place);
    this.layer.remove();
  }
}

export default {
  render({ model, el }) {
    const help = document.createElement("span");
    help.textContent =
      "Drag a triangle to move a boundary, or use the arrow keys; Page Up and Down choose another class, " +
      "double-click or + adds one, Delete removes it. An outlined triangle is a class that Go needs.";
    help.style.opacity = 0.8;
    const told = document.createElement("span");
    told.setAttribute("role", "status");
    told.style.cssText = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);";
    el.append(help, told);
    let handles, timer;
    const find = () => {
      const plot = plotOf(model.get("figure"));
      if (plot?._fullLayout?.xaxis?._length) handles = new Handles(model, plot, (text) => (told.textContent = text));
      else timer = setTimeout(find, NEAR);
    };
    const refresh = () => handles?.place();
    model.on("change:value change:selected change:fixed change:legal", refresh);
    find();
    return () => {
      clearTimeout(timer);
      model.off("change:value change:selected change:fixed change:legal", refresh);
      handles?.end();
    };
  },
};
