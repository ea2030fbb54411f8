//! Waits for a condition, with a deadline. The only file in `e2e/` that uses a timer.

/**
 * The time after which a wait fails. Loopback answers in milliseconds, and a wait ends as soon as it can; this allows
 * for a machine that does much else, on which a browser alone may need ten seconds to start.
 */
export const DEADLINE_MS = 60_000;

/** The interval at which a condition is polled. */
const POLL_MS = 20;

/**
 * Waits until `condition` returns (or resolves to) something truthy, and returns that.
 *
 * @param {string} what completes the sentence "timed out waiting for …"
 * @param {() => unknown} condition must not throw for "not yet"
 * @param {{ within?: number, every?: number }} times in milliseconds
 */
export async function until(what, condition, { within = DEADLINE_MS, every = POLL_MS } = {}) {
  const deadline = performance.now() + within;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`timed out waiting for ${what}`);
    await pause(every);
  }
}

/** Returns what `promise` resolves to, or fails once `within` milliseconds have passed. */
export async function soon(what, promise, { within = DEADLINE_MS } = {}) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out waiting for ${what}`)), within);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Fails if `condition` becomes truthy while `during` milliseconds pass.
 *
 * For claims that something does *not* happen. Prefer to wait for an event that can only come later.
 */
export async function stays(what, condition, { during }) {
  const end = performance.now() + during;
  while (performance.now() < end) {
    const value = await condition();
    if (value) throw new Error(`expected ${what}, but: ${JSON.stringify(value)}`);
    await pause(POLL_MS);
  }
}

/** Resolves after `ms`: for a network that is slow, and not for a test to wait. */
export function later(ms) {
  return pause(ms);
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
