// Asks the admin API, with the token if it wants one. The token is kept in this tab only, until it is closed.

const KEPT = "headframe-admin-token";
const TIME_MS = 30000;

/** What the API answered instead: its words, and its status. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Nobody answered, or not in time. */
export class NoAnswer extends Error {}

/** Whether there is a token to show. */
export function hasToken() {
  return sessionStorage.getItem(KEPT) !== null;
}

/** Shows this token from now on. */
export function keepToken(token) {
  sessionStorage.setItem(KEPT, token);
}

export function forgetToken() {
  sessionStorage.removeItem(KEPT);
}

async function send(what, request) {
  try {
    return await fetch(`/admin/${what}`, request);
  } catch (error) {
    throw new NoAnswer(error.message);
  }
}

/** A refusal that a proxy speaks may be no JSON; an answer that is cut off is none. */
async function read(answer) {
  try {
    return await answer.json();
  } catch (error) {
    if (answer.ok) throw new NoAnswer(error.message);
    return null;
  }
}

/** Asks for something, or with a body has something done or tried. */
export async function ask(what, body) {
  const headers = { accept: "application/json" };
  const token = sessionStorage.getItem(KEPT);
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await send(what, {
    method: body === undefined ? "GET" : "POST",
    headers,
    body: JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    signal: AbortSignal.timeout(TIME_MS),
  });
  const value = await read(answer);
  if (!answer.ok) throw new Refused(answer.status, value?.message ?? `${answer.status} ${answer.statusText}`);
  return value;
}
