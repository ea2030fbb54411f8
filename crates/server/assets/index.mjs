/** The page of `tidings serve`: listen to a topic, publish to one, and see both as curl lines. */

import { curlListen, curlPublish, listenAddress, publishRequest } from "./addresses.mjs";
import { EventTable } from "./event-table.mjs";
import { copyButton, jsonObject, post, refusal, say, showState, shown, stateOf, supported } from "./page.mjs";

/** Maximum number of event types; each needs a listener in the browser. */
const TYPES_MAX = 32;

const find = (selector) => document.querySelector(selector);
const listenForm = find("#listen");
const publishForm = find("#publish");
const table = new EventTable(find("#events table"));

let source = null;
let opened = false;
/** Types the source has a listener for; a second listener would show every event twice. */
let heard = new Set();

function listen() {
  source?.close();
  opened = false;
  heard = new Set();
  table.clear();
  showEvents(false);
  say(find("#gap"));
  say(find("#listen-note"));
  const asked = address();
  source = new EventSource(asked);
  source.addEventListener("open", () => {
    opened = true;
    say(find("#listen-note"));
    showStream();
  });
  source.addEventListener("error", () => explain(source, asked));
  source.addEventListener("gap", showGap);
  hear();
  showStream();
}

function stop() {
  source?.close();
  say(find("#listen-note"));
  showStream();
}

/** Listens for `message` and for every type the field names. */
function hear() {
  if (!source) return;
  const named = listenForm.elements.types.value.split(/[\s,]+/).filter((type) => type !== "");
  for (const type of ["message", ...named].slice(0, TYPES_MAX)) {
    // `open` and `error` are the source's own events, and a gap has a listener already.
    if (heard.has(type) || ["open", "error", "gap"].includes(type)) continue;
    heard.add(type);
    source.addEventListener(type, ({ lastEventId, data }) => {
      table.add({ kind: "message", type, lastEventId, data });
      showEvents(true);
    });
  }
}

function showGap({ lastEventId, data }) {
  table.add({ kind: "gap", lastEventId, data });
  showEvents(true);
  const gap = jsonObject(data);
  const asked = gap?.asked ? ` after ${shown(gap.asked)}` : "";
  const oldest = gap?.oldest ? ` The oldest still held is ${shown(gap.oldest)}.` : "";
  say(find("#gap"), `Gap: the hub no longer holds every event${asked}.${oldest}`);
}

/** Explains an error event. The event carries no reason, so the request is repeated to get it. */
async function explain(failed, asked) {
  showStream();
  const note = find("#listen-note");
  if (failed.readyState === EventSource.CONNECTING) {
    say(note, "Connection lost: reconnecting.");
    return;
  }
  if (opened) {
    say(note, "Closed: the server ended the stream for good.", "bad");
    return;
  }
  let why = "The server refused the stream.";
  try {
    const limit = asked.includes("?") ? "&limit=1" : "?limit=1";
    const answer = await fetch(asked + limit, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (!answer.ok) why = await refusal(answer);
  } catch {
    why = "The server cannot be reached. Is it still running?";
  }
  if (source === failed) say(note, why, "bad");
}

async function publish() {
  const { topic, type, data } = publishForm.elements;
  const note = find("#publish-note");
  const button = publishForm.querySelector("button");
  const { address, body, headers } = publishRequest(topic.value, type.value, data.value);
  addType(type.value);
  button.disabled = true;
  try {
    const id = await post(address, { body, headers });
    say(note, `Published, with the ID ${publishedId(id)}`, "good");
  } catch (error) {
    say(note, error.message, "bad");
  } finally {
    button.disabled = false;
  }
}

/** The ID in a publish answer: bare text for one topic's path, JSON from `/events`. */
function publishedId(answer) {
  return jsonObject(answer)?.ids?.at(-1) ?? answer.trim();
}

/** Adds a listener for the type about to be published, without which EventSource drops it. */
function addType(type) {
  const field = listenForm.elements.types;
  if (type === "" || type === "message" || field.value.split(/[\s,]+/).includes(type)) return;
  field.value = field.value.trim() === "" ? type : `${field.value.trim()}, ${type}`;
  hear();
}

function address() {
  const { topic, start, after } = listenForm.elements;
  return listenAddress(topic.value, start.value === "after" ? after.value : start.value);
}

function publishLine() {
  const { topic, type, data } = publishForm.elements;
  return curlPublish(location.origin, publishRequest(topic.value, type.value, data.value));
}

const listenLine = () => curlListen(location.origin, address());

function showLines() {
  const { start, after } = listenForm.elements;
  after.closest("label").hidden = start.value !== "after";
  after.required = start.value === "after";
  find("#curl-listen").textContent = shown(listenLine());
  find("#curl-publish").textContent = shown(publishLine());
}

function showStream() {
  const state = stateOf(source);
  showState(find("#state"), state);
  document.body.dataset.state = state;
  find("#stop").disabled = state !== "open" && state !== "connecting";
  find("#hint").textContent =
    state === "open"
      ? "Listening. Publish something, here or from a terminal, and it appears. An EventSource receives only the types it has a listener for: message, and those listed above."
      : "No event yet. Listen to a topic, then publish to it.";
}

function showEvents(any) {
  find("#events").hidden = !any;
  find("#hint").hidden = any;
}

function start() {
  listenForm.addEventListener("submit", (event) => {
    event.preventDefault();
    listen();
  });
  find("#stop").addEventListener("click", stop);
  listenForm.elements.types.addEventListener("input", hear);
  showStream();
}

// Most people try one topic first, so publishing uses the topic listened to until it is changed.
let apart = false;
publishForm.elements.topic.addEventListener("input", () => (apart = true));
listenForm.elements.topic.addEventListener("input", () => {
  const { value } = listenForm.elements.topic;
  if (!apart && !value.includes("*")) publishForm.elements.topic.value = value;
});
publishForm.addEventListener("submit", (event) => {
  event.preventDefault();
  publish();
});
document.addEventListener("input", showLines);
copyButton(find("#copy-listen"), listenLine);
copyButton(find("#copy-publish"), publishLine);
showLines();

if (supported) start();
