/**
 * Addresses for listening and publishing, and the same as terminal commands.
 *
 * A topic with clean segments has a path of its own. All other topics and all patterns go
 * in a query or a body, as plain strings. Every address is relative to the hub's.
 */

import { segments } from "./page.mjs";

/** Whether `/topics/{topic}` can name this topic. */
function hasPath(topic) {
  return topic.split("/").every((segment) => segment !== "" && segment !== "." && segment !== "..");
}

function topicPath(topic) {
  return "topics/" + segments(topic);
}

/** The stream of a topic or a pattern; `after` is an event ID, `earliest`, or empty. */
export function listenAddress(topic, after = "") {
  const query = [];
  // An asterisk is never part of an exact topic's path; the hub explains why it refuses `ot*`.
  const isPattern = topic.includes("*");
  if (isPattern) query.push(parameter("match", topic));
  else if (!hasPath(topic)) query.push(parameter("topic", topic));
  const path = query.length > 0 ? "events" : topicPath(topic);
  if (after) query.push(parameter("last_event_id", after));
  return query.length > 0 ? `${path}?${query.join("&")}` : path;
}

/** A query parameter; slashes and colons mean nothing there and are easier to read bare. */
function parameter(name, value) {
  return `${name}=${encodeURIComponent(value).replaceAll("%2F", "/").replaceAll("%3A", ":")}`;
}

/** The request that publishes: `{ address, body, headers }`. */
export function publishRequest(topic, type, data) {
  if (hasPath(topic)) {
    const query = type ? `?${parameter("type", type)}` : "";
    return { address: topicPath(topic) + query, body: data, headers: {} };
  }
  const body = JSON.stringify({ topic, data, type: type || undefined });
  return { address: "events", body, headers: { "Content-Type": "application/json" } };
}

/** The curl command that listens to an address. */
export function curlListen(hub, address) {
  return `curl -N ${quoted(hub + address)}`;
}

/** The curl command that publishes. */
export function curlPublish(hub, { address, body, headers }) {
  const named = Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)} `);
  // With -d, a leading @ would name a file to read.
  const option = body.startsWith("@") ? "--data-raw" : "-d";
  return `curl ${named.join("")}${option} ${quoted(body)} ${quoted(hub + address)}`;
}

/** Quotes a word for a POSIX shell. */
function quoted(word) {
  if (/^[\w%+,.\/:@-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
