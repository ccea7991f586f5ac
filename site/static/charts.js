// Draws the charts with uPlot, in place of the server's drawings and of the same size, from the series of the API.

import { quantity } from "./format.js";

const AGAIN_MS = 30000;
/** Closer to the left edge a time would run into the figures of the other axis. */
const EDGE_PIXELS = 26;
/** What is counted has no halves. */
const WHOLE = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8].flatMap((power) => [power, 2 * power, 5 * power]);
const COUNTED = ["shares", "blocks", "payments"];

/** The colours of the page as it is now. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function timeLabel(seconds, step) {
  const options =
    step >= 86400 ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(document.documentElement.lang, options).format(seconds * 1000);
}

function axis(more) {
  const line = { stroke: colour("line"), width: 1 };
  return { stroke: colour("muted"), grid: line, ticks: { show: false }, font: "12px sans-serif", ...more };
}

/** Where times stand below the chart. */
function times(chart, splits, step) {
  return splits.map((at) => (chart.valToPos(at, "x") < EDGE_PIXELS ? "" : timeLabel(at, step)));
}

/** Points between gaps, which no line would lead to. */
function alone(chart, place) {
  const points = chart.data[place];
  const isKnown = (index) => points[index] !== null && points[index] !== undefined;
  return [...points.keys()].filter((index) => isKnown(index) && !isKnown(index - 1) && !isKnown(index + 1));
}

function options(plot, step) {
  const { unit, accent } = plot.dataset;
  const stroke = colour(accent);
  const isBars = "bars" in plot.dataset;
  return {
    width: plot.clientWidth,
    height: plot.clientHeight,
    legend: { show: false },
    cursor: { y: false, points: { show: !isBars, size: 7, fill: stroke } },
    padding: [10, 24, 0, 0],
    scales: {
      // The last bar reaches a step beyond the last time.
      x: { range: (_, first, last) => [first, isBars ? last + step : last] },
      y: { range: (_, low, high) => [0, (high || 1) * 1.08] },
    },
    axes: [
      axis({ space: 70, size: 28, values: (chart, splits, _, __, between) => times(chart, splits, between) }),
      axis({ space: 45, size: 78, ...(COUNTED.includes(unit) ? { incrs: WHOLE } : {}), values: (_, splits) => splits.map((value) => quantity(value, unit)) }),
    ],
    series: [
      {},
      {
        stroke,
        width: isBars ? 0 : 2,
        fill: isBars ? stroke : `color-mix(in srgb, ${stroke} 14%, transparent)`,
        spanGaps: false,
        points: { show: false, size: 5, fill: stroke, filter: (chart, place) => (isBars ? null : alone(chart, place)) },
        ...(isBars ? { paths: uPlot.paths.bars({ size: [0.8, 40], align: 1 }) } : {}),
      },
    ],
    hooks: { setCursor: [(chart) => readOut(plot, chart)] },
  };
}

/** Says what is under the cursor. */
function readOut(plot, chart) {
  const place = chart.cursor.idx;
  const at = place === null || place === undefined ? undefined : chart.data[0][place];
  const text = at === undefined ? "" : `${timeLabel(at, 60)}  ${quantity(chart.data[1][place], plot.dataset.unit)}`;
  plot.querySelector(".read-out").textContent = text;
}

/** Levels without their newest point, which still grows, unless nothing else is known: as the server draws them. */
function drawn(plot, points) {
  const whole = points.slice(0, -1);
  const isLevel = !("bars" in plot.dataset) && whole.some((point) => point !== null);
  return isLevel ? [...whole, null] : points;
}

async function points(plot) {
  const answer = await fetch(plot.dataset.series);
  if (!answer.ok) throw new Error(`${plot.dataset.series}: ${answer.status}`);
  const series = await answer.json();
  const start = series.from / 1000;
  const at = series.points.map((_, place) => start + place * series.step_seconds);
  return { step: series.step_seconds, data: [at, drawn(plot, series.points)] };
}

/** One chart, from the first drawing on. Without points the server's words stay. */
class Chart {
  constructor(plot) {
    this.plot = plot;
    new ResizeObserver(() => this.chart?.setSize({ width: plot.clientWidth, height: plot.clientHeight })).observe(plot);
    document.addEventListener("theme-changed", () => this.draw());
    this.update();
  }

  async update() {
    try {
      this.points = await points(this.plot);
    } catch {
      return;
    }
    if (this.points.data[1].every((point) => point === null)) return;
    if (this.chart) this.chart.setData(this.points.data);
    else this.draw();
  }

  draw() {
    if (!this.points) return;
    this.chart?.destroy();
    const readOutPlace = document.createElement("span");
    readOutPlace.className = "scale read-out";
    const words = this.plot.querySelector("svg")?.getAttribute("aria-label") ?? this.plot.getAttribute("aria-label");
    this.plot.replaceChildren(readOutPlace);
    if (words) {
      this.plot.setAttribute("role", "img");
      this.plot.setAttribute("aria-label", words);
    }
    this.chart = new uPlot(options(this.plot, this.points.step), this.points.data, this.plot);
    this.plot.dataset.drawn = "";
  }
}

const charts = [...document.querySelectorAll("[data-series]")].map((plot) => new Chart(plot));
setInterval(() => {
  if (!document.hidden) charts.forEach((chart) => chart.update());
}, AGAIN_MS);
