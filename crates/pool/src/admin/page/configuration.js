// By which configuration the process runs: what the file says that is not in force, all keys, and a reload.

import { line, propose } from "./acts.js";
import { ask } from "./client.js";
import { count } from "./numbers.js";
import { show, trouble, write } from "./tables.js";
import { called, make, words } from "./words.js";

const place = document.getElementById("configuration");
const keys = document.getElementById("keys");
const search = keys.querySelector("input");
const reload = document.getElementById("reload");
let all = [];

function changeRow(change) {
  return {
    key: change.key,
    make: () => make("change-row"),
    fill: (row) => {
      write(row, ".key", change.key);
      write(row, ".before", change.in_force);
      write(row, ".after", change.written);
      write(row, ".effect", called("effect", change.takes_effect));
    },
  };
}

function keyRow([key, value]) {
  return {
    key,
    make: () => make("key-row"),
    fill: (row) => {
      write(row, "th", key);
      write(row, "td", value);
    },
  };
}

function showKeys() {
  const sought = search.value.trim().toLowerCase();
  const shown = all.filter(([key, value]) => `${key} ${value}`.toLowerCase().includes(sought));
  write(keys, "#keys-count", words("keys.count", { shown: shown.length, count: all.length }));
  show(keys.querySelector("tbody"), shown.map(keyRow));
}

/** Asked for when somebody looks: it is long. */
async function renewKeys() {
  if (!keys.open) return;
  try {
    all = Object.entries(await ask("config"));
    trouble(keys, null);
    showKeys();
  } catch (error) {
    trouble(keys, error.message);
  }
}

/** A heading with the changes below it; nothing without changes. */
function changes(title, list) {
  if (list.length === 0) return [];
  const part = make("changes");
  write(part, "p", title);
  for (const change of list) {
    const item = document.createElement("li");
    item.textContent = words("reload.change", change);
    part.querySelector("ul").append(item);
  }
  return [part];
}

function would({ would_be: report }) {
  const shown = [
    ...changes(words("reload.would"), report.in_force),
    ...changes(words("reload.waits"), report.waiting_for_a_restart),
  ];
  return shown.length > 0 ? shown : [line(words("reload.nothing"))];
}

reload.addEventListener("click", () =>
  propose({
    path: "reload",
    body: {},
    place: document.getElementById("reload-outcome"),
    from: reload,
    would,
    confirm: words("reload.confirm"),
    did: ({ in_force: now, waiting_for_a_restart: waiting }) =>
      words("reload.done", { now: count(now.length, "keys"), waiting: count(waiting.length, "keys") }),
    after: () => document.dispatchEvent(new CustomEvent("acted")),
  }),
);
search.addEventListener("input", showKeys);
keys.addEventListener("toggle", renewKeys);

/** The difference, and the keys if they are open. */
export const configuration = {
  id: "configuration",
  async renew() {
    renewKeys();
    const difference = await ask("config/difference");
    place.querySelector(".none").hidden = difference.length > 0;
    const known = difference.length === 0 ? "difference.none" : "difference.count";
    write(place, "#difference-count", words(known, { count: count(difference.length, "keys") }));
    show(place.querySelector("#difference tbody"), difference.map(changeRow));
  },
};
