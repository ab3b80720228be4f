// Line charts and heat maps as SVG, drawn for the width they have and again when it changes.

/// Round values that cover low … high: 1, 2 or 5 times a power of ten apart.
function linearTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = [1, 2, 5, 10].find((u) => u * power >= rough) * power;
  const ticks = [];
  for (let i = Math.ceil(low / unit - 1e-9); i * unit <= high + unit * 1e-9; ++i) ticks.push(Number((i * unit).toPrecision(12)));
  return ticks;
}

/// Round values when counted in units: bytes in MiB.
const unitTicks = (low, high, unit) => linearTicks(low / unit, high / unit, 5).map((tick) => tick * unit);

/// 1, 2, 5, 10, 20, … where they are few; powers of ten alone where they are many.
function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const units = decades < 1.5 ? [1, 2, 3, 5, 7] : decades < 3 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); ++e)
    for (const unit of units) {
      const tick = Number((unit * 10 ** e).toPrecision(3));
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  return ticks.length > 1 ? ticks : [low, high];
}

/// Calls draw(width) now and whenever the width changes.
function drawAtWidth(box, draw) {
  let drawn = 0;
  const redraw = () => {
    const width = Math.round(box.clientWidth) || 600;
    if (width !== drawn) draw((drawn = width));
  };
  redraw();
  new ResizeObserver(redraw).observe(box);
}

/// Points of a curve {step, mean} smoothed by an exponential mean over about a sixtieth of them.
function smoothed(curve) {
  const keep = Math.max(0, 1 - 60 / curve.mean.length);
  let sum = 0, weight = 0;
  return {step: curve.step, mean: curve.mean.map((value) => {
    if (!isNumber(value)) return null;
    sum = keep * sum + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return sum / weight;
  })};
}

/// A chart of curves over steps, in a card with its title and legend.
/// series: [{name, curve: {step, mean, low?, high?}, color, dashed?, dots?, smooth?}]
/// options: {title, height, format, log?: offer a logarithmic axis, zero?: the axis includes 0,
///   unit?: of round values on the axis}
function lineChart(series, options) {
  const chart = element("div", {class: "chart"});
  const head = element("div", {class: "chart-head"}, element("h3", {}, options.title));
  if (series.length > 1) series.forEach((s) => head.append(legendOf(s)));
  const state = {series, options, log: false};
  const draw = (width) => chart.replaceChildren(...drawLines(state, width, chart));
  if (options.log) head.append(logButton(state, () => draw(chart.clientWidth)));
  const card = element("div", {class: "card"}, head, chart);
  afterLayout(() => drawAtWidth(chart, draw));
  return card;
}

/// Charts are drawn once the page has its layout.
const waitingForLayout = [];
const afterLayout = (draw) => waitingForLayout.push(draw);
const drawAll = () => waitingForLayout.splice(0).forEach((draw) => draw());

function legendOf(s) {
  const mark = element("i", s.dashed ? {class: "dashed"} : {});
  mark.style.borderColor = s.color;
  return element("span", {class: "legend"}, mark, s.name);
}

function logButton(state, redraw) {
  const button = element("button", {type: "button", "aria-pressed": "false", title: "Logarithmic axis"}, "log");
  button.addEventListener("click", () => {
    state.log = !state.log;
    button.setAttribute("aria-pressed", String(state.log));
    redraw();
  });
  return button;
}

/// The range of all values, a little widened; positive ones alone on a logarithmic axis.
function valueRange({series, options, log}) {
  let low = Infinity, high = -Infinity;
  for (const {curve} of series)
    for (const value of [...curve.mean, ...(curve.low || []), ...(curve.high || [])])
      if (isNumber(value) && (!log || value > 0)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low > high) [low, high] = log ? [0.1, 1] : [0, 1];
  if (log) return low === high ? [low / 2, high * 2] : [low / 1.1, high * 1.1];
  if (options.zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  if (low === high) [low, high] = low === 0 ? [0, 1] : [Math.min(low, low * 1.1), Math.max(high, high * 1.1)];
  const margin = 0.04 * (high - low);
  return [options.zero && low === 0 ? 0 : low - margin, options.zero && high === 0 ? 0 : high + margin];
}

function drawLines(state, width, chart) {
  const {series, options, log} = state;
  const height = options.height || 190;
  const box = {left: 56, right: width - 10, top: 8, bottom: height - 26};
  const [low, high] = valueRange(state);
  const steps = series.flatMap(({curve}) => curve.step);
  const first = Math.min(...steps), last = Math.max(...steps, first + 1);
  const place = log ? Math.log : (value) => value;
  const x = (step) => box.left + ((step - first) / (last - first)) * (box.right - box.left);
  const y = (value) => box.bottom - ((place(value) - place(low)) / (place(high) - place(low))) * (box.bottom - box.top);
  const svg = svgElement("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": options.title});
  drawAxes(svg, box, x, y, log ? logTicks(low, high) : unitTicks(low, high, options.unit || 1), linearTicks(first, last, width / 90), options);
  for (const s of series) drawCurve(svg, s, x, y, log);
  return [svg, ...pointerTip(svg, chart, state, {box, x, y, first, last, width})];
}

function drawAxes(svg, box, x, y, valueTicks, stepTicks, options) {
  const format = options.format || formatNumber;
  for (const tick of valueTicks) {
    const strong = tick === 0 && options.zero;
    svg.append(
        svgElement("line", {x1: box.left, x2: box.right, y1: y(tick), y2: y(tick), stroke: `var(--${strong ? "still" : "grid"})`}),
        svgElement("text", {x: box.left - 8, y: y(tick) + 4, "text-anchor": "end"}, format(tick)));
  }
  for (const tick of stepTicks.filter(Number.isInteger)) {
    const anchor = x(tick) > box.right - 16 ? "end" : "middle";  // the last one stays inside
    svg.append(svgElement("text", {x: anchor === "end" ? box.right + 6 : x(tick), y: box.bottom + 18, "text-anchor": anchor}, formatStep(tick)));
  }
}

/// "M…L…" through the values that can be drawn; gaps where there are none.
function pathOf(curve, values, x, y, log) {
  let path = "", pen = "M";
  curve.step.forEach((step, i) => {
    const value = values[i];
    const drawable = isNumber(value) && (!log || value > 0);
    if (drawable) path += `${pen}${x(step).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = drawable ? "L" : "M";
  });
  return path;
}

function drawCurve(svg, s, x, y, log) {
  const {curve, color} = s;
  if (curve.low) svg.append(svgElement("path", {d: bandOf(curve, x, y, log), fill: color, opacity: 0.16}));
  const line = (c, attributes) => svg.append(svgElement("path", {
    d: pathOf(c, c.mean, x, y, log), fill: "none", stroke: color, "stroke-linejoin": "round", "stroke-linecap": "round", ...attributes}));
  if (s.smooth) line(curve, {"stroke-width": 1, opacity: 0.35});
  line(s.smooth ? smoothed(curve) : curve, {"stroke-width": s.dashed ? 1.5 : 2, ...(s.dashed ? {"stroke-dasharray": "5 5"} : {})});
  if (!s.dots || curve.step.length > 60) return;
  curve.step.forEach((step, i) => {
    const value = curve.mean[i];
    if (isNumber(value) && (!log || value > 0))
      svg.append(svgElement("circle", {cx: x(step), cy: y(value), r: 3, fill: "var(--card)", stroke: color, "stroke-width": 2}));
  });
}

/// The area between the lowest and the highest values.
function bandOf(curve, x, y, log) {
  const drawable = [...curve.step.keys()].filter((i) => isNumber(curve.low[i]) && (!log || curve.low[i] > 0));
  const corner = (values) => (i) => `${x(curve.step[i]).toFixed(1)} ${y(values[i]).toFixed(1)}`;
  const corners = [...drawable.map(corner(curve.high)), ...drawable.reverse().map(corner(curve.low))];
  return corners.length ? `M${corners.join("L")}Z` : "";
}

function nearestIndex(steps, step) {
  let nearest = 0;
  steps.forEach((s, i) => { if (Math.abs(s - step) < Math.abs(steps[nearest] - step)) nearest = i; });
  return nearest;
}

/// A line at the pointer's step, and the values there.
function pointerTip(svg, chart, {series, options}, {box, x, first, last, width}) {
  const tip = element("div", {class: "tip", hidden: ""});
  const line = svgElement("line", {y1: box.top, y2: box.bottom, stroke: "var(--still)", visibility: "hidden"});
  svg.append(line);
  svg.addEventListener("pointermove", (event) => {
    const share = ((event.clientX - chart.getBoundingClientRect().left) * (width / chart.clientWidth) - box.left) / (box.right - box.left);
    const pointed = first + Math.min(1, Math.max(0, share)) * (last - first);
    const longest = series.reduce((a, b) => (b.curve.step.length > a.curve.step.length ? b : a)).curve.step;
    const step = longest[nearestIndex(longest, pointed)];
    const rows = series.map(({name, curve}) => {
      const value = (options.format || formatNumber)(curve.mean[nearestIndex(curve.step, step)]);
      return element("div", {}, series.length > 1 ? `${name}: ${value}` : value);
    });
    tip.replaceChildren(element("div", {}, `step ${formatStep(step)}`), ...rows);
    tip.hidden = false;
    const at = x(step);
    tip.style.top = `${box.top}px`;
    tip.style.left = at > width / 2 ? "" : `${at + 12}px`;
    tip.style.right = at > width / 2 ? `${width - at + 12}px` : "";
    fill(line, {x1: at, x2: at, visibility: "visible"}, []);
  });
  svg.addEventListener("pointerleave", () => {
    tip.hidden = true;
    line.setAttribute("visibility", "hidden");
  });
  return [tip];
}

/// The colour of a value from -1 to 1 (or 0 to 1) on a scale around `--neutral`.
function heatColor(share, positive) {
  const percent = Math.round(100 * Math.min(1, Math.abs(share)));
  return `color-mix(in oklab, var(${share < 0 ? "--warm" : positive}) ${percent}%, var(--neutral))`;
}

/// A heat map in a card; show(grid) draws another grid of the same shape with the same scale.
/// grid: {rows: [labels], columns: [labels], values: [row][column]}
/// options: {title, note, rowName, columnName, format, positive: a colour variable, most: the end of the scale, log?: from}
function heatMap(grid, options) {
  const chart = element("div", {class: "chart"});
  const scale = options.log ? (v) => Math.max(0, 1 - Math.log(options.most / v) / Math.log(options.most / options.log))
                            : (v) => v / (options.most || 1);
  const state = {grid, options, scale};
  const draw = (width) => chart.replaceChildren(drawCells(state, width));
  afterLayout(() => drawAtWidth(chart, draw));
  const card = element("div", {class: "card"},
      element("div", {class: "chart-head"}, element("h3", {}, options.title), element("span", {class: "soft small"}, options.note)),
      chart, scaleBar(options));
  return {card, show: (next) => { state.grid = next; draw(chart.clientWidth); }};
}

function scaleBar({most, format, positive, signed, log}) {
  const bar = element("i");
  const ends = signed ? [heatColor(-1, positive), heatColor(0, positive), heatColor(1, positive)]
                      : [heatColor(0, positive), heatColor(1, positive)];
  bar.style.background = `linear-gradient(to right, ${ends.join(", ")})`;
  return element("div", {class: "scale"}, format(signed ? -most : log || 0), bar, format(most), log ? " (logarithmic)" : null);
}

function drawCells({grid, options, scale}, width) {
  const {rows, columns, values} = grid;
  const left = 14 + 6.6 * Math.max(...rows.map((label) => label.length));
  const cell = {width: Math.min(120, (width - left) / columns.length), height: rows.length > 16 ? 13 : rows.length > 8 ? 18 : 24};
  const gap = cell.width > 8 ? 1.5 : 0;
  const bottom = rows.length * cell.height;
  const svg = svgElement("svg", {viewBox: `0 0 ${width} ${bottom + 36}`, role: "img", "aria-label": options.title});
  rows.forEach((label, row) => {
    if (cell.height > 13 || row % 2 === 0)
      svg.append(svgElement("text", {x: left - 8, y: (row + 0.5) * cell.height + 4, "text-anchor": "end"}, label));
    columns.forEach((column, i) => {
      const value = values[row][i];
      if (!isNumber(value)) return;
      svg.append(svgElement("rect", {
        x: left + i * cell.width, y: row * cell.height, width: cell.width - gap, height: cell.height - (gap ? 1.5 : 0),
        rx: gap ? 2 : 0, style: `fill: ${heatColor(scale(value), options.positive)}`,
      }, svgElement("title", {}, `${options.rowName} ${label}, ${options.columnName} ${column}: ${options.format(value)}`)));
    });
  });
  const every = Math.ceil(((7 * Math.max(...columns.map((label) => label.length)) + 8)) / cell.width);
  columns.forEach((label, i) => {
    if (i % every === 0)
      svg.append(svgElement("text", {x: left + (i + 0.5) * cell.width - gap / 2, y: bottom + 14, "text-anchor": "middle"}, label));
  });
  svg.append(svgElement("text", {x: left, y: bottom + 31}, `${options.rowName} ↓  ${options.columnName} →`));
  return svg;
}
