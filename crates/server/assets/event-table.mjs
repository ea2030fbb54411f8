/** A table of the events an EventSource received: No, lastEventId, type, data. */

import { element, oncePerFrame } from "./page.mjs";

/** Maximum number of rows: a busy stream must not fill the browser's memory. */
export const ROWS_MAX = 200;

export class EventTable {
  #rows;
  #count = 0;
  #showNewest;

  /** `table` must be inside a scrolling element of its own. */
  constructor(table) {
    this.#rows = table.tBodies[0];
    const scroller = table.parentElement;
    // scrollIntoView would scroll the page as well.
    this.#showNewest = oncePerFrame(() => (scroller.scrollTop = scroller.scrollHeight));
  }

  /** Adds a row; `kind` is the class and color of its type: `open`, `message`, `error`, `gap`. */
  add({ kind, type = kind, lastEventId = "", data = "" }) {
    this.#count += 1;
    const id = element("td", { class: "id" });
    // IDs differ at their end, so the cell cuts off the beginning.
    if (lastEventId) id.append(element("bdi", { dir: "ltr", title: lastEventId, text: lastEventId }));
    this.#rows.append(
      element(
        "tr",
        {},
        element("td", { class: "no", text: this.#count }),
        id,
        element("td", { class: kind, text: type }),
        element("td", { class: "data", text: data }),
      ),
    );
    while (this.#rows.rows.length > ROWS_MAX) this.#rows.deleteRow(0);
    this.#showNewest();
  }

  clear() {
    this.#rows.replaceChildren();
    this.#count = 0;
  }
}
