// Figures as the server writes them (crates/pool/src/site/pages/numbers.rs).

const PREFIXES = ["", "k", "M", "G", "T", "P", "E"];

/** Three significant digits. */
export function significant(value) {
  const size = Math.abs(value);
  const decimals = size === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.01 ? 2 : 4;
  const text = value.toFixed(decimals);
  const short = text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  return (size >= 999.5 ? grouped(Math.round(value)) : short).replace("-", "−");
}

/** Digits in groups of three. */
export function grouped(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function prefixed(value, unit) {
  let prefix = 0;
  while (Math.abs(value) >= 999.5 && prefix + 1 < PREFIXES.length) {
    value /= 1000;
    prefix += 1;
  }
  const symbol = PREFIXES[prefix] + unit;
  return significant(value) + (symbol ? `\u00a0${symbol}` : "");
}

/** A length of time. */
export function duration(seconds) {
  if (seconds < 120) return `${Math.floor(seconds)}\u00a0s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}\u00a0min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)}\u00a0h`;
  return `${Math.floor(seconds / 86400)}\u00a0d`;
}

/** How long ago a moment was. */
export function age(iso) {
  const seconds = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
  return (document.documentElement.dataset.ago ?? "{time} ago").replace("{time}", duration(seconds));
}

/** A number with its unit. What is not known is a dash. */
export function quantity(value, unit) {
  if (value === null || value === undefined) return "–";
  switch (unit) {
    case "e/s":
    case "H/s":
      return prefixed(value, unit);
    case "kbit/s":
      return prefixed(value * 1000, "bit/s");
    case "difficulty":
      return value < 1e9 ? significant(value) : prefixed(value, "");
    case "s":
      return duration(value);
    case "miners":
    case "connections":
    case "announcements":
    case "shares":
    case "blocks":
    case "payments":
    case "credits":
      return Number.isInteger(value) ? grouped(value) : significant(value);
    default:
      return (Number.isInteger(value) && value >= 0 ? grouped(value) : significant(value)) + `\u00a0${unit}`;
  }
}
