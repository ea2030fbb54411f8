//! Ends what a test has started, in the reverse order, so that nothing is taken away from what still uses it: a program
//! ends before its folder is removed, and a reader before its hub.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The ends of each test, the oldest first. */
const ends = new WeakMap();

/**
 * Calls `end` when the test `t` is over, before all that was registered earlier. If one fails, the others are called
 * nevertheless.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 */
export function atEnd(t, end) {
  if (!ends.has(t)) {
    const mine = [];
    ends.set(t, mine);
    // Node calls its own hooks in the order in which they were registered.
    t.after(() => endAll(mine));
  }
  ends.get(t).push(end);
}

async function endAll(mine) {
  const problems = [];
  while (mine.length > 0) {
    try {
      await mine.pop()();
    } catch (problem) {
      problems.push(problem);
    }
  }
  if (problems.length > 0) throw problems[0];
}

/** Creates a folder for the test's files; it is removed when `t` is over. */
export async function makeFolder(t) {
  const folder = await mkdtemp(path.join(tmpdir(), 'tidings-e2e-'));
  atEnd(t, () => rm(folder, { recursive: true, force: true }));
  return folder;
}
