/** The table of what an EventSource gave: No, lastEventId, type, data. */

import { element, oncePerFrame } from "./page.mjs";

/** Rows kept; older ones leave the page, so that a busy stream cannot fill the browser's memory. */
export const ROWS_MAX = 200;

export class EventTable {
  #rows;
  #count = 0;
  #showNewest;

  /** `table` lies in an element that scrolls by itself. */
  constructor(table) {
    this.#rows = table.tBodies[0];
    const scroller = table.parentElement;
    // Moves the panel alone: scrollIntoView would move the page as well.
    this.#showNewest = oncePerFrame(() => (scroller.scrollTop = scroller.scrollHeight));
  }

  /** Adds a row; `kind` is the class and colour of its type: `open`, `message`, `error`, `gap`. */
  add({ kind, type = kind, lastEventId = "", data = "" }) {
    this.#count += 1;
    const id = element("td", { class: "id" });
    // The end of an ID tells it from its neighbours, so the cell cuts at the beginning.
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
