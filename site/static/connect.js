// The Connect page: from "waiting for your miner" to "first work accepted 3 s ago", by itself.

import { age } from "./format.js";

const place = document.querySelector("[data-waiting]");
const ASK_AGAIN_MS = 5000;
let wasWaiting = place.dataset.hasWork !== "true";

/** Shows that work was accepted, and when. */
function show(moment, words) {
  const time = document.createElement("time");
  time.dateTime = moment;
  time.dataset.age = "";
  time.textContent = age(moment);
  const line = document.createElement("span");
  line.append(`${words} `, time);
  const paragraph = document.createElement("p");
  paragraph.className = "waiting done";
  paragraph.append(line);
  place.replaceChildren(paragraph);
  wasWaiting = false;
}

/** Asks for what the address has done; somebody else may have heard of it first. */
async function ask() {
  if (!wasWaiting || document.hidden) return;
  const { chain, address } = place.dataset;
  const answer = await fetch(`/api/v1/${chain}/miners/${encodeURIComponent(address)}`);
  if (!answer.ok) return;
  const facts = await answer.json();
  if (wasWaiting && facts.last_seen) show(new Date(facts.last_seen).toISOString(), place.dataset.first);
}

document.addEventListener("pool-work", () => {
  if (wasWaiting) show(new Date().toISOString(), place.dataset.first);
});
setInterval(() => ask().catch(() => {}), ASK_AGAIN_MS);
