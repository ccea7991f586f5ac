// Keeps a page up to date. The server makes every page; what is marked with data-live is replaced by what the server
// would show now, whenever the pool reports something, and every few seconds. So there is one place where figures are
// written, and it is not here.

import { age } from "./format.js";

const OFTEN_MS = 2000;
const ALWAYS_MS = 10000;

/** Counts ages on. */
function tick() {
  for (const time of document.querySelectorAll("time[data-age]")) {
    time.textContent = age(time.dateTime);
  }
}

/** Whether somebody reads or uses this part, so that it must not change under their hands. */
function isInUse(part) {
  return part.contains(document.activeElement) || part.querySelector(":popover-open") !== null;
}

/** The parts of a page: another set of them is another page. */
function parts(page) {
  return [...page.querySelectorAll("[data-live]")].map((part) => part.id).join();
}

/** Shows what the server would show now. */
async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) return;
  const now = new DOMParser().parseFromString(await answer.text(), "text/html");
  // A miner that begins has a page with more on it; the Connect page tells of it by itself.
  const stays = "input:focus, [data-waiting]";
  if (parts(now) !== parts(document) && !document.querySelector(stays)) return location.reload();
  for (const part of document.querySelectorAll("[data-live]")) {
    const newer = now.getElementById(part.id);
    if (newer && !isInUse(part) && newer.innerHTML !== part.innerHTML) {
      part.replaceChildren(...newer.childNodes);
    }
  }
  document.dispatchEvent(new CustomEvent("pool-refreshed"));
}

let isWaiting = false;
let last = Date.now();

/** Refreshes soon, and not too often; the pool may be away for a while. */
function refreshSoon() {
  if (isWaiting || document.hidden) return;
  isWaiting = true;
  setTimeout(async () => {
    last = Date.now();
    try {
      await refresh();
    } catch {
      // The ages on the page tell how old its figures are.
    } finally {
      isWaiting = false;
    }
  }, Math.max(0, last + OFTEN_MS - Date.now()));
}

let events = null;

/**
 * Hears of blocks, payouts, and the work of the address that the page is about, as long as the page is seen: a browser has
 * six connections to a host, and pages in other tabs, or that one might go back to, would soon hold all of them.
 */
function listen() {
  if (events || document.hidden) return;
  const own = document.querySelector("[data-own-address], [data-waiting]");
  const address = own?.dataset.ownAddress ?? own?.dataset.address;
  events = new EventSource("/api/v1/events" + (address ? `?address=${encodeURIComponent(address)}` : ""));
  for (const kind of ["facts", "block", "payout", "work"]) {
    events.addEventListener(kind, (event) => {
      document.dispatchEvent(new CustomEvent(`pool-${kind}`, { detail: event.data }));
      refreshSoon();
    });
  }
}

function stopListening() {
  events?.close();
  events = null;
}

/** Buttons that copy a command. */
function copyButtons() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    const text = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
      button.textContent = button.dataset.copied;
      setTimeout(() => (button.textContent = text), 2000);
    });
  }
}

/** The button between dark and light. */
function themeButton() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  button.hidden = false;
  button.addEventListener("click", () => {
    const isLight = getComputedStyle(root).colorScheme === "light";
    root.dataset.theme = isLight ? "dark" : "light";
    localStorage.setItem("theme", root.dataset.theme);
    document.dispatchEvent(new CustomEvent("theme-changed"));
  });
}

/** The visitor's address, kept in this browser only, so that forms have it already. */
function rememberAddress() {
  for (const form of document.querySelectorAll("form[data-remember]")) {
    const input = form.elements.address;
    if (!input.value) input.value = localStorage.getItem("address") ?? "";
    form.addEventListener("submit", () => localStorage.setItem("address", input.value.trim()));
  }
}

copyButtons();
themeButton();
rememberAddress();
setInterval(tick, 1000);
setInterval(() => {
  if (Date.now() - last > ALWAYS_MS) refreshSoon();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return stopListening();
  listen();
  refreshSoon();
});
addEventListener("pagehide", stopListening);
addEventListener("pageshow", listen);
listen();
if (document.querySelector("[data-series]")) import("./charts.js");
if (document.querySelector("[data-waiting]")) import("./connect.js");
document.documentElement.dataset.live = "";
