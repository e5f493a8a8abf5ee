// Brush: puts other data into the lines and images of plots that are there, without plotly's own update.
//
// Plotly.update looks at everything a figure may have: margins, legend, ticks, title.  While a slider moves, a draft
// changes only where its lines run and what the caption says, so of plotly's steps these are taken: calc (values to
// points), crossTraceCalc (stacking) and plot (points to paths), each by plotly's own module of the trace.  An image
// that plotly shows as it is gets another source, and a text of title or legend other letters.  Whatever
// is not as expected is an error that the kernel is told, and from then on it draws the usual way.

const STEPS = ["calc", "crossTraceCalc", "plot"];
const TYPES = { f4: Float32Array, i4: Int32Array };

const plotsOf = (figure) =>
  [...document.querySelectorAll(".js-plotly-plot")].filter((plot) => plot.layout?.meta?.export_id === figure);

// Returns the values of a trace: numbers from their buffer, texts as they are.
const unpack = (value, buffers) => {
  if (!Object.hasOwn(value, "buffer")) return value.list;
  const { buffer, byteOffset, byteLength } = buffers[value.buffer];
  return new TYPES[value.type](buffer.slice(byteOffset, byteOffset + byteLength));
};

const setCaption = (plot, caption) => {
  const texts = caption.split("<br>");
  const node = plot.querySelector(".gtitle-subtitle");
  const lines = texts.length > 1 ? [...node.querySelectorAll("tspan.line")] : [node];
  if (lines.length !== texts.length) throw new Error(`the caption has ${lines.length} lines`);
  lines.forEach((line, k) => (line.textContent = texts[k]));
  for (const layout of [plot.layout, plot._fullLayout]) layout.title.subtitle.text = caption;
};

const setTitle = (plot, title) => {
  plot.querySelector(".gtitle").textContent = title;
  for (const layout of [plot.layout, plot._fullLayout]) layout.title.text = title;
};

const setName = (plot, index, name) => {
  const entries = [...plot.querySelectorAll(".legend .traces")];
  const entry = entries.find((node) => node.__data__[0].trace.index === index);
  if (entry) entry.querySelector(".legendtext").textContent = name;
};

const setImage = (plot, index, source) => {
  const images = [...plot.querySelectorAll(".im")].filter((node) => node.__data__[0].trace.index === index);
  const full = plot._fullData[index];
  if (images.length !== 1 || !full._realImage) throw new Error(`trace ${index} is no image as it is`);
  images[0].querySelector("image").setAttribute("href", source);
  images[0].querySelector("image").setAttributeNS("http://www.w3.org/1999/xlink", "xlink:href", source);
  full.source = plot.data[index].source = source;
};

const panelOf = (full) => full.xaxis + full.yaxis;

const setData = (plot, traces, buffers) => {
  const changed = new Set();
  for (const [index, values] of traces) {
    const full = plot._fullData[index];
    const { name, source, ...data } = values;
    if (name) setName(plot, index, name.text);
    if (source) setImage(plot, index, source.text);
    if (!Object.keys(data).length) continue;
    if (full._module?.name !== "scatter" || STEPS.some((step) => typeof full._module[step] !== "function")) {
      throw new Error(`trace ${index} is not made of lines`);
    }
    for (const [key, value] of Object.entries(data)) {
      full[key] = plot.data[index][key] = unpack(value, buffers);
    }
    changed.add(panelOf(full));
  }
  return changed;
};

// Returns what plotly would keep of a trace: a list of points, of which the first knows the trace.
const points = (plot, full) => {
  const found = full._module.calc(plot, full);
  found[0].trace = full;
  found[0].t ??= {};
  return found;
};

const draw = (plot, changed) => {
  for (const [id, panel] of Object.entries(plot._fullLayout._plots)) {
    const shown = plot._fullData.filter(
      (full) => full.visible === true && full.type === "scatter" && panelOf(full) === id
    );
    if (!changed.has(id) || !shown.length) continue;
    for (const full of shown) plot.calcdata[full.index] = points(plot, full);
    const module = shown[0]._module;
    module.crossTraceCalc(plot, panel);
    module.plot(plot, panel, shown.map((full) => plot.calcdata[full.index]), panel.plot.select(".scatterlayer"));
  }
};

export default {
  initialize({ model }) {
    const paint = ({ figure, title, caption, traces }, buffers) => {
      try {
        for (const plot of plotsOf(figure)) {
          draw(plot, setData(plot, traces, buffers));
          if (title !== null) setTitle(plot, title);
          setCaption(plot, caption);
        }
      } catch (error) {
        model.send({ failed: String(error) });
      }
    };
    model.on("msg:custom", paint);
    return () => model.off("msg:custom", paint);
  },
};
