// How numbers and moments are written here: as on the site (format.js), each with its unit.

import { age, duration, grouped, significant } from "./format.js";
import { words } from "./words.js";

/** How many of something there are; the unit is a plural. */
export function count(value, unit) {
  if (!Number.isFinite(value)) return words("unknown");
  return `${grouped(value)}\u00a0${value === 1 ? unit.replace(/s$/, "") : unit}`;
}

/** A time from microseconds to seconds; `null` is one beyond what the histogram tells apart. */
export function latency(seconds, longest) {
  if (seconds === null) return words("over", { time: duration(longest) });
  if (seconds < 0.001) return `${significant(Number((seconds * 1e6).toPrecision(2)))}\u00a0µs`;
  if (seconds < 1) return `${significant(Number((seconds * 1e3).toPrecision(2)))}\u00a0ms`;
  return `${significant(Number(seconds.toPrecision(2)))}\u00a0s`;
}

/** A moment by this browser's clock: 2026-01-31 23:59. */
export function moment(milliseconds) {
  const time = new Date(milliseconds);
  if (Number.isNaN(time.getTime())) return words("unknown");
  const two = (number) => String(number).padStart(2, "0");
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${day} ${two(time.getHours())}:${two(time.getMinutes())}`;
}

/** How long something takes. */
export function length(milliseconds) {
  return duration(Math.round(milliseconds / 1000));
}

/** Shows in a cell how long ago a moment was, and when that was to whoever points at it. */
export function showAge(cell, milliseconds) {
  const time = cell.querySelector("time") ?? cell.appendChild(document.createElement("time"));
  time.dateTime = new Date(milliseconds).toISOString();
  time.title = moment(milliseconds);
  time.dataset.age = "";
  time.textContent = age(time.dateTime);
}

/** Counts all ages on. */
export function countAgesOn() {
  for (const time of document.querySelectorAll("time[data-age]")) time.textContent = age(time.dateTime);
}
