/** A demo panel: one user, the user's EventSource, and a table of everything it received. */

import { EventTable } from "./event-table.mjs";
import { HUB, post, say, segments, showState, stateOf } from "./page.mjs";

/** Named types to listen for: an EventSource drops those without a listener. */
const NAMED_TYPES = ["gap"];

export class Panel {
  #form;
  #text;
  #source = null;
  #user = "";
  #opened = false;
  #table;
  #changed;

  /** `changed` is called whenever the state of this panel's stream may have changed. */
  constructor(form, sendForm, changed) {
    this.#form = form;
    this.#text = form.querySelector("input[name=text]");
    this.#table = new EventTable(form.querySelector("table"));
    this.#changed = changed;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#connect();
    });
    sendForm.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    form.querySelector(".send").addEventListener("click", () => sendForm.requestSubmit());
    form.querySelector(".disconnect").addEventListener("click", () => this.#disconnect());
    this.#showState();
  }

  get state() {
    return stateOf(this.#source);
  }

  /** Connects, unless the named user's stream is already open or connecting. */
  ensureConnected() {
    const there = this.state === "open" || this.state === "connecting";
    if (!there || this.#user !== this.#form.elements.user.value) this.#form.requestSubmit();
  }

  #connect() {
    this.#source?.close();
    this.#user = this.#form.elements.user.value;
    this.#opened = false;
    this.#note("");
    const source = new EventSource(`${HUB}stream-sse?user=${encodeURIComponent(this.#user)}`);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#opened = true;
      this.#table.add({ kind: "open", data: "the stream is open" });
      this.#showState();
    });
    source.addEventListener("error", () => {
      this.#table.add({ kind: "error", data: this.#errorWords() });
      this.#showState();
    });
    for (const type of ["message", ...NAMED_TYPES]) {
      source.addEventListener(type, ({ lastEventId, data }) => {
        this.#table.add({ kind: "message", type, lastEventId, data });
      });
    }
    this.#showState();
  }

  /** Describes an error event by the state it leaves behind: the event itself carries no reason. */
  #errorWords() {
    if (this.#source.readyState === EventSource.CONNECTING) {
      return "connection lost: reconnecting";
    }
    return this.#opened
      ? "closed: the server ended the stream for good"
      : "closed: the server refused the stream";
  }

  /** Asks the server to send text to this panel's user; for an empty field it sends its default. */
  async #send() {
    const text = this.#text.value;
    try {
      await post(`${HUB}send/${segments(this.#streamUser())}`, { body: text || undefined });
      // The field is cleared only if it still holds the text that was sent.
      if (this.#text.value === text) this.#text.value = "";
      this.#note("");
    } catch (error) {
      this.#note(error.message);
    }
  }

  /** Asks the server to end the stream; one that is not open is simply closed here. */
  async #disconnect() {
    if (this.state === "connecting") {
      this.#source.close();
      this.#showState();
      return;
    }
    try {
      await post(`${HUB}disconnect/${segments(this.#streamUser())}`);
      this.#note("");
    } catch (error) {
      this.#note(error.message);
    }
  }

  /** The user of this panel's stream, even if another name has been typed since. */
  #streamUser() {
    return this.#source ? this.#user : this.#form.elements.user.value;
  }

  #note(text) {
    say(this.#form.querySelector(".note"), text, "bad");
  }

  #showState() {
    showState(this.#form.querySelector(".chip"), this.state);
    if (this.#source) this.#form.dataset.readyState = this.#source.readyState;
    this.#form.querySelector(".disconnect").disabled = !["open", "connecting"].includes(this.state);
    this.#changed();
  }
}
