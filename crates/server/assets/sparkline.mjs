/** A small line of the latest values, drawn as SVG. */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 32;
/** Free space at the top and bottom, so that the line's thickness is not cut off. */
const MARGIN = 2;

/** Maximum number of values: a minute at one value a second. */
export const POINTS_MAX = 60;

export class Sparkline {
  #values = [];
  #line = document.createElementNS(SVG, "polyline");
  #area = document.createElementNS(SVG, "polygon");
  element = document.createElementNS(SVG, "svg");

  constructor() {
    this.element.setAttribute("class", "sparkline");
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("aria-hidden", "true");
    this.element.append(this.#area, this.#line);
  }

  push(value) {
    this.#values.push(value);
    if (this.#values.length > POINTS_MAX) this.#values.shift();
  }

  draw() {
    const values = this.#values;
    if (values.length < 2) return;
    const low = Math.min(...values);
    const span = Math.max(...values) - low;
    const step = WIDTH / (POINTS_MAX - 1);
    // The newest value is at the right edge; the line grows to the left.
    const first = WIDTH - (values.length - 1) * step;
    const points = values.map((value, index) => {
      const height = span === 0 ? 0.5 : (value - low) / span;
      const x = first + index * step;
      const y = HEIGHT - MARGIN - height * (HEIGHT - 2 * MARGIN);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    this.#line.setAttribute("points", points.join(" "));
    this.#area.setAttribute(
      "points",
      [`${first.toFixed(1)},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`].join(" "),
    );
  }
}
