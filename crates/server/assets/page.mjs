/**
 * Shared by both pages: elements, text and numbers, requests, copying.
 *
 * Foreign text is inserted as text, never as HTML, and cut to a length a page can bear, because
 * every publisher decides what is shown here.
 */

/** Characters of data or of an ID shown in one place; an event may be a megabyte long. */
export const TEXT_SHOWN_MAX = 2000;

/** How long a word such as "Copied" stays, in milliseconds. */
const WORD_SHOWN = 2000;

/** Whether this browser has what the page needs; `support.js` checks it before any module runs. */
export const supported = !document.documentElement.classList.contains("unsupported");

/**
 * The hub's URL, with a slash at the end. Behind a proxy the hub may have a path of its own, so no
 * address in the pages starts at the root.
 */
export const HUB = new URL("..", import.meta.url).href;

/** Makes an element; `text` becomes its text, every other property an attribute. */
export function element(name, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = shown(text);
  made.append(...children);
  return made;
}

/** The text as a page shows it: all of it if it is short, otherwise its beginning and length. */
export function shown(text) {
  const whole = String(text);
  if (whole.length <= TEXT_SHOWN_MAX) return whole;
  return `${whole.slice(0, TEXT_SHOWN_MAX)}… (${number(whole.length)} characters)`;
}

/** Returns a function that calls `render` once in the next frame, however often it is called. */
export function oncePerFrame(render) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      render();
    });
  };
}

/** Parses the JSON object in `text`; null if it is none, which every publisher may send. */
export function jsonObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : null;
  } catch {
    return null;
  }
}

/** The path that names a user or a topic, whose slashes stay. */
export function segments(name) {
  return name.split("/").map(encodeURIComponent).join("/");
}

const STATE_WORDS = { idle: "not connected", connecting: "connecting", open: "open", closed: "closed" };

/** The state of an EventSource as a word; `idle` if there is none. */
export function stateOf(source) {
  if (!source) return "idle";
  return ["connecting", "open", "closed"][source.readyState];
}

/** Shows a state in its chip. */
export function showState(chip, state) {
  // Assistive technology reads out every change, so an unchanged state is not set again.
  if (chip.dataset.state === state) return;
  chip.dataset.state = state;
  chip.textContent = STATE_WORDS[state];
}

/** Shows a sentence in `where`, or hides it if there is none; `tone` is `good`, `bad` or `plain`. */
export function say(where, text = "", tone = "plain") {
  where.textContent = shown(text);
  where.dataset.tone = tone;
  where.hidden = text === "";
}

/**
 * Sends a POST request and returns the answer's text.
 *
 * Throws an Error with a message for the user: the server's own sentence, or that the server cannot
 * be reached.
 */
export async function post(url, { body, headers } = {}) {
  let response;
  try {
    response = await fetch(url, { method: "POST", body, headers, cache: "no-store" });
  } catch {
    throw new Error("The server cannot be reached. Is it still running?");
  }
  if (!response.ok) throw new Error(await refusal(response));
  return response.text();
}

/** The reason of a refusal in one sentence: the problem's detail if there is one. */
export async function refusal(response) {
  const problem = jsonObject(await response.text().catch(() => ""));
  return problem?.detail || problem?.title || `The server answered ${response.status}.`;
}

/** Makes a button copy the text that `source()` returns, and say so. */
export function copyButton(button, source) {
  const word = button.textContent;
  let timer;
  button.addEventListener("click", async () => {
    button.textContent = (await copy(source())) ? "Copied" : "Not copied";
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = word), WORD_SHOWN);
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Plain HTTP beyond loopback has no clipboard object; the old command still works there.
    const holder = element("textarea", { class: "visually-hidden", "aria-hidden": "true" });
    holder.value = text;
    const focused = document.activeElement;
    document.body.append(holder);
    holder.select();
    const copied = document.execCommand("copy");
    holder.remove();
    focused?.focus();
    return copied;
  }
}

const plain = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** A number with thousands separators, or a dash if it is none. */
export function number(value) {
  return Number.isFinite(value) ? plain.format(value) : "–";
}

/** A number with exactly `digits` decimals. */
export function decimal(value, digits) {
  if (!Number.isFinite(value)) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A size in bytes with a readable unit. */
export function size(bytes) {
  if (!Number.isFinite(bytes)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${decimal(value, unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`;
}

/** A length of time in its two largest units. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.floor(seconds);
  const parts = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first === -1) return "0 s";
  return parts
    .slice(first, first + 2)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

/** A `time` element for a time in milliseconds, empty if it is none. */
export function moment(milliseconds) {
  const date = new Date(milliseconds);
  if (typeof milliseconds !== "number" || Number.isNaN(date.getTime())) return element("time");
  return element("time", { datetime: date.toISOString(), text: clock.format(date) });
}
