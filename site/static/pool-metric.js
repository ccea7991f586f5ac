// <pool-metric name="packetcrypt.announcement_speed">: a live figure of this pool, on any page of any host.
//
//   <script type="module" src="https://POOL/static/pool-metric.js"></script>
//   <pool-metric name="packetcrypt.announcement_speed"></pool-metric>
//
// The element holds plain text, "1.23 Me/s", in the fonts and colours of the page around it. Until the pool has
// answered, its own content stays. Attributes: `pool`, another pool's address; `part="value"`, without the unit.

import { duration, quantity } from "./format.js";

const HOME = new URL("/", import.meta.url);
const AGAIN_MS = 15000;
const pools = new Map();

/** The figures of a pool, asked for once for all elements of a page. */
function figuresOf(pool) {
  const known = pools.get(pool);
  if (known && Date.now() - known.at < AGAIN_MS / 2) return known.answer;
  const answer = fetch(new URL("api/v1/pool", pool)).then((answer) => {
    if (!answer.ok) throw new Error(`the pool answers ${answer.status}`);
    return answer.json();
  });
  pools.set(pool, { at: Date.now(), answer });
  return answer;
}

/** The figure of a name such as `packetcrypt.miners.blocks`: a way through the answer of /api/v1/pool. */
function find(figures, name) {
  const found = name.split(".").reduce((at, key) => (at && Object.hasOwn(at, key) ? at[key] : undefined), figures);
  if (found === undefined) throw new Error(`the pool has no figure ${name}`);
  return found;
}

/** In words: number and unit. An amount of money is exact, as the pool writes it. */
function written(figure) {
  const isMeasured = figure !== null && typeof figure === "object" && "unit" in figure;
  const value = isMeasured ? figure.value : figure;
  if (value !== null && typeof value === "object") return `${value.coins}\u00a0${value.coin}`;
  return isMeasured || value === null ? quantity(value, figure?.unit) : String(value);
}

/** What the number is of: its window, and its moment. */
function about(figure) {
  if (!figure?.as_of) return "";
  const window = figure.window_seconds ? `over ${duration(figure.window_seconds)}, ` : "";
  return window + new Date(figure.as_of).toLocaleString();
}

class PoolMetric extends HTMLElement {
  static observedAttributes = ["name", "pool", "part"];

  connectedCallback() {
    this.timer = setInterval(() => this.update(), AGAIN_MS);
    this.update();
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  attributeChangedCallback() {
    if (this.isConnected) this.update();
  }

  async update() {
    try {
      const pool = new URL(this.getAttribute("pool") ?? HOME, HOME).href;
      const figure = find(await figuresOf(pool), this.getAttribute("name") ?? "");
      const text = written(figure);
      this.textContent = this.getAttribute("part") === "value" ? text.split("\u00a0")[0] : text;
      this.title = about(figure);
      this.dataset.state = text.startsWith("–") ? "unknown" : "known";
    } catch (error) {
      // What was known stays; the page around it may style this state.
      this.dataset.state = "stale";
      this.title = String(error.message ?? error);
    }
  }
}

customElements.define("pool-metric", PoolMetric);
