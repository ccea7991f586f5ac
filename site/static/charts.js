// Draws the charts with uPlot, in place of the server's drawings and of the same size, from the series of the API.

import { quantity } from "./format.js";

const AGAIN_MS = 30000;

/** The colours of the page as it is now. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function timeLabel(seconds, step) {
  const options =
    step >= 86400 ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(document.documentElement.lang, options).format(seconds * 1000);
}

/** Beside an axis there is no room for words; the legend has them. */
function onAxis(value, unit) {
  return quantity(value, unit).replace(/\u00a0(credits|payments)$/, "");
}

function axis(more) {
  const line = { stroke: colour("line"), width: 1 };
  return { stroke: colour("muted"), grid: line, ticks: { show: false }, font: "12px sans-serif", ...more };
}

function options(plot) {
  const { unit, accent } = plot.dataset;
  const stroke = colour(accent);
  const isBars = "bars" in plot.dataset;
  return {
    width: plot.clientWidth,
    height: plot.clientHeight,
    legend: { show: false },
    cursor: { y: false, points: { show: !isBars, size: 7, fill: stroke } },
    padding: [10, 24, 0, 0],
    scales: { y: { range: (_, low, high) => [0, (high || 1) * 1.08] } },
    axes: [
      axis({ space: 70, size: 28, values: (_, splits, __, ___, step) => splits.map((at) => timeLabel(at, step)) }),
      axis({ space: 45, size: 78, values: (_, splits) => splits.map((value) => onAxis(value, unit)) }),
    ],
    series: [
      {},
      {
        stroke,
        width: isBars ? 0 : 2,
        fill: isBars ? stroke : `color-mix(in srgb, ${stroke} 14%, transparent)`,
        spanGaps: false,
        points: { show: false },
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

async function points(plot) {
  const answer = await fetch(plot.dataset.series);
  if (!answer.ok) throw new Error(`${plot.dataset.series}: ${answer.status}`);
  const series = await answer.json();
  const start = series.from / 1000;
  return [series.points.map((_, place) => start + place * series.step_seconds), series.points];
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
    if (this.points[1].every((point) => point === null)) return;
    if (this.chart) this.chart.setData(this.points);
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
    this.chart = new uPlot(options(this.plot), this.points, this.plot);
    this.plot.dataset.drawn = "";
  }
}

const charts = [...document.querySelectorAll("[data-series]")].map((plot) => new Chart(plot));
setInterval(() => {
  if (!document.hidden) charts.forEach((chart) => chart.update());
}, AGAIN_MS);
