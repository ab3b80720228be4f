// The page of a sweep: ranking, settings against the result, curves, cost, forgetting against gain.

const sweep = JSON.parse(document.getElementById("data").textContent);
const finished = sweep.rows.filter((row) => row.state === "finished");
const scored = finished.filter((row) => isNumber(row[sweep.metric]));
const settingKeys = [...new Set(sweep.rows.flatMap((row) => Object.keys(row.settings)))];
const NAMES = {eval_loss: "eval loss", train_loss: "training loss"};
const metricName = NAMES[sweep.metric] || sweep.metric;
const better = sweep.higher_is_better ? "higher" : "lower";
const PALETTE = ["--accent", "--warm", "--green", "--violet", "--alarm", "--still"];

function section(title, note, ...content) {
  const shown = content.filter((node) => node);
  return shown.length ? element("section", {}, element("h2", {}, title, " ", element("span", {class: "soft"}, note)), ...shown) : null;
}

const textOf = (value) => (value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value));
const shortKey = (key) => key.split(".").pop();
const labelOf = (row) => settingKeys.filter((key) => key in row.settings).map((key) => `${shortKey(key)} ${textOf(row.settings[key])}`).join(", ");

function header() {
  const words = Object.entries(sweep.states).map(([state, count]) => `${formatStep(count)} ${state}`);
  const kind = Object.keys(sweep.states).every((state) => state === "finished") ? "good" : "going";
  return element("header", {}, element("h1", {}, sweep.name), element("div", {class: "badges"},
      ...words.map((word) => element("span", {class: `badge ${kind}`}, word)),
      element("span", {class: "badge"}, `ranked by ${metricName}, ${better} is better`)));
}

// --- ranking -----------------------------------------------------------------------------------------------

const COLUMNS = [["eval_loss", "eval loss", formatNumber], ["gain", "gain", formatSigned], ["forgetting", "forgetting", formatSigned],
                 ["train_loss", "training loss", formatNumber], ["steps", "steps", formatStep], ["seconds", "time in steps", formatSeconds],
                 ["tokens_per_second", "tokens/s", formatNumber], ["peak_memory_bytes", "peak memory", formatBytes],
                 ["trainable_parameters", "trainable", formatCount]];
/// The figures that stand for benchmarks, and the one that ranks where it is another.
const benchmarks = [...new Set(sweep.rows.flatMap((row) => Object.keys(row)).filter((key) => /\.(accuracy|loss|cider)$/.test(key)))];
const known = [...COLUMNS.map(([key]) => key), ...benchmarks];
COLUMNS.splice(3, 0, ...[...benchmarks, ...(known.includes(sweep.metric) ? [] : [sweep.metric])].map((key) => [key, key, formatNumber]));

function ranking() {
  const most = 200, columns = COLUMNS.filter(([key]) => sweep.rows.some((row) => isNumber(row[key])));
  const head = element("tr", {}, ...["", ...settingKeys, ...columns.map(([, name]) => name), "run"].map((name) => element("th", {}, name)));
  const body = sweep.rows.slice(0, most).map((row) => element("tr", {},
      element("td", {class: "number"}, row.rank !== null ? String(row.rank) : row.rung ? `${row.state} at rung ${row.rung}` : row.state),
      ...settingKeys.map((key) => element("td", {}, textOf(row.settings[key]))),
      ...columns.map(([key, , format]) => element("td", {class: "number"}, isNumber(row[key]) ? format(row[key]) : "–")),
      element("td", {class: "number"}, row.state === "waiting" ? row.id : element("a", {href: `runs/${row.id}/report.html`}, row.id))));
  const rest = sweep.points - Math.min(most, sweep.rows.length);
  return element("div", {class: "card wide"}, element("table", {class: "ranking"}, head, ...body),
      rest > 0 ? element("p", {class: "soft small"}, `and ${formatStep(rest)} more in results.csv`) : null);
}

function methods() {
  const [head, ...body] = sweep.methods;
  if (!head) return null;
  const settings = head.indexOf("seeds");
  return element("div", {class: "card wide"}, element("table", {class: "ranking"},
      element("tr", {}, ...head.map((name) => element("th", {}, name))),
      ...body.map((cells) => element("tr", {}, ...cells.map((cell, i) => element("td", i < settings ? {} : {class: "number"}, cell))))));
}

function failures() {
  const failed = sweep.rows.filter((row) => row.error);
  return failed.length ? element("div", {class: "card"}, element("table", {}, ...failed.slice(0, 50).map((row) =>
      element("tr", {}, element("th", {}, labelOf(row) || row.id), element("td", {}, row.error))))) : null;
}

// --- scatter charts ----------------------------------------------------------------------------------------

/// An axis for the values: numbers, on a logarithmic scale where they span a factor of 20 or more, or names in
/// the order of their appearance. place(value) is from 0 to 1.
function axisOf(values, {zero, format} = {}) {
  if (!values.every(isNumber)) {
    const names = [...new Set(values.map(textOf))];
    const at = (index) => (index + 0.5) / names.length;
    return {place: (value) => at(names.indexOf(textOf(value))), ticks: names.map((name, i) => [at(i), name])};
  }
  let low = Math.min(...values), high = Math.max(...values);
  const words = format || formatNumber;
  if (low > 0 && high / low >= 20) {
    [low, high] = [low / 1.2, high * 1.2];
    const place = (value) => Math.log(value / low) / Math.log(high / low);
    return {place, ticks: logTicks(low, high).map((tick) => [place(tick), words(tick)])};
  }
  if (zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  const margin = high > low ? 0.06 * (high - low) : Math.abs(high) * 0.1 || 1;
  [low, high] = [low - margin, high + margin];
  const place = (value) => (value - low) / (high - low);
  return {place, ticks: linearTicks(low, high, 5).map((tick) => [place(tick), words(tick)]), zero: low < 0 && high > 0 ? place(0) : null};
}

/// Dots in a card, the best one marked. options: {title, note, x: {of: row => value, …}, y: the same, xName}
function scatter(rows, options) {
  const shown = rows.filter((row) => options.x.of(row) !== undefined && isNumber(options.y.of(row)));
  if (!shown.length) return null;
  const chart = element("div", {class: "chart"});
  const head = element("div", {class: "chart-head"}, element("h3", {}, options.title), element("span", {class: "soft small"}, options.note || ""));
  afterLayout(() => drawAtWidth(chart, (width) => chart.replaceChildren(drawDots(shown, options, width))));
  return element("div", {class: "card"}, head, chart);
}

function drawDots(rows, options, width) {
  const height = 230, box = {left: 60, right: width - 12, top: 10, bottom: height - 40};
  const across = axisOf(rows.map(options.x.of), options.x), up = axisOf(rows.map(options.y.of), options.y);
  const x = (share) => box.left + share * (box.right - box.left), y = (share) => box.bottom - share * (box.bottom - box.top);
  const svg = svgElement("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": options.title});
  for (const [share, label] of up.ticks)
    svg.append(svgElement("line", {x1: box.left, x2: box.right, y1: y(share), y2: y(share), stroke: "var(--grid)"}),
               svgElement("text", {x: box.left - 8, y: y(share) + 4, "text-anchor": "end"}, label));
  const room = Math.max(1, Math.floor((box.right - box.left) / across.ticks.length / 7));
  for (const [share, label] of across.ticks)
    svg.append(svgElement("line", {x1: x(share), x2: x(share), y1: box.bottom, y2: box.bottom + 4, stroke: "var(--still)"}),
               svgElement("text", {x: x(share), y: box.bottom + 17, "text-anchor": "middle"},
                          label.length > room ? `${label.slice(0, Math.max(1, room - 1))}…` : label));
  if (isNumber(up.zero)) svg.append(svgElement("line", {x1: box.left, x2: box.right, y1: y(up.zero), y2: y(up.zero), stroke: "var(--still)"}));
  if (isNumber(across.zero)) svg.append(svgElement("line", {x1: x(across.zero), x2: x(across.zero), y1: box.top, y2: box.bottom, stroke: "var(--still)"}));
  svg.append(svgElement("text", {x: box.right, y: height - 4, "text-anchor": "end"}, options.xName));
  for (const row of [...rows].reverse()) {
    const best = row.rank === 1;
    svg.append(svgElement("circle", {class: "dot", cx: x(across.place(options.x.of(row))).toFixed(1), cy: y(up.place(options.y.of(row))).toFixed(1), r: best ? 6 : 4.5,
                                     fill: best ? "var(--warm)" : colorOf(row), "fill-opacity": best ? 1 : 0.7, stroke: "var(--card)"},
        svgElement("title", {}, `${row.rank}. ${labelOf(row)}: ${metricName} ${formatNumber(row[sweep.metric])}`)));
  }
  return svg;
}

// --- parallel coordinates -----------------------------------------------------------------------------------

/// Every point as a line through an axis for each setting that differs, and one for the result, whose good end
/// is up.
function parallelCoordinates() {
  const rows = sweep.rows.filter((row) => ["finished", "dropped"].includes(row.state) && isNumber(row[sweep.metric]));
  const keys = settingKeys.filter((key) => new Set(rows.map((row) => textOf(row.settings[key]))).size > 1);
  if (rows.length < 2 || keys.length < 2) return null;
  const axes = keys.map((key) => ({name: key, of: (row) => row.settings[key]}));
  axes.push({name: metricName, of: (row) => row[sweep.metric], falls: !sweep.higher_is_better});
  for (const axis of axes) axis.scale = threadScale(rows.map(axis.of));
  const chart = element("div", {class: "chart"});
  const dropped = rows.some((row) => row.state === "dropped") ? "; dashed: dropped at a rung, with the result there" : "";
  const head = element("div", {class: "chart-head"}, element("h3", {}, "All settings at once"),
                       element("span", {class: "soft small"}, `a line a point, ${metricName} at the right, the best one up${dropped}`));
  afterLayout(() => drawAtWidth(chart, (width) => chart.replaceChildren(drawThreads(rows, axes, width))));
  return element("div", {class: "card"}, head, chart);
}

/// An axis whose ticks are the values themselves where they are few.
function threadScale(values) {
  const scale = axisOf(values), few = [...new Set(values)];
  if (few.length <= 6 && values.every(isNumber)) scale.ticks = few.map((value) => [scale.place(value), formatNumber(value)]);
  return scale;
}

function drawThreads(rows, axes, width) {
  const height = 320, box = {left: 84, right: width - 70, top: 34, bottom: height - 14};
  const svg = svgElement("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Parallel coordinates"});
  const x = (i) => box.left + (i / (axes.length - 1)) * (box.right - box.left);
  const y = (axis, share) => box.bottom - (axis.falls ? 1 - share : share) * (box.bottom - box.top);
  for (const row of [...rows].reverse()) {
    const best = row.rank === 1, lost = row.state === "dropped";
    const corners = axes.map((axis, i) => `${x(i).toFixed(1)} ${y(axis, axis.scale.place(axis.of(row))).toFixed(1)}`);
    svg.append(svgElement("path", {class: "thread", d: `M${corners.join("L")}`, fill: "none", stroke: best ? "var(--warm)" : colorOf(row),
                                   "stroke-width": best ? 3 : 1.5, "stroke-opacity": best ? 1 : lost ? 0.3 : 0.55,
                                   ...(lost ? {"stroke-dasharray": "4 4"} : {})},
        svgElement("title", {}, `${row.rank === null ? row.state : `${row.rank}.`} ${labelOf(row)}: ${metricName} ${formatNumber(row[sweep.metric])}`)));
  }
  axes.forEach((axis, i) => {
    const last = i === axes.length - 1;
    svg.append(svgElement("line", {x1: x(i), x2: x(i), y1: box.top, y2: box.bottom, stroke: "var(--still)"}),
               svgElement("text", {class: "axis-name", x: x(i), y: 14, "text-anchor": i === 0 ? "start" : last ? "end" : "middle",
                                   dx: i === 0 ? 6 - box.left : last ? 64 : 0}, axis.name));
    for (const [share, label] of axis.scale.ticks)
      svg.append(svgElement("text", {class: "on-lines", x: x(i) + (last ? 8 : -8), y: y(axis, share) + 4, "text-anchor": last ? "start" : "end"},
                            label.length > 12 ? `${label.slice(0, 11)}…` : label));
  });
  return svg;
}

/// Methods are told apart by colour wherever they are swept over.
const groupKey = settingKeys.find((key) => key === "method.type");
const groups = groupKey ? [...new Set(sweep.rows.map((row) => textOf(row.settings[groupKey])))] : [];
const groupColor = (index) => `var(${PALETTE.filter((color) => color !== "--warm")[index % (PALETTE.length - 1)]})`;
const colorOf = (row) => (groupKey ? groupColor(groups.indexOf(textOf(row.settings[groupKey]))) : "var(--accent)");

function dotLegend() {
  const mark = (color, name) => {
    const line = element("i");
    line.style.borderColor = color;
    return element("span", {class: "legend"}, line, name);
  };
  return element("div", {class: "chart-head"}, ...groups.map((name, i) => mark(groupColor(i), name)), mark("var(--warm)", "the best one"));
}

function settingCharts() {
  const metric = {of: (row) => row[sweep.metric]};
  const charts = settingKeys.map((key) => scatter(scored, {title: key, note: `${metricName} by value`, x: {of: (row) => row.settings[key]}, y: metric,
                                                           xName: key})).filter(Boolean);
  return charts.length ? [dotLegend(), element("div", {class: "stack"}, parallelCoordinates(), element("div", {class: "grid pairs"}, ...charts))] : [];
}

function costCharts() {
  const metric = {of: (row) => row[sweep.metric]};
  const costs = [["seconds", "Time in steps", formatSeconds], ["peak_memory_bytes", "Peak memory", formatBytes],
                 ["trainable_parameters", "Trainable parameters", formatCount]];
  const charts = costs.map(([key, title, format]) =>
      scatter(scored, {title, note: `${metricName} by cost`, x: {of: (row) => row[key], format}, y: metric, xName: title.toLowerCase()})).filter(Boolean);
  return charts.length ? element("div", {class: "grid"}, ...charts) : null;
}

function forgettingChart() {
  const both = finished.filter((row) => isNumber(row.gain) && isNumber(row.forgetting));
  return scatter(both, {title: "Forgetting against gain", note: "nats a token; best is right and low", x: {of: (row) => row.gain, zero: true},
                        y: {of: (row) => row.forgetting, zero: true}, xName: "gain: base's eval loss − eval loss"});
}

// --- learning curves ---------------------------------------------------------------------------------------

function curveCharts() {
  const rows = sweep.rows.filter((row) => row.curves);
  const chart = (key, title, style) => {
    const series = rows.filter((row) => row.curves[key]).map((row, i) => ({
      name: `${row.rank === null ? row.state : `${row.rank}.`} ${labelOf(row)}`, curve: row.curves[key],
      color: `var(${PALETTE[i % PALETTE.length]})`, dashed: i >= PALETTE.length, ...style}));
    return series.length ? lineChart(series, {title, height: 300, log: true}) : null;
  };
  const charts = [chart("eval_loss", "Eval loss", {dots: true}), chart("loss", "Training loss", {smooth: true})].filter(Boolean);
  return charts.length ? element("div", {class: "stack"}, ...charts) : null;
}

document.getElementById("page").append(...[
  header(),
  section("Methods", "each at its best settings; mean ± standard deviation over the seeds", methods()),
  section("Ranking", `by ${metricName}`, ranking()),
  section("Failed points", "the others went on", failures()),
  section("Settings", `each against the ${metricName}`, ...settingCharts()),
  section("Learning curves", "of the first ranks, nats a label", curveCharts()),
  section("Forgetting and gain", "on held-out text, and on the validation data", forgettingChart()),
  section("Cost", "what a result took", costCharts()),
  element("footer", {}, "Written by excitor sweep from the runs' config.json and metrics.jsonl."),
].filter(Boolean));
drawAll();
