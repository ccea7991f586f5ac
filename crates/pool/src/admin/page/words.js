// All words of the page stand in its HTML, and so do the rows that are filled; whatever comes from outside is put in as text.

const WORDS = new Map(
  [...document.getElementById("words").content.querySelectorAll("[data-words]")].map((text) => [
    text.dataset.words,
    text.textContent,
  ]),
);

/** A text with these values in its {places}. */
export function words(key, values = {}) {
  return (WORDS.get(key) ?? key).replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** What people call a thing of the API's; its own name if there is no other. */
export function called(kind, name) {
  return WORDS.get(`${kind}.${name}`) ?? name.replaceAll("_", " ");
}

/** A role of the process, such as "AnnHandler main". */
export function roleName({ role = "", name = "" }) {
  return `${called("role", role)} ${name}`.trim();
}

/** A new copy of one of the page's templates. */
export function make(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

/** Says something to those who do not see the page. */
export function say(text) {
  document.getElementById("said").textContent = text;
}
