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

/** The figures of a pool by name, asked for once for all elements of a page. */
function figuresOf(pool) {
  const known = pools.get(pool);
  if (known && Date.now() - known.at < AGAIN_MS / 2) return known.answer;
  const answer = fetch(new URL("api/v1/metrics", pool)).then((answer) => {
    if (!answer.ok) throw new Error(`the pool answers ${answer.status}`);
    return answer.json();
  });
  pools.set(pool, { at: Date.now(), answer });
  return answer;
}

/** What the number is: what it says, over which time, and when. */
function about(figure) {
  const window = figure.window_seconds ? `, over ${duration(figure.window_seconds)}` : "";
  return `${figure.description}${window} (${new Date(figure.as_of).toLocaleString()})`;
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
      const figures = await figuresOf(pool);
      const name = this.getAttribute("name") ?? "";
      if (!Object.hasOwn(figures, name)) throw new Error(`the pool has no figure ${name}`);
      const figure = figures[name];
      const text = quantity(figure.value, figure.unit);
      this.textContent = this.getAttribute("part") === "value" ? text.split("\u00a0")[0] : text;
      this.title = about(figure);
      this.dataset.state = figure.value === null ? "unknown" : "known";
    } catch (error) {
      // What was known stays; the page around it may style this state.
      this.dataset.state = "stale";
      this.title = String(error.message ?? error);
    }
  }
}

customElements.define("pool-metric", PoolMetric);
