// Who is shut out: the list, one more, one less.

import { line, propose, takeBack } from "./acts.js";
import { ask } from "./client.js";
import { count, length, moment, showAge } from "./numbers.js";
import { show, write } from "./tables.js";
import { make, words } from "./words.js";

/** Rows at most: a pool that is attacked has very many. */
const SHOWN = 50;

const place = document.getElementById("bans");
const form = document.getElementById("ban-form");
const outcome = document.getElementById("ban-outcome");
const search = place.querySelector("input[type=search]");
/** Rows with a proposal below the ban that it would lift. */
const lifting = new Map();
let all = [];

function values({ subject, reason, since_ms, until_ms }) {
  return { subject, reason, until: moment(until_ms), length: length(until_ms - since_ms) };
}

function banRow(ban) {
  return {
    key: ban.subject,
    make: () => {
      const row = make("ban-row");
      const button = row.querySelector("button");
      button.addEventListener("click", () => lift(ban.subject, button));
      button.setAttribute("aria-label", words("lift.label", { subject: ban.subject }));
      return row;
    },
    fill: (row) => {
      write(row, ".subject", ban.subject);
      write(row, ".reason", ban.reason);
      showAge(row.querySelector(".since"), ban.since_ms);
      write(row, ".until", moment(ban.until_ms));
      write(row, ".times", count(ban.times, "×"));
    },
  };
}

function showBans() {
  const sought = search.value.trim().toLowerCase();
  const found = all.filter((ban) => `${ban.subject} ${ban.reason}`.toLowerCase().includes(sought));
  const shown = found.slice(0, SHOWN);
  const counts = { shown: shown.length, count: count(all.length, "bans") };
  const key = shown.length < all.length ? words("bans.some", counts) : words("bans.count", counts);
  write(place, "#bans-count", key);
  place.querySelector(".none").hidden = all.length > 0;
  place.querySelector("#ban-search").hidden = all.length <= SHOWN && sought === "";
  const rows = shown.flatMap((ban) => {
    const proposal = lifting.get(ban.subject);
    return proposal ? [banRow(ban), { key: `${ban.subject} lift`, make: () => proposal, fill: () => {} }] : [banRow(ban)];
  });
  show(place.querySelector("tbody"), rows);
}

/** Ends a ban, after a look at what that would be, in a row below it. */
async function lift(subject, button) {
  const row = lifting.get(subject) ?? make("outcome-row");
  lifting.set(subject, row);
  showBans();
  const stop = () => {
    lifting.delete(subject);
    showBans();
  };
  await propose({
    path: "bans/lift",
    body: { subject },
    place: row.querySelector(".outcome"),
    told: outcome,
    from: button,
    would: ({ would_lift: ban }) => [line(words("lift.would", values(ban)))],
    confirm: words("lift.confirm"),
    did: () => words("lift.done", { subject }),
    left: stop,
    after: async () => {
      stop();
      await renewed();
      // Its button is gone with it.
      place.querySelector("h2").focus();
    },
  });
}

function ban(event) {
  event.preventDefault();
  const { subject, minutes, reason } = form.elements;
  propose({
    path: "bans",
    body: { subject: subject.value.trim(), minutes: minutes.valueAsNumber, reason: reason.value.trim() },
    place: outcome,
    from: form.querySelector("button"),
    would: ({ would_ban: ban }) => [line(words("ban.would", values(ban)))],
    confirm: words("ban.confirm"),
    did: ({ banned }) => words("ban.done", values(banned)),
    after: async () => {
      form.reset();
      await renewed();
    },
  });
}

/** All parts that an act changes are renewed by whoever listens. */
function renewed() {
  return new Promise((resolve) => document.dispatchEvent(new CustomEvent("acted", { detail: resolve })));
}

form.addEventListener("submit", ban);
form.addEventListener("input", () => takeBack(outcome));
search.addEventListener("input", showBans);

/** The bans that hold. */
export const bans = {
  id: "bans",
  async renew() {
    all = (await ask("bans")).sort((one, other) => other.since_ms - one.since_ms);
    const banned = new Set(all.map((ban) => ban.subject));
    for (const subject of lifting.keys()) if (!banned.has(subject)) lifting.delete(subject);
    showBans();
  },
};
