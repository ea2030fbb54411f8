/** The page of `tidings serve`: listen to a topic, publish to one, and see both as curl lines. */

import { curlListen, curlPublish, listenAddress, publishRequest } from "./addresses.mjs";
import { EventTable } from "./event-table.mjs";
import { FetchSource } from "./fetch-source.mjs";
import { HUB, copyButton, jsonObject, post, say, showState, shown, supported } from "./page.mjs";

const find = (selector) => document.querySelector(selector);
const listenForm = find("#listen");
const publishForm = find("#publish");
const table = new EventTable(find("#events table"));

let source = null;

function listen() {
  source?.close();
  table.clear();
  showEvents(false);
  say(find("#gap"));
  source = new FetchSource(HUB + address(), take, (changed) => changed === source && showStream());
  showStream();
}

function stop() {
  source?.close();
}

function take({ type, lastEventId, data }) {
  if (type === "gap") showGap(data);
  table.add({ kind: type === "gap" ? "gap" : "message", type, lastEventId, data });
  showEvents(true);
}

function showGap(data) {
  const gap = jsonObject(data);
  const asked = gap?.asked ? ` after ${shown(gap.asked)}` : "";
  const oldest = gap?.oldest ? ` The oldest still held is ${shown(gap.oldest)}.` : "";
  say(find("#gap"), `Gap: the hub no longer holds every event${asked}.${oldest}`);
}

async function publish() {
  const { topic, type, data } = publishForm.elements;
  const note = find("#publish-note");
  const button = publishForm.querySelector("button");
  const { address, body, headers } = publishRequest(topic.value, type.value, data.value);
  button.disabled = true;
  try {
    const id = await post(HUB + address, { body, headers });
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

function address() {
  const { topic, start, after } = listenForm.elements;
  return listenAddress(topic.value, start.value === "after" ? after.value : start.value);
}

function publishLine() {
  const { topic, type, data } = publishForm.elements;
  return curlPublish(HUB, publishRequest(topic.value, type.value, data.value));
}

const listenLine = () => curlListen(HUB, address());

function showLines() {
  const { start, after } = listenForm.elements;
  after.closest("label").hidden = start.value !== "after";
  after.required = start.value === "after";
  find("#curl-listen").textContent = shown(listenLine());
  find("#curl-publish").textContent = shown(publishLine());
}

function showStream() {
  const state = source?.state ?? "idle";
  say(find("#listen-note"), source?.reason, state === "closed" ? "bad" : "plain");
  showState(find("#state"), state);
  document.body.dataset.state = state;
  find("#stop").disabled = state !== "open" && state !== "connecting";
  find("#hint").textContent =
    state === "open"
      ? "Listening. Publish something, here or from a terminal, and it appears."
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
