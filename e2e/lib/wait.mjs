//! Waiting for the thing itself, with a deadline. The only place in `e2e/` that knows a timer.

/**
 * How long a wait may take before the test fails. Loopback answers in milliseconds; this is for a
 * machine with two busy cores.
 */
export const DEADLINE_MS = 20_000;

/** How often a condition that sends no signal is looked at. */
const POLL_MS = 20;

/**
 * Waits until `condition` returns (or resolves to) something truthy, and returns that.
 *
 * @param {string} what completes the sentence "timed out waiting for …"
 * @param {() => unknown} condition must not throw for "not yet"
 */
export async function until(what, condition, { within = DEADLINE_MS } = {}) {
  const deadline = performance.now() + within;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`timed out waiting for ${what}`);
    await pause(POLL_MS);
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
 * For claims about what must *not* happen, which have no signal to wait for; prefer to wait for
 * something that could only come later.
 */
export async function stays(what, condition, { during }) {
  const end = performance.now() + during;
  while (performance.now() < end) {
    const value = await condition();
    if (value) throw new Error(`expected ${what}, but: ${JSON.stringify(value)}`);
    await pause(POLL_MS);
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
