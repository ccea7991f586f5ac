// What can be done at once, and which roles can be started again: as the process tells it.

import { line, propose } from "./acts.js";
import { ask } from "./client.js";
import { show, write } from "./tables.js";
import { called, make, roleName, words } from "./words.js";

const retries = document.getElementById("retries");
const restarts = document.getElementById("restarts");

function row(key, what, about, button, label, act) {
  return {
    key,
    make: () => {
      const item = make("order-row");
      const from = item.querySelector("button");
      from.textContent = button;
      from.setAttribute("aria-label", label);
      from.addEventListener("click", () => propose({ ...act, from, place: item.querySelector(".outcome") }));
      return item;
    },
    fill: (item) => {
      write(item, ".what", what);
      write(item, ".about", about);
    },
  };
}

function retryRow({ what, roles }) {
  const known = called("retry", what);
  const about = known === what ? roles.join(", ") : `${roles.join(", ")}: ${known}`;
  return row(what, what, about, words("retry.button"), words("retry.label", { what }), {
    path: "retry",
    body: { what },
    would: ({ would_tell: told }) => [line(words("retry.would", { roles: told.join(", ") }))],
    confirm: words("retry.confirm"),
    did: ({ told }) => words("retry.done", { roles: told.join(", ") }),
    after: acted,
  });
}

function restartRow({ role, name }) {
  const shown = roleName({ role, name });
  return row(`${role} ${name}`, shown, "", words("restart.button"), words("restart.label", { role: shown }), {
    path: "restart",
    body: { role, name },
    would: () => [line(words("restart.would", { role: shown }))],
    confirm: words("restart.confirm"),
    did: () => words("restart.done", { role: shown }),
    after: acted,
  });
}

function acted() {
  document.dispatchEvent(new CustomEvent("acted"));
}

/** What the process can be told to do. */
export const orders = {
  id: "orders",
  async renew() {
    const { process, retry, restart } = await ask("acts");
    write(document.getElementById("process"), "", process);
    document.title = `${process} · Headframe admin`;
    document.getElementById("no-retries").hidden = retry.length > 0;
    document.getElementById("no-restarts").hidden = restart.length > 0;
    show(retries, retry.map(retryRow));
    show(restarts, restart.map(restartRow));
  },
};
