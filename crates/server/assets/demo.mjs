/**
 * The demo page: one stream for each of three users, and one for all widgets.
 *
 * A browser opens at most six HTTP/1.1 connections per host, across all its tabs, and each stream
 * holds one. Four streams leave room for publishing, so all widgets share one stream and are told
 * apart by event type.
 */

import { HUB, copyButton, element, jsonObject, post, say, showState, stateOf, supported } from "./page.mjs";
import { Panel } from "./panel.mjs";
import { Dashboard, News, Notifications, Scoreboard, Ticker } from "./widgets.mjs";

const USERS = [
  ["Alpha User", "alpha"],
  ["Beta User", "beta"],
  ["Theta User", "theta"],
];
const STREAMS_MAX = USERS.length + 1;

const WIDGETS_URL =
  `${HUB}events?` +
  ["ticker", "scoreboard", "news", "notifications", "dashboard"]
    .map((name) => `topic=demo/${name}`)
    .join("&");
/** Enough past events for full sparklines and every widget's latest state. */
const PAST_EVENTS_MAX = 500;
/** How long the page waits for past events before it starts without them, in milliseconds. */
const PAST_WAIT_MAX = 3000;

const find = (selector) => document.querySelector(selector);

/** The one stream of all widgets. */
class WidgetStream {
  #source = null;
  #starting = false;
  #takers;
  #changed;

  constructor(takers, changed) {
    this.#takers = takers;
    this.#changed = changed;
  }

  get state() {
    return this.#starting ? "connecting" : stateOf(this.#source);
  }

  /** Shows the events the hub still holds, then listens from that place: no event is lost or doubled. */
  async ensureConnected() {
    if (this.state === "open" || this.state === "connecting") return;
    this.#starting = true;
    this.#changed();
    const place = this.#source ? null : await this.#takePast();
    this.#starting = false;
    const after = place ? `&last_event_id=${encodeURIComponent(place)}` : "";
    this.#listen(new EventSource(WIDGETS_URL + after));
  }

  /** Shows the latest past events and returns the place to listen from, or null. */
  async #takePast() {
    try {
      const response = await fetch(`${WIDGETS_URL}&limit=${PAST_EVENTS_MAX}`, {
        headers: { Accept: "application/json" },
        cache: "no-store",
        signal: AbortSignal.timeout(PAST_WAIT_MAX),
      });
      if (!response.ok) return null;
      const past = await response.json();
      for (const { type, data } of past.events) this.#take(type, data, false);
      return past.last_event_id;
    } catch {
      // Past events are a convenience: without them the widgets fill as events arrive.
      return null;
    }
  }

  #listen(source) {
    this.#source = source;
    source.addEventListener("open", () => {
      // A gap event follows right after the opening it belongs to, and only once.
      say(find("#gap"));
      this.#changed();
    });
    source.addEventListener("error", this.#changed);
    for (const type of Object.keys(this.#takers)) {
      source.addEventListener(type, ({ data }) => this.#take(type, data, true));
    }
    source.addEventListener("gap", () => {
      say(find("#gap"), "Gap: some events this page had not seen are no longer held. It continues with those that are.");
    });
    this.#changed();
  }

  #take(type, data, live) {
    const value = jsonObject(data);
    if (value && Object.hasOwn(this.#takers, type)) this.#takers[type].take(value, live);
  }
}

/** Makes a panel from the page's template. */
function makePanel([title, user], changed) {
  const form = find("#panel").content.cloneNode(true).querySelector("form");
  const sendForm = element("form", { id: `send-${user}` });
  form.setAttribute("aria-label", title);
  form.querySelector("h2").textContent = title;
  form.elements.user.value = user;
  form.elements.user.setAttribute("aria-label", `${title}: name`);
  const text = form.elements.text;
  text.setAttribute("aria-label", `Text to send to ${title}`);
  form.querySelector(".events").setAttribute("aria-label", `${title}: events`);
  find("#panels").append(form);
  // A separate form makes Enter in the text field send instead of connect.
  find("#send-forms").append(sendForm);
  const panel = new Panel(form, sendForm, changed);
  text.setAttribute("form", sendForm.id);
  return panel;
}

function start() {
  const streams = [];
  const showStreams = () => {
    const open = streams.filter(({ state }) => state === "open").length;
    find("#streams").textContent = `${open} of ${STREAMS_MAX} streams open`;
    const state = streams.at(-1)?.state ?? "idle";
    showState(find("#widgets-state"), state);
    find("#widgets").dataset.state = state;
    find("#widgets-connect").hidden = state !== "closed";
  };
  const panels = USERS.map((user) => makePanel(user, () => showStreams()));
  const takers = {
    tick: new Ticker(find("#ticker")),
    score: new Scoreboard(find("#scoreboard")),
    news: new News(find("#news")),
    notice: new Notifications(find("#notifications")),
    stats: new Dashboard(find("#dashboard")),
  };
  const widgets = new WidgetStream(takers, showStreams);
  streams.push(...panels, widgets);

  const connectAll = () => streams.forEach((stream) => stream.ensureConnected());
  find(".all-submit").addEventListener("click", connectAll);
  find("#widgets-connect").addEventListener("click", () => widgets.ensureConnected());
  find("#notice-form").addEventListener("submit", (event) => {
    event.preventDefault();
    publishNotice(event.target, streams);
  });
  connectAll();
}

/** Publishes a notification by fetch, while the streams are open. */
async function publishNotice(form, streams) {
  const field = form.elements.text;
  const text = field.value;
  const answer = form.querySelector(".note");
  try {
    const data = JSON.stringify({ text, time: Date.now() });
    await post(`${HUB}topics/demo/notifications?type=notice`, {
      body: data,
      headers: { "Content-Type": "application/json" },
    });
    const open = streams.filter(({ state }) => state === "open").length;
    say(answer, `Published, with ${open} of ${STREAMS_MAX} streams open.`, "good");
    if (field.value === text) field.value = "";
  } catch (error) {
    say(answer, error.message, "bad");
  }
}

const line = `curl -d 'good tidings' ${HUB}send/alpha`;
find("#curl").textContent = line;
copyButton(find("#curl-copy"), () => line);

if (supported) start();
