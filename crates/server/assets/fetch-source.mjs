/**
 * An event source built on fetch. A browser's EventSource drops every type without a listener; this one
 * delivers all events. It resumes and reconnects likewise, and also after a proxy's 502, which closes an
 * EventSource for good.
 */

import { Decoder } from "./decoder.mjs";
import { refusal } from "./page.mjs";

/** The reconnection time until the stream says its own, in milliseconds. */
const RECONNECTION_TIME = 3000;
/** A stream that says 0 must not make this page ask without a pause. */
const RECONNECTION_TIME_MIN = 100;
/** A day. Timers overflow at 25 days, and then fire at once. */
const RECONNECTION_TIME_MAX = 86_400_000;
/** While attempts fail the wait doubles, up to this. */
const BACKOFF_MAX = 30_000;

export class FetchSource {
  /** `connecting`, `open` or `closed`. */
  state = "connecting";
  /** The reason why it is not open, as a sentence, or an empty string. */
  reason = "";

  #url;
  #take;
  #changed;
  #lastEventId = "";
  #reconnectionTime = RECONNECTION_TIME;
  #failures = 0;
  #timer;
  #wake = () => {};
  #leaving = new AbortController();

  /**
   * Starts to listen. Calls `take` with every event, `{ type, lastEventId, data }`, and `changed` with
   * this source whenever `state` or `reason` changes, after `close` as well.
   */
  constructor(url, take, changed) {
    this.#url = url;
    this.#take = take;
    this.#changed = changed;
    this.#run();
  }

  /** Closes the source for good. */
  close() {
    this.#leaving.abort();
    this.#become("closed");
    clearTimeout(this.#timer);
    this.#wake();
  }

  async #run() {
    while (this.state !== "closed") {
      try {
        await this.#listenOnce();
      } catch (error) {
        this.#lose(error instanceof RangeError ? `The stream was left: ${error.message}.` : "");
      }
      if (this.state !== "closed") await this.#wait();
    }
  }

  /** Listens until the connection ends; throws where it breaks or none comes about. */
  async #listenOnce() {
    // The hub sends a place before the first event to requests with this Cache-Control.
    const headers = { Accept: "text/event-stream", "Cache-Control": "no-cache" };
    if (this.#lastEventId !== "") headers["Last-Event-ID"] = headerValue(this.#lastEventId);
    const answer = await fetch(this.#url, { headers, cache: "no-store", signal: this.#leaving.signal });
    if (answer.status === 204) {
      this.#become("closed", "Closed: the server ended the stream for good.");
    } else if (answer.status !== 200) {
      const reason = await refusal(answer);
      if (willPass(answer.status)) this.#lose(reason);
      else this.#become("closed", reason);
    } else if (!answer.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      this.#become("closed", "The server's answer is no event stream.");
    } else {
      await this.#read(answer.body);
      this.#lose("");
    }
  }

  async #read(body) {
    this.#failures = 0;
    this.#become("open");
    const decoder = new Decoder(this.#lastEventId);
    const text = new TextDecoder();
    const reader = body.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      // Data that arrived before `close` is not delivered after it.
      if (done || this.state === "closed") return;
      const events = decoder.feed(text.decode(value, { stream: true }));
      this.#lastEventId = decoder.lastEventId;
      this.#reconnectionTime = decoder.reconnectionTime ?? this.#reconnectionTime;
      events.forEach(this.#take);
    }
  }

  /** Goes back to connecting; a reason that is shown already stays through repeated failures. */
  #lose(reason) {
    if (this.state === "closed") return;
    const first = this.state === "open" ? "Connection lost: reconnecting." : "";
    const standing = this.reason || "The server cannot be reached: trying again.";
    this.#become("connecting", reason || first || standing);
  }

  #become(state, reason = "") {
    if (this.state === "closed") return;
    this.state = state;
    this.reason = reason;
    this.#changed(this);
  }

  /** Waits for the reconnection time, doubled with each failure, or until the source is left. */
  #wait() {
    const asked = Math.min(this.#reconnectionTime, RECONNECTION_TIME_MAX);
    const shortest = Math.max(asked, RECONNECTION_TIME_MIN);
    const longest = Math.max(shortest, BACKOFF_MAX);
    const time = Math.min(shortest * 2 ** this.#failures, longest);
    this.#failures += 1;
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = setTimeout(resolve, time);
    });
  }
}

/** Whether a refusal will pass by itself. */
function willPass(status) {
  return status >= 500 || status === 429 || status === 408;
}

/** Encodes text for a header: fetch takes one character for each byte of its UTF-8. */
function headerValue(text) {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}
