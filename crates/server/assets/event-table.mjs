/** A table of the events a source received: No, lastEventId, type, data, and the time where it has such a column. */

import { element, moment, oncePerFrame } from "./page.mjs";

/** Maximum number of rows: a busy stream must not fill the browser's memory. */
export const ROWS_MAX = 200;

export class EventTable {
  #rows;
  #count = 0;
  #timed;
  #showNewest;

  /** `table` must be inside a scrolling element of its own. */
  constructor(table) {
    this.#rows = table.tBodies[0];
    this.#timed = table.querySelector("th.time") !== null;
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
    const time = this.#timed ? [element("td", { class: "time" }, moment(Date.now()))] : [];
    const cells = [
      element("td", { class: "no", text: this.#count }),
      ...time,
      id,
      element("td", { class: kind, text: type }),
      element("td", { class: "data", text: data }),
    ];
    // On narrow screens a row is laid out as a grid, which costs it its role in some browsers.
    cells.forEach((cell) => cell.setAttribute("role", "cell"));
    this.#rows.append(element("tr", { role: "row" }, ...cells));
    while (this.#rows.rows.length > ROWS_MAX) this.#rows.deleteRow(0);
    this.#showNewest();
  }

  clear() {
    this.#rows.replaceChildren();
    this.#count = 0;
  }
}
