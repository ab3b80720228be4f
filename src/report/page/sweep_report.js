// The page of a sweep: ranking, settings against the result, curves, cost, forgetting against gain.

const sweep = JSON.parse(document.getElementById("data").textContent);
const finished = sweep.rows.filter((row) => row.state === "finished");
const scored = finished.filter((row) => isNumber(row[sweep.metric]));
const settingKeys = [...new Set(sweep.rows.flatMap((row) => Object.keys(row.settings)))];
const NAMES = {eval_loss: "eval loss", train_loss: "training loss"};
const metricName = NAMES[sweep.metric] || sweep.metric;
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
      element("span", {class: "badge"}, `ranked by ${metricName}, lower is better`)));
}

// --- ranking -----------------------------------------------------------------------------------------------

const COLUMNS = [["eval_loss", "eval loss", formatNumber], ["gain", "gain", formatSigned], ["forgetting", "forgetting", formatSigned],
                 ["train_loss", "training loss", formatNumber], ["steps", "steps", formatStep], ["seconds", "time in steps", formatSeconds],
                 ["tokens_per_second", "tokens/s", formatNumber], ["peak_memory_bytes", "peak memory", formatBytes],
                 ["trainable_parameters", "trainable", formatCount]];

function ranking() {
  const most = 200, columns = COLUMNS.filter(([key]) => sweep.rows.some((row) => isNumber(row[key])));
  const head = element("tr", {}, ...["", ...settingKeys, ...columns.map(([, name]) => name), "run"].map((name) => element("th", {}, name)));
  const body = sweep.rows.slice(0, most).map((row) => element("tr", {},
      element("td", {class: "number"}, row.rank === null ? row.state : String(row.rank)),
      ...settingKeys.map((key) => element("td", {}, textOf(row.settings[key]))),
      ...columns.map(([key, , format]) => element("td", {class: "number"}, isNumber(row[key]) ? format(row[key]) : "–")),
      element("td", {class: "number"}, row.state === "waiting" ? row.id : element("a", {href: `runs/${row.id}/report.html`}, row.id))));
  const rest = sweep.points - Math.min(most, sweep.rows.length);
  return element("div", {class: "card wide"}, element("table", {class: "ranking"}, head, ...body),
      rest > 0 ? element("p", {class: "soft small"}, `and ${formatStep(rest)} more in results.csv`) : null);
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
  return charts.length ? [dotLegend(), element("div", {class: "grid pairs"}, ...charts)] : [];
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
  section("Ranking", `by ${metricName}`, ranking()),
  section("Failed points", "the others went on", failures()),
  section("Settings", `each against the ${metricName}`, ...settingCharts()),
  section("Learning curves", "of the first ranks, nats a label", curveCharts()),
  section("Forgetting and gain", "on held-out text, and on the validation data", forgettingChart()),
  section("Cost", "what a result took", costCharts()),
  element("footer", {}, "Written by excitor sweep from the runs' config.json and metrics.jsonl."),
].filter(Boolean));
drawAll();
