/** Decodes the text of an event stream, however it was cut on its way (HTML standard, section 9.2.6). */

/**
 * Maximum size of an event or a line, in characters. The hub's events are far smaller; any other answer
 * must not fill the browser's memory.
 */
const CHARACTERS_MAX = 32 * 1024 * 1024;

export class Decoder {
  /** The ID to resume with. */
  lastEventId;
  /** The reconnection time that the stream asks for, in milliseconds, once it does. */
  reconnectionTime;

  #rest = "";
  #afterCarriageReturn = false;
  #id;
  #type = "";
  #data = [];
  #characters = 0;

  constructor(lastEventId = "") {
    this.lastEventId = lastEventId;
    this.#id = lastEventId;
  }

  /**
   * Takes the next text and gives the events it completes: `{ type, lastEventId, data }`.
   *
   * Throws a RangeError at an event that is too long.
   */
  feed(text) {
    // A line feed after a carriage return at the end of the previous text ends the same line.
    const fresh = this.#afterCarriageReturn && text.startsWith("\n") ? text.slice(1) : text;
    if (text !== "") this.#afterCarriageReturn = text.endsWith("\r");
    const lines = fresh.split(/\r\n|\r|\n/);
    lines[0] = this.#rest + lines[0];
    this.#rest = lines.pop();
    const events = [];
    for (const line of lines) {
      if (line !== "") this.#take(line);
      else if (this.#isEvent()) events.push(this.#event());
    }
    if (this.#rest.length + this.#characters > CHARACTERS_MAX) throw new RangeError("an event is too long");
    return events;
  }

  #take(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") {
      this.#data.push(value);
      this.#characters += value.length;
    } else if (name === "event") {
      this.#type = value;
    } else if (name === "id") {
      if (!value.includes("\0")) this.#id = value;
    } else if (name === "retry" && /^\d+$/.test(value)) {
      this.reconnectionTime = Number(value);
    }
  }

  /** Ends a block. One without data is no event, but its ID counts. */
  #isEvent() {
    this.lastEventId = this.#id;
    if (this.#data.length > 0) return true;
    this.#type = "";
    return false;
  }

  #event() {
    const event = { type: this.#type || "message", lastEventId: this.#id, data: this.#data.join("\n") };
    this.#type = "";
    this.#data = [];
    this.#characters = 0;
    return event;
  }
}
