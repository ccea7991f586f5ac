// What operators did, tried, or were refused.

import { ask } from "./client.js";
import { grouped } from "./format.js";
import { showAge } from "./numbers.js";
import { show, write } from "./tables.js";
import { called, make, words } from "./words.js";

/** Acts that are shown before somebody wants all. */
const FIRST = 10;

const place = document.getElementById("audit");
const more = document.getElementById("audit-more");
let acts = [];
let isWhole = false;

/** What the act was about, such as "subject 192.0.2.1, minutes 60". */
function asked(act) {
  const parts = Object.entries(act.asked ?? {}).filter(([key, value]) => key !== "dry_run" && value !== "");
  return parts.map(([key, value]) => `${key} ${value}`).join(", ");
}

/** The state with its colour and shape, and the reason of a refusal. */
function outcome(act) {
  if (typeof act.result === "string") return ["bad", words("audit.refused"), act.result];
  return act.dry_run ? ["unknown", words("audit.tried"), ""] : ["good", words("audit.done"), ""];
}

function actRow(act, index) {
  return {
    // Lines have no names, but each line stays as far from the first one.
    key: String(acts.length - index),
    make: () => make("act-row"),
    fill: (row) => {
      const [state, word, reason] = outcome(act);
      write(row, ".name", called("act", act.act));
      write(row, ".asked", asked(act) || words("unknown"));
      row.querySelector(".asked").classList.toggle("empty", asked(act) === "");
      row.querySelector(".state").className = `state ${state}`;
      write(row, ".state", word);
      write(row, ".result", reason);
      write(row, ".who", act.who);
      showAge(row.querySelector(".when"), Date.parse(act.time));
    },
  };
}

function showActs() {
  const rows = acts.map(actRow);
  place.querySelector(".none").hidden = acts.length > 0;
  more.hidden = isWhole || acts.length <= FIRST;
  write(more, "", words("audit.more", { count: grouped(acts.length) }));
  show(place.querySelector("tbody"), isWhole ? rows : rows.slice(0, FIRST));
}

more.addEventListener("click", () => {
  isWhole = true;
  showActs();
  place.querySelector("h2").focus();
});

/** The last acts. */
export const audit = {
  id: "audit",
  async renew() {
    acts = await ask("audit");
    showActs();
  },
};
