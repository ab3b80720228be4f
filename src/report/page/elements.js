// Elements of the page and numbers as people read them. All text goes in as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/// element("p", {class: "soft"}, "text", child, …)
function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svgElement(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/// 0.000012345 -> "1.23e-5", 1234.5 -> "1,235", 0.98765 -> "0.9877"
function formatNumber(value) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-4 || size >= 1e7) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(4)));
}

const formatStep = (step) => step.toLocaleString("en-US");

const formatSigned = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + formatNumber(Math.abs(value));

function formatBytes(bytes) {
  if (!isNumber(bytes)) return "–";
  if (bytes === 0) return "0";
  const gib = bytes / 2 ** 30;
  return gib >= 1 ? `${gib.toFixed(gib >= 10 ? 1 : 2)} GiB` : `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

function formatSeconds(seconds) {
  if (!isNumber(seconds)) return "–";
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

const formatPercent = (share) => (isNumber(share) ? `${formatNumber(100 * share)} %` : "–");

/// 39700 -> "39.7 k"
function formatCount(count) {
  if (!isNumber(count)) return "–";
  for (const [unit, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (count >= unit) return `${Number((count / unit).toPrecision(3))} ${letter}`;
  return String(count);
}
