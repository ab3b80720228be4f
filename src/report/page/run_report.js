// The page of one run: figures, curves, what the bypass does, samples, settings.

const run = JSON.parse(document.getElementById("data").textContent);
const numberOf = (object, key) => (object && isNumber(object[key]) ? object[key] : null);
const setting = (section, key) => (run.config[section] || {})[key];

function section(title, note, ...content) {
  const shown = content.filter((node) => node);
  return shown.length ? element("section", {}, element("h2", {}, title, " ", element("span", {class: "soft"}, note)), ...shown) : null;
}

/// How far the run is: its words, and the class of their badge.
function stateOfRun() {
  const total = numberOf(run.start, "total_steps");
  if (run.end === null) return ["going", `step ${formatStep(run.last_step)} of ${total === null ? "?" : formatStep(total)}`];
  if (run.end.stopped_early) return ["going", `stopped early at step ${formatStep(run.last_step)}`];
  return ["good", `finished, ${formatStep(run.last_step)} steps`];
}

function header() {
  const start = run.start || {}, [kind, state] = stateOfRun();
  const model = setting("model", "path") ? String(setting("model", "path")).replace(/\/+$/, "").split("/").pop() : "random weights";
  const words = [`method ${setting("method", "type")}`, `model ${model}`, start.base_dtype && `base ${start.base_dtype}`,
                 start.activation_dtype && `activations ${start.activation_dtype}`, start.device && `on ${start.device}`,
                 start.threads && `${start.threads} thread${start.threads > 1 ? "s" : ""}`,
                 run.resumed_at.length && `resumed at step ${run.resumed_at.map(formatStep).join(" and ")}`];
  return element("header", {}, element("h1", {}, run.name),
      element("div", {class: "badges"}, element("span", {class: `badge ${kind}`}, state),
              ...words.filter(Boolean).map((word) => element("span", {class: "badge"}, word))));
}

function alarm() {
  if (!run.never_moved.length) return null;
  return element("div", {class: "alarm"}, element("strong", {}, `${run.never_moved.length} trainable tensors never moved: `),
      "no gradient reached them in the first steps, so they do not learn with these settings: ", run.never_moved.slice(0, 12).join(", "),
      run.never_moved.length > 12 ? ", …" : "");
}

function tile(name, value, note) {
  return element("div", {class: "tile"}, element("div", {class: "soft small"}, name), element("div", {class: "value"}, value),
                 element("div", {class: "soft small"}, note || "\u00a0"));
}

function tiles() {
  const start = run.start || {}, latest = run.latest;
  const losses = run.curves.loss ? run.curves.loss.mean.filter(isNumber) : [];
  const peak = run.curves.peak_memory_bytes ? Math.max(...(run.curves.peak_memory_bytes.high || run.curves.peak_memory_bytes.mean)) : null;
  const base = numberOf(latest, "base_loss");
  const list = [
    tile("Training loss", formatNumber(losses.at(-1)), losses.length > 1 ? `from ${formatNumber(losses[0])}` : ""),
    numberOf(latest, "eval_loss") !== null &&
        tile("Eval loss", formatNumber(latest.eval_loss), base === null ? "" : `base ${formatNumber(base)}`),
    run.best && tile("Best eval loss", formatNumber(run.best.eval_loss), `at step ${formatStep(run.best.step)}`),
    numberOf(latest, "forgetting") !== null && tile("Forgetting", formatSigned(latest.forgetting), `nats a token; KL ${formatNumber(latest.kl)}`),
    tile("Trainable", formatCount(start.trainable_parameters), `${formatPercent(start.trainable_parameters / start.base_parameters)} of the base`),
    tile("Throughput", run.seconds ? formatCount(run.tokens / run.seconds) : "–", "tokens a second"),
    tile("Peak memory", formatBytes(peak), start.device ? `on ${start.device}` : ""),
    tile("Time in steps", formatSeconds(run.seconds), `${formatCount(Math.round(run.tokens))} tokens`),
  ];
  return element("div", {class: "tiles"}, ...list.filter(Boolean));
}

function lossCharts() {
  const {loss} = run.curves, {eval_loss, base_loss} = run.evaluations;
  const series = [loss && {name: "training loss", curve: loss, color: "var(--accent)", smooth: true},
                  eval_loss && {name: "eval loss", curve: eval_loss, color: "var(--warm)", dots: true},
                  base_loss && {name: "eval loss of the frozen base", curve: base_loss, color: "var(--still)", dashed: true}].filter(Boolean);
  return series.length ? lineChart(series, {title: "Loss, nats a label", height: 330, log: true}) : null;
}

/// Of the memory axis: MiB, or GiB where there are some.
function memoryUnit() {
  const {peak_memory_bytes: memory} = run.curves;
  return memory && Math.max(...memory.mean) > 2 ** 31 ? 2 ** 30 : 2 ** 20;
}

function courseCharts() {
  const charts = [["learning_rate", "Learning rate", {}, "--violet"], ["grad_norm", "Gradient norm, before clipping", {log: true, smooth: true}, "--green"],
                  ["tokens_per_second", "Tokens a second", {zero: true, smooth: true}, "--accent"],
                  ["peak_memory_bytes", "Peak memory", {zero: true, format: formatBytes, unit: memoryUnit()}, "--warm"]];
  const drawn = charts.filter(([key]) => run.curves[key]).map(([key, title, options, color]) =>
      lineChart([{name: title, curve: run.curves[key], color: `var(${color})`, smooth: options.smooth}], {title, ...options}));
  return drawn.length ? element("div", {class: "grid pairs"}, ...drawn) : null;
}

function forgettingCharts() {
  const {held_out_loss, held_out_base_loss, kl, forgetting} = run.evaluations;
  if (!held_out_loss && !forgetting) return null;
  const losses = [held_out_loss && {name: "with the bypass", curve: held_out_loss, color: "var(--warm)", dots: true},
                  held_out_base_loss && {name: "frozen base", curve: held_out_base_loss, color: "var(--still)", dashed: true}].filter(Boolean);
  return element("div", {class: "grid"},
      losses.length ? lineChart(losses, {title: "Held-out loss"}) : null,
      forgetting ? lineChart([{name: "forgetting", curve: forgetting, color: "var(--alarm)", dots: true}],
                             {title: "Forgetting: what it lost, nats", zero: true}) : null,
      kl ? lineChart([{name: "KL", curve: kl, color: "var(--violet)", dots: true}], {title: "KL(base ‖ tuned), nats", zero: true}) : null);
}

// --- benchmarks ---------------------------------------------------------------------------------------------

/// One benchmark: its main figure over the run beside the frozen base's, and all its figures at the last scoring.
function benchmark(task) {
  const main = ["accuracy", "loss", "cider"].find((name) => task.curves[name]) || Object.keys(task.curves)[0];
  const curve = task.curves[main], base = task.base_metrics[main];
  const ends = curve && [curve.step[0], curve.step.at(-1)];
  const chart = curve && lineChart([{name: "with the bypass", curve, color: "var(--warm)", dots: true},
                                    {name: "frozen base", curve: {step: ends, mean: [base, base]}, color: "var(--still)", dashed: true}],
                                   {title: `${task.name}: ${main}`});
  const rows = Object.entries(task.metrics).filter(([, value]) => isNumber(value)).map(([name, value]) => element("tr", {},
      element("th", {}, name), element("td", {class: "number"}, formatNumber(task.base_metrics[name])), element("td", {class: "number"}, formatNumber(value)),
      element("td", {class: "number"}, formatSigned(value - task.base_metrics[name]))));
  const table = element("div", {class: "card"}, element("h3", {}, `${task.name} (${task.type}), ${formatStep(task.samples)} samples`),
      element("table", {}, element("tr", {}, ...["", "base", "with the bypass", "change"].map((name) => element("th", {}, name))), ...rows));
  return element("div", {class: "grid pairs"}, ...[chart, table].filter(Boolean));
}

const benchmarks = () => (run.tasks.length ? element("div", {class: "stack"}, ...run.tasks.map(benchmark)) : null);

// --- what the bypass does ----------------------------------------------------------------------------------

const listOf = (value) => (Array.isArray(value) ? value : [value]);
const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
/// Of several gates that may cancel each other, the mean of their sizes.
const meanSize = (values) => meanOf(values.map(Math.abs));
const layersOf = (key) => Object.keys(run.health.at(-1)[key] || {}).sort((a, b) => a - b);
const stepLabels = () => run.health.map((event) => formatStep(event.step));

/// layer × head at one evaluation
function headGrid(key, event) {
  const rows = layersOf(key), values = rows.map((layer) => listOf(event[key][layer]));
  const heads = Math.max(...values.map((row) => row.length));
  return {rows, columns: heads === 1 ? ["all"] : [...Array(heads).keys()].map(String), values};
}

/// layer × evaluation: the mean over the heads
function courseGrid(key) {
  const rows = layersOf(key);
  return {rows, columns: stepLabels(), values: rows.map((layer) => run.health.map((event) => meanSize(listOf(event[key][layer]))))};
}

/// Two heat maps of one measure: by head at the chosen evaluation, and its course.
function measureMaps(key, {title, note, format, positive, signed}, followers) {
  const all = run.health.flatMap((event) => layersOf(key).flatMap((layer) => listOf(event[key][layer]))).filter(isNumber);
  const most = Math.max(0, ...all.map(Math.abs));
  if (most === 0) return [];
  const grid = headGrid(key, run.health.at(-1)), course = courseGrid(key);
  const shared = {format, positive, rowName: "layer"};
  const by_head = heatMap(grid, {...shared, title, note, columnName: "head", most, signed});
  followers.push((event) => by_head.show(headGrid(key, event)));
  const end = Math.max(...course.values.flat());
  const over_time = heatMap(course, {...shared, title: `${title}: course`, note: "mean size over the heads", columnName: "step", most: end});
  return grid.columns.length > 1 ? [by_head.card, over_time.card] : [over_time.card];
}

function gradientMap() {
  const rows = [...new Set(run.health.flatMap((event) => Object.keys(event.gradient_norms || {})))];
  const events = run.health.filter((event) => Object.keys(event.gradient_norms || {}).length);
  const values = rows.map((name) => events.map((event) => event.gradient_norms[name]));
  const positive = values.flat().filter((value) => isNumber(value) && value > 0);
  if (!positive.length) return null;
  const most = Math.max(...positive), least = Math.min(...positive, most / 10);
  return heatMap({rows, columns: events.map((event) => formatStep(event.step)), values},
                 {title: "Gradient norm by module", note: "over all layers", rowName: "module", columnName: "step", format: formatNumber,
                  positive: "--green", most, log: least}).card;
}

function stepSlider(followers) {
  if (!followers.length || run.health.length < 2) return null;
  const label = element("strong", {}, `step ${formatStep(run.health.at(-1).step)}`);
  const range = element("input", {type: "range", min: 0, max: run.health.length - 1, value: run.health.length - 1, "aria-label": "Evaluation shown"});
  range.addEventListener("input", () => {
    const event = run.health[range.value];
    label.textContent = `step ${formatStep(event.step)}`;
    followers.forEach((follow) => follow(event));
  });
  return element("div", {class: "slider"}, element("span", {class: "soft"}, "Heads at"), label, range);
}

function bypassMaps() {
  if (!run.health.length) return [];
  const followers = [];
  const maps = [
    ...measureMaps("gates", {title: "Gates", note: "as stored, before any tanh", format: formatNumber, positive: "--accent", signed: true}, followers),
    ...measureMaps("attention_moved", {title: "Moved attention", note: "share that goes to other tokens than in the frozen model",
                                       format: formatPercent, positive: "--violet"}, followers),
    ...measureMaps("attention_added", {title: "Added attention", note: "size of what the prompts add, relative to the output",
                                       format: formatPercent, positive: "--green"}, []),
    gradientMap(),
  ].filter(Boolean);
  return maps.length ? [stepSlider(followers), element("div", {class: "grid pairs"}, ...maps)] : [];
}

// --- text and settings -------------------------------------------------------------------------------------

function samples() {
  const asked = (sample) => (sample.image ? `${sample.image}: ${sample.prompt}` : sample.prompt);
  const prompts = [...new Set(run.samples.flatMap((event) => event.samples.map(asked)))];
  if (!prompts.length) return null;
  return element("div", {class: "stack samples"}, ...prompts.map((prompt) => {
    const rows = run.samples.flatMap((event) => event.samples.filter((sample) => asked(sample) === prompt).map((sample) => [event.step, sample.text]));
    return element("div", {class: "card"}, element("h3", {}, prompt), element("table", {}, ...mergeEqual(rows).map(([steps, text]) =>
        element("tr", {}, element("th", {}, `step ${steps}`), element("td", {}, text)))));
  }));
}

/// [[0, a], [20, b], [40, b]] -> [["0", a], ["20 – 40", b]]
function mergeEqual(rows) {
  const merged = [];
  for (const [step, text] of rows) {
    const last = merged.at(-1);
    if (last && last.text === text) last.to = step;
    else merged.push({from: step, to: step, text});
  }
  return merged.map(({from, to, text}) => [from === to ? formatStep(from) : `${formatStep(from)} – ${formatStep(to)}`, text]);
}

/// [["train.epochs", 3], …] of one section
function leaves(value, prefix = "") {
  const nested = value !== null && typeof value === "object" && (!Array.isArray(value) || value.some((v) => v && typeof v === "object"));
  if (!nested || !Object.keys(value).length) return [[prefix, value]];
  return Object.entries(value).flatMap(([key, child]) =>
      leaves(child, Array.isArray(value) ? `${prefix}[${key}]` : prefix ? `${prefix}.${key}` : key));
}

function textOf(value) {
  if (typeof value === "string") return value === "" ? '""' : value;
  return Array.isArray(value) ? value.map(textOf).join(", ") || "[]" : JSON.stringify(value);
}

function settingsTable(title, value) {
  return element("div", {class: "card"}, element("h3", {}, title), element("table", {},
      ...leaves(value).map(([key, leaf]) => element("tr", {}, element("th", {}, key || title), element("td", {}, textOf(leaf))))));
}

function settings() {
  const sections = Object.entries(run.config).filter(([, value]) => value !== null && typeof value === "object" && Object.keys(value).length);
  const plain = Object.fromEntries(Object.entries(run.config).filter(([, value]) => value === null || typeof value !== "object"));
  const cards = sections.map(([name, value]) => settingsTable(name, value));
  if (Object.keys(plain).length) cards.push(settingsTable("run", plain));
  if (run.start) cards.push(settingsTable("as it ran", run.start));
  return element("div", {class: "settings"}, ...cards);
}

document.getElementById("page").append(...[
  header(), alarm(), tiles(),
  section("Loss", "by optimiser step", lossCharts()),
  section("Course of the training", "by optimiser step", courseCharts()),
  section("Forgetting", "on held-out text, the same weights with the bypass and without", forgettingCharts()),
  section("Benchmarks", "scored at evaluations, the same weights with the bypass and without", benchmarks()),
  section("Inside the bypass", "measured at each evaluation", ...bypassMaps()),
  section("Samples", "answered greedily at each evaluation", samples()),
  section("Settings", "every default written out", settings()),
  element("footer", {}, `Written by excitor ${(run.start || {}).version || ""} from config.json and metrics.jsonl.`),
].filter(Boolean));
drawAll();
