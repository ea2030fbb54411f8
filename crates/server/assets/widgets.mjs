/**
 * The demo's widgets: a ticker, a scoreboard, a news line, notifications and the hub's own numbers.
 *
 * Each takes the JSON of one event type. Events of another shape are skipped, because every client
 * may publish to the demo's topics. State changes with every event, but the page is drawn once per
 * frame, so that a burst (everything held, after a gap) is drawn once.
 */

import { decimal, duration, element, moment, number, oncePerFrame, shown, size } from "./page.mjs";
import { Sparkline } from "./sparkline.mjs";

/** Limits of each widget, so that a stranger's events cannot fill the page. */
const SYMBOLS_MAX = 6;
const MATCHES_MAX = 4;
const HEADLINES_MAX = 4;
const NOTIFICATIONS_MAX = 50;

const isText = (value) => typeof value === "string" && value !== "";

/** Several symbols, each with its price, the last change and a line of the latest prices. */
export class Ticker {
  #list;
  #symbols = new Map();
  #draw = oncePerFrame(() => this.#render());

  constructor(section) {
    this.#list = section.querySelector("ul");
  }

  take({ symbol, price }) {
    if (!isText(symbol) || !Number.isFinite(price)) return;
    let entry = this.#symbols.get(symbol);
    if (!entry) {
      if (this.#symbols.size === SYMBOLS_MAX) return;
      entry = this.#add(symbol);
    }
    entry.change = entry.price === undefined ? 0 : price - entry.price;
    entry.price = price;
    entry.sparkline.push(price);
    this.#draw();
  }

  #add(symbol) {
    const entry = {
      sparkline: new Sparkline(),
      priceText: element("span", { class: "price" }),
      changeText: element("span", { class: "change" }),
    };
    entry.item = element(
      "li",
      {},
      element("span", { class: "symbol", text: symbol }),
      entry.sparkline.element,
      entry.priceText,
      entry.changeText,
    );
    this.#symbols.set(symbol, entry);
    return entry;
  }

  #render() {
    if (this.#list.children.length < this.#symbols.size) {
      const symbols = [...this.#symbols.keys()].sort();
      this.#list.append(...symbols.map((symbol) => this.#symbols.get(symbol).item));
    }
    for (const { item, sparkline, priceText, changeText, price, change } of this.#symbols.values()) {
      const direction = Math.sign(change);
      item.dataset.direction = ["down", "flat", "up"][direction + 1];
      priceText.textContent = decimal(price, 2);
      // The arrow repeats the color for color-blind users.
      changeText.textContent = `${["▼", "•", "▲"][direction + 1]} ${decimal(Math.abs(change), 2)}`;
      sparkline.draw();
    }
  }
}

/** The matches being played, identified by their teams. */
export class Scoreboard {
  #list;
  #matches = new Map();
  #draw = oncePerFrame(() => this.#render());

  constructor(section) {
    this.#list = section.querySelector("ul");
  }

  take({ home, away, home_score: homeScore, away_score: awayScore, minute }) {
    const scores = [homeScore, awayScore, minute];
    if (!isText(home) || !isText(away) || !scores.every(Number.isFinite)) return;
    const key = JSON.stringify([home, away]);
    const before = this.#matches.get(key);
    const changed = before && (before.homeScore !== homeScore || before.awayScore !== awayScore);
    // Deleted first to keep the map ordered by latest event: the first entry is the one to evict.
    this.#matches.delete(key);
    this.#matches.set(key, { home, away, homeScore, awayScore, minute, scored: before?.scored || changed });
    if (this.#matches.size > MATCHES_MAX) this.#matches.delete(this.#matches.keys().next().value);
    this.#draw();
  }

  #render() {
    // A fixed order keeps matches from changing places with every event.
    const matches = [...this.#matches.values()].sort((a, b) => (a.home < b.home ? -1 : 1));
    this.#list.replaceChildren(
      ...matches.map(({ home, away, homeScore, awayScore, minute, scored }) =>
        element(
          "li",
          scored ? { class: "scored" } : {},
          element("span", { class: "team", text: home }),
          element("strong", { class: "score", text: `${number(homeScore)} : ${number(awayScore)}` }),
          element("span", { class: "team away", text: away }),
          element("span", { class: "minute", text: `${number(minute)}′` }),
        ),
      ),
    );
    for (const match of this.#matches.values()) match.scored = false;
  }
}

/** The latest headline, and a few before it. */
export class News {
  #list;
  #headlines = [];
  #draw = oncePerFrame(() => this.#render());

  constructor(section) {
    this.#list = section.querySelector("ol");
  }

  take({ headline, time }) {
    if (!isText(headline)) return;
    this.#headlines.unshift({ headline, time });
    this.#headlines.length = Math.min(this.#headlines.length, HEADLINES_MAX);
    this.#draw();
  }

  #render() {
    this.#list.replaceChildren(
      ...this.#headlines.map(({ headline, time }) =>
        element("li", {}, element("span", { text: headline }), moment(time)),
      ),
    );
  }
}

/** Notifications, the newest first. */
export class Notifications {
  #list;
  #fresh = [];
  #draw = oncePerFrame(() => this.#render());

  constructor(section) {
    this.#list = section.querySelector("ol");
  }

  /** `live` marks an event that arrived just now, which is highlighted. */
  take({ text, time }, live) {
    if (!isText(text)) return;
    this.#fresh.push({ text, time, live });
    if (this.#fresh.length > NOTIFICATIONS_MAX) this.#fresh.shift();
    this.#draw();
  }

  /** Adds only new entries, so that assistive technology reads out only those. */
  #render() {
    for (const { text, time, live } of this.#fresh) {
      this.#list.prepend(element("li", live ? { class: "live" } : {}, element("span", { text }), moment(time)));
    }
    this.#fresh = [];
    while (this.#list.children.length > NOTIFICATIONS_MAX) this.#list.lastElementChild.remove();
  }
}

const STATISTICS = {
  subscribers: number,
  events: number,
  events_per_second: (value) => decimal(value, 1),
  history_bytes: size,
  memory_bytes: size,
  uptime_seconds: duration,
};

/** The hub's own numbers, as it published them. */
export class Dashboard {
  #section;
  #latest = {};
  #sparkline = new Sparkline();
  #draw = oncePerFrame(() => this.#render());

  constructor(section) {
    this.#section = section;
    section.querySelector(".rate").append(this.#sparkline.element);
  }

  take(statistics) {
    this.#latest = statistics;
    if (Number.isFinite(statistics.events_per_second)) this.#sparkline.push(statistics.events_per_second);
    this.#draw();
  }

  #render() {
    for (const [name, format] of Object.entries(STATISTICS)) {
      this.#section.querySelector(`[data-statistic=${name}]`).textContent = shown(format(this.#latest[name]));
    }
    this.#sparkline.draw();
  }
}
