// Rows that renew themselves under the hands of somebody who uses them: what stays keeps its element, and with it the focus.

/**
 * Makes the children of a place these: each has a `key`, is made once by `make`, and filled again each time by `fill`.
 */
export function show(place, rows) {
  const wanted = new Set(rows.map((row) => row.key));
  const known = new Map();
  for (const child of [...place.children]) {
    if (wanted.has(child.dataset.key)) known.set(child.dataset.key, child);
    else if (child.dataset.key !== undefined) child.remove();
  }
  let next = [...place.children].find((child) => child.dataset.key !== undefined) ?? null;
  for (const row of rows) {
    const child = known.get(row.key) ?? row.make();
    child.dataset.key = row.key;
    row.fill(child);
    if (child === next) next = next.nextElementSibling;
    else place.insertBefore(child, next);
  }
}

/** Shows a text in the element that a selector finds, or in the place itself. */
export function write(place, selector, text) {
  const element = selector === "" ? place : place.querySelector(selector);
  if (element.textContent !== text) element.textContent = text;
}

/** Rows in groups, in the order in which the groups come. */
export function groups(rows, nameOf) {
  const all = new Map();
  for (const row of rows) {
    const name = nameOf(row);
    if (!all.has(name)) all.set(name, []);
    all.get(name).push(row);
  }
  return [...all];
}

/** What a part of the page cannot show, in the words of the API; nothing if all is well. */
export function trouble(place, message) {
  const line = place.querySelector(":scope > .trouble");
  line.hidden = message === null;
  write(line, "", message ?? "");
}
