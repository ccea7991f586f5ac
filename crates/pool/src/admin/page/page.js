// The admin page: asks for the token if one is needed, shows all parts at once, and keeps them up to date while it is seen.

import { audit } from "./audit.js";
import { bans } from "./bans.js";
import { ask, forgetToken, hasToken, keepToken, NoAnswer, Refused } from "./client.js";
import { configuration } from "./configuration.js";
import { queues, stages } from "./figures.js";
import { countAgesOn, moment } from "./numbers.js";
import { orders } from "./orders.js";
import { trouble, write } from "./tables.js";
import { say, words } from "./words.js";

const OFTEN_MS = 2000;
const SELDOM_MS = 10000;
const OFTEN = [queues];
const SELDOM = [stages, bans, orders, configuration, audit];
const UNAUTHORIZED = 401;
const TOKEN = /^[!-~]{16,4096}$/;

const root = document.documentElement;
const byId = (id) => document.getElementById(id);
const isTokenNeeded = root.dataset.token === "needed";
let answeredAt = Date.now();
let isOpen = false;

/** Renews a part, and shows in it what the API says instead. What nobody answers is told of all parts at once. */
async function renew(part) {
  const place = byId(part.id);
  try {
    await part.renew(place);
    trouble(place, null);
  } catch (error) {
    if (!(error instanceof Refused) || error.status === UNAUTHORIZED) throw error;
    trouble(place, error.message);
  }
}

async function renewAll(parts) {
  try {
    await Promise.all(parts.map(renew));
    answers();
  } catch (error) {
    if (error instanceof Refused) askForToken(words("token.wrong"));
    else if (error instanceof NoAnswer) isAway();
    else throw error;
  }
}

function answers() {
  answeredAt = Date.now();
  if (!byId("away").hidden) say(words("back"));
  byId("away").hidden = true;
  byId("answers").hidden = false;
}

function isAway() {
  const wasThere = byId("away").hidden;
  write(byId("away-reason"), "", words("away", { time: moment(answeredAt) }));
  byId("away").hidden = false;
  byId("answers").hidden = true;
  if (wasThere) say(byId("away").textContent);
}

/** Again and again, as long as the page is open and seen. */
async function keepUpToDate(parts, pause) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (isOpen && !document.hidden) await renewAll(parts);
  }
}

/** Shows all parts as soon as all are known, so that nothing moves. */
async function open() {
  await renewAll([...OFTEN, ...SELDOM]);
  if (byId("token").hidden) {
    isOpen = true;
    byId("all").hidden = false;
    byId("parts").hidden = false;
    byId("forget").hidden = !isTokenNeeded;
  }
}

function askForToken(why) {
  isOpen = false;
  forgetToken();
  for (const id of ["all", "parts", "forget", "away"]) byId(id).hidden = true;
  byId("token").hidden = false;
  write(byId("token-trouble"), "", why);
  byId("token-field").focus();
}

/** Tries a token with one request, so that a slip costs one guess. */
async function tryToken(event) {
  event.preventDefault();
  const field = byId("token-field");
  const token = field.value.trim();
  const refuse = (why) => {
    forgetToken();
    write(byId("token-trouble"), "", why);
    say(why);
    field.select();
  };
  if (!TOKEN.test(token)) return refuse(words("token.none"));
  keepToken(token);
  try {
    await ask("acts");
  } catch (error) {
    if (error instanceof NoAnswer) return refuse(words("away.reason"));
    return refuse(error.status === UNAUTHORIZED ? words("token.wrong") : error.message);
  }
  field.value = "";
  byId("token-trouble").textContent = "";
  byId("token").hidden = true;
  await open();
  byId("main").focus();
}

/** The button between dark and light. */
function themeButton() {
  byId("theme").hidden = false;
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = getComputedStyle(root).colorScheme === "light" ? "dark" : "light";
    localStorage.setItem("theme", root.dataset.theme);
  });
}

themeButton();
byId("token-form").addEventListener("submit", tryToken);
byId("forget").addEventListener("click", () => askForToken(""));
document.addEventListener("acted", async (event) => {
  await renewAll([...OFTEN, ...SELDOM]);
  event.detail?.();
});
document.addEventListener("visibilitychange", () => {
  if (isOpen && !document.hidden) renewAll([...OFTEN, ...SELDOM]);
});
setInterval(countAgesOn, 1000);
keepUpToDate(OFTEN, OFTEN_MS);
keepUpToDate(SELDOM, SELDOM_MS);
if (isTokenNeeded && !hasToken()) askForToken("");
else open();
